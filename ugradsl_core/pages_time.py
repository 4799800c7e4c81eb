"""What one seed of a bench preset takes: reckoned from a calibration, and measured in records."""

from pathlib import Path

from ugradsl_core.measurements import FOLDER, measured, where
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.results import published
from ugradsl_core.settings import load_presets

TIMES = FOLDER / "bench-time.jsonl"


def bench_time(book: Path) -> str:
    """A row for each bench preset, with the minutes of a calibration and those of its records."""
    lines = {line["preset"]: line for line in measured(book / TIMES, ("preset",))}
    if not lines:
        return NOT_RUN_YET
    rows = []
    for preset in load_presets("bench"):
        line = lines.get(preset)
        reckoned = (
            ("not reckoned", "–")
            if line is None
            else (f"{line['minutes'] - line['parts']['iu']:.1f}", f"{line['parts']['iu']:.1f}")
        )
        rows.append((f"`{preset}`", *reckoned, _recorded(book, preset)))
    last = max(lines.values(), key=lambda line: str(line["created"]))
    note = (
        "Reckoned: the passes of the original model, of Retrain, of every method and of the "
        "evaluations, times the fastest of a few timed steps. IU stands apart, with the most steps "
        "that it may take; it stops as soon as it has converged. In records: the wall time "
        "of all methods and their variants, Retrain included, "
        f"mean over seeds. Threads: {last['threads']} in the calibration. {where(last)}"
    )
    header = ("Setting", "All but IU, min", "IU at most, min", "In records, min")
    return f"{list_table(header, rows, kind='numbers dense')}\n\n{note}"


def _recorded(book: Path, preset: str) -> str:
    records = published(preset, "bench", book / "results")
    if not records:
        return "–"
    seeds = {record.seed for record in records}
    return f"{sum(record.seconds for record in records) / len(seeds) / 60:.1f}"


FRAGMENTS = {"presets-time.md": bench_time}
