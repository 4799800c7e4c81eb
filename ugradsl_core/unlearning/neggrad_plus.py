"""NegGrad+: descent on D_r and ascent on D_f without label smoothing (Kurmanji et al., 2023)."""

from torch import Generator

from ugradsl_core.types import Problem, UnlearnResult
from ugradsl_core.unlearning.mixed import MixedConfig, run_mixed


class NegGradPlusConfig(MixedConfig):
    """p·CE(D_r) − (1 − p)·CE(D_f) with p 0.95."""


def neggrad_plus(
    problem: Problem, config: NegGradPlusConfig, *, generator: Generator
) -> UnlearnResult:
    """UGradSL at α = 0: not in the paper, but the ablation that isolates label smoothing."""
    return run_mixed(problem, config, "forget", generator)
