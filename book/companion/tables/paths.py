"""Where runs with different hyperparameters end in the plane of UA and RA, and how near Retrain."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.sweeps import SYMBOLS, summary, varied
from companion.experiments.runs.evidence import Evidence, references_in, trial_gaps
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.experiments.settings.labels import title_of
from companion.figures.style import colour
from companion.tables.sweeps import published
from ugradsl_core.errors import DataError

LABELS = ("ugradsl+", "ugradsl", "neggrad+", "ga")
SHOWN = {"alpha": "α", "p": "p", "lr": "learning rate", "epochs": "epochs"}
SWEPT = ("p", "alpha")
REFERENCE = "retrain"


@dataclass(frozen=True)
class Runs:
    """Runs of one method that differ in hyperparameters.

    Attributes:
        title: of the method and of what was varied.
        colour: of the method.
        what: one run is called.
        names: of the hyperparameters.
        rows: for each run its hyperparameters, then UA, RA (percent) and the gap to Retrain
            (percentage points, the mean over four metrics).
        retrain: (UA, RA) of the model that the gap is measured to, then of others of its kind.
        lost: runs that diverged.
        line: whether only one hyperparameter varies, so that a line may join the runs.
        where: the set of data and the seeds of the numbers.
    """

    title: str
    colour: str
    what: str
    names: Sequence[str]
    rows: Sequence[Sequence[float | None]]
    retrain: Sequence[tuple[float, float]]
    lost: int
    line: bool
    where: str


def trials(evidence: Evidence, label: str) -> Runs | None:
    """The trials of the first search seed, in which every configuration was tried.

    None without them, or without a Retrain of that seed.
    """
    references = references_in(evidence.trials)
    first = SEARCH_SEEDS[0]
    own = [(r, gap) for r, gap in trial_gaps(evidence.trials).get(label, []) if r.seed == first]
    kept = [(record, gap) for record, gap in own if record.status == "ok"]
    if not kept:
        return None
    names = [name for name in SHOWN if name in kept[0][0].config]
    found = {seed: _place(record) for seed, record in references.items()}
    return Runs(
        f"{title_of(label)}: trials of the search", colour(label), "trial",
        [SHOWN[name] for name in names],
        [[*(_value(r.config[name]) for name in names), *_place(r), round(g, 2)] for r, g in kept],
        [found[first], *(place for seed, place in found.items() if seed != first)],
        len(own) - len(kept), line=False, where=f"validation set, search seed {first}",
    )  # fmt: skip


def sweep(name: str, label: str, preset: str, scale: str, root: Path) -> Runs | None:
    """A published sweep of one hyperparameter, means over its seeds; None where it is not run."""
    records = published(preset, [label], [name], scale, root)
    if not records:
        return None
    table = summary(records, [name])
    own = varied(table).dropna(subset=["UA", "RA", "gap"]).sort_values(name)
    retrained = table[table["label"] == REFERENCE]
    if own.empty or retrained.empty:
        return None
    rows = [
        [round(float(row[key]), 4 if key == name else 2) for key in (name, "UA", "RA", "gap")]
        for row in own.to_dict(orient="records")
    ]
    reference = retrained.iloc[0]
    return Runs(
        f"{title_of(label)}: sweep of {SYMBOLS.get(name, name)}", colour(label), "value",
        [SHOWN[name]], rows, [(round(float(reference["UA"]), 2), round(float(reference["RA"]), 2))],
        int(varied(table)["diverged"].sum()), line=True,
        where=f"test set, mean of {int(own['n'].max())} seeds",
    )  # fmt: skip


def all_runs(evidence: Evidence, root: Path) -> list[Runs]:
    """The sweeps, whose lines show a direction, then the trials, of every method with any.

    Args:
        evidence: of the setting.
        root: the folder of the published records.
    """
    found = [
        sweep(name, label, evidence.name, evidence.scale, root)
        for label in LABELS[:2]
        for name in SWEPT
    ]
    found += [trials(evidence, label) for label in LABELS]
    return [runs for runs in found if runs is not None]


def words(runs: Runs) -> str:
    """How many runs there are, the range of what they reach, and the one nearest to Retrain.

    Raises:
        DataError: there is no run.
    """
    if not runs.rows:
        raise DataError(f"{runs.title}: should have a run; found none")
    nearest = min(runs.rows, key=_gap)
    values = ", ".join(
        f"{name} {_text(value)}" for name, value in zip(runs.names, nearest, strict=False)
    )
    ua, ra, gap = nearest[-3:]
    uas, ras = ([float(row[place] or 0) for row in runs.rows] for place in (-3, -2))
    lost = f", {runs.lost} more diverged" if runs.lost else ""
    return (
        f"{runs.title}, {len(runs.rows)} runs{lost}: UA from {min(uas):.1f} to {max(uas):.1f} %, "
        f"RA from {min(ras):.1f} to {max(ras):.1f} %. Retrain is at UA {runs.retrain[0][0]:.1f} % "
        f"and RA {runs.retrain[0][1]:.1f} %; nearest to it, with an Avg. Gap of {gap:.1f} points, "
        f"is {values}, at UA {ua:.1f} % and RA {ra:.1f} %."
    )


def _gap(row: Sequence[float | None]) -> float:
    return float(row[-1] or 0)


def _text(value: float | None) -> str:
    return "self-adaptive" if value is None else f"{value:.3g}".replace("-", "−")


def _place(record: Record) -> tuple[float, float]:
    metrics: Mapping[str, Any] = record.metrics
    return round(float(metrics["UA"]), 2), round(float(metrics["RA"]), 2)


def _value(value: Any) -> float | None:
    return None if value is None else float(value)
