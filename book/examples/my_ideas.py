"""An idea of one's own: keep what is to be kept, and know nothing of the rest."""

from collections.abc import Iterable
from typing import ClassVar

from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.methods import Problem, UnlearnConfig, UnlearnResult
from ugradsl_core.methods.common import run_training, spawn
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.loop import batch_count, cycled, shuffled


class ToUniformConfig(UnlearnConfig):
    """The hyperparameters of all methods, and one more."""

    TITLE: ClassVar = "To uniform"
    SPACE: ClassVar = {"lr": (1e-3, 0.3), "weight": (0.1, 10.0)}
    weight: float = Field(1.0, ge=0, description="of the distance on D_f")


def to_uniform(problem: Problem, config: ToUniformConfig, *, generator: Generator) -> UnlearnResult:
    """Cross-entropy on D_r, and the distance of the answers on D_f from the uniform ones."""
    kept, gone, model_stream = spawn(generator)

    def plan(_: int) -> Iterable[tuple[Batch, ...]]:
        rows = shuffled(len(problem.retain), config.batch_size, kept)
        return zip(
            problem.retain.batches(rows, augment=config.augment, generator=kept),
            problem.forget.batches(cycled(len(problem.forget), map(len, rows), gone)),
            strict=True,
        )

    def loss(model: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
        (inputs, labels), (forgotten, _) = batches
        distance = -model(forgotten).log_softmax(1).mean()  # up to a constant, KL(uniform || model)
        return F.cross_entropy(model(inputs), labels) + config.weight * distance

    steps = batch_count(len(problem.retain), config.batch_size)
    model = problem.trained_model()
    return run_training(problem, model, plan, steps, loss, config, model_stream)
