"""The records of the protocol in one setting: results on the test set, trials, and winners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.summary import campaign_records, record_label
from companion.experiments.records.ties import REFERENCE
from companion.experiments.runs.protocol import (
    SEARCH_SEEDS,
    TRANSFERRED,
    find_winner,
    trial_gap,
)

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
        passed: samples passed forward and backward, on average over those seeds.
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


def references_in(trials: Sequence[Record]) -> dict[int, Record]:
    """Retrain's trial of each search seed that has one."""
    return {r.seed: r for r in trials if record_label(r) == REFERENCE and r.status == "ok"}


def trial_gaps(trials: Sequence[Record]) -> dict[str, list[tuple[Record, float]]]:
    """Label → its trials with their validation gap to the Retrain of the same search seed.

    Trials without a Retrain of their seed, and Retrain, are left out.
    """
    references = references_in(trials)
    found: dict[str, list[tuple[Record, float]]] = {}
    for record in trials:
        label = record_label(record)
        if label != REFERENCE and record.seed in references:
            gap = trial_gap(record, references[record.seed])
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
    """Label → the configuration that the protocol chooses (:func:`protocol.find_winner`).

    A method whose search is not complete has no winner.
    """
    references = references_in(trials)
    found = {}
    for label, own in trial_gaps(trials).items():
        chosen = find_winner([record for record, _ in own], references)
        if chosen is not None:
            found[label] = _described(label, own, *chosen)
    return found


def _described(
    label: str, own: Sequence[tuple[Record, float]], chosen: Record, mean: float
) -> Winner:
    runs = [(r, gap) for r, gap in own if r.config_hash == chosen.config_hash]
    gaps = {r.seed: gap for r, gap in runs}
    first = SEARCH_SEEDS[0]
    passes = [passed(r) for r, _ in runs]
    better = sum(gap < gaps[first] for r, gap in own if r.seed == first)
    return Winner(label, dict(chosen.config), mean, gaps, sum(passes) / len(passes), 1 + better)


def transferred(records: Sequence[Record]) -> dict[str, str]:
    """Label → the setting whose search its configurations come from, where it had none here."""
    return {
        record_label(record): record.note.removeprefix(TRANSFERRED).split()[0].strip(".,;")
        for record in records
        if record.note.startswith(TRANSFERRED)
    }
