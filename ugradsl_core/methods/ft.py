"""Fine-tuning (FT): a few more epochs on D_r (Warnecke et al., 2021; Golatkar et al., 2020)."""

from torch import Generator

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    one_set_plan,
    run_training,
    spawn,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult


class FTConfig(UnlearnConfig):
    """Ten epochs, as Appendix E.1 says; the paper's learning rate is that of training."""


def ft(problem: Problem, config: FTConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_r from the original weights."""
    retain_stream, _, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    model = problem.trained_model()
    return run_training(problem, model, plan, steps, cross_entropy, config, model_stream)


METHOD = Method("FT", ft, FTConfig, "D_r", "fine-tune on D_r", "n_r")
