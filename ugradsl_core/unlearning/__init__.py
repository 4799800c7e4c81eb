"""Unlearning methods: one file each, one signature, one visible registry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Generator

from ugradsl_core.errors import unknown_name
from ugradsl_core.training import SGDConfig
from ugradsl_core.types import Problem, UnlearnResult
from ugradsl_core.unlearning.ft import FTConfig, ft
from ugradsl_core.unlearning.ga import GAConfig, ga
from ugradsl_core.unlearning.neggrad_plus import NegGradPlusConfig, neggrad_plus
from ugradsl_core.unlearning.retrain import RetrainConfig, retrain
from ugradsl_core.unlearning.ugradsl import (
    UGradSLConfig,
    UGradSLPlusConfig,
    ugradsl,
    ugradsl_plus,
)


@dataclass(frozen=True)
class Method:
    """A method's function and config class, with what a list of methods shows of it."""

    title: str
    run: Callable[..., UnlearnResult]
    config: type[SGDConfig]
    reads: str
    summary: str

    def __call__(
        self, problem: Problem, config: SGDConfig, *, generator: Generator
    ) -> UnlearnResult:
        """Unlearn ``problem.forget``; neither argument is changed."""
        return self.run(problem, config, generator=generator)


METHODS: dict[str, Method] = {
    "retrain": Method("Retrain", retrain, RetrainConfig, "D_r", "train on D_r from scratch"),
    "ft": Method("FT", ft, FTConfig, "D_r", "fine-tune on D_r"),
    "ga": Method("GA", ga, GAConfig, "D_f", "gradient ascent on D_f"),
    "neggrad+": Method(
        "NegGrad+",
        neggrad_plus,
        NegGradPlusConfig,
        "D_r, D_f",
        "descent on D_r and ascent on D_f: UGradSL at α = 0",
    ),
    "ugradsl": Method(
        "UGradSL",
        ugradsl,
        UGradSLConfig,
        "D_r, D_f",
        "ascent on D_f with smoothed labels, descent on D_r; an epoch is one pass over D_f",
    ),
    "ugradsl+": Method(
        "UGradSL+",
        ugradsl_plus,
        UGradSLPlusConfig,
        "D_r, D_f",
        "as UGradSL; an epoch is one pass over D_r",
    ),
}


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        ConfigError: unknown name; the message lists the valid ones.
    """
    if name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def make_config(name: str, **parameters: Any) -> SGDConfig:
    """A validated config of the method ``name``.

    Raises:
        ConfigError: unknown method or parameter, or a value that breaks its rule.
    """
    return get_method(name).config(**parameters)


__all__ = ["METHODS", "Method", "get_method", "make_config"]
