"""How much luck is in a search: its best trial beside the values that a preset had before."""

from pathlib import Path

from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.protocol import SPACES, trial_gap
from ugradsl_core.settings import label_of, load_presets, title_of
from ugradsl_core.store import read_records
from ugradsl_core.types import Record

INCUMBENT = "the preset's values before this search"


def luck(book: Path) -> str:
    """A row for each method of a search after which a preset's earlier values were tried, too."""
    parts = []
    for preset in load_presets("bench"):
        path = book / "results" / f"{preset}-bench-search.jsonl"
        if path.is_file():
            reference, *trials = read_records(path)
            if any(trial.note == INCUMBENT for trial in trials):
                parts.append(_table(preset, reference, trials))
    return "\n\n".join(parts) or NOT_RUN_YET


def _table(preset: str, reference: Record, trials: list[Record]) -> str:
    rows = []
    for label in SPACES:
        own = [t for t in trials if label_of(t.method, dict(t.config)) == label]
        found = [trial_gap(t, reference) for t in own if t.note != INCUMBENT]
        before = [trial_gap(t, reference) for t in own if t.note == INCUMBENT]
        if found:
            earlier = f"{before[0]:.2f}" if before else "among the trials"
            rows.append((title_of(label), f"{min(found):.2f}", earlier))
    header = (f"`{preset}`", "Best of the search", "Values before")
    return list_table(header, rows, kind="numbers")


FRAGMENTS = {"search-luck.md": luck}
