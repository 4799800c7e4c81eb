"""Our records beside the paper's tables: metrics, distances to Retrain, cost and ranking.

A page names the preset of a setting and the number of the paper's table for it. Every table says
which of its numbers are ours, at which scale, and which are the paper's.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.experiments.records.record import Record
from companion.experiments.records.statistics import CONFIDENCE, Agreement, agreement
from companion.experiments.records.summary import (
    METRICS,
    gap_panel,
    natural_order,
    one_setting,
    summary,
)
from companion.experiments.records.ties import FIVE, FOUR
from companion.experiments.settings.labels import LABELS
from companion.experiments.settings.preset import preset_setting
from companion.figures.theory import signed as with_minus
from companion.paper.numbers import TIME_UNITS
from companion.tables.html import Cell, to_html
from companion.tables.paper import paper_rows, paper_title
from companion.tables.results import NO_RECORDS, tied_with_best
from companion.tables.words import (
    briefly,
    describe,
    describe_training,
    diverged_of,
    mean_and_std,
    metric_cell,
    percent,
    seeds_of,
)
from ugradsl_core.metrics import GAP_METRICS, GAP_NAMES

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[Any, Any]
NOT_RUN = "not run yet"
NOT_DEFINED = "not defined, not run"
MARKED = 100 * CONFIDENCE


def printed(preset: str, number: int) -> "pd.DataFrame":
    """The rows of a paper table that belong to a preset's data set and paradigm."""
    setting = preset_setting(preset, "paper")
    return paper_rows(number, setting.dataset, setting.paradigm)


def paper_scale(preset: str) -> str:
    """The paper's own setting, in words."""
    setting = preset_setting(preset, "paper")
    return describe_training(setting.identity(), setting.scale)


def ordered(labels: Sequence[str]) -> list[str]:
    """Labels in natural order; those that only the paper names come last."""
    known = [label for label in dict.fromkeys(labels) if label in LABELS]
    return [*natural_order(known), *(x for x in dict.fromkeys(labels) if x not in LABELS)]


def with_add_mia(paper: "pd.DataFrame") -> bool:
    """Whether a paper table has the additional MIA, and includes it in its Avg. Gap."""
    return "add_MIA" in paper


def best_and_worst(preset: str, numbers: Sequence[int], count: int = 3) -> str:
    """A sentence on the smallest and the largest Avg. Gap in the paper's tables."""
    parts = []
    for number in numbers:
        paper = printed(preset, number).dropna(subset=["avg_gap"]).sort_values("avg_gap")
        cells = [f"{row['method']} {row['avg_gap_printed']}" for _, row in paper.iterrows()]
        last = f", and the largest {cells[-1]}" if len(cells) > count else ""
        parts.append(f"in Table {number} {', '.join(cells[:count])}{last}")
    return (
        f"<p>The smallest Avg. Gap as printed, in percentage points ({paper_scale(preset)}): "
        f"{'; '.join(parts)}.</p>"
    )


def side_by_side(
    records: Sequence[Record],
    preset: str,
    number: int,
    labels: Sequence[str] | None = None,
) -> str:
    """Our version of a paper table: for each method our row, and the paper's below it.

    Args:
        records: of one setting; none if it was not run.
        preset: of the setting.
        number: of the paper's table.
        labels: methods to show; None shows all of ours and all of the paper's.
    """
    paper = printed(preset, number)
    add = with_add_mia(paper)
    names = METRICS if add else GAP_METRICS
    gap = "mean_of_gaps_add_MIA" if add else "mean_of_gaps"
    ours = summary(records) if records else None
    mine = _by_label(ours) if ours is not None else {}
    theirs = _by_label(paper)
    shown = ordered([*mine, *theirs] if labels is None else labels)
    best = tied_with_best(records, FIVE if add else FOUR)
    rows: list[list[Cell]] = []
    kinds: dict[int, str] = {}
    for label in shown:
        if label in best:
            kinds[len(rows)] = "strong"
        rows.append([paper_title(label), *_our_cells(label, mine.get(label), names, gap)])
        if label in theirs:
            kinds[len(rows)] = "paper"
            cells = (theirs[label][f"{name}_printed"] for name in ("avg_gap", *names))
            rows.append(["the paper", *(str(cell or "–") for cell in cells)])
    header = ["Method", GAP_NAMES[names], *map(percent, names)]
    scale = f"{briefly(one_setting(records))}; {seeds_of(records)}" if records else NOT_RUN
    caption = (
        f"Our version of the paper's Table {number}. Upper rows: ours ({scale}), mean ± sample "
        "standard deviation over seeds. Lower rows: the paper, as printed "
        f"({'paper scale' if records else paper_scale(preset)}). {GAP_NAMES[names]}: over "
        f"{'all five' if add else 'the four'} other columns, in percentage points. Bold: cannot "
        "be told from the best."
    )
    data = _comparison_data(records, paper, names, gap, (number, preset))
    data = data[data["label"].isin(shown)]
    return to_html(header, rows, caption, data, f"{preset}-beside-table-{number}.csv", kinds)


def _by_label(table: "pd.DataFrame") -> dict[str, Row]:
    return {str(row["label"]): row for row in table.to_dict(orient="records")}


def _our_cells(label: str, row: Row | None, names: Sequence[str], gap: str) -> list[Cell]:
    if row is None:
        return [NOT_RUN if label in LABELS else NOT_DEFINED]
    if not row["n"]:
        return [diverged_of(row)]
    cells: list[Cell] = [metric_cell(row, name, 1) for name in names]
    std = gap.replace("mean_of_gaps", "mean_of_gaps_std")
    first = mean_and_std(row[gap], row[std])
    return [(first, diverged_of(row).strip()) if row["diverged"] else first, *cells]


def _comparison_data(
    records: Sequence[Record],
    paper: "pd.DataFrame",
    names: Sequence[str],
    gap: str,
    place: tuple[int, str],
) -> "pd.DataFrame":
    """The numbers of both, in percent and percentage points: a row for each method and source.

    Each says its setting, its scale and over how many seeds it is; the paper does not say that.
    """
    import pandas as pd

    number, preset = place
    columns = ["label", "method", *(f"{n}{end}" for n in names for end in ("", "_std")), "avg_gap"]
    facts = {"source": f"paper, Table {number}", "setting": paper_scale(preset)}
    parts = [paper.assign(**facts, scale="paper", seeds=None)]
    if records:
        first, ours = one_setting(records), summary(records)
        facts = {"source": "ours", "setting": describe(first), "scale": first.scale}
        parts.insert(0, ours.assign(**facts, seeds=ours["n"], avg_gap=ours[gap]))
    order = [*columns[:2], "source", "setting", "scale", "seeds", *columns[2:]]
    return pd.concat([part[order] for part in parts])


def cost_table(records: Sequence[Record], preset: str, number: int) -> str:
    """Run time and samples passed, ours, beside the run time that the paper prints."""
    if not records:
        return NO_RECORDS
    first = one_setting(records)
    ours, paper = summary(records), printed(preset, number)
    whole = float(_by_label(ours).get("retrain", {}).get("RTE", math.nan))
    theirs = _by_label(paper)
    unit = TIME_UNITS[str(paper["RTE_unit"].dropna().iloc[0])]
    rows: list[list[Cell]] = []
    for row in ours.to_dict(orient="records"):
        if not row["n"]:
            continue
        other = theirs.get(str(row["label"]))
        rows.append(
            [
                str(row["method"]),
                mean_and_std(row["RTE"], row["RTE_std"], 1),
                _share(row["RTE"], whole),
                *(f"{row[way] / 1000:,.1f}" for way in ("forward", "backward")),
                str(other["RTE_printed"] or "–") if other else "–",
                _share(other["RTE"], theirs["retrain"]["RTE"]) if other else "–",
            ]
        )
    machines = {tuple(sorted((k, str(v)) for k, v in r.hardware.items())) for r in records}
    caption = (
        f"Cost. Ours: {briefly(first)}; {seeds_of(records)}: run-time efficiency (RTE) in seconds "
        "of wall time, mean ± sample standard deviation, its share of Retrain's, and thousands of "
        f"samples passed forward and backward. The paper's Table {number}: RTE in {unit}, as "
        "printed (paper scale). Shares can be compared, times cannot."
    )
    if len(machines) > 1:
        caption += (
            f" Our records come from {len(machines)} different machines or numbers of threads, so "
            "compare samples rather than seconds."
        )
    header = [
        "Method",
        "RTE, s",
        "% of Retrain's",
        "Forward, thousands",
        "Backward, thousands",
        f"The paper's RTE, {unit}",
        "% of Retrain's",
    ]
    return to_html(header, rows, caption, ours, f"{preset}-cost.csv")


def _share(part: float, whole: float) -> str:
    return "–" if math.isnan(part / whole) else f"{100 * part / whole:.1f}"


def agreement_table(records: Sequence[Record], preset: str, numbers: Sequence[int]) -> str:
    """Kendall's τ between our ranking by Avg. Gap and those of the paper's tables."""
    if not records:
        return NO_RECORDS
    rows: list[list[Cell]] = []
    for number in numbers:
        paper = printed(preset, number)
        add = with_add_mia(paper)
        gaps = dict(zip(paper["label"], paper["avg_gap"], strict=True))
        found = agreement(records, gaps, METRICS if add else GAP_METRICS)
        name = f"Table {number}" + (f", by {GAP_NAMES[METRICS]}" if add else "")
        rows.append([name, *(_agreement_cells(found) if found else ["fewer than two methods"])])
    caption = (
        "Agreement of rankings. Kendall's τ between the order of methods by our Avg. Gap "
        f"({briefly(one_setting(records))}; {seeds_of(records)}) and by the paper's printed one "
        "(paper scale), over the methods that both have; 1 is the same order, −1 the opposite "
        f"one. Interval: {MARKED:g} % percentile bootstrap over methods, rough for so few. p: of "
        "this |τ| or a larger one if the two orders had nothing to do with each other, by "
        "counting permutations, or, where gaps are tied, by a normal approximation. Last column: "
        "τ of the ranking in each seed alone."
    )
    header = ["The paper's ranking", "Methods", "τ", f"{MARKED:g} % interval", "p", "By seed"]
    return to_html(header, rows, caption)


def _agreement_cells(found: Agreement) -> list[Cell]:
    def two(number: float) -> str:
        return "–" if math.isnan(number) else with_minus(number, ".2f")

    return [
        str(len(found.labels)),
        two(found.tau),
        "–" if math.isnan(found.low) else f"{two(found.low)} to {two(found.high)}",
        f"{found.p_value:.2g}" + ("" if found.exact else " (approx.)"),
        ", ".join(map(two, found.by_seed.values())) or "–",
    ]


def gap_panels(
    records: Sequence[Record],
    preset: str,
    numbers: Sequence[int],
    labels: Sequence[str] | None = None,
) -> "tuple[dict[str, pd.DataFrame], dict[str, str]]":
    """What ``results.gap_columns`` draws: our gaps and those of paper tables.

    Methods, all or those in ``labels``, are sorted by our gap; those without one follow, sorted
    by the first paper table.
    """
    panels: dict[str, pd.DataFrame] = {}
    if records:
        ours = gap_panel(records)
        panels[f"Ours,\n{one_setting(records).scale} scale"] = ours
    for number in numbers:
        paper = printed(preset, number).rename(columns={"avg_gap": "gap"})
        panels[f"Table {number},\npaper scale"] = paper[["label", "method", "gap"]].dropna()
    methods: dict[str, str] = {}
    for panel in panels.values():
        for row in panel.sort_values("gap").to_dict(orient="records"):
            if labels is None or row["label"] in labels:
                methods.setdefault(str(row["label"]), str(row["method"]))
    return panels, methods
