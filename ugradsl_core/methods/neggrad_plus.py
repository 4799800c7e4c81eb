"""NegGrad+: descent on D_r and ascent on D_f without label smoothing (Kurmanji et al., 2023)."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Generator

from ugradsl_core.methods.method import Method
from ugradsl_core.methods.mixed import MixedConfig, run_mixed
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.training.loop import Passes


class NegGradPlusConfig(MixedConfig):
    """p·CE(D_r) − (1 − p)·CE(D_f) with p 0.95; an epoch is a pass over D_r, as the authors run it.

    Attributes:
        epoch_over: the set whose end is the end of an epoch, while the other is cycled: D_r
            (``retain``, as its authors have it) or D_f (``forget``).
    """

    YOUNGER: ClassVar[Mapping[str, Any]] = {"epoch_over": "forget"}

    epoch_over: Literal["retain", "forget"] = "retain"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """Both terms in every step of the epochs."""
        return self.mixed_passes(n_r if self.epoch_over == "retain" else n_f)


def neggrad_plus(
    problem: Problem, config: NegGradPlusConfig, *, generator: Generator
) -> UnlearnResult:
    """Minimise Eq. (8) with plain labels.

    Not in the paper, but the ablation that isolates label smoothing: over D_r it is UGradSL+ at
    α = 0, over D_f UGradSL at α = 0, bit for bit.
    """
    return run_mixed(problem, config, config.epoch_over, generator)


METHOD = Method(
    "NegGrad+", neggrad_plus, NegGradPlusConfig, "D_r, D_f",
    "descent on D_r and ascent on D_f: UGradSL+ at α = 0", "2n_r",
)  # fmt: skip
