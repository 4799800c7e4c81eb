"""Unlearn samples from one's own model: any module that returns logits, any map-style data."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ugradsl_core.api.data import opened, prepare
from ugradsl_core.api.fresh import fresh_copy, made
from ugradsl_core.api.model import (
    check_module,
    check_trainable,
    copied,
    core_of,
    usual_modes,
    working,
)
from ugradsl_core.api.unlearned import Run, Unlearned, with_weights
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, ModelError, UGradSLError, whole_number
from ugradsl_core.methods import Method, get_method, passes
from ugradsl_core.methods.common import state_of
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.metrics import scores
from ugradsl_core.metrics.attack import Solver
from ugradsl_core.models import seeded
from ugradsl_core.samples.inputs import one_line, to_device
from ugradsl_core.samples.overlap import CheckOverlap
from ugradsl_core.samples.reading import Collate, MapStyle
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import predict
from ugradsl_core.training.progress import Progress

UserSet = MapStyle | DataLoader[Any]

LOG = logging.getLogger("ugradsl_core")


@dataclass(frozen=True, eq=False)
class Epoch:
    """An epoch as ``on_epoch`` receives it.

    Attributes:
        number: from 1.
        loss: mean over the epoch's steps.
        model: the model as it is now, a copy of the caller's kind, in evaluation mode.
    """

    number: int
    loss: float
    model: nn.Module


def _check_types(model: object, execution: object, progress: object) -> None:
    """Raise ModelError or ConfigError unless the arguments that all functions share are usable."""
    check_module(model)
    if not (execution is None or isinstance(execution, Execution)):
        raise ConfigError(
            f"execution: should be an Execution, such as Execution(device='cpu'); "
            f"found {execution!r}"
        )
    if not (progress is None or isinstance(progress, bool)):
        raise ConfigError(f"progress: should be True, False or None; found {progress!r}")


def unlearn(
    method: str,
    model: nn.Module,
    *,
    retain: UserSet,
    forget: UserSet,
    seed: int = 0,
    make_model: Callable[[], nn.Module] | None = None,
    head: str | None = None,
    execution: Execution | None = None,
    workers: int | None = None,
    collate_fn: Collate | None = None,
    check_overlap: CheckOverlap = "identity",
    progress: bool | None = None,
    on_epoch: Callable[[Epoch], object] | None = None,
    evaluate_every: int = 1,
    **parameters: Any,
) -> Unlearned:
    """Unlearn ``forget`` from ``model``, which is left as it was.

    Args:
        method: a name of ``METHODS``, such as ``ft``, ``salun`` or ``ugradsl``.
        model: trained on ``retain`` and ``forget``; maps a batch of inputs to logits (n, K), or to
            an output whose ``logits`` they are. It may be wrapped by ``DataParallel``,
            ``torch.compile`` and the like; the result is wrapped in the same way.
        retain: D_r, a map-style data set of (input, label) pairs or of mappings with a label, or
            a ``DataLoader``, of which ``dataset``, ``collate_fn`` and ``num_workers`` are used
            but not its sampler and batch size. Only the sets that the method needs are read.
        forget: D_f.
        seed: of batches, of layers that draw random numbers, and of transforms that draw from
            torch, ``random`` or NumPy. On one machine's CPU the same seed gives the same weights
            with any number of workers.
        make_model: returns a freshly initialised model, for ``retrain`` and ``eu-k`` alone, which
            need it where ``model`` has weights that no ``reset_parameters`` sets. Without it,
            frozen layers are kept, and with LoRA only the adapters are fresh.
        head: name of the classification layer, for self-adaptive rates, ``be`` and ``ff``; looked
            for if not given.
        execution: device, AMP, compilation and memory format.
        workers: number of processes that read each set; they persist from epoch to epoch. None
            takes that of the given loaders, or 0. Tensors in memory need and use none.
        collate_fn: makes a batch of a list of items; it should keep each item as one row.
        check_overlap: how samples that the sets share are looked for. ``identity``: the same item
            of one data set, seen through subsets, wrappers, views and copies, without reading it.
            ``content``: also items with equal inputs; this reads every item once. ``off``: not
            at all.
        progress: a line that names the passes before they start, and a bar for what takes more than
            two seconds, both on stderr; None shows them in a terminal or a notebook.
        on_epoch: called with an :class:`Epoch`, off the clock; unlearning ends where it returns
            True, for example when a desired gap is reached.
        evaluate_every: epochs between two calls of it; it is also called after the last epoch.
        **parameters: hyperparameters of the method, such as ``lr``, ``epochs``, ``batch_size``,
            ``p``, and ``alpha`` (None is self-adaptive, with ``beta`` and ``distance``).

    Raises:
        ConfigError: unknown method or parameter, or a value that breaks its rule.
        DataError: empty or overlapping sets, and, when they are read, items that cannot be read
            or joined and labels outside 0…K−1.
        ModelError: outputs that are not logits, weights that are not finite, or a ``make_model``
            that does not make models like ``model``.
        DivergenceError: the loss became NaN or infinite.
    """
    _check_types(model, execution, progress)
    if make_model is not None and (isinstance(make_model, nn.Module) or not callable(make_model)):
        raise ModelError(
            "make_model: should be a function that returns a fresh model; "
            f"found {type(make_model).__name__}"
        )
    chosen = get_method(method)
    config = chosen.config(**parameters)
    if getattr(config, "augment", "none") != "none":
        raise ConfigError("augment: has no effect on your own data; augment in the data set")
    every = whole_number(evaluate_every, "evaluate_every", 1)
    trains = "epochs" in type(config).model_fields
    if on_epoch is not None and not (trains and callable(on_epoch)):
        why = f"{method} has no epochs" if callable(on_epoch) else "should be a function"
        raise ConfigError(f"on_epoch: {why}; found {on_epoch!r}")
    seed = whole_number(seed, "seed")
    generator = torch.Generator().manual_seed(seed % 2**64)
    symbols = {"retain": "D_r", "forget": "D_f"}
    reads = [name for name, symbol in symbols.items() if symbol in chosen.reads]
    execution = replace(execution or Execution(), progress=Progress(progress, method))
    core = core_of(model)
    check_trainable(core)
    given = {"retain": retain, "forget": forget}
    reading = opened(given, workers, collate_fn, check_overlap, execution.progress)
    with usual_modes(model, execution, seed), reading as sets:
        samples, execution, interface = prepare(core, sets, execution, reads, training=trains)

        def call(fresh: nn.Module) -> Any:
            place = next(fresh.parameters(), torch.empty(0)).device
            ((inputs, _),) = samples["retain"].batches([torch.arange(1)])
            return interface.adapted(fresh)(to_device(inputs, place))

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
            trained_state=state_of(core),
            retain=samples["retain"],
            forget=samples["forget"],
            execution=execution,
            head=head,
            on_epoch=listener,
        )
        sizes = len(samples["retain"]), len(samples["forget"])
        named = str(passes(config, *sizes, interface.num_classes))
        if trains:
            epochs: int = config.epochs  # type: ignore[attr-defined]
            named = f"{epochs} epoch{'s' * (epochs != 1)}, {named}"
        LOG.info("%s: %s", method, named)
        execution.progress.say(named)
        result = _run(method, chosen, problem, config, generator, listener)
        unlearned = with_weights(model, result.state_dict)
        if core is not model:  # the caller's names
            result = replace(result, state_dict=state_of(unlearned))
        run = Run(*sizes, seed, check_overlap)
        return Unlearned(unlearned, method, config, result, run)


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
        with seeded(torch.Generator().manual_seed(number)):
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
    """Run the method; PyTorch's complaints about an unsuitable model become one sentence."""
    try:
        return chosen(problem, config, generator=generator)
    except UGradSLError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        if listener is not None and listener.failure is error:
            raise
        said, kind = one_line(error), type(error).__name__
        hint = "; checkpoint with use_reentrant=False" if "use_reentrant" in said else ""
        raise ModelError(f"model: {method} does not work with it ({kind}: {said}){hint}") from error


def evaluate(
    model: nn.Module,
    *,
    retain: UserSet,
    forget: UserSet,
    test: UserSet,
    execution: Execution | None = None,
    workers: int | None = None,
    collate_fn: Collate | None = None,
    check_overlap: CheckOverlap = "identity",
    progress: bool | None = None,
    batch_size: int = 512,
    solver: Solver = "newton",
    seed: int = 0,
) -> scores.Report:
    """UA, MIA, RA and TA of a model, in percent, with all five MIA scores.

    For class-wise forgetting, pass a ``test`` set without the forgotten class. ``retain`` should
    not augment. The model is left as it was.

    Args:
        model: maps a batch of inputs to logits (n, K).
        retain: D_r, a data set or a ``DataLoader`` as for :func:`unlearn`.
        forget: D_f.
        test: D_te.
        execution: device and switches.
        workers: as for :func:`unlearn`, as are the next three.
        collate_fn: makes a batch of a list of items.
        check_overlap: ``identity``, ``content`` or ``off``.
        progress: a bar for what takes more than two seconds.
        batch_size: of forward passes.
        solver: of the membership attack, see ``metrics.mia``.
        seed: of the retained samples that the attack is fitted on, and of models that draw random
            numbers in evaluation mode.

    Raises:
        DataError: empty or overlapping sets, items that cannot be read or joined, or labels
            outside 0…K−1.
        ModelError: outputs that are not logits, or weights that are not finite.
    """
    _check_types(model, execution, progress)
    batch_size, seed = whole_number(batch_size, "batch_size", 1), whole_number(seed, "seed")
    given = {"retain": retain, "forget": forget, "test": test}
    execution = replace(execution or Execution(), progress=Progress(progress, "evaluate"))
    core = core_of(model)
    reading = opened(given, workers, collate_fn, check_overlap, execution.progress)
    with usual_modes(model, execution, seed), reading as sets:
        samples, execution, interface = prepare(core, sets, execution, training=False)
        placed = interface.adapted(copied(core)).to(execution.resolve())
        out = [predict(placed, samples[name], execution, batch_size) for name in given]
        for name, prediction in zip(given, out, strict=True):
            if not bool(prediction.logits.isfinite().all()):
                raise ModelError(f"model: returns NaN or infinite logits for items of {name}")
        pairs = [(prediction.logits, prediction.labels) for prediction in out]
        return scores.report(*pairs, solver=solver, seed=seed)
