"""Markdown that several pages share."""

import re
from collections.abc import Iterable, Sequence

from ugradsl_core.methods import METHODS

NOT_RUN_YET = (
    ":::{note}\nNot run yet: no records have been published for this part of the book.\n:::"
)


def list_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A MyST table; a cell may hold any inline Markdown, and ``|`` inside mathematics.

    Args:
        header: one name for each column.
        rows: the cells of each row.
        kind: a CSS class, for example ``numbers`` for columns of numbers after the first.
    """
    lines = [":::{list-table}", ":header-rows: 1"]
    if kind:
        lines.append(f":class: {kind}")
    lines.append("")
    for row in (header, *rows):
        lines += [f"{'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join([*lines, ":::"])


def raw_html(text: str) -> str:
    """HTML as a MyST block."""
    return f"```{{raw}} html\n{text}\n```"


SYMBOL = re.compile(r"(?<![\w&#-])(\d*)(D_r|D_f|D_tr|n_r|n_f|[nNKTEtk])(?![\w-])")


def slug(label: str) -> str:
    """The name of a method in file names and addresses."""
    return label.replace("+", "-plus")


def mathematics(text: str) -> str:
    """``D_r``, ``2n_f``, ``K`` and the like as mathematics."""
    found = SYMBOL.sub(lambda m: f"${m[1]}{m[2]}$", text)
    return found.replace("$·$", "\\,")


def sets(text: str) -> str:
    """``D_r`` and ``D_f`` as mathematics."""
    return re.sub(r"\b(D_r|D_f)\b", r"$\1$", text)


def memory_of(label: str) -> str:
    """What a method keeps besides the model, its gradient and momentum: how much, and what."""
    amount, _, what = METHODS[label].memory.partition(": ")
    return f"{amount} ({what})" if what else amount
