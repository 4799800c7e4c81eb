"""Tables as HTML: a caption, cells of one or two lines, and a download of all numbers.

In a page, `tables.js` makes their columns sortable, and cards of their rows on a phone.
"""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


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
