"""Tables as HTML: a caption, cells that keep their spread, and a download of all numbers."""

import base64
import html
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ugradsl_core.cli_tables import spread
from ugradsl_core.paper import load_table
from ugradsl_core.results import Verdict, one_setting, summary
from ugradsl_core.settings import title_of
from ugradsl_core.types import Record

if TYPE_CHECKING:
    import pandas as pd

PAPER_LABELS = {"ugradsl (adp)": "ugradsl:adaptive", "ugradsl+ (adp)": "ugradsl+:adaptive"}
PAPER_TITLES = {
    "ff": "FF",
    "iu": "IU",
    "be": "BE",
    "bs": "BS",
    "l1-sparse": "ℓ1-sparse",
    "rl": "RL",
    "eu-k": "EU-k",
    "cf-k": "CF-k",
    "scrub": "SCRUB",
    "salun": "SalUn",
    "gli": "GLI",
    "pabi": "PABI",
}
PAPER_METRICS = ("UA", "MIA", "RA", "TA", "avg_gap", "RTE")
VERDICT_CLASSES = {
    "reproduced": "yes",
    "partly": "partly",
    "not reproduced": "no",
    "not run": "none",
}
TIME_UNITS = {"minute": "min", "hour": "h"}


def to_html(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    caption: str,
    csv: "pd.DataFrame | None" = None,
    csv_name: str = "table.csv",
    strong: int | None = None,
) -> str:
    """A table in a container that scrolls by itself.

    Args:
        header: column names, as text.
        rows: cells, as text.
        caption: what is shown, at which scale, as text.
        csv: numbers behind the table, for the download link.
        csv_name: file name of the download.
        strong: number of a row to stress.
    """
    cell = html.escape
    head = "".join(f'<th scope="col">{cell(name)}</th>' for name in header)
    body = ""
    for number, row in enumerate(rows):
        first, *others = (cell(value) for value in row)
        stress = ' class="strong"' if number == strong else ""
        cells = "".join(f"<td>{value}</td>" for value in others)
        body += f'<tr{stress}><th scope="row">{first}</th>{cells}</tr>\n'
    link = ""
    if csv is not None:
        data = base64.b64encode(csv.to_csv(index=False).encode()).decode()
        link = (
            f'<p class="table-download"><a download="{cell(csv_name)}" '
            f'href="data:text/csv;base64,{data}">Download as CSV</a></p>\n'
        )
    return (
        '<div class="results-table" role="region" tabindex="0" '
        f'aria-label="{cell(caption.split(".", maxsplit=1)[0])}">\n'
        f"<table>\n<caption>{cell(caption)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n{link}"
    )


def show(table: str) -> Any:
    """The table as a notebook displays it."""
    from IPython.display import HTML

    return HTML(table)  # type: ignore[no-untyped-call]


def describe(record: Record) -> str:
    """A record's setting in words: data, sizes, model, training and scale."""
    s = record.setting
    size = "all" if s["train_size"] is None else f"{s['train_size']:,}"
    what = (
        f"class {s['forgotten_class']} forgotten"
        if s["paradigm"] == "class-wise"
        else f"a random {100 * s['fraction']:g} % forgotten"
    )
    training = s["training"]
    return (
        f"{s['dataset']}, {what}; {size} training images, {s['model']['name']} of width "
        f"{s['model']['width']}, {training['epochs']} epochs; {record.scale} scale"
    )


def seeds_of(records: Sequence[Record]) -> str:
    """The seeds of records, in words."""
    seeds = sorted({record.seed for record in records})
    return f"seed{'s' * (len(seeds) > 1)} " + ", ".join(map(str, seeds))


def results_table(records: Sequence[Record], csv_name: str, *, brief: bool = False) -> str:
    """Records of one setting: mean ± standard deviation over seeds, gaps, and cost.

    ``brief`` leaves out the second gap and the passes; they are still in the download.
    """
    first = one_setting(records)
    table = summary(records)
    rows = []
    for row in table.to_dict(orient="records"):
        diverged = f" ({row['diverged']} diverged)" if row["diverged"] else ""
        cells = [spread(row[name], row[f"{name}_std"], 1) for name in ("UA", "MIA", "RA", "TA")]
        gap = spread(row["mean_of_gaps"], row["mean_of_gaps_std"])
        passes = f"{row['passes'] / 1000:,.1f}"
        means = spread(row["gap_of_means"], float("nan"))
        seconds = spread(row["RTE"], row["RTE_std"], 1)
        more = [] if brief else [means, passes]
        rows.append([str(row["method"]) + diverged, *cells, gap, seconds, *more])
    header = ["Method", "UA %", "MIA %", "RA %", "TA %", "Avg. Gap", "RTE s"]
    caption = (
        f"Ours: {describe(first)}; {seeds_of(records)}. Mean ± sample standard deviation over "
        "seeds. Avg. Gap is the mean over seeds of each seed's gap to Retrain, in percentage "
        "points. RTE is the wall time of unlearning."
    )
    if not brief:
        header += ["Gap of means", "Passes, thousands"]
        caption += (
            " “Gap of means” is the other definition of Avg. Gap. Passes are samples forward "
            "plus backward."
        )
    return to_html(header, rows, caption, table, csv_name, _best(table))


def verdict_list(verdicts: Sequence[Verdict]) -> str:
    """Claims with their outcome and the numbers behind it, as an HTML list."""
    items = "".join(
        f'<li><span class="verdict verdict-{VERDICT_CLASSES[v.outcome]}">{v.outcome}</span> '
        f"<strong>{html.escape(v.claim)}.</strong> {html.escape(v.evidence)}</li>\n"
        for v in verdicts
    )
    return f'<ul class="verdicts">\n{items}</ul>\n'


def _best(table: "pd.DataFrame") -> int | None:
    gaps = table["mean_of_gaps"].tolist()
    known = [gap for gap in gaps if not math.isnan(gap)]
    return gaps.index(min(known)) if known else None


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
        row["method"] = PAPER_TITLES.get(label) or title_of(label)
        rows.append(row)
    return pd.DataFrame(rows)


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
