"""The only training loop and the only inference loop."""

import math
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor, nn

from ugradsl_core.config import Config
from ugradsl_core.errors import DivergenceError
from ugradsl_core.models.modes import modes, trainable
from ugradsl_core.samples.inputs import send, to_device
from ugradsl_core.samples.protocol import Augmentation, Batch, Samples
from ugradsl_core.training.checkpoint import Checkpoint, capture, restore
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.processes import in_step, other_noise, spread
from ugradsl_core.training.steps import StepLoss, check_accumulation, step_gradient

EpochPlan = Callable[[int], Iterable[tuple[Batch, ...]]]
MOST_EPOCHS = 10**6  # the steps of each are planned before the first
WAITING_BYTES = 2**28  # of logits that stay on the device before they are fetched


@dataclass(frozen=True)
class Passes:
    """The passes of one run of a method.

    Attributes:
        steps: of the optimiser.
        forward: samples passed forward, all passes counted.
        backward: samples passed backward.
        alive: samples whose activations are kept at once, for a backward pass.
        dual: those of ``forward`` that carry a derivative with them, at twice the cost.
        copies: weights kept at once besides the model's own, its gradient and its momentum, in
            models.
        optimiser: whether there are a gradient and momentum.
        layers: how many layers from the end are trained; None is all.
        at_most: whether counts are bounds, as what is iterated stops when it has converged.
        single: whether samples pass one by one, which costs more than in batches.
    """

    steps: int
    forward: int
    backward: int
    alive: int
    dual: int = 0
    copies: float = 0.0
    optimiser: bool = True
    layers: int | None = None
    at_most: bool = False
    single: bool = False

    def __str__(self) -> str:
        steps = f"{self.steps:,} step{'s' * (self.steps != 1)}"
        most = "at most " if self.at_most else ""
        return f"{steps}, {most}{self.forward:,} samples forward and {self.backward:,} backward"


class SGDConfig(Config):
    """Stochastic gradient descent; the schedule's unit is the step."""

    lr: float = Field(0.01, ge=0, description="learning rate; the peak of a schedule")
    epochs: int = Field(10, ge=0, description="E")
    batch_size: int = Field(256, ge=1, description="samples in a batch")
    momentum: float = Field(0.9, ge=0, lt=1, description="of SGD")
    weight_decay: float = Field(5e-4, ge=0, description="of SGD, added to the gradient")
    schedule: Literal["constant", "one-cycle", "cosine"] = Field(
        "constant", description="of the learning rate, step by step"
    )
    augment: Augmentation = Field("none", description="random horizontal flips, and crops")

    @field_validator("epochs")
    @classmethod
    def _ends(cls, value: int) -> int:
        if value > MOST_EPOCHS:
            raise ValueError(f"should be at most {MOST_EPOCHS}; found {value}")
        return value

    def epochs_over(self, n: int) -> Passes:
        """The passes of E epochs over n samples, each sample once each way in an epoch."""
        sizes = batch_sizes(n, self.batch_size)
        return Passes(self.epochs * len(sizes), self.epochs * n, self.epochs * n, max(sizes))

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """The passes of a run with these |D_r|, |D_f| and K: E epochs over D_r by default."""
        return self.epochs_over(n_r)


@dataclass(frozen=True)
class TrainLog:
    """The log of a training loop: losses of all steps, samples and seconds."""

    losses: tuple[float, ...]
    samples: int
    seconds: float

    @property
    def steps(self) -> int:
        """Optimiser steps."""
        return len(self.losses)


def batch_sizes(size: int, batch_size: int) -> list[int]:
    """Sizes of the batches of an epoch; a last batch of one joins the one before.

    BatchNorm cannot train on one sample, and leaving it out would change what an epoch is. Where
    batches of one are asked for, all are.
    """
    full, rest = divmod(size, batch_size)
    sizes = [batch_size] * full
    if rest == 1 and full:
        sizes[-1] += 1
    elif rest or not full:
        sizes.append(rest)
    return sizes


def batch_count(size: int, batch_size: int) -> int:
    """Number of batches that :func:`shuffled` makes of ``size`` indices."""
    return len(batch_sizes(size, batch_size))


def shuffled(size: int, batch_size: int, generator: Generator) -> list[Tensor]:
    """A random order of ``size`` indices in batches, see :func:`batch_sizes`."""
    order = torch.randperm(size, generator=generator)
    return list(torch.split(order, batch_sizes(size, batch_size)))


def cycled(size: int, batch_sizes: Iterable[int], generator: Generator) -> Iterator[Tensor]:
    """Batches of the given sizes from an endless sequence of random orders of ``size`` indices."""
    order = torch.empty(0, dtype=torch.long)
    for wanted in batch_sizes:
        while len(order) < wanted:
            order = torch.cat([order, torch.randperm(size, generator=generator)])
        yield order[:wanted]
        order = order[wanted:]


def _scheduler(
    optimiser: torch.optim.Optimizer, sgd: SGDConfig, steps: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    if sgd.schedule == "one-cycle":
        return torch.optim.lr_scheduler.OneCycleLR(
            optimiser, sgd.lr, total_steps=max(steps, 2), cycle_momentum=False
        )
    if sgd.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    return None


def in_memory_format(model: nn.Module, execution: Execution) -> nn.Module:
    """The model, changed in place to NHWC where it has four axes to reorder, and no fifth one."""
    if execution.channels_last and has_channels(model):
        model.to(memory_format=torch.channels_last)
    return model


def has_channels(model: nn.Module) -> bool:
    """Tell whether a model has four axes to reorder, and no fifth one."""
    axes = {tensor.ndim for tensor in (*model.parameters(), *model.buffers())}
    return 4 in axes and 5 not in axes


def synchronise(device: torch.device) -> None:
    """Wait for the device, so that a clock read next counts its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def train(
    model: nn.Module,
    plan: EpochPlan,
    steps_per_epoch: int | Sequence[int],
    loss: StepLoss,
    sgd: SGDConfig,
    execution: Execution,
    *,
    frozen_statistics: bool | Collection[nn.Module] = False,
    after_step: Callable[[], None] | None = None,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> TrainLog:
    """Minimise ``loss`` by SGD, changing ``model`` in place.

    Args:
        model: on the execution device.
        plan: epoch number (from 0) to the batches of each of its steps.
        steps_per_epoch: their number, for the schedule; that of each epoch where they differ.
        loss: of a model and the batches of one step.
        sgd: optimiser, epochs and schedule.
        execution: switches.
        frozen_statistics: BatchNorm layers, or those of a collection, use and keep their running
            statistics; those whose parameters are frozen always do. Likewise spectral norms.
        after_step: called after each step of the optimiser.
        on_epoch: called with the epoch's number (from 1) and its mean loss, off the clock;
            training ends where it returns True.
        checkpoint: where to continue from, and where to leave the state from time to time.

    Raises:
        ConfigError: fewer samples in a batch than processes or micro-batches.
        DivergenceError: a loss or, in the end, a weight is NaN or infinite.
        ModelError: no parameter is trainable.
    """
    device, world = execution.resolve(), execution.world
    world.check_batch(sgd.batch_size)
    check_accumulation(execution, sgd.batch_size)
    parameters = list(trainable(model).values())
    optimiser = torch.optim.SGD(
        parameters,
        lr=sgd.lr,
        momentum=sgd.momentum,
        weight_decay=sgd.weight_decay,
        fused=device.type in {"cpu", "cuda"} and all(p.is_floating_point() for p in parameters),
    )
    counts = [steps_per_epoch] * sgd.epochs if isinstance(steps_per_epoch, int) else steps_per_epoch
    scheduler = _scheduler(optimiser, sgd, sum(counts))
    network = in_memory_format(model, execution)
    if execution.compile:
        network = torch.compile(network)  # type: ignore[assignment]
    losses, samples, first_epoch, earlier = _resume(checkpoint, model, optimiser)
    network = spread(network, world)
    seed = torch.initial_seed()
    gradient = step_gradient(loss, network, execution, device)
    done = sum(counts[:first_epoch])
    if scheduler is not None and done:
        _fast_forward(scheduler, optimiser, done)
    synchronise(device)
    start = time.perf_counter()
    with (
        modes(model, True, frozen_statistics),
        in_step(model, device, world),
        execution.progress.bar("", sum(counts), "step", done) as advance,
    ):
        for epoch in range(first_epoch, sgd.epochs):
            other_noise(world, seed, epoch)
            epoch_losses = []
            for batches in plan(epoch):
                for p in parameters:  # as zero_grad does, at a twentieth of its cost
                    p.grad = None
                value = gradient(batches)
                world.mean_gradients(parameters)
                optimiser.step()
                if after_step is not None:
                    after_step()
                if scheduler is not None:
                    scheduler.step()
                epoch_losses.append(value)
                advance(1, value)
                samples += sum(len(labels) for _, labels in batches)
            latest: list[float] = torch.stack(epoch_losses).tolist() if epoch_losses else []
            losses += latest
            _check_losses(latest, epoch)
            if checkpoint is not None and checkpoint.is_due(epoch + 1, sgd.epochs):
                counted: dict[str, list[float] | float] = {"samples": samples, "epoch": epoch + 1}
                counted["seconds"] = earlier + time.perf_counter() - start
                _keep(checkpoint, model, optimiser, {**counted, "losses": losses})
            if on_epoch is not None:
                stopped, pause = _off_the_clock(on_epoch, device, epoch + 1, latest)
                earlier -= pause
                if stopped is True:
                    break
    synchronise(device)
    seconds = earlier + time.perf_counter() - start
    if not bool(torch.stack([torch.isfinite(p).all() for p in parameters]).all()):
        raise DivergenceError("training diverged: the weights are no longer finite")
    return TrainLog(tuple(losses), samples, seconds)


def _fast_forward(
    scheduler: torch.optim.lr_scheduler.LRScheduler, optimiser: torch.optim.Optimizer, steps: int
) -> None:
    """Bring a schedule to where it was after that many steps."""
    optimiser.step()  # without gradients: PyTorch wants one before the scheduler's
    for _ in range(steps):
        scheduler.step()


def _off_the_clock(
    on_epoch: Callable[[int, float], object], device: torch.device, epoch: int, losses: list[float]
) -> tuple[object, float]:
    """The value that ``on_epoch`` returns, and the seconds that it took."""
    synchronise(device)
    start = time.perf_counter()
    found = on_epoch(epoch, math.fsum(losses) / len(losses))
    synchronise(device)
    return found, time.perf_counter() - start


def _keep(
    checkpoint: Checkpoint,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    kept: dict[str, list[float] | float],
) -> None:
    tensors = {name: torch.tensor(value, dtype=torch.float64) for name, value in kept.items()}
    checkpoint.save({**capture(model, optimiser, checkpoint.generators), **tensors})


def _resume(
    checkpoint: Checkpoint | None, model: nn.Module, optimiser: torch.optim.Optimizer
) -> tuple[list[float], int, int, float]:
    """Losses, samples, epochs and seconds so far: those of a saved state, which is restored."""
    saved = None if checkpoint is None else checkpoint.load()
    if checkpoint is None or saved is None:
        return [], 0, 0, 0.0
    restore(saved, model, optimiser, checkpoint.generators)
    samples, epoch, seconds = (saved[name].item() for name in ("samples", "epoch", "seconds"))
    return saved["losses"].tolist(), int(samples), int(epoch), float(seconds)


def _check_losses(losses: list[float], epoch: int) -> None:
    for step, value in enumerate(losses):
        if not math.isfinite(value):
            raise DivergenceError(
                f"training diverged: loss {value} in epoch {epoch + 1}, step {step + 1}"
            )


@dataclass(frozen=True, eq=False)
class Predictions:
    """Logits (N, K), float32, and labels (N,), both on the CPU, in the data set's order."""

    logits: Tensor
    labels: Tensor


def predict(
    model: nn.Module, samples: Samples, execution: Execution, batch_size: int = 512
) -> Predictions:
    """Logits of all samples in evaluation mode, without augmentation or gradients.

    Each process passes its share of every batch. The model's training flags are as before on
    return. There is no autocast, whatever ``execution.amp`` says: a model is judged in its own
    precision, so that rounding to bfloat16 ties no two scores.

    Raises:
        ConfigError: fewer samples than processes.
    """
    device, world = execution.resolve(), execution.world
    order = list(torch.split(torch.arange(len(samples)), batch_size * world.size))
    if world.size > 1:
        world.check_batch(len(samples), "samples to predict")
        if len(order[-1]) < world.size:
            order[-2:] = [torch.cat(order[-2:])]
    own = [rows[world.share(len(rows))] for rows in order]
    done: list[tuple[Tensor, Tensor]] = []  # on the CPU
    waiting: list[tuple[Tensor, Tensor]] = []  # on the device, which is not waited for
    with modes(model, training=False):
        # data sets are read outside inference mode: what they keep could not be changed later
        for rows, (inputs, targets) in zip(order, samples.batches(own), strict=True):
            with torch.inference_mode():
                found = world.gather(model(to_device(inputs, device)).float(), len(rows))
                waiting.append((found, world.gather(send(targets, device), len(rows))))
            if len(waiting) * found.nbytes > WAITING_BYTES:
                done.append(_on_the_host(waiting))
                waiting = []
        done += [_on_the_host(waiting)] if waiting else []
    logits, labels = (torch.cat(parts) for parts in zip(*done, strict=True))
    return Predictions(logits, labels)


def _on_the_host(batches: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    logits, labels = (torch.cat(parts).cpu() for parts in zip(*batches, strict=True))
    return logits, labels
