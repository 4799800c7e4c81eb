"""The paper's Figure 1, from its own tables and from our records, with words made from the data."""

import math
from typing import TYPE_CHECKING, Any, Literal

from companion.experiments.records.statistics import paired_difference
from companion.experiments.records.summary import gap_panel, summary
from companion.experiments.runs.evidence import Evidence
from companion.figures import results, style
from companion.paper.numbers import TIME_UNITS
from companion.tables.findings import not_yet
from companion.tables.html import show
from companion.tables.paper import paper_rows

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["a", "b"]
PARTS: dict[Part, tuple[int, str, str]] = {
    "a": (1, "imagenet", "class-wise"),  # table, data set, paradigm
    "b": (2, "cifar100", "random"),
}


def printed_panel(part: Part) -> "pd.DataFrame":
    """What a part of the paper's Figure 1 shows: ``label``, ``method``, ``gap``, ``time``.

    Rows are in the table's order, Retrain first. A number that the table lacks is NaN.
    """
    rows = paper_rows(*PARTS[part])
    rows = rows.rename(columns={"avg_gap": "gap", "RTE": "time"})
    return rows[["label", "method", "gap", "time"]].astype({"gap": float, "time": float})


def as_printed(part: Part) -> Any:
    """The paper's Figure 1, drawn from its Table 1 or 2, as a notebook shows it."""
    panel = printed_panel(part)
    unit = TIME_UNITS[str(paper_rows(*PARTS[part])["RTE_unit"].dropna().iloc[0])]
    parts = []
    for row in panel.to_dict(orient="records"):
        gap = "no gap" if math.isnan(row["gap"]) else f"gap {row['gap']:g}"
        time = "no run time" if math.isnan(row["time"]) else f"{row['time']:g} {unit}"
        parts.append(f"{row['method']}: {gap}, {time}")
    words = (
        "A bar of Avg. Gap in percentage points for each method, and a point of run time on a "
        f"second axis. {'; '.join(parts)}."
    )
    return style.show(results.bars_and_time(panel, unit), words)


def measured_panel(evidence: Evidence) -> "pd.DataFrame":
    """Our gaps with their t intervals over seeds, and passes in percent of Retrain's.

    Columns as :func:`figures.results.gap_against_passes` wants them; empty where Retrain or every
    method is missing.
    """
    import pandas as pd

    columns = ["label", "method", "gap", "low", "high", "cost"]
    records = evidence.results
    if not any(r.method == "retrain" and r.status == "ok" for r in records):
        return pd.DataFrame(columns=columns)
    panel = results.gap_and_cost_panel(summary(records), gap_panel(records))
    rows = []
    for row in panel.to_dict(orient="records"):
        found = paired_difference(row["seeds"], [0.0] * len(row["seeds"]))
        rows.append({**row, "low": found.low, "high": found.high})
    return pd.DataFrame(rows, columns=columns)


def measured(evidence: Evidence) -> Any:
    """Our form of Figure 1, gap against passes, as a notebook shows it."""
    panel = measured_panel(evidence)
    if panel.empty:
        return show(not_yet(evidence, "the results"))
    parts = []
    for row in panel.sort_values("gap").to_dict(orient="records"):
        between = (
            "" if math.isnan(row["low"]) else f" ({max(row['low'], 0):.1f} to {row['high']:.1f})"
        )
        parts.append(f"{row['method']} {row['gap']:.1f}{between} at {row['cost']:.3g} %")
    words = (
        "A mark for each method: Avg. Gap in percentage points, with the 95 % interval of its mean "
        "over seeds, against passes in percent of Retrain's. Smallest gap first: "
        f"{'; '.join(parts)}."
    )
    return style.show(results.gap_against_passes(panel), words)
