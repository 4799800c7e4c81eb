"""The processes of one run: who this one is, its share of a batch, and what all of them agree on.

A run has one process unless it was started by ``torchrun``; Accelerate joins the processes to a
group (NCCL on CUDA, gloo on the CPU) and gives each its device.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from ugradsl_core.errors import ConfigError, UGradSLError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The place of this process among those of a run.

    Attributes:
        rank: from 0; process 0 alone writes and prints.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this is process 0."""
        return self.rank == 0

    def share(self, n: int) -> slice:
        """The part of n samples in a row that is this process's; parts differ by one at most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def check_batch(self, n: int, what: str = "samples in a batch") -> None:
        """Raise ConfigError where n samples are too few to give each process one."""
        if n < self.size:
            raise ConfigError(
                f"processes: should be at most {n}, the {what}; found {self.size}; start fewer "
                "with torchrun --nproc-per-node"
            )

    def gather(self, own: Tensor, n: int) -> Tensor:
        """The n rows of all processes in order, from this one's share; no gradient passes."""
        if self.size == 1:
            return own
        whole = own.new_zeros(n, *own.shape[1:])
        whole[self.share(n)] = own
        torch.distributed.all_reduce(whole)
        return whole

    def mean_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace each gradient by its mean over the processes, in one message."""
        if self.size == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.size
        parts = torch.split(flat, [g.numel() for g in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))

    def agree(self, tensors: Sequence[Tensor]) -> None:
        """Give every process the values that process 0 has, in place."""
        if self.size > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor.detach(), 0)

    def from_first(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises in process 0, where alone it runs; the others wait."""
        if self.size == 1:
            return work()
        from accelerate.utils import broadcast_object_list

        outcome: list[Any] = [None, None]
        if self.is_first:
            try:
                outcome[0] = work()
            except (UGradSLError, OSError) as error:
                outcome[1] = error
        result, failure = broadcast_object_list(outcome)
        if failure is not None:
            raise failure
        return result  # type: ignore[no-any-return]


ALONE = World()


def join(device: str = "auto") -> World:
    """The world that ``torchrun`` started, or that of one process.

    Args:
        device: ``cpu`` for gloo on the CPU; otherwise each process takes a CUDA device of its own
            where there are any.

    Raises:
        ConfigError: a device by number, which all processes would share, or too few devices.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) <= 1:
        return ALONE
    if device not in {"auto", "cpu", "cuda"}:
        raise ConfigError(
            f"device: several processes take a device each; say cpu, cuda or auto; found {device!r}"
        )
    here, local = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device == "cuda" or (device == "auto" and here):
        if here < local:
            raise ConfigError(
                f"processes: should be at most {here} on this machine, its CUDA devices; found "
                f"{local}; start fewer with torchrun --nproc-per-node, or say --device cpu"
            )
        device = "cuda"
    from accelerate import PartialState

    state = PartialState(cpu=device != "cuda")
    return World(state.process_index, state.num_processes)


def leave() -> None:
    """Take the group of processes apart, where there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
