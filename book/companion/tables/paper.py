"""The paper's own tables, with the numbers as printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from companion.experiments.settings.labels import title_of
from companion.paper.numbers import TIME_UNITS, load_table
from companion.tables.html import to_html
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd


PAPER_LABELS = {"ugradsl (adp)": "ugradsl:adaptive", "ugradsl+ (adp)": "ugradsl+:adaptive"}
PAPER_TITLES = {"gli": "GLI"}  # in the paper, and not defined there
PAPER_METRICS = ("avg_gap", *GAP_METRICS, "RTE")


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
