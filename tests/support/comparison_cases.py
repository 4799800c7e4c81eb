"""What several test files take from ``test_comparison.py``."""

import base64
import io
import re
from html.parser import HTMLParser

import pandas as pd


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []

    def handle_starttag(self, tag: str, attributes: object) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")
        if tag == "small":
            self.rows[-1][-1] += "|"

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()


def cells(page: str) -> list[list[str]]:
    """The rows of a table as text; a second line of a cell follows a bar."""
    parser = _Cells()
    parser.feed(page[page.index("<thead>") : page.index("</table>")])
    return parser.rows


def downloaded(page: str) -> pd.DataFrame:
    data = re.search(r'href="data:text/csv;base64,([^"]+)"', page)
    assert data is not None
    return pd.read_csv(io.BytesIO(base64.b64decode(data[1])))
