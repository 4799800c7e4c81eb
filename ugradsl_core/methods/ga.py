"""Gradient ascent (GA) on D_f (Graves et al., 2021; Thudi et al., 2021)."""

from pydantic import Field
from torch import Generator, Tensor, nn

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    one_set_plan,
    run_training,
    spawn,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.loop import Passes


class GAConfig(UnlearnConfig):
    """Defaults of the published code: five epochs at lr 1e-4."""

    lr: float = Field(1e-4, gt=0, description="learning rate")
    epochs: int = Field(5, ge=0, description="E")

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over D_f."""
        return self.epochs_over(n_f)


def _ascent(model: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
    return -cross_entropy(model, batches)


def ga(problem: Problem, config: GAConfig, *, generator: Generator) -> UnlearnResult:
    """Maximise the cross-entropy of D_f from the original weights: ε = −1 in Eq. (2).

    The model is in training mode, so BatchNorm statistics move; weight decay still pulls weights
    to zero.
    """
    _, forget_stream, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.forget, config, forget_stream)
    model = problem.trained_model()
    return run_training(problem, model, plan, steps, _ascent, config, model_stream)


METHOD = Method("GA", ga, GAConfig, "D_f", "gradient ascent on D_f", "n_f")
