"""Unlearning methods: one file each, one signature, one visible registry."""

from typing import Any

from ugradsl_core.config import Config
from ugradsl_core.errors import unknown_name
from ugradsl_core.methods.boundary import BEConfig, BSConfig, be, bs
from ugradsl_core.methods.common import UnlearnConfig
from ugradsl_core.methods.ff import FFConfig, ff
from ugradsl_core.methods.ft import FTConfig, ft
from ugradsl_core.methods.ga import GAConfig, ga
from ugradsl_core.methods.iu import IUConfig, iu
from ugradsl_core.methods.l1_sparse import L1SparseConfig, l1_sparse
from ugradsl_core.methods.layerwise import CFkConfig, EUkConfig, cf_k, eu_k
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.neggrad_plus import NegGradPlusConfig, neggrad_plus
from ugradsl_core.methods.no_step import NoStepConfig, no_step
from ugradsl_core.methods.own import own_method
from ugradsl_core.methods.pabi import PABIConfig, pabi
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.methods.retrain import RetrainConfig, retrain
from ugradsl_core.methods.rl import RLConfig, rl
from ugradsl_core.methods.salun import SalUnConfig, salun
from ugradsl_core.methods.scrub import SCRUBConfig, scrub
from ugradsl_core.methods.ugradsl import UGradSLConfig, UGradSLPlusConfig, ugradsl, ugradsl_plus

METHODS: dict[str, Method] = {
    "retrain": Method(
        "Retrain", retrain, RetrainConfig, "D_r", "train on D_r from scratch", "n_r",
        guarantee="exact", fresh=True,
    ),
    "no-step": Method(
        "No step", no_step, NoStepConfig, "D_f",
        "no weight moves; BatchNorm's statistics follow D_f", "n_f, forward only",
    ),
    "ft": Method("FT", ft, FTConfig, "D_r", "fine-tune on D_r", "n_r"),
    "ga": Method("GA", ga, GAConfig, "D_f", "gradient ascent on D_f", "n_f"),
    "ff": Method(
        "FF", ff, FFConfig, "D_r", "noise along the flat directions of D_r's loss",
        "n_r forward, K·n_r backward, in all",
        memory="1: the Fisher's diagonal, and gradients of single classes",
    ),
    "iu": Method(
        "IU", iu, IUConfig, "D_r, D_f", "one step along the inverse Fisher",
        "n, and 2N forward and N backward for each Fisher product, in all",
        memory="a few: vectors of conjugate gradients",
    ),
    "be": Method(
        "BE", be, BEConfig, "D_f", "send D_f to a class K + 1, then drop it", "n_f",
        memory="one more output",
    ),
    "bs": Method(
        "BS", bs, BSConfig, "D_f", "train D_f on the class across the nearest boundary",
        "n_f, and 2n_f forward and n_f backward once", memory="1: the original model",
    ),
    "l1-sparse": Method(
        "ℓ1-sparse", l1_sparse, L1SparseConfig, "D_r", "fine-tune on D_r with an ℓ1 penalty", "n_r",
    ),
    "rl": Method("RL", rl, RLConfig, "D_r, D_f", "random labels on D_f, true ones on D_r", "n"),
    "eu-k": Method(
        "EU-k", eu_k, EUkConfig, "D_r", "train the last k layers afresh on D_r",
        "n_r; backward through k layers only", fresh=True,
    ),
    "cf-k": Method(
        "CF-k", cf_k, CFkConfig, "D_r", "fine-tune the last k layers on D_r",
        "n_r; backward through k layers only",
    ),
    "scrub": Method(
        "SCRUB", scrub, SCRUBConfig, "D_r, D_f", "a student that disobeys its teacher on D_f",
        "n_r, and n_f while t ≤ msteps; forward twice", memory="1: the teacher",
    ),
    "salun": Method(
        "SalUn", salun, SalUnConfig, "D_r, D_f", "RL on the weights that matter most to D_f",
        "n, and n_f once", memory="1: the original weights, and a mask of booleans",
    ),
    "pabi": Method(
        "PABI", pabi, PABIConfig, "D_r", "noisy clipped steps on D_r, then fine-tuning",
        "n_r, and T batches once", guarantee="(ε, δ), if no parameter is frozen",
    ),
    "neggrad+": Method(
        "NegGrad+", neggrad_plus, NegGradPlusConfig, "D_r, D_f",
        "descent on D_r and ascent on D_f: UGradSL+ at α = 0", "2n_r",
    ),
    "ugradsl": Method(
        "UGradSL", ugradsl, UGradSLConfig, "D_r, D_f",
        "ascent on D_f with smoothed labels, descent on D_r; an epoch is one pass over D_f",
        "2n_f",
    ),
    "ugradsl+": Method(
        "UGradSL+", ugradsl_plus, UGradSLPlusConfig, "D_r, D_f",
        "as UGradSL; an epoch is one pass over D_r", "2n_r",
    ),
}  # fmt: skip


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
    """A validated config of the method ``name``.

    Raises:
        ConfigError: unknown method or parameter, or a value that breaks its rule.
    """
    return get_method(name).config(**parameters)


__all__ = [
    "METHODS",
    "Method",
    "Problem",
    "UnlearnConfig",
    "UnlearnResult",
    "get_method",
    "is_own_method",
    "make_config",
]
