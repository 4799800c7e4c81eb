"""Layers that draw their random numbers from a generator."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Layers that draw from torch's global state (dropout, initialisation) follow ``generator``.

    The global state of the CPU and of every CUDA device is as before on leaving.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
