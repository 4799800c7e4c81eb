"""The protocol's records, arranged for the rules: settings that compare methods, and sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.store import read_records
from companion.experiments.records.summary import (
    PROTOCOL,
    one_setting,
    published_settings,
    record_label,
)
from companion.experiments.runs.evidence import Evidence, load_evidence, transferred
from companion.experiments.settings.labels import completed
from companion.experiments.settings.setting import digest
from companion.files import RESULTS
from companion.paper.claims.rules import FEWEST_VALUES
from companion.paper.names import name
from ugradsl_core.metrics import average_gap


@dataclass(frozen=True)
class Published:
    """The records of one scale.

    Attributes:
        settings: name → results of the protocol that compare methods in one setting.
        results: every result of the protocol, those of sweeps among them.
        others: records of other kinds, such as measurements of the theory.
        trials: name → trials of the setting's search.
        transferred: name → labels whose configurations come from another setting's search.
    """

    settings: Mapping[str, Sequence[Record]]
    results: tuple[Record, ...]
    others: tuple[Record, ...]
    trials: Mapping[str, Sequence[Record]] = field(default_factory=dict)
    transferred: Mapping[str, frozenset[str]] = field(default_factory=dict)


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
    folder = root or RESULTS
    results, others = [], []
    for path in sorted(folder.rglob("*.jsonl")):
        for record in read_records(path):
            if record.scale != scale:
                continue
            if record.kind == "result" and record.protocol == PROTOCOL:
                results.append(record)
            elif record.kind not in ("result", "trial"):
                others.append(record)
    found: dict[str, Evidence] = {}
    for preset in (n for n, its_scale, _ in published_settings(root) if its_scale == scale):
        evidence = load_evidence(preset, scale, root)
        if evidence.results:
            title = setting_title(one_setting(evidence.results).setting)
            found[f"{title} ({evidence.name})" if title in found else title] = evidence
    return Published(
        {title: evidence.results for title, evidence in found.items()},
        tuple(results),
        tuple(others),
        {title: evidence.trials for title, evidence in found.items()},
        {
            title: frozenset(transferred([*evidence.trials, *evidence.results]))
            for title, evidence in found.items()
        },
    )


def setting_title(setting: Mapping[str, Any]) -> str:
    """Data set and paradigm of a setting, in words."""
    model = setting["model"]["name"]
    usual = model in {"resnet18", "bert"}
    parts = [name(setting["dataset"]), *([] if usual else [name(model)])]
    if setting["paradigm"] == "random":
        return ", ".join([*parts, f"random {100 * setting['fraction']:g} %"])
    return ", ".join([*parts, str(setting["paradigm"])])


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


def by_size(published: Published) -> list[dict[float, Sequence[Record]]]:
    """Settings that differ in the size of D_f alone, at least three: size → records."""
    groups: dict[str, dict[float, Sequence[Record]]] = {}
    for records in published.settings.values():
        setting = records[0].setting
        if setting["paradigm"] == "random":
            rest = {key: value for key, value in setting.items() if key != "fraction"}
            groups.setdefault(digest(rest), {})[float(setting["fraction"])] = records
    return [group for group in groups.values() if len(group) >= FEWEST_VALUES]
