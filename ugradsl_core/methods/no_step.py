"""No step: batches pass in training mode and no weight moves, so only BatchNorm's statistics do."""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Generator

from ugradsl_core.config import Config
from ugradsl_core.methods.common import batchnorm_needs_two, spawn, state_of, stopwatch
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import seeded
from ugradsl_core.models.modes import modes
from ugradsl_core.samples.protocol import Augmentation
from ugradsl_core.training.loop import Passes, batch_count, in_memory_format, shuffled


class NoStepConfig(Config):
    """The defaults of GA: five epochs over D_f in batches of 256.

    Attributes:
        over: the set that passes: D_f (``forget``), D_r (``retain``), or D_f and then D_r in every
            epoch (``both``).
    """

    over: Literal["forget", "retain", "both"] = "forget"
    epochs: int = Field(5, ge=0, description="E")
    batch_size: int = Field(256, ge=1, description="samples in a batch")
    augment: Augmentation = Field("none", description="random horizontal flips, and crops")

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E times the chosen sets, forward."""
        n = {"forget": n_f, "retain": n_r, "both": n_r + n_f}[self.over]
        return Passes(0, self.epochs * n, 0, 0, optimiser=False)

    def coupled(self) -> str:
        """The reason why a batch cannot be cut."""
        return "it shows the statistics of whole batches"


def no_step(problem: Problem, config: NoStepConfig, *, generator: Generator) -> UnlearnResult:
    """Move BatchNorm's running statistics as training at learning rate 0 would, and nothing else.

    What is left of GA, BE or BS when nothing is learnt: their batches, whose statistics are not
    those of the whole set, are enough to change predictions. Without BatchNorm the result is the
    original model.

    Raises:
        ModelError: BatchNorm met a batch of one sample.
    """
    retain_stream, forget_stream, model_stream = spawn(generator)
    forget, retain = (problem.forget, forget_stream), (problem.retain, retain_stream)
    parts = {"forget": [forget], "retain": [retain], "both": [forget, retain]}[config.over]
    model = in_memory_format(problem.trained_model(), problem.execution)
    device = problem.execution.resolve()
    passed = 0
    steps = config.epochs * sum(
        batch_count(len(samples), config.batch_size) for samples, _ in parts
    )
    with (
        stopwatch(device) as seconds,
        batchnorm_needs_two(),
        seeded(model_stream),
        modes(model, training=True),
        torch.no_grad(),
        torch.autocast(device.type, torch.bfloat16, enabled=problem.execution.amp),
        problem.execution.progress.bar("", steps, "batch") as advance,
    ):
        for epoch in range(config.epochs):
            for samples, stream in parts:
                order = shuffled(len(samples), config.batch_size, stream)
                batches = samples.batches(order, augment=config.augment, generator=stream)
                for inputs, labels in batches:
                    model(inputs)
                    passed += len(labels)
                    advance(1)
            if problem.on_epoch is not None and problem.on_epoch(model, epoch + 1, math.nan):
                break
    return UnlearnResult(state_of(model), 0, passed, 0, seconds[0])


METHOD = Method(
    "No step", no_step, NoStepConfig, "D_f",
    "no weight moves; BatchNorm's statistics follow D_f", "n_f, forward only",
    alone="its passes run outside the training loop",
)  # fmt: skip
