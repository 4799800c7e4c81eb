"""Unlearn samples from one's own model: any module that returns logits, any map-style data."""

import copy
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ugradsl_core import metrics
from ugradsl_core.attack import Solver
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, ModelError
from ugradsl_core.models import load_weights
from ugradsl_core.training import is_frozen, predict
from ugradsl_core.types import Execution, Problem, UnlearnResult
from ugradsl_core.unlearning import get_method
from ugradsl_core.user_data import MapStyle, prepare


@dataclass(frozen=True, eq=False)
class Unlearned:
    """What :func:`unlearn` returns.

    Attributes:
        model: the unlearned model, a new one, in evaluation mode.
        method: its name.
        config: every hyperparameter that was used.
        result: weights, counts, seconds and losses.
    """

    model: nn.Module
    method: str
    config: Config
    result: UnlearnResult

    @property
    def seconds(self) -> float:
        """Wall time of unlearning alone (RTE), the first step included."""
        return self.result.seconds


def _fresh_copy(model: nn.Module) -> nn.Module:
    """A copy whose layers, but those that are frozen, have been initialised anew.

    Raises:
        ModelError: a layer with parameters of its own has no ``reset_parameters``.
    """
    fresh = copy.deepcopy(model)
    frozen = [(p, p.detach().clone()) for p in fresh.parameters() if not p.requires_grad]
    for name, module in fresh.named_modules():
        if is_frozen(module):
            continue
        if callable(getattr(module, "reset_parameters", None)):
            module.reset_parameters()
        elif next(module.parameters(recurse=False), None) is not None:
            raise ModelError(
                f"model: the layer {name or 'model'!r} ({type(module).__name__}) cannot be "
                "initialised anew; pass make_model=…, a function that returns a fresh model"
            )
    with torch.no_grad():
        for parameter, value in frozen:
            parameter.copy_(value)
    return fresh


def _made(make_model: Callable[[], nn.Module], model: nn.Module) -> nn.Module:
    """A fresh model of the user's own making, checked to be one like ``model``.

    Raises:
        ModelError: it is not.
    """
    made = make_model()
    if not isinstance(made, nn.Module):
        raise ModelError(
            f"make_model: should return a torch.nn.Module; found {type(made).__name__}"
        )
    shapes = [{name: v.shape for name, v in m.state_dict().items()} for m in (made, model)]
    for name in [*shapes[1], *shapes[0]]:
        ours, theirs = (s.get(name) for s in shapes)
        if ours != theirs:
            raise ModelError(
                f"make_model: should return a model like the one to unlearn from; {name} is "
                f"{_shape_text(ours)} there and {_shape_text(theirs)} here"
            )
    return made


def _shape_text(shape: torch.Size | None) -> str:
    return "missing" if shape is None else f"of shape {tuple(shape)}"


def _check_types(model: object, execution: object, workers: object) -> None:
    """Raise ModelError or ConfigError unless the arguments that all functions share are usable."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: should be a torch.nn.Module; found {type(model).__name__}")
    if not (execution is None or isinstance(execution, Execution)):
        raise ConfigError(
            f"execution: should be an Execution, such as Execution(device='cpu'); "
            f"found {execution!r}"
        )
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise ConfigError(f"workers: should be a whole number from 0; found {workers!r}")


def _checked_seed(seed: object) -> int:
    try:
        number = operator.index(seed)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0:
        raise ConfigError(f"seed: should be a whole number from 0; found {seed!r}")
    return number


def unlearn(
    method: str,
    model: nn.Module,
    *,
    retain: MapStyle,
    forget: MapStyle,
    seed: int = 0,
    make_model: Callable[[], nn.Module] | None = None,
    head: str | None = None,
    execution: Execution | None = None,
    workers: int = 0,
    **parameters: Any,
) -> Unlearned:
    """Unlearn ``forget`` from ``model``, which is left as it was.

    Args:
        method: a name of ``METHODS``, such as ``ft``, ``salun`` or ``ugradsl``.
        model: trained on ``retain`` and ``forget``; maps a batch of inputs to logits (n, K).
        retain: D_r, a map-style data set of (input, label) pairs. Labels are read from its
            ``targets``, ``labels`` or ``tensors`` where it has them, else by visiting it once.
        forget: D_f.
        seed: of batches and of layers that draw random numbers. On one machine's CPU the same seed
            gives the same weights; transforms that draw from ``random`` or NumPy are their own.
        make_model: returns a freshly initialised model, for ``retrain`` and ``eu-k`` alone, which
            need it where a layer of ``model`` has no ``reset_parameters``. Without it, frozen
            layers are kept.
        head: name of the classification layer, for self-adaptive rates, ``be`` and ``ff``; found
            if not given.
        execution: device, AMP, compilation and memory format.
        workers: processes that load data.
        **parameters: hyperparameters of the method, such as ``lr``, ``epochs``, ``batch_size``,
            ``p``, and ``alpha`` (None is self-adaptive, with ``beta`` and ``distance``).

    Raises:
        ConfigError: unknown method or parameter, or a value that breaks its rule.
        DataError: empty or overlapping sets, or labels outside 0…K−1.
        ModelError: outputs that are not logits, weights that are not finite, or a ``make_model``
            that does not make models like ``model``.
        DivergenceError: the loss became NaN or infinite.
    """
    _check_types(model, execution, workers)
    if make_model is not None and (isinstance(make_model, nn.Module) or not callable(make_model)):
        raise ModelError(
            "make_model: should be a function that returns a fresh model; "
            f"found {type(make_model).__name__}"
        )
    chosen = get_method(method)
    config = chosen.config(**parameters)
    if getattr(config, "augment", "none") != "none":
        raise ConfigError("augment: has no effect on your own data; augment in the data set")
    generator = torch.Generator().manual_seed(_checked_seed(seed))
    sets = {"retain": retain, "forget": forget}
    samples, execution = prepare(model, sets, execution or Execution(), workers)

    def build() -> nn.Module:
        if not chosen.fresh:
            return copy.deepcopy(model)
        return _fresh_copy(model) if make_model is None else _made(make_model, model)

    problem = Problem(
        make_model=build,
        trained_state={name: value.clone() for name, value in model.state_dict().items()},
        retain=samples["retain"],
        forget=samples["forget"],
        execution=execution,
        head=head,
    )
    result = chosen(problem, config, generator=generator)
    unlearned = copy.deepcopy(model)
    unlearned = load_weights(unlearned, result.state_dict)
    return Unlearned(unlearned.eval(), method, config, result)


def evaluate(
    model: nn.Module,
    *,
    retain: MapStyle,
    forget: MapStyle,
    test: MapStyle,
    execution: Execution | None = None,
    workers: int = 0,
    batch_size: int = 512,
    solver: Solver = "newton",
    seed: int = 0,
) -> metrics.Report:
    """UA, MIA, RA and TA of a model, in percent, with all five MIA scores.

    For class-wise forgetting, pass a ``test`` set without the forgotten class. ``retain`` should
    not augment. The model is left as it was.

    Args:
        model: maps a batch of inputs to logits (n, K).
        retain: D_r.
        forget: D_f.
        test: D_te.
        execution: device and switches.
        workers: processes that load data.
        batch_size: of forward passes.
        solver: of the membership attack, see ``metrics.mia``.
        seed: of the retain samples that the attack is fitted on.

    Raises:
        DataError: empty or overlapping sets, or labels outside 0…K−1.
        ModelError: outputs that are not logits, or weights that are not finite.
    """
    _check_types(model, execution, workers)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ConfigError(f"batch_size: should be at least 1; found {batch_size!r}")
    sets = {"retain": retain, "forget": forget, "test": test}
    samples, execution = prepare(model, sets, execution or Execution(), workers)
    placed = copy.deepcopy(model).to(execution.resolve())
    with torch.random.fork_rng(devices=[]):
        out = [predict(placed, samples[name], execution, batch_size) for name in sets]
    pairs = [(prediction.logits, prediction.labels) for prediction in out]
    return metrics.report(*pairs, solver=solver, seed=seed)
