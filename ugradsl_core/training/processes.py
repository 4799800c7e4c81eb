"""The processes of one run: who this one is, its share of a batch, and what all of them agree on.

A run has one process unless it was started by ``torchrun``; Accelerate joins the processes to a
group (NCCL on CUDA, gloo on the CPU) and gives each its device.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ugradsl_core.errors import ConfigError, ModelError, UGradSLError
from ugradsl_core.samples.inputs import Inputs, size, take

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
        """Tell whether this is process 0."""
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

    def from_first(self, work: Callable[[], T]) -> T:
        """The result of ``work``, returned or raised, in process 0 alone; the others wait."""
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


BatchNorm = nn.modules.batchnorm._BatchNorm
EPOCH_STRIDE = 1_000_003


class _Gather(torch.autograd.Function):
    """Rows of all processes; back flow this one's, times the processes, as gradients are averaged.

    So a term that does not pass through the model, such as a penalty, keeps its weight.
    """

    @staticmethod
    def forward(ctx: Any, own: Tensor, world: World, n: int) -> Tensor:
        ctx.world, ctx.n = world, n
        return world.gather(own, n)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return gradients[0][ctx.world.share(ctx.n)] * ctx.world.size, None, None


class _Sum(torch.autograd.Function):
    """The sum over the processes, which each of them goes on with; so are the gradients summed."""

    @staticmethod
    def forward(_: Any, own: Tensor) -> Tensor:
        total = own.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total


class Spread(nn.Module):
    """A model whose batches are cut into shares, one for each process."""

    def __init__(self, model: nn.Module, world: World) -> None:
        super().__init__()
        self.model, self.world, self.started = model, world, False

    def forward(self, inputs: Inputs) -> Tensor:
        """Logits (n, K) of the whole batch (n, …).

        Raises:
            ConfigError: the first batch, which is the largest, has fewer samples than processes.
        """
        n = size(inputs)
        if not self.started:
            self.world.check_batch(n)
            self.started = True
        own = self.model(take(inputs, self.world.share(n)))
        return _Gather.apply(own, self.world, n)  # type: ignore[no-any-return]


def spread(model: nn.Module, world: World) -> nn.Module:
    """The model with its batches cut into shares where there are several processes."""
    return model if world.size == 1 else Spread(model, world)


class _WholeBatchNorm(BatchNorm):
    """BatchNorm with the mean and variance of the batch of all processes, on any device."""

    def _check_input_dim(self, _: Tensor) -> None:
        """Any number of dimensions."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        axes, shape = [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
        size = torch.full((1,), float(x.numel() // x.shape[1]), device=x.device)
        torch.distributed.all_reduce(size)
        count = float(size)
        if count <= 1:
            raise ValueError("Expected more than 1 value per channel when training")
        wide = x.float()
        mean = _Sum.apply(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        if self.track_running_stats and self.running_mean is not None:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is not None:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return torch.as_tensor(normal, dtype=x.dtype)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        """Move the running statistics."""
        assert self.num_batches_tracked is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        self.num_batches_tracked.add_(1)
        step = self.momentum
        if step is None:
            step = 1 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, step)
        self.running_var.lerp_(variance, step)


@contextmanager
def in_step(model: nn.Module, device: torch.device, world: World) -> Iterator[None]:
    """Start from the first process's weights, and keep what layers do together.

    BatchNorm layers see the batches of all processes, and torch's global random state is as before
    on leaving. With one process nothing happens.

    Layers change their class and not their identity, since methods hold on to them: PyTorch's
    SyncBatchNorm on CUDA, which has no CPU version, and a plain one elsewhere.

    Raises:
        ModelError: InstanceNorm with running statistics, which no share can know.
    """
    if world.size == 1:
        yield
        return
    for tensor in (*model.parameters(), *model.buffers()):
        torch.distributed.broadcast(tensor.detach(), 0)
    changed: dict[nn.Module, type[nn.Module]] = {}
    for module in model.modules():
        if isinstance(module, nn.modules.instancenorm._InstanceNorm) and module.track_running_stats:
            raise ModelError(
                "model: InstanceNorm with running statistics cannot be spread over several "
                "processes; run it in one"
            )
        if isinstance(module, BatchNorm) and not isinstance(module, nn.SyncBatchNorm):
            changed[module] = type(module)
    for module in changed:
        if device.type == "cuda":
            module.__class__ = nn.SyncBatchNorm
            module.__dict__["process_group"] = None
        else:
            module.__class__ = _WholeBatchNorm
    try:
        cuda = [torch.cuda.current_device()] if device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        for module, own in changed.items():
            module.__class__ = own
            module.__dict__.pop("process_group", None)


def other_noise(world: World, seed: int, epoch: int) -> None:
    """Give every process but the first its own dropout noise.

    Torch's global state is set anew in each epoch, so that a resumed run draws the same.
    """
    if not world.is_first:
        torch.manual_seed((seed + world.rank + EPOCH_STRIDE * (epoch + 1)) % 2**63)
