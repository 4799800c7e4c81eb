"""One model over several processes: forward passes of shares, logits of whole batches.

Every process draws the whole batch, so that order and augmentation are those of one process, and
passes its share through the model. Logits are gathered in order, so that a loss sees the whole
batch whatever it couples; its gradient flows back into the process's own share, and the sums over
the processes are the gradient of one process, whatever the sizes of the shares.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ugradsl_core.errors import ModelError
from ugradsl_core.inputs import Inputs, size, take
from ugradsl_core.world import World

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
    world.agree([*model.parameters(), *model.buffers()])
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
    """Layers that draw random numbers draw others in every process but the first.

    Torch's global state is set anew in each epoch, so that a resumed run draws the same.
    """
    if not world.is_first:
        torch.manual_seed((seed + world.rank + EPOCH_STRIDE * (epoch + 1)) % 2**63)
