"""The gradient of one step: of the whole batch at once, or of micro-batches that add up to it."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from ugradsl_core.errors import ConfigError
from ugradsl_core.samples.inputs import each, take
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.execution import Execution

StepLoss = Callable[[nn.Module, tuple[Batch, ...]], Tensor]


def check_accumulation(execution: Execution, batch_size: int) -> None:
    """Raise ConfigError where a micro-batch would leave a process without a sample."""
    parts = execution.accumulate
    if parts > 1 and batch_size < parts * execution.world.size:
        raise ConfigError(
            f"accumulate: should be at most {batch_size // execution.world.size}, the samples that "
            f"a process has of a batch; found {parts}"
        )


def micro_batches(
    batches: tuple[Batch, ...], parts: int
) -> Iterator[tuple[tuple[Batch, ...], float]]:
    """The batches of a step cut alike, and the share of the samples that each part has.

    A loss of means over each batch is the sum of the parts' losses times their shares.

    Raises:
        ConfigError: batches of different sizes, whose means would need different shares.
    """
    sizes = {len(labels) for _, labels in batches if len(labels)}
    if len(sizes) != 1:
        raise ConfigError(
            f"accumulate: the batches of a step should have one size; found {sorted(sizes)}"
        )
    (size,) = sizes
    for rows in torch.arange(size).tensor_split(min(parts, size)):
        chosen = slice(int(rows[0]), int(rows[-1]) + 1)
        yield tuple((take(x, chosen), y[chosen]) for x, y in batches), len(rows) / size


def step_gradient(
    loss: StepLoss, network: nn.Module, execution: Execution, device: torch.device
) -> Callable[[tuple[Batch, ...]], Tensor]:
    """A function that adds a step's gradient to the parameters' and returns the step's loss.

    Images come with channels last in memory, and so would be what a network makes of them.
    """

    def of_part(batches: tuple[Batch, ...], share: float | None = None) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16) if execution.amp else nullcontext():
            value = loss(network, batches)
            value = value if share is None else share * value
        value.backward()  # type: ignore[no-untyped-call]
        return value.detach()

    def gradient(batches: tuple[Batch, ...]) -> Tensor:
        if not execution.channels_last:
            batches = tuple((each(Tensor.contiguous, x), labels) for x, labels in batches)
        if execution.accumulate == 1:
            return of_part(batches)
        total = torch.zeros((), device=device)
        for part in micro_batches(batches, execution.accumulate):
            total = total + of_part(*part)
        return total

    return gradient
