"""The overview of all methods, generated from ``METHODS``, and what the paper prints of GLI."""

import base64
import html
import re
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.experiments.records.store import read_records
from companion.pages.markdown import NOT_RUN_YET, SYMBOL, list_table, memory_of, raw_html, slug
from companion.paper.names import name
from companion.paper.numbers import TIME_UNITS, load_table
from companion.paper.statements import tables_with
from companion.tables.config_text import parameters
from companion.tables.results import results_table
from ugradsl_core.methods import METHODS
from ugradsl_core.metrics import GAP_METRICS
from ugradsl_core.training import SGDConfig

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = {
    "title": "Method",
    "reads": "Reads",
    "passes": "Passes in an epoch",
    "memory": "Extra memory",
    "hyperparameters": "Hyperparameters",
    "guarantee": "Guarantee",
}
CAPTION = (
    "All methods. Passes are samples, forward and backward, in an epoch unless it says otherwise; "
    "n is the size of D_tr, n_r of D_r, n_f of D_f. Extra memory is in models, beyond the model, "
    "its gradient and SGD's momentum. SGD means its learning rate, epochs, batch size, "
    "momentum, weight decay, schedule and augmentation."
)
MEASURES = (*GAP_METRICS, "avg_gap", "RTE")
BESIDE_GLI = ("retrain", "ft", "gli")


def overview(book: Path) -> str:
    """The comparison table: a row for each method, with links to the cards and a download."""
    table = _frame()
    head = "".join(f'<th scope="col">{title}</th>' for title in COLUMNS.values())
    body = "".join(_row(cells) for cells in table.to_dict(orient="records"))
    data = base64.b64encode(table.rename(columns=COLUMNS).to_csv(index=False).encode()).decode()
    return raw_html(
        '<div class="results-table methods-table" role="region" tabindex="0" '
        'aria-label="All methods">\n'
        f"<table>\n<caption>{_symbols(CAPTION)}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n</div>\n"
        '<p class="table-download"><a download="methods.csv" '
        f'href="data:text/csv;base64,{data}">Download as CSV</a></p>'
    )


def _frame() -> "pd.DataFrame":
    import pandas as pd

    rows = [
        {
            "method": label,
            "title": method.title,
            "reads": method.reads,
            "passes": method.passes,
            "memory": memory_of(label),
            "hyperparameters": _hyperparameters(label),
            "guarantee": method.guarantee,
        }
        for label, method in METHODS.items()
    ]
    return pd.DataFrame(rows)


def _hyperparameters(label: str) -> str:
    """``SGD`` where the method trains, then its own parameters; switches have their names last."""
    config = METHODS[label].config
    found = parameters(config).values()
    trains = issubclass(config, SGDConfig)
    own = [p for p in found if not trains or p.name not in SGDConfig.model_fields]
    plain = [p.name for p in own if not p.choices]
    switches = [p.name for p in own if p.choices]
    return ", ".join([*(["SGD"] if trains else []), *plain, *switches])


def _row(cells: Mapping[Hashable, Any]) -> str:
    link = f'<a href="{slug(cells["method"])}.html">{html.escape(cells["title"])}</a>'
    texts = "".join(
        f'<td data-label="{title}"><span>{_content(column, cells[column])}</span></td>'
        for column, title in COLUMNS.items()
        if column != "title"
    )
    return f'<tr><th scope="row">{link}</th>{texts}</tr>\n'


def _content(column: str, text: str) -> str:
    if column != "hyperparameters":
        return _symbols(text)
    names = (name if name == "SGD" else f"<code>{name}</code>" for name in text.split(", "))
    return ", ".join(names)


def _symbols(text: str) -> str:
    """Escaped text with ``D_r``, ``n_f``, ``K`` and the like in italics."""
    return SYMBOL.sub(_italic, html.escape(text))


def _italic(found: re.Match[str]) -> str:
    letter, _, index = found[2].partition("_")
    return found[1] + f"<i>{letter}</i>" + (f"<sub>{index}</sub>" if index else "")


def gli_numbers(book: Path) -> str:
    """Every row that the paper prints of GLI, below Retrain's and FT's of the same block."""
    header = ("Method", *GAP_METRICS, "Avg. Gap", "RTE")
    parts = []
    for number, dataset, paradigm, block in _gli_blocks(book):
        rows = []
        for method in BESIDE_GLI:
            cells = block[block.method == method].set_index("metric")
            rows.append([name(method), *_printed(cells)])
        table = list_table(header, rows, kind="numbers")
        parts.append(f"Table {number}, {name(dataset)}, {paradigm} forgetting:\n\n{table}")
    return "\n\n".join(parts)


def _gli_blocks(book: Path) -> Iterator[tuple[int, str, str, "pd.DataFrame"]]:
    """Number, data set, paradigm and cells of each block of a table that has a row of GLI."""
    for number in tables_with("gli", book / "paper"):
        table = load_table(number, book / "paper")
        for (dataset, paradigm), block in table.groupby(["dataset", "paradigm"], sort=False):
            if "gli" in set(block.method):
                yield number, str(dataset), str(paradigm), block


def _printed(cells: "pd.DataFrame") -> list[str]:
    """The printed digits of each measure, with the unit of RTE; a dash where there are none."""
    texts = []
    for measure in MEASURES:
        cell = cells.loc[measure]
        unit = f" {TIME_UNITS[str(cell['unit'])]}" if measure == "RTE" else ""
        texts.append(f"{cell['printed']}{unit}" if cell["printed"] else "–")
    return texts


def gli_reading(book: Path) -> str:
    """What the printed rows of GLI say about it: run time beside FT's, and its rank by gap."""
    items = []
    for _, dataset, paradigm, block in _gli_blocks(book):
        cells = block.pivot_table(index="method", columns="metric", values="mean", sort=False)
        times = cells["RTE"].to_dict()
        ranks = cells["avg_gap"].dropna().rank()
        items.append(
            f"- {name(dataset)}, {paradigm}: its run time is {times['gli'] / times['ft']:.1f} "
            f"times FT's; by Avg. Gap it is number {ranks['gli']:.0f} of {len(ranks)}."
        )
    closing = (
        "A run time of FT's order suggests a method that reads $D_r$; it does not prove it, and "
        "says nothing about the update."
    )
    return "\n".join(items) + f"\n\n{closing}"


OWN_METHOD = "results/examples/own-method.jsonl"


def own_method(book: Path) -> str:
    """The table that the page *Try your own method* shows, from the records of its command."""
    path = book / OWN_METHOD
    if not path.exists():
        return NOT_RUN_YET
    return raw_html(results_table(read_records(path), "own-method.csv", brief=True))


FRAGMENTS = {
    "own-method.md": own_method,
    "methods-overview.md": overview,
    "gli-numbers.md": gli_numbers,
    "gli-reading.md": gli_reading,
}
