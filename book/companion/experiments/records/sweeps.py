"""Records of a sweep, runs that differ in named values: tables, and what can be told apart."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from companion.experiments.records.record import Record
from companion.experiments.records.summary import natural_order, record_label
from companion.experiments.records.ties import (
    FLOOR,
    FOUR,
    NO_STEP,
    REFERENCE,
    GapTable,
    Ranking,
    rank,
)
from companion.experiments.settings.labels import completed, title_of
from companion.experiments.settings.setting import digest
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import GAP_METRICS, average_gap

if TYPE_CHECKING:
    import pandas as pd

REFERENCES = (REFERENCE, FLOOR, NO_STEP)  # what a sweep is measured by; it varies none of them
NUMBERS = (*GAP_METRICS, "gap", "passes")
OF_SETTINGS = ("fraction",)  # swept values that are the setting's, and so the references', too

Gap = Callable[[Mapping[str, float], Mapping[str, float]], float]
Value = bool | int | float | str | None


def value_of(record: Record, name: str) -> Value:
    """The value of a swept parameter; None for a reference, which a sweep does not vary.

    Raises:
        DataError: neither the method nor the setting has it.
    """
    found: Value
    if name in OF_SETTINGS:
        found = record.setting.get(name)
        return found
    if record_label(record) in REFERENCES:
        return None
    config = completed(record.method, record.config)
    if name not in config:
        raise DataError(f"records: {title_of(record_label(record))} has no {name} to be swept")
    found = config[name]
    return found


def check(records: Sequence[Record], names: Sequence[str]) -> None:
    """Raise where records do not belong in one table of a sweep.

    Raises:
        DataError: records of several protocols or scales, of settings that differ in more than
            what is swept, trials of a search, or several of one method, value and seed.
    """
    protocols = sorted({record.protocol or "none" for record in records})
    if len(protocols) > 1:
        raise DataError(
            f"records: are of several protocols ({', '.join(protocols)}); a table shows one"
        )
    if any(record.kind != "result" for record in records):
        raise DataError("records: are trials of a search; a table shows results on the test set")
    settings = {
        digest([record.scale, {k: v for k, v in record.setting.items() if k not in names}])
        for record in records
    }
    if len(settings) > 1:
        raise DataError(
            f"records: are of settings that differ in more than {' and '.join(names)}; a sweep "
            "shows one"
        )
    places = {(record_label(r), tuple(value_of(r, n) for n in names), r.seed) for r in records}
    if len(places) < len(records):
        raise DataError(f"records: hold several of one method, {' and '.join(names)} and seed")


def groups(
    records: Sequence[Record], names: Sequence[str]
) -> dict[tuple[str, tuple[Value, ...]], list[Record]]:
    """(label, swept values) → its records; labels in natural order, values as they come."""
    found: dict[tuple[str, tuple[Value, ...]], list[Record]] = {}
    for label in natural_order({record_label(record) for record in records}):
        for record in records:
            if record_label(record) == label:
                values = tuple(value_of(record, name) for name in names)
                found.setdefault((label, values), []).append(record)
    return found


def references(records: Sequence[Record]) -> dict[tuple[str, int], Record]:
    """Setting and seed → its Retrain, where that ended well."""
    return {
        (r.setting_hash, r.seed): r
        for r in records
        if record_label(r) == REFERENCE and r.status == "ok"
    }


def _row(
    record: Record,
    swept: Mapping[str, Value],
    retrained: Mapping[tuple[str, int], Record],
    gap: Gap,
) -> dict[str, Any]:
    label = record_label(record)
    reference = retrained.get((record.setting_hash, record.seed))
    judged = reference is not None and record.status == "ok" and label != REFERENCE
    return {
        "label": label,
        **swept,
        "seed": record.seed,
        "status": record.status,
        **{name: record.metrics.get(name, math.nan) for name in GAP_METRICS},
        "gap": gap(record.metrics, reference.metrics) if judged and reference else math.nan,
        "passes": record.forward_samples + record.backward_samples,
    }


def frame(
    records: Sequence[Record], names: Sequence[str], gap: Gap = average_gap
) -> "pd.DataFrame":
    """One row for each record: ``label``, the swept values, ``seed``, ``status`` and numbers.

    Numbers are UA, MIA, RA and TA (percent), ``gap`` (percentage points, to the Retrain of the same
    setting and seed; NaN without one, and for Retrain) and ``passes`` (samples passed forward and
    backward).

    Args:
        records: of one sweep, references among them.
        names: of the swept parameters.
        gap: of a run's metrics to those of its Retrain.

    Raises:
        DataError: see :func:`check`.
    """
    check(records, names)
    retrained = references(records)
    rows = [
        _row(record, dict(zip(names, values, strict=True)), retrained, gap)
        for (_, values), own in groups(records, names).items()
        for record in own
    ]
    return _table(rows, ["label", *names, "seed", "status", *GAP_METRICS, "gap", "passes"], names)


def _table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], names: Sequence[str]
) -> "pd.DataFrame":
    """Rows as a table that leaves swept values as they are: None is no NaN, and 5 no 5.0."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=list(columns))
    for name in names:
        table[name] = pd.Series([row[name] for row in rows], dtype=object)
    return table


def summary(
    records: Sequence[Record], names: Sequence[str], gap: Gap = average_gap
) -> "pd.DataFrame":
    """One row for each method and combination of values: means over seeds of :func:`frame`.

    Columns are ``label``, ``method``, the swept values, ``n`` (seeds that ended well),
    ``diverged``, each number, and its sample standard deviation with the suffix ``_std``. A mean is
    over the runs that have the number.
    """
    check(records, names)
    retrained = references(records)
    rows: list[dict[str, Any]] = []
    for (label, values), own in groups(records, names).items():
        swept = dict(zip(names, values, strict=True))
        good = [_row(r, swept, retrained, gap) for r in own if r.status == "ok"]
        row: dict[str, Any] = {
            "label": label,
            "method": title_of(label),
            **swept,
            "n": len(good),
            "diverged": sum(record.status == "diverged" for record in own),
        }
        for name in NUMBERS:
            known = [float(each[name]) for each in good if not math.isnan(each[name])]
            row[name] = mean(known) if known else math.nan
            row[f"{name}_std"] = stdev(known) if len(known) > 1 else math.nan
        rows.append(row)
    columns = ["label", "method", *names, "n", "diverged"]
    columns += [f"{name}{suffix}" for name in NUMBERS for suffix in ("", "_std")]
    return _table(rows, columns, names)


def varied(table: "pd.DataFrame") -> "pd.DataFrame":
    """The rows of a summary that are of the sweep and no reference."""
    return table[~table["label"].isin(REFERENCES)]


def level(table: "pd.DataFrame", label: str, column: str = "gap") -> float:
    """A number of a reference that is the same for the whole sweep; NaN where there is none."""
    own = table[table["label"] == label][column]
    return float(own.iloc[0]) if len(own) == 1 else math.nan


def text_of(values: Sequence[Value], names: Sequence[str]) -> str:
    """Swept values in words: ``p = 0.9``; the median is the threshold None."""
    return ", ".join(
        f"{SYMBOLS.get(name, name)} = {value_text(value)}"
        for name, value in zip(names, values, strict=True)
    )


SYMBOLS = {"alpha": "α", "beta": "β", "adaptive_sign": "sign", "fraction": "share forgotten"}


def value_text(value: Value) -> str:
    """A swept value as it is printed."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "median"
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:g}".replace("-", "−")


def key(label: str, values: Sequence[Value], names: Sequence[str]) -> str:
    """What a method with certain values is called in a table of gaps."""
    return f"{label}: {text_of(values, names)}"


def gap_table(records: Sequence[Record], names: Sequence[str]) -> GapTable:
    """Avg. Gap of every run, each value of each method as if it were a method (:func:`key`)."""
    retrained = references(records)
    gaps: dict[str, dict[int, float]] = {}
    lost: dict[str, int] = {}
    floor = []
    for (label, values), own in groups(records, names).items():
        for record in own:
            reference = retrained.get((record.setting_hash, record.seed))
            if reference is None or label == REFERENCE:
                continue
            gap = _measured_gap(record, reference)
            if label == FLOOR:
                floor += [] if math.isnan(gap) else [gap]
            elif math.isnan(gap):
                place = key(label, values, names)
                lost[place] = lost.get(place, 0) + 1
            else:
                gaps.setdefault(key(label, values, names), {})[record.seed] = gap
    return GapTable(FOUR, gaps, lost, mean(floor) if floor else math.nan)


def _measured_gap(record: Record, reference: Record) -> float:
    """The gap of a run; NaN where it diverged or an attack has no signal."""
    pairs = [(record.metrics.get(n, math.nan), reference.metrics[n]) for n in GAP_METRICS]
    return float(mean(abs(own - other) for own, other in pairs))


def ranking(records: Sequence[Record], names: Sequence[str], label: str) -> Ranking:
    """The values of one method ranked by the protocol's rules; all pairs of values are one family.

    Labels are those of :func:`key`.
    """
    whole = gap_table(records, names)
    gaps = {k: v for k, v in whole.gaps.items() if k.startswith(f"{label}: ")}
    lost = {k: v for k, v in whole.lost.items() if k.startswith(f"{label}: ")}
    return rank(GapTable(whole.measure, gaps, lost, whole.floor))
