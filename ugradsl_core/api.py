"""Unlearn samples from one's own model: any module that returns logits, any map-style data."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from ugradsl_core import metrics
from ugradsl_core.attack import Solver
from ugradsl_core.checks import whole_number
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, ModelError
from ugradsl_core.models import load_weights
from ugradsl_core.progress import Progress
from ugradsl_core.training import is_frozen, predict
from ugradsl_core.types import Execution, Problem, UnlearnResult
from ugradsl_core.unlearning import get_method
from ugradsl_core.user_data import Reading, opened, prepare
from ugradsl_core.user_overlap import CheckOverlap
from ugradsl_core.user_reading import Collate, MapStyle

UserSet = MapStyle | DataLoader[Any]


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


def _check_types(model: object, execution: object, progress: object) -> None:
    """Raise ModelError or ConfigError unless the arguments that all functions share are usable."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: should be a torch.nn.Module; found {type(model).__name__}")
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
    **parameters: Any,
) -> Unlearned:
    """Unlearn ``forget`` from ``model``, which is left as it was.

    Args:
        method: a name of ``METHODS``, such as ``ft``, ``salun`` or ``ugradsl``.
        model: trained on ``retain`` and ``forget``; maps a batch of inputs to logits (n, K).
        retain: D_r, a map-style data set of (input, label) pairs or of mappings with a label, or
            a ``DataLoader``, of which ``dataset``, ``collate_fn`` and ``num_workers`` are used
            and the sampler and batch size are not. Only sets that the method reads are read.
        forget: D_f.
        seed: of batches, of layers that draw random numbers, and of transforms that draw from
            torch, ``random`` or NumPy. On one machine's CPU the same seed gives the same weights
            with any number of workers.
        make_model: returns a freshly initialised model, for ``retrain`` and ``eu-k`` alone, which
            need it where a layer of ``model`` has no ``reset_parameters``. Without it, frozen
            layers are kept.
        head: name of the classification layer, for self-adaptive rates, ``be`` and ``ff``; found
            if not given.
        execution: device, AMP, compilation and memory format.
        workers: processes that read each set; they stay from epoch to epoch. None takes those of
            the loaders that are given, else none. Tensors in memory need none and use none.
        collate_fn: makes a batch of a list of items; it should keep each item as one row.
        check_overlap: how samples that the sets share are looked for. ``identity``: the same item
            of one data set, seen through subsets, wrappers, views and copies, without reading it.
            ``content``: also items with equal inputs, which reads every item once. ``off``: not.
        progress: a bar for what takes more than two seconds; None shows it in a terminal or a
            notebook.
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
    generator = torch.Generator().manual_seed(whole_number(seed, "seed"))
    reading = Reading(workers, collate_fn, check_overlap, Progress(progress, method))
    symbols = {"retain": "D_r", "forget": "D_f"}
    reads = [name for name, symbol in symbols.items() if symbol in chosen.reads]

    def build() -> nn.Module:
        if not chosen.fresh:
            return copy.deepcopy(model)
        return _fresh_copy(model) if make_model is None else _made(make_model, model)

    with opened({"retain": retain, "forget": forget}, reading) as sets:
        samples, execution = prepare(model, sets, execution or Execution(), reads)
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
) -> metrics.Report:
    """UA, MIA, RA and TA of a model, in percent, with all five MIA scores.

    For class-wise forgetting, pass a ``test`` set without the forgotten class. ``retain`` should
    not augment. The model is left as it was.

    Args:
        model: maps a batch of inputs to logits (n, K).
        retain: D_r, a data set or a ``DataLoader`` as for :func:`unlearn`.
        forget: D_f.
        test: D_te.
        execution: device and switches.
        workers: as for :func:`unlearn`, and so the next three.
        collate_fn: makes a batch of a list of items.
        check_overlap: ``identity``, ``content`` or ``off``.
        progress: a bar for what takes more than two seconds.
        batch_size: of forward passes.
        solver: of the membership attack, see ``metrics.mia``.
        seed: of the retain samples that the attack is fitted on.

    Raises:
        DataError: empty or overlapping sets, items that cannot be read or joined, or labels
            outside 0…K−1.
        ModelError: outputs that are not logits, or weights that are not finite.
    """
    _check_types(model, execution, progress)
    batch_size, seed = whole_number(batch_size, "batch_size", 1), whole_number(seed, "seed")
    reading = Reading(workers, collate_fn, check_overlap, Progress(progress, "evaluate"))
    given = {"retain": retain, "forget": forget, "test": test}
    with opened(given, reading) as sets, torch.random.fork_rng(devices=[]):
        samples, execution = prepare(model, sets, execution or Execution())
        placed = copy.deepcopy(model).to(execution.resolve())
        out = [predict(placed, samples[name], execution, batch_size) for name in given]
    pairs = [(prediction.logits, prediction.labels) for prediction in out]
    return metrics.report(*pairs, solver=solver, seed=seed)
