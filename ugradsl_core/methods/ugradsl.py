"""UGradSL and UGradSL+ (Algorithm 1, Eq. (8))."""

from pydantic import Field
from torch import Generator

from ugradsl_core.methods.method import Method
from ugradsl_core.methods.mixed import SmoothedConfig, run_mixed
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.training.loop import Passes


class UGradSLConfig(SmoothedConfig):
    """p 0.9 and α −0.4, the fixed values of the paper's ablations (Section 5.3)."""

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """Both terms in every step of E epochs over D_f."""
        return self.mixed_passes(n_f)


class UGradSLPlusConfig(SmoothedConfig):
    """The defaults of UGradSL, with p nearer 1, since D_f is seen several times in an epoch."""

    p: float = Field(0.95, ge=0, le=1, description="weight of the retain term in Eq. (8)")

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """Both terms in every step of E epochs over D_r."""
        return self.mixed_passes(n_r)


def ugradsl(problem: Problem, config: UGradSLConfig, *, generator: Generator) -> UnlearnResult:
    """Descent on D_r, ascent on D_f with smoothed labels; an epoch is one pass over D_f."""
    return run_mixed(problem, config, "forget", generator)


def ugradsl_plus(
    problem: Problem, config: UGradSLPlusConfig, *, generator: Generator
) -> UnlearnResult:
    """Descend and ascend as :func:`ugradsl` does; an epoch is one pass over D_r, D_f is cycled."""
    return run_mixed(problem, config, "retain", generator)


UGRADSL = Method(
    "UGradSL", ugradsl, UGradSLConfig, "D_r, D_f",
    "ascent on D_f with smoothed labels, descent on D_r; an epoch is one pass over D_f", "2n_f",
)  # fmt: skip
UGRADSL_PLUS = Method(
    "UGradSL+", ugradsl_plus, UGradSLPlusConfig, "D_r, D_f",
    "as UGradSL; an epoch is one pass over D_r", "2n_r",
)  # fmt: skip
