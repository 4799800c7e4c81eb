"""Fragments of the readings page: what the paper's own tables show when they are compared."""

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ugradsl_core.pages_markdown import list_table
from ugradsl_core.pages_markdown import name as readable
from ugradsl_core.paper import TABLES, load_table

if TYPE_CHECKING:
    from pandas import DataFrame

MEASURES = ["UA", "MIA", "RA", "TA"]
SETTING = ["table", "dataset", "paradigm", "backbone", "method", "parameter", "parameter_value"]
WITHOUT_RESULTS = {5, 8}
ROUNDING = 0.011


def results(book: Path) -> "DataFrame":
    """All result tables of the paper, one printed cell a row."""
    import pandas

    numbers = [number for number in TABLES if number not in WITHOUT_RESULTS]
    return pandas.concat(
        [load_table(number, book / "paper") for number in numbers], ignore_index=True
    )


def with_forget_size(cells: "DataFrame") -> "DataFrame":
    """One row for each printed line, one column for each metric, and the size of D_f.

    The size is empty for the 10 % that all tables of random forgetting share.
    """
    lines = cells.pivot_table(index=SETTING, columns="metric", values="mean", sort=False)
    lines = lines.reset_index()
    sizes = lines.parameter_value.where(lines.parameter.eq("forget_fraction"), "")
    return lines.assign(forget_size=sizes.replace("10%", ""))


def printed_order(book: Path) -> str:
    """Table 19 at ten epochs and Table 18 at 40 % and 50 %, under the headers as printed."""
    table = results(book)
    chosen = (table.table.eq(19) & table.method.eq("ga") & table.parameter_value.eq("10")) | (
        table.table.eq(18) & table.method.eq("retrain") & table.parameter_value.isin(["40%", "50%"])
    )
    rows = []
    for key, line in table[chosen].groupby(SETTING, sort=False):
        number, _, _, _, method, parameter, value = key
        printed = dict(zip(line.metric, line.printed, strict=True))
        what = str(parameter).replace("_", " ")
        where = f"Table {number}, {readable(method)}, {what} {value}"
        rows.append([where, *(printed[name] for name in MEASURES)])
    return list_table(("Where", *MEASURES), rows, kind="numbers")


def spread_is_gap(book: Path) -> str:
    """How often the number after ± in Tables 17 and 18 is the distance to Retrain."""
    cells = results(book)
    cells = cells[cells.table.isin([17, 18]) & cells.metric.isin(MEASURES)]
    place = ["table", "parameter_value", "metric"]
    reference = cells[cells.method.eq("retrain")].set_index(place)["mean"].rename("reference")
    cells = cells[cells.method.ne("retrain")].join(reference, on=place)
    cells["is_gap"] = ((cells["mean"] - cells.reference).abs() - cells["std"]).abs() < ROUNDING
    ours = cells.method.isin(["ugradsl", "ugradsl+"])
    ten = cells.parameter_value.eq("10%")
    groups = (
        ("10 %, all methods", cells[ten]),
        ("20 % to 50 %, UGradSL and UGradSL+", cells[~ten & ours]),
        ("20 % to 50 %, the other methods", cells[~ten & ~ours]),
    )
    rows = [(name, str(len(group)), str(int(group.is_gap.sum()))) for name, group in groups]
    header = ("Forget set", "Cells", "± equals the distance to Retrain")
    return list_table(header, rows, kind="numbers")


def repeated_rows(book: Path) -> str:
    """Lines with the same four means though the setting or the method differs."""
    lines = with_forget_size(results(book)).dropna(subset=MEASURES)
    lines = lines[lines.method.ne("retrain") & lines.parameter.ne("occurrence")]
    identity = ["dataset", "paradigm", "backbone", "method", "forget_size"]
    rows = []
    for means, group in lines.groupby(MEASURES, sort=False):
        places = group.drop_duplicates(identity).to_dict("records")
        if len(places) > 1:
            where = "; ".join(map(_place, places))
            rows.append([where, *(f"{mean:.2f}" for mean in means)])
    return list_table(("Where", *MEASURES), rows, kind="numbers")


def printed_gaps(book: Path) -> str:
    """How often the printed Avg. Gap is the mean distance of the printed means to Retrain."""
    lines = with_forget_size(results(book))
    lines = lines[lines.parameter.ne("occurrence")]
    block = ["table", "dataset", "paradigm", "forget_size"]
    measures = [*MEASURES, "add_MIA"]
    retrain = lines[lines.method.eq("retrain")].set_index(block)[measures]
    lines = lines[lines.method.ne("retrain") & lines.avg_gap.notna()]
    reference = lines[block].join(retrain, on=block)[measures]
    distances = (lines[measures] - reference).abs()
    complete = distances[MEASURES].notna().all(axis=1)
    difference = (lines.avg_gap - distances.mean(axis=1))[complete]
    counts = {
        "the gap of the printed means": difference.abs() < ROUNDING,
        "larger": difference >= ROUNDING,
        "smaller": difference <= -ROUNDING,
        "any of these: all lines with four legible means": complete[complete],
    }
    rows = [(what, str(int(found.sum()))) for what, found in counts.items()]
    return list_table(("The printed Avg. Gap is …", "Lines"), rows, kind="numbers")


def _place(line: Mapping[Hashable, Any]) -> str:
    parts = [line["dataset"], line["backbone"], line["paradigm"], line["method"]]
    if line["forget_size"]:
        parts.append(line["forget_size"])
    return f"Table {line['table']} ({', '.join(map(readable, parts))})"
