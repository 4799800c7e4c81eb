"""Made-up records of a campaign, with every kind of run that the pages have to take; no results."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.store import write_records
from companion.experiments.records.summary import PROTOCOL, record_label
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.preset import preset_setting
from companion.experiments.settings.setting import digest
from records import record
from ugradsl_core.methods import make_config
from ugradsl_core.metrics import FIVE_METRICS

AT = dict.fromkeys(FIVE_METRICS, 50.0)  # what Retrain has
FINALISTS = 6


def run(
    label: str,
    seed: int,
    gap: float,
    preset: str = "cifar10-random10",
    *,
    attack: float | None = None,
    kind: str = "result",
    config: Mapping[str, Any] | None = None,
    **changes: Any,
) -> Record:
    """A run of the protocol whose Avg. Gap over four metrics is ``gap``, up to the sign of UA.

    Args:
        label: method; Retrain's metrics are all 50, whatever the gap.
        seed: of the run.
        gap: percentage points; NaN is of a run that diverged.
        preset: whose bench setting it is.
        attack: distance of the additional MIA from Retrain's; the gap by default, so that the gap
            over five metrics is the same. NaN is an attack without a signal.
        kind: ``result`` or ``trial``.
        config: values other than the defaults.
        changes: of the record.
    """
    setting = preset_setting(preset, "bench").identity()
    method, variant = split_label(label)
    values = make_config(method, **{**variant, **(config or {})}).model_dump()
    lost = gap != gap
    far = 0.0 if label == "retrain" else gap
    metrics = {name: AT[name] + far for name in FIVE_METRICS}
    metrics["add_MIA"] = AT["add_MIA"] + (far if attack is None else attack)
    made = record(
        label,
        seed,
        scale="bench",
        kind=kind,
        setting=setting,
        setting_hash=digest(setting),
        config=values,
        config_hash=digest(values),
        status="diverged" if lost else "ok",
        metrics={} if lost else metrics,
        forward_samples=1000,
        backward_samples=1000,
        note="",
        protocol=PROTOCOL,
    )
    return replace(made, **changes)


def results(
    gaps: Mapping[str, Sequence[float]], preset: str = "cifar10-random10", **changes: Any
) -> list[Record]:
    """Results whose gaps, seed by seed, are those given, and the Retrains that they need."""
    seeds = max(map(len, gaps.values()), default=3)
    made = [run("retrain", seed, 0.0, preset, **changes) for seed in range(seeds)]
    for label, values in gaps.items():
        made += [run(label, seed, gap, preset, **changes) for seed, gap in enumerate(values)]
    return made


def search(
    label: str,
    points: int,
    preset: str = "cifar10-random10",
    *,
    level: float = 5.0,
    field: str = "lr",
    note: str = "",
) -> list[Record]:
    """Trials as a search makes them: a design on the first seed, the best six on the other two.

    Args:
        label: of the method.
        points: of the design.
        preset: whose setting it is.
        level: of the smallest gap.
        field: the value that differs between configurations.
        note: of every trial; one of a transfer leaves the other seeds out.
    """
    draw = random.Random(f"{preset}{label}")
    configs = [{field: (i + 1) / 1000} for i in range(points)]
    first = [
        run(label, SEARCH_SEEDS[0], level + draw.expovariate(0.1), preset,
            kind="trial", config=config, note=note)
        for config in configs
    ]  # fmt: skip
    if note:
        return first
    best = sorted(range(points), key=lambda i: first[i].metrics["UA"])[:FINALISTS]
    again = [
        run(label, seed, level + draw.expovariate(0.2), preset, kind="trial", config=configs[i])
        for seed in SEARCH_SEEDS[1:]
        for i in best
    ]
    return first + again


def references(preset: str = "cifar10-random10") -> list[Record]:
    """Retrain on validation data, for each search seed."""
    return [run("retrain", seed, 0.0, preset, kind="trial") for seed in SEARCH_SEEDS]


def write(root: Path, records: Sequence[Record], preset: str = "cifar10-random10") -> None:
    """Publish records as a campaign does: a file for each label in the setting's folder.

    Args:
        root: the folder of published records.
        records: of one setting.
        preset: its name.
    """
    files: dict[str, list[Record]] = {}
    for made in records:
        files.setdefault(record_label(made), []).append(made)
    for label, own in files.items():
        name = label.replace(":", ".")
        write_records(root / PROTOCOL / f"{preset}-bench" / f"{name}.jsonl", own)


def whole(preset: str = "cifar10-random10", seeds: int = 5) -> list[Record]:
    """A finished campaign in which UGradSL+ and SalUn are best, and smoothing helps UGradSL+ only.

    One method diverges in a seed, one has an attack without a signal, and one is transferred.
    """
    draw = random.Random(preset)
    levels = {
        "retrain:again": 0.8, "no-step": 9.0, "ft": 9.0, "ga": 16.0, "ff": 19.0, "salun": 2.1,
        "rl": 12.0, "scrub": 7.0, "pabi": 5.0, "neggrad+": 6.5, "neggrad+:forget": 12.0,
        "ugradsl": 12.1, "ugradsl:adaptive": 12.3, "ugradsl+": 2.0, "ugradsl+:adaptive": 5.0,
    }  # fmt: skip
    gaps = {
        label: [level + draw.gauss(0, 0.15) for _ in range(seeds)]
        for label, level in levels.items()
    }
    made = results(gaps, preset)
    made = [_odd(r) for r in made]
    made += references(preset)
    for label, level in levels.items():
        if label not in ("retrain:again", "no-step", "ff", "pabi"):
            made += search(label, 16, preset, level=level)
    made += search(
        "ff", 6, preset, level=18.0, field="alpha", note="transferred from digits-random10"
    )
    return made


def _odd(made: Record) -> Record:
    if made.method == "rl" and made.seed == 0:
        return replace(made, status="diverged", metrics={})
    if made.method == "ff" and made.seed == 1:
        silent = {"MIA": float("nan"), "add_MIA": float("nan")}
        return replace(made, metrics={**made.metrics, **silent}, note="no signal in MIA")
    return made
