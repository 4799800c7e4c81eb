"""Unlearning methods: one file each, one signature, one visible registry."""

from typing import Any

from ugradsl_core.config import Config
from ugradsl_core.errors import unknown_name
from ugradsl_core.methods import (
    ff,
    ft,
    ga,
    iu,
    l1_sparse,
    neggrad_plus,
    no_step,
    pabi,
    retrain,
    rl,
    salun,
    scrub,
)
from ugradsl_core.methods.boundary import BE, BS
from ugradsl_core.methods.common import UnlearnConfig
from ugradsl_core.methods.layerwise import CF_K, EU_K
from ugradsl_core.methods.method import Method, passes
from ugradsl_core.methods.own import own_method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.methods.ugradsl import UGRADSL, UGRADSL_PLUS
from ugradsl_core.training.loop import Passes

METHODS: dict[str, Method] = {
    "retrain": retrain.METHOD,
    "no-step": no_step.METHOD,
    "ft": ft.METHOD,
    "ga": ga.METHOD,
    "ff": ff.METHOD,
    "iu": iu.METHOD,
    "be": BE,
    "bs": BS,
    "l1-sparse": l1_sparse.METHOD,
    "rl": rl.METHOD,
    "eu-k": EU_K,
    "cf-k": CF_K,
    "scrub": scrub.METHOD,
    "salun": salun.METHOD,
    "pabi": pabi.METHOD,
    "neggrad+": neggrad_plus.METHOD,
    "ugradsl": UGRADSL,
    "ugradsl+": UGRADSL_PLUS,
}


def is_own_method(name: str) -> bool:
    """Whether a name is ``module:function``, a method of the user's own."""
    module, colon, function = name.partition(":")
    return bool(colon and module and function) and module not in METHODS


def get_method(name: str) -> Method:
    """The method of that name, or the user's own ``module:function``.

    Raises:
        ConfigError: unknown name, with the valid ones; or an own method that breaks the contract.
    """
    if isinstance(name, str) and is_own_method(name):
        return own_method(name)
    if not isinstance(name, str) or name not in METHODS:
        raise unknown_name("method", name, METHODS)
    return METHODS[name]


def make_config(name: str, **parameters: Any) -> Config:
    """A validated config of the method ``name``; ConfigError says which rule is broken."""
    return get_method(name).config(**parameters)


__all__ = [
    "METHODS",
    "Method",
    "Passes",
    "Problem",
    "UnlearnConfig",
    "UnlearnResult",
    "get_method",
    "is_own_method",
    "make_config",
    "passes",
]
