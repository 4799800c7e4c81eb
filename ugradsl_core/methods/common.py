"""Shared parts of the methods: random streams, one-batch plans, the result of a training loop."""

import copy
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.errors import DataError, ModelError
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import seeded
from ugradsl_core.samples.inputs import Inputs, send
from ugradsl_core.samples.protocol import Batch, Samples
from ugradsl_core.training.checkpoint import Checkpoint
from ugradsl_core.training.loop import (
    EpochPlan,
    SGDConfig,
    batch_count,
    in_memory_format,
    shuffled,
    synchronise,
    train,
)
from ugradsl_core.training.steps import StepLoss


class UnlearnConfig(SGDConfig):
    """SGD defaults of the published unlearning code: lr 0.01, 10 epochs, batch 256, constant.

    Attributes:
        bn_mode: BatchNorm layers normalise by the batch and their running statistics follow
            (``train``), or they use and keep the statistics of the original model (``frozen``).
    """

    YOUNGER: ClassVar[Mapping[str, Any]] = {"bn_mode": "train"}

    lr: float = Field(0.01, gt=0, description="learning rate")
    bn_mode: Literal["train", "frozen"] = "train"


def spawn(generator: Generator) -> tuple[Generator, Generator, Generator]:
    """Independent streams for D_r, for D_f, and for layers that draw random numbers.

    Methods that read the same set with the same seed see the same batches, so that limits such
    as p = 1 hold step for step.
    """
    seeds = torch.randint(2**62, (3,), generator=generator).tolist()
    first, second, third = (torch.Generator().manual_seed(seed) for seed in seeds)
    return first, second, third


def one_set_plan(
    samples: Samples, config: SGDConfig, generator: Generator, labels: Tensor | None = None
) -> tuple[EpochPlan, int]:
    """Batches of one set, reshuffled each epoch, and the number of steps of an epoch.

    With ``labels``, int64 (N,), they take the place of the samples' own.
    """

    def plan(_: int) -> Iterable[tuple[Batch, ...]]:
        order = shuffled(len(samples), config.batch_size, generator)
        batches = samples.batches(order, augment=config.augment, generator=generator)
        chosen = batches if labels is None else relabelled(batches, order, labels)
        return ((batch,) for batch in chosen)

    return plan, batch_count(len(samples), config.batch_size)


def relabelled(batches: Iterable[Batch], rows: Iterable[Tensor], labels: Tensor) -> Iterator[Batch]:
    """The batches of the samples ``rows`` with ``labels`` (N,) in place of their own."""
    for chosen, (inputs, true) in zip(rows, batches, strict=True):
        yield inputs, send(labels[chosen], true.device)


def cross_entropy(model: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
    """Mean cross-entropy of the only batch of a step."""
    ((inputs, labels),) = batches
    return F.cross_entropy(model(inputs), labels)


def run_training(
    problem: Problem,
    model: nn.Module,
    plan: EpochPlan,
    steps: int | Sequence[int],
    loss: StepLoss,
    config: SGDConfig,
    model_stream: Generator,
    *,
    frozen_statistics: bool | Collection[nn.Module] = False,
    after_step: Callable[[], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> UnlearnResult:
    """Train ``model`` and pack the result; each sample of a step passes once each way.

    A config whose ``bn_mode`` is ``frozen`` keeps all running statistics.

    Raises:
        DivergenceError: a loss or a weight is NaN or infinite.
        ModelError: BatchNorm met a batch of one sample.
    """
    if isinstance(config, UnlearnConfig) and config.bn_mode == "frozen":
        frozen_statistics = True
    heard = problem.on_epoch
    with batchnorm_needs_two(), seeded(model_stream):
        log = train(
            model,
            plan,
            steps,
            loss,
            config,
            problem.execution,
            frozen_statistics=frozen_statistics,
            after_step=after_step,
            on_epoch=None if heard is None else partial(heard, model),
            checkpoint=checkpoint,
        )
    return UnlearnResult(
        state_of(model), log.steps, log.samples, log.samples, log.seconds, log.losses
    )


@contextmanager
def batchnorm_needs_two() -> Iterator[None]:
    """Raise ModelError where BatchNorm meets a batch of one sample in training mode."""
    try:
        yield
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ModelError(
            "model: its BatchNorm cannot train on a batch of one sample; forget more than one, or "
            "use bn_mode='frozen', or 'joint' where the method has it"
        ) from error


def state_of(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the model's weights on the CPU, in the default memory format."""
    found = {}
    for name, value in model.state_dict().items():
        if isinstance(value, Tensor):
            kept = value.detach().to("cpu", copy=True)
            found[name] = kept.contiguous() if kept.layout is torch.strided else kept
        else:
            found[name] = copy.deepcopy(value)  # what a module's get_extra_state returns
    return found


def evaluation_model(problem: Problem) -> nn.Module:
    """A copy of the original model on the device, in evaluation mode."""
    return in_memory_format(problem.trained_model().eval(), problem.execution)


@contextmanager
def stopwatch(device: torch.device) -> Iterator[list[float]]:
    """A list that holds the wall time of the block, in seconds, once it has ended."""
    synchronise(device)
    start = time.perf_counter()
    seconds: list[float] = []
    yield seconds
    synchronise(device)
    seconds.append(time.perf_counter() - start)


def first_input(samples: Samples, rows: Tensor | None = None) -> Inputs:
    """The inputs of the first two samples, or of the first of ``rows``, to call a model with.

    One sample where two make no batch, as images of unequal sizes do.
    """
    rows = torch.arange(len(samples)) if rows is None else rows
    try:
        ((inputs, _),) = samples.batches([rows[:2]])
    except DataError:
        ((inputs, _),) = samples.batches([rows[:1]])
    return inputs


def in_order(size: int, batch_size: int) -> tuple[Tensor, ...]:
    """The indices 0…size−1 in batches."""
    return torch.split(torch.arange(size), batch_size)


def gradient_sum(
    model: nn.Module, parameters: Collection[nn.Parameter], samples: Samples, batch_size: int
) -> list[Tensor]:
    """Σ ∇CE over ``samples`` in the model's present mode, without augmentation."""
    total = [torch.zeros_like(p) for p in parameters]
    for inputs, labels in samples.batches(in_order(len(samples), batch_size)):
        value = F.cross_entropy(model(inputs), labels, reduction="sum")
        gradients = torch.autograd.grad(value, list(parameters), materialize_grads=True)
        torch._foreach_add_(total, gradients)
    return total


def shaped(flat: Tensor, like: Collection[Tensor]) -> list[Tensor]:
    """A flat tensor cut into parts with the shapes of ``like``."""
    parts = torch.split(flat, [t.numel() for t in like])
    return [part.view(t.shape) for part, t in zip(parts, like, strict=True)]
