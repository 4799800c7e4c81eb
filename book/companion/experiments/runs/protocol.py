"""The protocol of the comparison: one budget, one design and one rule of choice for every method.

Every method may pass the same number of samples. Below that budget its epochs, its schedule, the
mode of BatchNorm and every parameter that its own authors tune are searched on a Sobol design; the
best configurations run again on two more seeds, and the smallest mean wins. Nothing else is tried,
and every trial is a record that carries the name of the protocol.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from companion.experiments.records.record import Record
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.preset import shared_with_training
from companion.experiments.settings.setting import Setting, digest
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.methods import METHODS, get_method, is_own_method, passes
from ugradsl_core.metrics import average_gap

BUDGET_EPOCHS = 10  # of fine-tuning: samples of D_r passed forward and backward
SEARCH_SEEDS = (1000, 1001, 1002)
FINALISTS = 6
EDGE = 0.03  # of a range, at either end
POINTS_PER_DIMENSION, FEWEST_POINTS, MOST_POINTS = 8, 16, 32
DIVERGED_GAP = 100.0
OUTSIDE = ("pabi",)  # its published form needs more than the budget, so it is not ranked


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, evenly spread on a linear or logarithmic scale."""

    low: float
    high: float
    scale: Literal["log", "linear"] = "log"
    whole: bool = False

    @property
    def words(self) -> str:
        """The range as readers see it."""
        return f"in [{self.low:g}, {self.high:g}]{' (log)' if self.scale == 'log' else ''}"

    def place(self, value: float) -> float:
        """Where a number lies between the bounds, from 0 to 1 on the range's scale."""
        if self.scale == "log":
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def at(self, u: float) -> Any:
        """The number at ``u`` in [0, 1), to three significant digits."""
        low, high = self.low, self.high + self.whole
        value = low * (high / low) ** u if self.scale == "log" else low + (high - low) * u
        return min(int(value), int(self.high)) if self.whole else float(f"{value:.3g}")


@dataclass(frozen=True)
class Complement:
    """1 − x for x in a range on a logarithmic scale: weights p near 1."""

    low: float
    high: float

    @property
    def words(self) -> str:
        """The range as readers see it."""
        return f"with 1 - p in [{self.low:g}, {self.high:g}] (log)"

    def place(self, value: float) -> float:
        """Where a number lies between the bounds, from 0 to 1 on a logarithmic scale."""
        return Range(self.low, self.high).place(max(1 - value, self.low))

    def at(self, u: float) -> float:
        """The number at ``u`` in [0, 1)."""
        return round(1 - float(Range(self.low, self.high).at(u)), 6)


@dataclass(frozen=True)
class Choice:
    """A choice among a few values."""

    values: tuple[Any, ...]

    @property
    def words(self) -> str:
        """The choices as readers see them."""
        return "of " + ", ".join(map(str, self.values))

    def at(self, u: float) -> Any:
        """The value at ``u`` in [0, 1)."""
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class UpTo:
    """Whole numbers from 1 to the largest that the budget allows, on a logarithmic scale."""

    words = "from 1 to the most that the budget allows (log)"


@dataclass(frozen=True)
class ShareOfEpochs:
    """Whole numbers from 1 to the number of epochs."""

    words = "from 1 to epochs"


Dimension = Range | Complement | Choice | UpTo | ShareOfEpochs


@dataclass(frozen=True)
class Space:
    """What is searched of a method.

    Attributes:
        dimensions: searched parameters by name.
        fixed: values that every configuration has.
        filled: a parameter that is as large as the budget allows, up to its value in ``fixed``.
    """

    dimensions: Mapping[str, Dimension]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    filled: str | None = None

    @property
    def points(self) -> int:
        """The size of its design: eight points a dimension, at least 16 and at most 32."""
        points = POINTS_PER_DIMENSION * len(self.dimensions)
        return min(max(points, FEWEST_POINTS), MOST_POINTS)


_RUN: Mapping[str, Dimension] = {
    "epochs": UpTo(),
    "schedule": Choice(("constant", "cosine", "one-cycle")),
    "bn_mode": Choice(("train", "frozen")),
}
_LR = Range(5e-4, 0.5)
_LR_FORGET_ONLY = Range(1e-5, 0.1)  # methods that see D_f alone; the published rates are small
_FREE_LAYERS = {**{k: v for k, v in _RUN.items() if k != "bn_mode"}, "lr": _LR}
_MIXED: Mapping[str, Dimension] = {
    **_RUN,
    "bn_mode": Choice(("train", "frozen", "joint")),
    "lr": _LR,
    "p": Complement(1e-3, 0.2),
}
_SMOOTHED: Mapping[str, Dimension] = {**_MIXED, "alpha": Range(-1.0, 0.0, "linear")}

SPACES: dict[str, Space] = {
    "ft": Space({**_RUN, "lr": _LR}),
    "ga": Space({**_RUN, "lr": _LR_FORGET_ONLY}),
    "ff": Space({"alpha": Range(1e-9, 1e-3), "samples": Range(250, 4000, whole=True)}),
    "iu": Space(
        {"alpha": Range(0.1, 1e3)}, {"samples": 1000, "max_iterations": 200}, "max_iterations"
    ),
    "be": Space({**_RUN, "lr": _LR_FORGET_ONLY}),
    "bs": Space({**_RUN, "lr": _LR_FORGET_ONLY}),
    "l1-sparse": Space({**_RUN, "lr": _LR, "gamma": Range(1e-5, 1e-1)}),
    "rl": Space({**_RUN, "lr": Range(1e-4, 0.3)}),
    "eu-k": Space({**_FREE_LAYERS, "k": Range(1, 16, "linear", whole=True)}),
    "cf-k": Space({**_FREE_LAYERS, "k": Range(1, 16, "linear", whole=True)}),
    "scrub": Space(
        {
            **_RUN,
            "lr": Range(1e-4, 0.1),
            "alpha": Range(1e-3, 1.0),
            "msteps": ShareOfEpochs(),
            "forget_batch_size": Choice((16, 32, 64, 128)),
        }
    ),
    "salun": Space(
        {**_RUN, "lr": Range(3e-4, 0.3), "mask_ratio": Range(0.1, 0.9, "linear")},
    ),
    "pabi": Space({"lr": Range(1e-3, 1.0), "c0": Range(0.01, 10.0)}, {"epochs": 50}),
    "neggrad+": Space(_MIXED),
    "neggrad+:forget": Space(_MIXED),
    "ugradsl": Space(_SMOOTHED),
    "ugradsl:adaptive": Space(_MIXED),
    "ugradsl:adaptive-positive": Space(_MIXED),
    "ugradsl+": Space(_SMOOTHED),
    "ugradsl+:adaptive": Space(_MIXED),
    "ugradsl+:adaptive-positive": Space(_MIXED),
}


@dataclass(frozen=True)
class Sizes:
    """What the cost of a configuration depends on: samples of D_r and of D_f, and K."""

    retain: int
    forget: int
    classes: int

    @property
    def budget(self) -> int:
        """Samples that a method may pass, forward and backward together."""
        return 2 * BUDGET_EPOCHS * self.retain

    def cost(self, config: Config) -> int:
        """Samples that a method passes with this config, forward and backward together."""
        counted = passes(config, self.retain, self.forget, self.classes)
        return counted.forward + counted.backward


def find_space(label: str) -> Space:
    """The search space of a method.

    Raises:
        ConfigError: it has none.
    """
    if label in SPACES:
        return SPACES[label]
    if is_own_method(label) or (label in METHODS and hasattr(METHODS[label].config, "SPACE")):
        return own_space(label)
    raise unknown_name("method to search", label, SPACES)


def own_space(label: str) -> Space:
    """The search space that ``SPACE`` of a method's config class says, a user's own or one of ours.

    ``{"lr": (1e-3, 0.3), "share": (0.0, 1.0, "linear"), "order": ["a", "b"]}``: two bounds on a
    logarithmic or linear scale, or a list of values; whole numbers where both bounds are. Epochs
    are searched as those of all methods, unless it names them.

    Raises:
        ConfigError: there is no space, it names no field, or a dimension is neither.
    """
    kind = get_method(label).config
    given = getattr(kind, "SPACE", None)
    if not isinstance(given, Mapping) or not given:
        raise ConfigError(
            f"SPACE: {label} has no search space; give its config class one, such as "
            'SPACE: ClassVar = {"lr": (1e-3, 0.3)}'
        )
    dimensions: dict[str, Dimension] = {"epochs": UpTo()} if "epochs" in kind.model_fields else {}
    for name, values in given.items():
        if name not in kind.model_fields:
            raise unknown_name("parameter in SPACE", name, kind.model_fields)
        dimensions[name] = _own_dimension(name, values)
    return Space(dimensions)


def _own_dimension(name: str, values: Any) -> Dimension:
    match values:
        case [*choices] if isinstance(values, list) and choices:
            return Choice(tuple(choices))
        case (int() | float() as low, int() | float() as high, *scale):
            known = scale in ([], ["log"], ["linear"])
            if known and low < high and (low > 0 or scale == ["linear"]):
                whole = isinstance(low, int) and isinstance(high, int)
                return Range(low, high, "linear" if scale == ["linear"] else "log", whole=whole)
    raise ConfigError(
        f"SPACE: {name} should be (low, high) above 0, (low, high, 'linear') or a list of values; "
        f"found {values!r}"
    )


def _largest(fits: Any, most: int) -> int:
    """The largest whole number in 0…most that fits, where whatever is smaller fits as well."""
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _no_room(label: str, sizes: Sizes, cost: int) -> ConfigError:
    return ConfigError(
        f"budget: {label} passes at least {cost} samples with this D_r of {sizes.retain} and D_f "
        f"of {sizes.forget}; the budget is {sizes.budget}"
    )


def configuration(label: str, point: Sequence[float], setting: Setting, sizes: Sizes) -> Config:
    """The configuration of a method at a point of the unit cube, within the budget.

    Args:
        label: method.
        point: one number in [0, 1) for each dimension of its space.
        setting: whose batch size and augmentation it has.
        sizes: that its cost depends on.

    Raises:
        ConfigError: no number of epochs fits the budget.
    """
    space = find_space(label)
    method, variant = split_label(label)
    kind = get_method(method).config
    shared = shared_with_training(method, setting.training.model_dump())
    values = {**shared, **space.fixed, **variant}
    at = dict(zip(space.dimensions, point, strict=True))
    for name, dimension in space.dimensions.items():
        if not isinstance(dimension, UpTo | ShareOfEpochs):
            values[name] = dimension.at(at[name])

    def make(count: int) -> Config:
        counted = dict(values)
        if "epochs" in space.dimensions:
            counted["epochs"] = count
        if "msteps" in space.dimensions:
            counted["msteps"] = 1 + min(int(at["msteps"] * count), max(count - 1, 0))
        if space.filled:
            counted[space.filled] = count
        if "samples" in space.dimensions:
            counted["samples"] = min(count, values["samples"], sizes.retain)
        return kind(**counted)

    def fits(count: int) -> bool:
        return count == 0 or sizes.cost(make(count)) <= sizes.budget

    if label in OUTSIDE:
        return make(0)
    if space.filled:
        count = most = _largest(fits, space.fixed[space.filled])
    elif "samples" in space.dimensions:
        count = most = _largest(fits, values["samples"])
    else:
        most = _largest(fits, sizes.budget)
        count = Range(1, most, whole=True).at(at["epochs"]) if most else 0
    if not most:
        raise _no_room(label, sizes, sizes.cost(make(1)))
    return make(count)


def design(label: str, setting: Setting, sizes: Sizes) -> list[Config]:
    """The configurations that a method is searched on: scrambled Sobol points, no two alike.

    The scrambling follows from the method and the setting, so no two searches share an unlucky
    draw; it is the same on every machine.

    Raises:
        ConfigError: no space, or a budget that no configuration fits.
    """
    from scipy.stats import qmc

    space = find_space(label)
    name = f"{PROTOCOL}:{label}:{digest(setting.identity())}"
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    sampler = qmc.Sobol(len(space.dimensions), scramble=True, rng=seed)
    points = sampler.random(2 * MOST_POINTS)
    configs: list[Config] = []
    for point in points:
        config = configuration(label, point.tolist(), setting, sizes)
        if config not in configs:
            configs.append(config)
        if len(configs) == space.points:
            break
    return configs


def at_the_edge(label: str, config: Mapping[str, Any]) -> list[str]:
    """The searched parameters whose value lies within 3 % of an end of its range."""
    ranges = {
        name: dimension
        for name, dimension in find_space(label).dimensions.items()
        if isinstance(dimension, Range | Complement)
    }
    places = {name: dimension.place(config[name]) for name, dimension in ranges.items()}
    return [name for name, place in places.items() if not EDGE < place < 1 - EDGE]


def fitted(config: Config, label: str, setting: Setting, sizes: Sizes, lr_factor: float) -> Config:
    """A configuration of another setting, made to fit this one.

    It has this setting's batch size and augmentation, a learning rate scaled as that of training,
    and as many epochs as the budget allows.

    Raises:
        ConfigError: nothing fits the budget.
    """
    values = config.model_dump()
    values |= shared_with_training(split_label(label)[0], setting.training.model_dump())
    if "lr" in values and lr_factor != 1:
        values["lr"] = float(f"{values['lr'] * lr_factor:.3g}")
    if label in OUTSIDE:
        return type(config)(**values)
    for name in ("epochs", "max_iterations", "samples"):
        if sizes.cost(type(config)(**values)) <= sizes.budget or not values.get(name):
            continue

        def with_count(count: int, name: str = name) -> Config:
            return type(config)(**{**values, name: count})

        def fits(count: int) -> bool:
            return count == 0 or sizes.cost(with_count(count)) <= sizes.budget

        values[name] = _largest(fits, values[name]) or 1
        if "msteps" in values:
            values["msteps"] = min(values["msteps"], values["epochs"])
    made = type(config)(**values)
    if sizes.cost(made) > sizes.budget:
        raise _no_room(label, sizes, sizes.cost(made))
    return made


def trial_gap(trial: Record, reference: Record) -> float:
    """Avg. Gap of a trial to Retrain on validation data; 100 for a run that diverged."""
    return DIVERGED_GAP if trial.status != "ok" else average_gap(trial.metrics, reference.metrics)


def gaps_by_config(
    trials: Sequence[Record], references: Mapping[int, Record]
) -> dict[str, dict[int, float]]:
    """Configuration hash → search seed → gap, in the order of the trials.

    Args:
        trials: of one method, with their hashes.
        references: Retrain's trial of each search seed.
    """
    found: dict[str, dict[int, float]] = {}
    for trial in trials:
        if trial.seed in references:
            gap = trial_gap(trial, references[trial.seed])
            found.setdefault(trial.config_hash, {})[trial.seed] = gap
    return found


def best_of_first(
    trials: Sequence[Record], references: Mapping[int, Record], most: int = FINALISTS
) -> list[Record]:
    """The trials of the first search seed with the smallest gaps, best first; ties by order."""
    seed = SEARCH_SEEDS[0]
    first = [trial for trial in trials if trial.seed == seed]
    return sorted(first, key=lambda trial: trial_gap(trial, references[seed]))[:most]


def search(
    configs: Sequence[Config],
    references: Mapping[int, Record],
    run: Callable[[Config, int], Record],
) -> list[Record]:
    """Try every configuration on the first search seed, and the best six on the others.

    Args:
        configs: of a method's design.
        references: Retrain's trial of each search seed.
        run: makes the trial of a configuration and a seed.
    """
    by_hash = {digest(config.key_fields()): config for config in configs}
    trials = [run(config, SEARCH_SEEDS[0]) for config in configs]
    finalists = best_of_first(trials, references)
    again = [
        run(by_hash[trial.config_hash], seed) for seed in SEARCH_SEEDS[1:] for trial in finalists
    ]
    return trials + again


def find_winner(
    trials: Sequence[Record], references: Mapping[int, Record]
) -> tuple[Record, float] | None:
    """The chosen configuration of a method, as its trial of the first seed, and its mean gap.

    Among the configurations with a trial on every search seed the smallest mean gap wins, the
    earlier trial on equal means. Transferred configurations have the first seed alone; there the
    smallest gap wins. None where no configuration has all its trials yet.
    """
    seeds = SEARCH_SEEDS[:1] if is_transferred(trials) else SEARCH_SEEDS
    means = {
        name: sum(of_seed[seed] for seed in seeds) / len(seeds)
        for name, of_seed in gaps_by_config(trials, references).items()
        if set(seeds) <= set(of_seed)
    }
    if not means:
        return None
    best = min(means, key=means.__getitem__)
    chosen = next(t for t in trials if (t.config_hash, t.seed) == (best, SEARCH_SEEDS[0]))
    return chosen, means[best]


def winner(trials: Sequence[Record], references: Mapping[int, Record]) -> tuple[Record, float]:
    """The result of :func:`find_winner`.

    Raises:
        ConfigError: no configuration has all its trials yet.
    """
    found = find_winner(trials, references)
    if found is None:
        raise ConfigError("search: no configuration has a trial on every search seed yet")
    return found


TRANSFERRED = "transferred from "


def is_transferred(trials: Sequence[Record]) -> bool:
    """Whether trials are of configurations that another setting's search found."""
    return any(trial.note.startswith(TRANSFERRED) for trial in trials)


def trials_of(points: int) -> int:
    """Trials of a search whose design has that many points."""
    return points + (len(SEARCH_SEEDS) - 1) * min(points, FINALISTS)


def source_of(trials: Sequence[Record], chosen: Record, gap: float) -> dict[str, Any]:
    """What a preset says of where a winner comes from."""
    source: dict[str, Any] = {
        "kind": "search",
        "protocol": PROTOCOL,
        "trials": len(trials),
        "seeds": sorted({trial.seed for trial in trials}),
        "validation_gap": round(gap, 4),
        "commit": chosen.commit,
    }
    return source | ({"note": chosen.note} if is_transferred(trials) else {})
