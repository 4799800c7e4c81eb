"""Published records, arranged for the rules: settings that compare methods, and sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ugradsl_core.claims.rules import FEWEST_VALUES
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import average_gap
from ugradsl_core.pages_markdown import name
from ugradsl_core.results import RESULTS, by_label, one_setting, record_label
from ugradsl_core.settings import completed, digest, is_retrained
from ugradsl_core.store import read_records
from ugradsl_core.types import Record

Gaps = dict[str, dict[int, float]]


@dataclass(frozen=True)
class Published:
    """The records of one scale.

    Attributes:
        settings: name → the records of a file that compares methods in one setting.
        results: every result on a test set, those of sweeps among them.
        others: records of other kinds, such as measurements of the theory.
    """

    settings: Mapping[str, Sequence[Record]]
    results: tuple[Record, ...]
    others: tuple[Record, ...]


@dataclass(frozen=True)
class Sweep:
    """Runs of one method that differ in one value.

    Attributes:
        setting: hash of the setting.
        method: its name.
        gaps: value → seed → Avg. Gap to Retrain.
        accuracy: value → seed → TA.
        reference: seed → Retrain's TA.
    """

    setting: str
    method: str
    gaps: Mapping[float, Mapping[int, float]]
    accuracy: Mapping[float, Mapping[int, float]]
    reference: Mapping[int, float]


def load_published(scale: str = "bench", root: Path | None = None) -> Published:
    """Everything that is published at a scale.

    Args:
        scale: of the records.
        root: folder of the record files; the repository's by default.
    """
    settings, results, others = {}, [], []
    for path in sorted((root or RESULTS).rglob("*.jsonl")):
        records = [record for record in read_records(path) if record.scale == scale]
        own = [record for record in records if record.kind == "result"]
        results += own
        others += [record for record in records if record.kind not in ("result", "trial")]
        try:
            one_setting(own)
        except DataError:  # a sweep, a search, or nothing of this scale
            continue
        title = setting_title(own[0].setting)
        settings[f"{title} ({path.stem})" if title in settings else title] = own
    return Published(settings, tuple(results), tuple(others))


def setting_title(setting: Mapping[str, Any]) -> str:
    """Data set and paradigm of a setting, in words."""
    model = setting["model"]["name"]
    usual = model in {"resnet18", "bert"}
    parts = [name(setting["dataset"]), *([] if usual else [name(model)])]
    if setting["paradigm"] == "random":
        return ", ".join([*parts, f"random {100 * setting['fraction']:g} %"])
    return ", ".join([*parts, str(setting["paradigm"])])


def seed_gaps(records: Sequence[Record]) -> Gaps:
    """Label → seed → Avg. Gap to the Retrain of that seed; without Retrain, and Retrain again."""
    groups = by_label(records)
    references = groups.get("retrain", {})
    found = {
        label: {
            seed: average_gap(run.metrics, references[seed].metrics)
            for seed, run in runs.items()
            if seed in references
        }
        for label, runs in groups.items()
        if not is_retrained(label)
    }
    return {label: gaps for label, gaps in found.items() if gaps}


def mean(values: Mapping[Any, float]) -> float:
    """Over seeds."""
    return sum(values.values()) / len(values)


def sweeps(published: Published, method: str, varied: str) -> list[Sweep]:
    """Runs of a method in one setting that differ in ``varied`` alone, with at least three values.

    Args:
        published: all records.
        method: its label; a fixed rate is not mixed with a self-adaptive one.
        varied: a field of the method's config.
    """
    references: dict[str, dict[int, Record]] = {}
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in published.results:
        if record.status != "ok":
            continue
        if record_label(record) == "retrain":
            references.setdefault(record.setting_hash, {})[record.seed] = record
        elif record_label(record) == method and record.config.get(varied) is not None:
            config = completed(record.method, record.config)
            rest = {key: value for key, value in config.items() if key != varied}
            groups.setdefault((record.setting_hash, digest(rest)), []).append(record)
    found = []
    for (setting, _), records in groups.items():
        reference = references.get(setting, {})
        gaps: dict[float, dict[int, float]] = {}
        accuracy: dict[float, dict[int, float]] = {}
        for record in records:
            if record.seed in reference:
                value, other = float(record.config[varied]), reference[record.seed]
                gap = average_gap(record.metrics, other.metrics)
                gaps.setdefault(value, {})[record.seed] = gap
                accuracy.setdefault(value, {})[record.seed] = record.metrics["TA"]
        if len(gaps) >= FEWEST_VALUES:
            own = {seed: run.metrics["TA"] for seed, run in reference.items()}
            found.append(Sweep(setting, method, gaps, accuracy, own))
    return found


def by_size(published: Published) -> list[dict[float, Gaps]]:
    """Settings that differ in the size of D_f alone, at least three: size → gaps."""
    groups: dict[str, dict[float, Gaps]] = {}
    for records in published.settings.values():
        setting = records[0].setting
        if setting["paradigm"] == "random":
            rest = {key: value for key, value in setting.items() if key != "fraction"}
            gaps = seed_gaps(records)
            groups.setdefault(digest(rest), {})[float(setting["fraction"])] = gaps
    return [group for group in groups.values() if len(group) >= FEWEST_VALUES]
