"""Settings that the paper's text states of each method, and the tables in which a method appears.

``book/paper/text/methods.csv`` quotes Section 5.3 and Appendix E.1; a method with an empty row is
one of which the paper states nothing.
"""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from companion.files import PAPER_FOLDER
from companion.paper.numbers import SCHEMAS, Result, read_rows
from ugradsl_core.errors import DataError
from ugradsl_core.methods import METHODS

COLUMNS = ("method", "quantity", "printed", "place")


SETTING_COLUMNS = ("dataset", "paradigm", "quantity", "printed", "place")


@dataclass(frozen=True)
class Statement:
    """One sentence of the paper about a method's settings: what, the quoted value, and where."""

    method: str
    quantity: str
    printed: str
    place: str


@dataclass(frozen=True)
class SettingStatement(Statement):
    """One sentence about a forget set; ``method`` is empty, ``dataset`` too where it is of all."""

    dataset: str = ""
    paradigm: str = ""


def load_setting_statements(root: Path | None = None) -> list[SettingStatement]:
    """What the paper's text states of forget sets: all rows of ``text/settings.csv``.

    Args:
        root: the folder with the paper's tables, ``book/paper``.

    Raises:
        DataError: the columns are others, or a row is not complete.
    """
    path = (root or PAPER_FOLDER) / "text" / "settings.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    if tuple(header) != SETTING_COLUMNS:
        raise DataError(f"{path}, row 1: the columns must be {list(SETTING_COLUMNS)}")
    rows = []
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(SETTING_COLUMNS) or not all(cells[1:]):
            raise DataError(f"{path}, row {number}: must be complete but for the data set")
        dataset, paradigm, quantity, printed, place = cells
        rows.append(SettingStatement("", quantity, printed, place, dataset, paradigm))
    return rows


def load_statements(root: Path | None = None) -> list[Statement]:
    """All rows of the file, in its order.

    Args:
        root: the folder with the paper's tables, ``book/paper``.

    Raises:
        DataError: the columns are others, or a row is neither complete nor empty.
    """
    path = (root or PAPER_FOLDER) / "text" / "methods.csv"
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    if tuple(header) != COLUMNS:
        raise DataError(f"{path}, row 1: the columns must be {list(COLUMNS)}; found {header}")
    rows = []
    for number, cells in enumerate(lines, start=2):
        if len(cells) != len(COLUMNS) or not (all(cells) or (cells[0] and not any(cells[1:]))):
            raise DataError(f"{path}, row {number}: must be complete, or a name alone")
        rows.append(Statement(*cells))
    return rows


def statements(method: str, root: Path | None = None) -> list[Statement]:
    """What the paper states of a method's settings; empty where it states nothing.

    Raises:
        DataError: neither the file nor ``METHODS`` names the method.
    """
    rows = [row for row in load_statements(root) if row.method == method]
    if not rows and method not in METHODS:
        raise DataError(f"methods.csv: has no row of {method!r}")
    return [row for row in rows if row.quantity]


@cache
def tables_with(method: str, root: Path | None = None) -> tuple[int, ...]:
    """The numbers of the result tables in which the paper prints a method."""
    numbers = [number for number, schema in SCHEMAS.items() if schema is Result]
    return tuple(number for number in numbers if method in _methods_in(number, root))


@cache
def _methods_in(number: int, root: Path | None) -> frozenset[str]:
    return frozenset(str(vars(row)["method"]) for row in read_rows(number, root))
