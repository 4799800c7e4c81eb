"""The search before the protocol: its best trial beside the values that a preset had before."""

from pathlib import Path

from ugradsl_core.metrics import average_gap
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.results import natural_order, record_label
from ugradsl_core.settings import load_presets, title_of
from ugradsl_core.store import read_records
from ugradsl_core.types import Record

BEFORE = "before"  # folder of records that no protocol made
INCUMBENT = "the preset's values before this search"
DIVERGED_GAP = 100.0


def luck(book: Path) -> str:
    """A row for each method of a search after which a preset's earlier values were tried, too."""
    parts = []
    for preset in load_presets("bench"):
        path = book / "results" / BEFORE / f"{preset}-bench-search.jsonl"
        if path.is_file():
            reference, *trials = read_records(path)
            if any(trial.note == INCUMBENT for trial in trials):
                parts.append(_table(preset, reference, trials))
    return "\n\n".join(parts) or NOT_RUN_YET


def _table(preset: str, reference: Record, trials: list[Record]) -> str:
    rows = []
    for label in natural_order({record_label(trial) for trial in trials}):
        own = [trial for trial in trials if record_label(trial) == label]
        found = [_gap(trial, reference) for trial in own if trial.note != INCUMBENT]
        before = [_gap(trial, reference) for trial in own if trial.note == INCUMBENT]
        if found:
            earlier = f"{before[0]:.2f}" if before else "among the trials"
            rows.append((title_of(label), f"{min(found):.2f}", earlier))
    header = (f"`{preset}`", "Best of its own trials", "Imported values")
    return list_table(header, rows, kind="numbers")


def _gap(trial: Record, reference: Record) -> float:
    if trial.status != "ok":
        return DIVERGED_GAP
    return average_gap(trial.metrics, reference.metrics)


FRAGMENTS = {"search-luck.md": luck}
