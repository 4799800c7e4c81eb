"""The records of the protocol in one setting: results on the test set, trials, and winners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.summary import campaign_records, record_label
from companion.experiments.records.ties import REFERENCE
from companion.experiments.runs.protocol import SEARCH_SEEDS, TRANSFERRED
from ugradsl_core.metrics import GAP_METRICS, NO_SIGNAL_GAP, average_gap

COMMAND = "make campaign"


@dataclass(frozen=True)
class Evidence:
    """What the campaign has found out about a setting so far.

    Attributes:
        name: of the preset.
        scale: of the records.
        results: on the test set.
        trials: on the validation set, Retrain's among them.
    """

    name: str
    scale: str
    results: tuple[Record, ...]
    trials: tuple[Record, ...]


@dataclass(frozen=True)
class Winner:
    """The configuration that a search chose for a method.

    Attributes:
        label: of the method.
        config: its values.
        gap: mean validation gap over the three search seeds, in percentage points.
        gaps: search seed → validation gap.
        passed: samples passed forward and backward, in the mean over those seeds.
        first: its place among the trials of the design, from 1 for the smallest gap.
    """

    label: str
    config: Mapping[str, Any]
    gap: float
    gaps: Mapping[int, float]
    passed: float
    first: int


@dataclass(frozen=True)
class Trial:
    """A configuration of the design.

    Attributes:
        gap: validation gap; 100 where the run diverged.
        passed: samples passed forward and backward.
    """

    gap: float
    passed: float


def load_evidence(name: str, scale: str, root: Path | None = None) -> Evidence:
    """The campaign's records of a setting; none where it has not been run.

    Raises:
        DataError: a file of the campaign holds something else.
        StoreError: a line is damaged.
    """
    records = campaign_records(name, scale, root)
    parts = (tuple(r for r in records if r.kind == kind) for kind in ("result", "trial"))
    return Evidence(name, scale, *parts)


def passed(record: Record) -> int:
    """Samples passed forward and backward."""
    return record.forward_samples + record.backward_samples


def trial_gaps(
    trials: Sequence[Record], names: Sequence[str] = GAP_METRICS
) -> dict[str, list[tuple[Record, float]]]:
    """Label → its trials with their validation gap to the Retrain of the same search seed.

    A run that diverged has the largest gap that there is. Trials without a Retrain of their seed,
    and Retrain, are left out.
    """
    references = {r.seed: r for r in trials if record_label(r) == REFERENCE and r.status == "ok"}
    found: dict[str, list[tuple[Record, float]]] = {}
    for record in trials:
        label = record_label(record)
        if label != REFERENCE and record.seed in references:
            gap = NO_SIGNAL_GAP
            if record.status == "ok":
                gap = average_gap(record.metrics, references[record.seed].metrics, names)
            found.setdefault(label, []).append((record, gap))
    return found


def design(trials: Sequence[Record]) -> dict[str, list[Trial]]:
    """Label → the trials of the first search seed, in which every configuration was tried."""
    return {
        label: kept
        for label, own in trial_gaps(trials).items()
        if (kept := [Trial(gap, passed(r)) for r, gap in own if r.seed == SEARCH_SEEDS[0]])
    }


def winners(trials: Sequence[Record]) -> dict[str, Winner]:
    """Label → the configuration with the smallest mean validation gap over the search seeds.

    Only configurations with all three seeds count; on equal means it is the one that was tried
    first. Where configurations are transferred from another setting's search, they have the first
    seed alone, which decides. A method whose search is not complete has no winner.
    """
    return {
        label: found
        for label, own in trial_gaps(trials).items()
        if (found := _winner(label, own)) is not None
    }


def _winner(label: str, own: Sequence[tuple[Record, float]]) -> Winner | None:
    seeds = SEARCH_SEEDS[:1] if transferred([record for record, _ in own]) else SEARCH_SEEDS
    by_config: dict[str, dict[int, tuple[Record, float]]] = {}
    for record, gap in own:
        by_config.setdefault(record.config_hash, {})[record.seed] = (record, gap)
    whole = {key: runs for key, runs in by_config.items() if set(seeds) <= set(runs)}
    if not whole:
        return None
    means = {key: _mean([runs[seed][1] for seed in seeds]) for key, runs in whole.items()}
    key = min(means, key=means.__getitem__)
    runs, first = [whole[key][seed] for seed in seeds], SEARCH_SEEDS[0]
    tried = [found[first][1] for found in by_config.values() if first in found]
    return Winner(
        label,
        dict(runs[0][0].config),
        means[key],
        {seed: gap for seed, (_, gap) in zip(seeds, runs, strict=True)},
        _mean([passed(record) for record, _ in runs]),
        1 + sum(gap < whole[key][first][1] for gap in tried),
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def transferred(records: Sequence[Record]) -> dict[str, str]:
    """Label → the setting whose search its configurations come from, where it had none here."""
    return {
        record_label(record): record.note.removeprefix(TRANSFERRED).split()[0].strip(".,;")
        for record in records
        if record.note.startswith(TRANSFERRED)
    }
