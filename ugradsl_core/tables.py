"""Tables as HTML: a caption, cells that keep their spread, and a download of all numbers."""

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ugradsl_core.cli_tables import metric_cell, spread
from ugradsl_core.metrics import FIVE_METRICS, GAP_METRICS, GAP_NAMES
from ugradsl_core.pages_markdown import model_text
from ugradsl_core.pages_markdown import name as name_of
from ugradsl_core.paper import load_table
from ugradsl_core.results import METRICS, one_setting, summary
from ugradsl_core.settings import title_of, what_is_forgotten
from ugradsl_core.statistics import CONFIDENCE, signed_gaps
from ugradsl_core.ties import FOUR, SMOKE, Verdict, gap_table, rank
from ugradsl_core.types import Record

if TYPE_CHECKING:
    import pandas as pd

PAPER_LABELS = {"ugradsl (adp)": "ugradsl:adaptive", "ugradsl+ (adp)": "ugradsl+:adaptive"}
PAPER_TITLES = {"gli": "GLI"}  # in the paper, and not defined there
PAPER_METRICS = ("UA", "MIA", "RA", "TA", "avg_gap", "RTE")
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
TIME_UNITS = {"minute": "min", "hour": "h"}


Cell = str | tuple[str, str]


def to_html(
    header: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    caption: str,
    csv: "pd.DataFrame | None" = None,
    csv_name: str = "table.csv",
    kinds: Mapping[int, str] | None = None,
) -> str:
    """A table in a container that scrolls by itself.

    Args:
        header: column names, as text.
        rows: cells, as text, or as text and a second, smaller line. The last cell of a row that
            is shorter than the header extends to its end.
        caption: what is shown, at which scale, as text.
        csv: numbers behind the table, for the download link.
        csv_name: file name of the download.
        kinds: CSS classes of rows, by number: ``strong`` to stress one, ``paper`` for the paper's.
    """
    text = html.escape
    head = "".join(f'<th scope="col">{text(name)}</th>' for name in header)
    body = ""
    for number, row in enumerate(rows):
        first, *others = (_content(cell) for cell in row)
        missing = len(header) - len(row)
        cells = [f"<td>{content}</td>" for content in others]
        if missing:
            cells[-1] = f'<td colspan="{missing + 1}">{others[-1]}</td>'
        kind = f' class="{kinds[number]}"' if kinds and number in kinds else ""
        body += f'<tr{kind}><th scope="row">{first}</th>{"".join(cells)}</tr>\n'
    link = ""
    if csv is not None:
        data = base64.b64encode(csv.to_csv(index=False).encode()).decode()
        link = (
            f'<p class="table-download"><a download="{text(csv_name)}" '
            f'href="data:text/csv;base64,{data}">Download as CSV</a></p>\n'
        )
    return (
        '<div class="results-table" role="region" tabindex="0" '
        f'aria-label="{text(caption.split(".", maxsplit=1)[0])}">\n'
        f"<table>\n<caption>{text(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n{link}"
    )


def _content(cell: Cell) -> str:
    if isinstance(cell, str):
        return html.escape(cell)
    first, second = map(html.escape, cell)
    return f"{first}<small>{second}</small>"


def show(table: str) -> Any:
    """The table as a notebook displays it."""
    from IPython.display import HTML

    return HTML(table)  # type: ignore[no-untyped-call]


def describe(record: Record) -> str:
    """A record's setting in words: data, sizes, model, training and scale."""
    s = record.setting
    what = f"{name_of(s['dataset'])}, {what_is_forgotten(s)}"
    return f"{what}; {describe_training(s, record.scale)}"


def describe_training(setting: Mapping[str, Any], scale: str) -> str:
    """Training images, model, epochs and scale of a setting, in words."""
    size = setting["train_size"]
    some = "all" if size is None else f"{size:,}"
    kind = "texts" if setting["model"]["name"] == "bert" else "images"
    return (
        f"{some} training {kind}, {model_text(setting['model'])}, "
        f"{setting['training']['epochs']} epochs; {scale} scale"
    )


def seeds_of(records: Sequence[Record]) -> str:
    """The seeds of records, in words."""
    seeds = sorted({record.seed for record in records})
    return f"seed{'s' * (len(seeds) > 1)} " + ", ".join(map(str, seeds))


def results_table(records: Sequence[Record], csv_name: str, *, brief: bool = False) -> str:
    """Records of one setting: mean ± standard deviation over seeds, gaps, and cost.

    ``brief`` leaves out the additional MIA, the second gap and the samples passed; they are still
    in the download.
    """
    first = one_setting(records)
    table = summary(records)
    names = ("UA", "MIA", "RA", "TA") if brief else ("UA", "MIA", "RA", "TA", "add_MIA")
    rows: list[list[str]] = []
    for row in table.to_dict(orient="records"):
        if not row["n"]:
            rows.append([str(row["method"]), diverged_of(row)])
            continue
        cells = [metric_cell(row, name, 1) for name in names]
        gap = spread(row["mean_of_gaps"], row["mean_of_gaps_std"])
        seconds = spread(row["RTE"], row["RTE_std"], 1)
        means = spread(row["gap_of_means"], float("nan"))
        passes = [f"{row[way] / 1000:,.1f}" for way in ("forward", "backward")]
        five = spread(row["mean_of_gaps_add_MIA"], row["mean_of_gaps_std_add_MIA"])
        more = [] if brief else [five, means, *passes]
        cells = [str(row["method"]) + diverged_of(row), *cells, gap, seconds, *more]
        rows.append(cells)
    header = ["Method", *map(percent, names), GAP_NAMES[GAP_METRICS], "RTE s"]
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
            " “Avg. Gap (5)” takes the additional MIA in as a fifth metric. “Gap of means” is the "
            "other definition of Avg. Gap. Forward and backward count the "
            "samples passed."
        )
    return to_html(header, rows, caption, table, csv_name, best_rows(records, table["label"]))


def percent(metric: str) -> str:
    """A metric as the head of a column."""
    return f"{metric.replace('_', '. ')} %"


def diverged_of(row: Mapping[Any, Any]) -> str:
    """In a row of ``results.summary``: how many runs diverged, if any did."""
    if not row["diverged"]:
        return ""
    return f" ({row['diverged']} diverged)" if row["n"] else f"diverged in {row['diverged']} runs"


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
        f"Method − Retrain, ours: {describe(one_setting(records))}; {seeds_of(records)}. In "
        "percentage points: mean over seeds of the difference to Retrain of the same seed, and "
        f"below it the {100 * CONFIDENCE:g} % t interval of that mean; a dash where all seeds "
        "differ by the same. With so few seeds the intervals are wide, and none is corrected for "
        "their number: "
        f"{apart} of {len(intervals)} leave out 0, and about {chance:.0f} would if no method "
        "differed from Retrain. “Mean of gaps” (± sample standard deviation) is the mean over "
        "seeds of each seed's Avg. Gap, “gap of means” the Avg. Gap between the means over seeds; "
        "both are over UA, MIA, RA and TA."
    )
    header = ["Method", *(n.replace("_", ". ") for n in METRICS), "Mean of gaps", "Gap of means"]
    return to_html(header, rows, caption, gaps.drop(columns="seeds"), csv_name)


def signed(number: float) -> str:
    """A number with its sign, to one digit; zero has none."""
    text = f"{number:+.1f}".replace("-", "−")
    return "0.0" if text in {"+0.0", "−0.0"} else text


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


def paper_rows(
    number: int, dataset: str, paradigm: str, labels: Sequence[str] | None = None
) -> "pd.DataFrame":
    """A paper table in wide form: ``label``, ``method``, then printed and numeric cells.

    Args:
        number: of the table.
        dataset: our name of the data set.
        paradigm: ``random``, ``class-wise`` or ``group``.
        labels: methods to keep; None keeps all.
    """
    import pandas as pd

    table = load_table(number)
    table = table[(table.dataset == dataset) & (table.paradigm == paradigm)]
    rows = []
    for method, group in table.groupby("method", sort=False):
        label = PAPER_LABELS.get(str(method), str(method))
        if labels is not None and label not in labels:
            continue
        row: dict[str, Any] = {"label": label}
        for cell in group.to_dict(orient="records"):
            row[cell["metric"]], row[f"{cell['metric']}_std"] = cell["mean"], cell["std"]
            row[f"{cell['metric']}_printed"] = cell["printed"]
            if cell["metric"] == "RTE":
                row["RTE_unit"] = cell["unit"]
        row["method"] = paper_title(label)
        rows.append(row)
    return pd.DataFrame(rows)


def paper_title(label: str) -> str:
    """The title of a label of ours or of a method that only the paper names."""
    return PAPER_TITLES.get(label) or title_of(label)


def paper_table(
    number: int, dataset: str, paradigm: str, caption: str, labels: Sequence[str] | None = None
) -> str:
    """A paper table as printed; cells that are missing show a dash."""
    table = paper_rows(number, dataset, paradigm, labels)
    metrics = [name for name in PAPER_METRICS if name in table]
    unit = TIME_UNITS[str(table["RTE_unit"].dropna().iloc[0])]
    names = {"RTE": f"RTE {unit}", "avg_gap": "Avg. Gap"}
    header = ["Method", *(names.get(metric, f"{metric} %") for metric in metrics)]
    rows = [
        [str(row["method"]), *(str(row[f"{name}_printed"] or "–") for name in metrics)]
        for row in table.to_dict(orient="records")
    ]
    numbers = table.drop(columns=[c for c in table if str(c).endswith("_printed")])
    return to_html(header, rows, caption, numbers, f"paper-table-{number}-{dataset}.csv")
