"""Samples that each method passes forward and backward, from its definition."""

import itertools
from dataclasses import dataclass
from typing import Any

import torch

from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods.boundary import BEConfig, BSConfig
from ugradsl_core.methods.ff import FFConfig
from ugradsl_core.methods.ga import GAConfig
from ugradsl_core.methods.iu import IUConfig
from ugradsl_core.methods.layerwise import CFkConfig
from ugradsl_core.methods.mixed import MixedConfig, SmoothedConfig
from ugradsl_core.methods.neggrad_plus import NegGradPlusConfig
from ugradsl_core.methods.no_step import NoStepConfig
from ugradsl_core.methods.pabi import PABIConfig, noisy_steps
from ugradsl_core.methods.rl import RLConfig
from ugradsl_core.methods.salun import SalUnConfig
from ugradsl_core.methods.scrub import SCRUBConfig
from ugradsl_core.methods.ugradsl import UGradSLPlusConfig
from ugradsl_core.training.loop import SGDConfig, shuffled


@dataclass(frozen=True)
class Passes:
    """The passes of one run of a method.

    Attributes:
        steps: of the optimiser.
        forward: samples passed forward, all passes counted.
        backward: samples passed backward.
        dual: those of ``forward`` that carry a derivative with them, at twice the cost.
        alive: samples whose activations are kept at once, for a backward pass.
        copies: weights kept at once besides the model's own, its gradient and its momentum, in
            models.
        optimiser: whether there are a gradient and momentum.
        layers: how many layers from the end are trained; None is all.
        at_most: whether counts are bounds, as what is iterated stops when it has converged.
    """

    steps: int
    forward: int
    backward: int
    alive: int
    dual: int = 0
    copies: float = 0.0
    optimiser: bool = True
    layers: int | None = None
    at_most: bool = False


def _sizes(samples: int, batch_size: int) -> list[int]:
    return [len(batch) for batch in shuffled(samples, batch_size, torch.Generator())]


def _trained(samples: int, config: SGDConfig, **more: Any) -> Passes:
    """E epochs over one set, each sample once each way."""
    sizes = _sizes(samples, config.batch_size)
    steps, passed = config.epochs * len(sizes), config.epochs * samples
    return Passes(steps, passed, passed, max(sizes), **more)


def _mixed(config: MixedConfig, n_r: int, n_f: int) -> Passes:
    adaptive = isinstance(config, SmoothedConfig) and config.alpha is None
    terms = int(config.p > 0 or adaptive) + int(config.p < 1)
    epochs = config.epochs - (config.epoch_count == "E-1" and config.epochs > 0)
    over_retain = isinstance(config, UGradSLPlusConfig) or (
        isinstance(config, NegGradPlusConfig) and config.epoch_over == "retain"
    )
    one = _trained(n_r if over_retain else n_f, config.replace(epochs=epochs))
    return Passes(one.steps, terms * one.forward, terms * one.backward, terms * one.alive)


def _scrub(config: SCRUBConfig, n_r: int, n_f: int) -> Passes:
    disobeying = min(config.msteps, config.epochs)
    retain, size = _sizes(n_r, config.batch_size), config.forget_batch_size
    forget = _sizes(n_f, size)
    steps, alive = config.epochs * len(retain), max(retain)
    if config.variant == "joint":
        forgotten, alive = disobeying * size * len(retain), alive + size * (disobeying > 0)
    else:
        forgotten, steps = disobeying * n_f, steps + disobeying * len(forget)
        alive = max(alive, max(forget) if disobeying else 0)
    passed = config.epochs * n_r + forgotten
    taught = forgotten + (config.epochs * n_r if config.alpha else 0)
    return Passes(steps, passed + taught, passed, alive, copies=1)


def _noisy(config: PABIConfig, n_r: int) -> Passes:
    steps = noisy_steps(config.c0, config.c1, config.eta, config.lam)
    sizes = _sizes(n_r, config.batch_size)
    passed = sum(itertools.islice(itertools.cycle(sizes), steps))
    tuned = _trained(n_r, config)
    return Passes(steps + tuned.steps, passed + tuned.forward, passed + tuned.backward, max(sizes))


def _random_labels(config: RLConfig | SalUnConfig, n_r: int, n_f: int) -> Passes:
    order = config.order if isinstance(config, SalUnConfig) else config.variant
    parts = [n_r + n_f] if order == "shuffled" else [n_f, n_r]
    runs = [_trained(part, config) for part in parts]
    once, copies = (n_f, 1.25) if isinstance(config, SalUnConfig) else (0, 0.0)
    return Passes(
        sum(run.steps for run in runs),
        sum(run.forward for run in runs) + once,
        sum(run.backward for run in runs) + once,
        max(run.alive for run in runs),
        copies=copies,
    )


def _influence(config: IUConfig, n_r: int, n_f: int) -> Passes:
    n, size = n_r + n_f, min(config.samples, n_r)
    alive = min(config.batch_size, max(n_r, n_f))
    if config.variant == "upstream":
        return Passes(1, n + size, n + size, alive, copies=5, optimiser=False)
    product = config.max_iterations * size
    return Passes(
        1, n + 2 * product, n + product, alive,
        dual=product, copies=7, optimiser=False, at_most=True,
    )  # fmt: skip


def passes(config: Config, n_r: int, n_f: int, num_classes: int) -> Passes:
    """The passes of a method with that config.

    Args:
        config: of the method.
        n_r: samples of D_r.
        n_f: samples of D_f.
        num_classes: K.

    Raises:
        ConfigError: the config is of no known method.
    """
    if hasattr(config, "passes"):  # of a user's own method
        counted: Passes = config.passes(n_r, n_f, num_classes)
        return counted
    return _passes(config, n_r, n_f, num_classes)


def _passes(config: Config, n_r: int, n_f: int, num_classes: int) -> Passes:
    match config:
        case MixedConfig():
            found = _mixed(config, n_r, n_f)
        case SCRUBConfig():
            found = _scrub(config, n_r, n_f)
        case PABIConfig():
            found = _noisy(config, n_r)
        case RLConfig() | SalUnConfig():
            found = _random_labels(config, n_r, n_f)
        case IUConfig():
            found = _influence(config, n_r, n_f)
        case FFConfig():
            n = n_r if config.samples is None else min(config.samples, n_r)
            found = Passes(1, n, n * num_classes, 1, copies=2, optimiser=False)
        case NoStepConfig():
            n = {"forget": n_f, "retain": n_r, "both": n_r + n_f}[config.over]
            found = Passes(0, config.epochs * n, 0, 0, optimiser=False)
        case BSConfig():
            run = _trained(n_f, config)
            found = Passes(
                run.steps, run.forward + 2 * n_f, run.backward + n_f, run.alive, copies=1
            )
        case GAConfig() | BEConfig():
            found = _trained(n_f, config)
        case CFkConfig():
            found = _trained(n_r, config, layers=config.k)
        case SGDConfig():
            found = _trained(n_r, config)
        case _:
            raise ConfigError(f"config: {type(config).__name__} is of no known method")
    return found


def announced(config: Config, n_r: int, n_f: int, num_classes: int) -> str:
    """The passes that a method will take, in words; see :func:`passes` for the arguments."""
    found = passes(config, n_r, n_f, num_classes)
    epochs = getattr(config, "epochs", None)
    parts = [] if epochs is None else [f"{epochs} epochs"]
    parts.append(f"{found.steps:,} step{'s' * (found.steps != 1)}")
    most = "at most " if found.at_most else ""
    parts.append(f"{most}{found.forward:,} samples forward and {found.backward:,} backward")
    return ", ".join(parts)
