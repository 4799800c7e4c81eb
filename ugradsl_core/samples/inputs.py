"""The inputs of a model: a tensor, or tensors by name as transformers take them."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ugradsl_core.errors import DataError

Inputs = Tensor | Mapping[str, Tensor]


def each(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """``function`` of the tensor, or of each by its name."""
    if isinstance(inputs, Tensor):
        return function(inputs)
    return {name: function(value) for name, value in inputs.items()}


def size(inputs: Inputs) -> int:
    """Number of samples n: of tensors (n, …), which share their first axis."""
    return len(inputs) if isinstance(inputs, Tensor) else len(next(iter(inputs.values())))


def take(inputs: Inputs, rows: slice | Tensor) -> Inputs:
    """The samples ``rows``."""
    return each(lambda value: value[rows], inputs)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on ``device``, without making the host wait for a GPU.

    A plain copy to CUDA waits until the device has caught up with everything before it; one from
    page-locked memory is queued behind it, and PyTorch keeps that memory until it is copied.
    """
    if device.type == "cuda" and tensor.device.type == "cpu":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def to_device(inputs: Inputs, device: torch.device) -> Inputs:
    """The same inputs on ``device``; the host does not wait, see :func:`send`."""
    return each(lambda value: send(value, device), inputs)


def cat(parts: Sequence[Inputs]) -> Inputs:
    """The samples of all parts in a row.

    Raises:
        DataError: parts that cannot form one batch, such as texts padded to other lengths.
    """
    try:
        if all(isinstance(part, Tensor) for part in parts):
            return torch.cat(list(parts))  # type: ignore[arg-type]
        named = [part for part in parts if not isinstance(part, Tensor)]
        if len(named) < len(parts) or any(part.keys() != named[0].keys() for part in named):
            raise ValueError("one holds what the other lacks")
        return {name: torch.cat([part[name] for part in named]) for name in named[0]}
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"retain and forget: their inputs cannot form one batch ({one_line(error)}); pad "
            "or resize them alike, or choose passes of their own (bn_mode='separate', "
            "order='sequential')"
        ) from error


def one_line(error: BaseException) -> str:
    """The first line of an exception's message, or its type where it has none."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[: 1 + lines[0].endswith(":")]) if lines else type(error).__name__
