"""Retrain: training on D_r from fresh weights, the reference of all methods."""

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field
from torch import Generator

from ugradsl_core.methods.common import cross_entropy, one_set_plan, run_training, spawn
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import seeded
from ugradsl_core.training.loop import SGDConfig


class RetrainConfig(SGDConfig):
    """Defaults of Table 8 for ResNet-18: lr 0.01, 160 epochs, batch 256.

    Attributes:
        initialisation: number of the random stream that an experiment draws initial weights and
            batches from. Runs of one seed that differ in it alone show the noise of Retrain itself.
    """

    YOUNGER: ClassVar[Mapping[str, Any]] = {"initialisation": 0}

    epochs: int = Field(160, ge=0, description="E")
    initialisation: int = Field(0, ge=0)


def retrain(problem: Problem, config: RetrainConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_r from a fresh initialisation, Eq. (1).

    The original model is never read. Initialisation and batches follow ``generator`` alone;
    ``config.initialisation`` says which generator an experiment passes.
    """
    retain_stream, _, model_stream = spawn(generator)
    with seeded(model_stream):
        model = problem.make_model()
    model.to(problem.execution.resolve())
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    checkpoint = problem.checkpoint([retain_stream]) if problem.checkpoint else None
    return run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, checkpoint=checkpoint
    )


METHOD = Method(
    "Retrain", retrain, RetrainConfig, "D_r", "train on D_r from scratch", "n_r",
    guarantee="exact", fresh=True,
)  # fmt: skip
