"""Results as aligned columns on a terminal."""

from collections.abc import Callable, Sequence

from companion.experiments.records.record import Record
from companion.experiments.records.summary import one_setting, summary
from companion.experiments.settings.forget_sets import forget_set
from companion.tables.words import metric_cell
from ugradsl_core.metrics import GAP_METRICS, GAP_NAMES

COLUMNS = (*GAP_METRICS, "mean_of_gaps", "RTE")
HASH_DIGITS = 12  # of a file's SHA-256, enough to tell files apart
HEADERS = ("method", "n", "UA %", "MIA %", "RA %", "TA %", GAP_NAMES[GAP_METRICS], "RTE s")


def aligned(
    rows: Sequence[Sequence[str]], others: Callable[[str, int], str] = str.ljust
) -> list[str]:
    """Rows as lines with columns of one width each; ``others`` sets all but the first column."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for first, *rest in rows:
        cells = [others(cell, width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return lines


def print_summary(records: Sequence[Record]) -> None:
    """Print methods, metrics and gaps of one setting."""
    first = one_setting(records)
    rows: list[tuple[str, ...]] = [HEADERS]
    for row in summary(records).to_dict(orient="records"):
        n = f"{row['n']}" + (f" (+{row['diverged']} diverged)" if row["diverged"] else "")
        cells = [metric_cell(row, name) for name in COLUMNS]
        rows.append((str(row["method"]), n, *cells))
    setting = first.setting
    (what,) = forget_set(setting).identity().values()
    if setting["paradigm"] == "index":
        what = what[:HASH_DIGITS]
    print(f"\n{setting['dataset']}, {setting['paradigm']} ({what}), scale {first.scale}")
    print("\n".join(aligned(rows)))
    print("Avg. Gap: mean over seeds of each seed's gap to Retrain, in percentage points.")
    if any("no signal" in cell or "without signal" in cell for row in rows for cell in row):
        print("No signal: the attack has nothing to learn from, and counts as a gap of 100 points.")
