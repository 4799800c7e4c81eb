"""Unlearn samples from one's own model: any module that returns logits, any map-style data."""

import copy
import logging
import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ugradsl_core import metrics
from ugradsl_core.attack import Solver
from ugradsl_core.config import Config, is_truth
from ugradsl_core.errors import ConfigError, ModelError, UGradSLError
from ugradsl_core.fresh import fresh_copy, made
from ugradsl_core.passes import announced
from ugradsl_core.training import predict
from ugradsl_core.types import Execution, Problem, UnlearnResult
from ugradsl_core.unlearned import Unlearned, with_weights
from ugradsl_core.unlearning import Method, get_method
from ugradsl_core.unlearning.common import state_of
from ugradsl_core.user_data import MapStyle, prepare
from ugradsl_core.user_model import (
    check_trainable,
    copied,
    core_of,
    first_line,
    on_device,
    usual_modes,
    working,
)

LOG = logging.getLogger("ugradsl_core")
HINTS = {"use_reentrant": "; checkpoint with use_reentrant=False"}


@dataclass(frozen=True, eq=False)
class Epoch:
    """What ``on_epoch`` hears.

    Attributes:
        number: from 1.
        loss: mean over the epoch's steps.
        model: the model as it is now, a copy of the caller's kind, in evaluation mode.
    """

    number: int
    loss: float
    model: nn.Module


def _check_types(model: object, execution: object, workers: object) -> None:
    """Raise ModelError or ConfigError unless the arguments that all functions share are usable."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: should be a torch.nn.Module; found {type(model).__name__}")
    if not (execution is None or isinstance(execution, Execution)):
        raise ConfigError(
            f"execution: should be an Execution, such as Execution(device='cpu'); "
            f"found {execution!r}"
        )
    _whole("workers", workers)


def _whole(name: str, value: object, least: int = 0) -> int:
    """A whole number of any type, such as NumPy's or a tensor's.

    Raises:
        ConfigError: it is none, or below ``least``.
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        number = least - 1
    if number < least or is_truth(value):
        raise ConfigError(f"{name}: should be a whole number from {least}; found {value!r}")
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
    on_epoch: Callable[[Epoch], object] | None = None,
    evaluate_every: int = 1,
    **parameters: Any,
) -> Unlearned:
    """Unlearn ``forget`` from ``model``, which is left as it was.

    Args:
        method: a name of ``METHODS``, such as ``ft``, ``salun`` or ``ugradsl``.
        model: trained on ``retain`` and ``forget``; maps a batch of inputs to logits (n, K), or to
            an output whose ``logits`` they are. It may be wrapped by ``DataParallel``,
            ``torch.compile`` and the like; the result is wrapped alike.
        retain: D_r, a map-style data set of (input, label) pairs. Labels are read from its
            ``targets``, ``labels`` or ``tensors`` where it has them, else by visiting it once.
        forget: D_f.
        seed: of batches and of layers that draw random numbers. On one machine's CPU the same seed
            gives the same weights; transforms that draw from ``random`` or NumPy are their own.
        make_model: returns a freshly initialised model, for ``retrain`` and ``eu-k`` alone, which
            need it where ``model`` has weights that no ``reset_parameters`` sets. Without it,
            frozen layers are kept, and of LoRA the adapters alone are fresh.
        head: name of the classification layer, for self-adaptive rates, ``be`` and ``ff``; found
            if not given.
        execution: device, AMP, compilation and memory format.
        workers: processes that load data.
        on_epoch: called with an :class:`Epoch`, off the clock; unlearning ends where it returns
            True, for example as a wanted gap is reached.
        evaluate_every: epochs between two calls of it; the last epoch counts too.
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
    every = _whole("evaluate_every", evaluate_every, 1)
    trains = "epochs" in type(config).model_fields
    if on_epoch is not None and not (trains and callable(on_epoch)):
        why = f"{method} has no epochs" if callable(on_epoch) else "should be a function"
        raise ConfigError(f"on_epoch: {why}; found {on_epoch!r}")
    generator = torch.Generator().manual_seed(_whole("seed", seed) % 2**64)
    sets = {"retain": retain, "forget": forget}
    execution = execution or Execution()
    core = core_of(model)
    check_trainable(core)
    with usual_modes(model, execution):
        samples, execution, interface = prepare(
            core, sets, execution, _whole("workers", workers), training=trains
        )

        def call(fresh: nn.Module) -> Any:
            place = next(fresh.parameters(), torch.empty(0)).device
            ((inputs, _),) = samples["retain"].batches([torch.arange(1)])
            return interface.adapted(fresh)(on_device(inputs, place))

        def build() -> nn.Module:
            if not chosen.fresh:
                found = copied(core)
            elif make_model is None:
                found = fresh_copy(core, interface.running)
            else:
                found = made(make_model, core, call)
            return interface.adapted(working(found))

        listener = None if on_epoch is None else _Listener(on_epoch, every, config, model)
        problem = Problem(
            make_model=build,
            trained_state=_copied_state(core),
            retain=samples["retain"],
            forget=samples["forget"],
            execution=execution,
            head=head,
            on_epoch=listener,
        )
        counted = len(samples["retain"]), len(samples["forget"]), interface.num_classes
        LOG.info("%s: %s", method, announced(config, *counted))
        result = _run(method, chosen, problem, config, generator, listener)
        unlearned = with_weights(model, result.state_dict)
        if core is not model:  # the caller's names
            result = replace(result, state_dict=state_of(unlearned))
        return Unlearned(unlearned, method, config, result)


def _copied_state(model: nn.Module) -> dict[str, Any]:
    return {
        name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in model.state_dict().items()
    }


class _Listener:
    """Calls the user's function with copies of the model, without a trace in the run."""

    def __init__(
        self, function: Callable[[Epoch], object], every: int, config: Config, model: nn.Module
    ) -> None:
        self.function, self.every, self.model = function, every, model
        self.last = getattr(config, "epochs", 0)
        self.widened = getattr(config, "variant", "") == "kept"
        self.failure: Exception | None = None

    def __call__(self, model: nn.Module, number: int, loss: float) -> bool:
        if number % self.every and number != self.last:
            return False
        shapes = {} if self.widened else dict(core_of(self.model).state_dict())
        state = {
            name: value[: len(shapes[name])]  # without the output that BE has added
            if isinstance(shapes.get(name), Tensor) and value.shape != shapes[name].shape
            else value
            for name, value in state_of(model).items()
        }
        devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
        with torch.random.fork_rng(devices=devices):
            try:
                return bool(self.function(Epoch(number, loss, with_weights(self.model, state))))
            except Exception as error:
                self.failure = error
                raise


def _run(
    method: str,
    chosen: Method,
    problem: Problem,
    config: Config,
    generator: torch.Generator,
    listener: _Listener | None,
) -> UnlearnResult:
    """The method's result; what PyTorch says of a model that does not suit it is one sentence."""
    try:
        return chosen(problem, config, generator=generator)
    except UGradSLError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        if listener is not None and listener.failure is error:
            raise
        said = first_line(error)
        hint = next((hint for text, hint in HINTS.items() if text in said), "")
        kind = type(error).__name__
        raise ModelError(f"model: {method} does not work with it ({kind}: {said}){hint}") from error


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
    size, chosen_seed = _whole("batch_size", batch_size, 1), _whole("seed", seed)
    sets = {"retain": retain, "forget": forget, "test": test}
    execution = execution or Execution()
    core = core_of(model)
    with usual_modes(model, execution):
        samples, execution, interface = prepare(
            core, sets, execution, _whole("workers", workers), training=False
        )
        placed = interface.adapted(copied(core)).to(execution.resolve())
        with torch.random.fork_rng(devices=[]):
            out = [predict(placed, samples[name], execution, size) for name in sets]
        pairs = [(prediction.logits, prediction.labels) for prediction in out]
        return metrics.report(*pairs, solver=solver, seed=chosen_seed)
