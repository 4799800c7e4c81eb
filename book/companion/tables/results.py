"""Records as tables: results, signed gaps and verdicts."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.statistics import CONFIDENCE, signed_gaps
from companion.experiments.records.summary import METRICS, one_setting, summary
from companion.experiments.records.ties import FOUR, SMOKE, Verdict, gap_table, rank
from companion.tables.html import Cell, to_html
from companion.tables.words import (
    briefly,
    describe,
    diverged_of,
    mean_and_std,
    metric_cell,
    metric_name,
    percent,
    seeds_of,
    signed,
)
from ugradsl_core.metrics import FIVE_METRICS, GAP_METRICS, GAP_NAMES

VERDICT_CLASSES = {
    "reproduced": "yes",
    "better": "yes",
    "partly": "partly",
    "tied": "tied",
    "undecided": "none",
    "too few seeds": "none",
    "not reproduced": "no",
    "worse": "no",
    "not run": "none",
}
NO_RECORDS = "<p><em>Not run yet: there are no published records of this setting.</em></p>"


def results_table(records: Sequence[Record], csv_name: str, *, brief: bool = False) -> str:
    """Records of one setting: mean ± standard deviation over seeds, gaps, and cost.

    ``brief`` leaves out the additional MIA, the second gap and the samples passed; they are still
    in the download.
    """
    first = one_setting(records)
    table = summary(records)
    names = GAP_METRICS if brief else METRICS
    rows: list[list[str]] = []
    for row in table.to_dict(orient="records"):
        if not row["n"]:
            rows.append([str(row["method"]), diverged_of(row)])
            continue
        cells = [metric_cell(row, name, 1) for name in names]
        gap = mean_and_std(row["mean_of_gaps"], row["mean_of_gaps_std"])
        seconds = mean_and_std(row["RTE"], row["RTE_std"], 1)
        means = mean_and_std(row["gap_of_means"], float("nan"))
        passes = [f"{row[way] / 1000:,.1f}" for way in ("forward", "backward")]
        five = mean_and_std(row["mean_of_gaps_add_MIA"], row["mean_of_gaps_std_add_MIA"])
        more = [] if brief else [five, means, *passes]
        rows.append([str(row["method"]) + diverged_of(row), gap, *cells, seconds, *more])
    header = ["Method", GAP_NAMES[GAP_METRICS], *map(percent, names), "RTE, s"]
    caption = (
        f"Ours: {describe(first)}; {seeds_of(records)}. Mean ± sample standard deviation over "
        "seeds. Avg. Gap is the mean over seeds of each seed's gap to Retrain, in percentage "
        "points. RTE is the wall time of unlearning."
    ) + (" Bold: cannot be told from the best." if first.scale != SMOKE else "")
    if not brief:
        header += [
            GAP_NAMES[FIVE_METRICS],
            "Gap of means",
            "Forward, thousands",
            "Backward, thousands",
        ]
        caption += (
            " “Avg. Gap (5)” includes the additional MIA as a fifth metric. “Gap of means” is the "
            "other definition of Avg. Gap. Forward and backward count the "
            "samples passed."
        )
    return to_html(header, rows, caption, table, csv_name, best_rows(records, table["label"]))


def tied_with_best(records: Sequence[Record], measure: str = FOUR) -> frozenset[str]:
    """The methods that cannot be told from the best; nobody at the smoke scale."""
    if not records or one_setting(records).scale == SMOKE:
        return frozenset()
    return rank(gap_table(records, measure)).best


def best_rows(records: Sequence[Record], labels: Iterable[str]) -> dict[int, str]:
    """The rows of the methods that cannot be told from the best, as ``kinds`` of `to_html`."""
    best = tied_with_best(records)
    return {place: "strong" for place, label in enumerate(labels) if label in best}


def signed_table(records: Sequence[Record], csv_name: str) -> str:
    """Method − Retrain by metric with its interval, and both definitions of Avg. Gap."""
    if not records:
        return NO_RECORDS
    gaps = signed_gaps(records)
    wide = {label: group.set_index("metric") for label, group in gaps.groupby("label")}
    rows: list[list[Cell]] = []
    for row in summary(records).to_dict(orient="records"):
        if row["label"] not in wide:
            continue
        group = wide[row["label"]]
        cells = [_signed(group.loc[n]) if n in group.index else "–" for n in METRICS]
        std = row["mean_of_gaps_std"]
        mean: Cell = (f"{row['mean_of_gaps']:.2f}", "–" if math.isnan(std) else f"± {std:.2f}")
        rows.append([str(row["method"]), *cells, mean, f"{row['gap_of_means']:.2f}"])
    intervals = gaps.dropna(subset=["low"])
    apart = int(((intervals["low"] > 0) | (intervals["high"] < 0)).sum())
    chance = (1 - CONFIDENCE) * len(intervals)
    caption = (
        f"Method − Retrain, ours: {briefly(one_setting(records))}; {seeds_of(records)}. In "
        "percentage points: mean over seeds of the difference to Retrain of the same seed, and "
        f"below it the {100 * CONFIDENCE:g} % t interval of that mean; a dash where all seeds "
        "differ by the same. With so few seeds the intervals are wide, and none is corrected for "
        "their number: "
        f"{apart} of {len(intervals)} leave out 0, and about {chance:.0f} would if no method "
        "differed from Retrain. “Mean of gaps” (± sample standard deviation) is the mean over "
        "seeds of each seed's Avg. Gap, “gap of means” the Avg. Gap between the means over seeds; "
        "both are over UA, MIA, RA and TA."
    )
    header = ["Method", *map(metric_name, METRICS), "Mean of gaps", "Gap of means"]
    return to_html(header, rows, caption, gaps.drop(columns="seeds"), csv_name)


def _signed(row: Any) -> Cell:
    low, high = (signed(row[end]).removeprefix("+") for end in ("low", "high"))
    interval = "–" if math.isnan(row["low"]) else f"[{low}, {high}]"
    return signed(row["difference"]), interval


def chip(outcome: str, text: str = "") -> str:
    """An outcome as a label."""
    return f'<span class="verdict verdict-{VERDICT_CLASSES[outcome]}">{text or outcome}</span>'


def verdict_list(verdicts: Sequence[Verdict]) -> str:
    """Verdicts with the numbers behind them, as an HTML list; one label where measures agree."""
    items = ""
    for verdict in verdicts:
        outcomes = verdict.outcomes
        if len(set(outcomes.values())) == 1:
            chips = chip(next(iter(outcomes.values())))
        else:
            chips = " ".join(chip(found, f"{found} by {name}") for name, found in outcomes.items())
        text = f"<strong>{html.escape(verdict.claim)}.</strong> {html.escape(verdict.evidence)}"
        items += f"<li>{chips} {text}</li>\n"
    return f'<ul class="verdicts">\n{items}</ul>\n'
