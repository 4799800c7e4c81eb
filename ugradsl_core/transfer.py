"""From the host to the device, without making the host wait for a GPU."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on ``device``.

    A plain copy to CUDA waits until the device has caught up with everything before it; one from
    page-locked memory is queued behind it, and PyTorch keeps that memory until it is copied.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
