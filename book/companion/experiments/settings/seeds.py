"""Independent random generators of a seed, one for each purpose."""

import hashlib

import torch
from torch import Generator


def stream(seed: int, purpose: str) -> Generator:
    """The generator of a purpose under a seed; different purposes are independent."""
    hashed = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(hashed[:7], "big"))
