"""The references of a page in full: what its text cites, from ``references.bib``."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from ugradsl_core.errors import DataError

_CITE = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")


def cited_keys(text: str) -> list[str]:
    """The keys that a MyST text cites, in order, each once."""
    keys = (key.strip() for group in _CITE.findall(text) for key in group.split(","))
    return list(dict.fromkeys(keys))


def references(page: str, book: Path) -> str:
    """A list of the entries that a page of the book cites.

    Args:
        page: its path below ``book``.
        book: the book's folder.

    Raises:
        DataError: a key is not in ``references.bib``.
    """
    entries = _entries(book / "references.bib")
    keys = cited_keys((book / page).read_text("utf-8"))
    unknown = [key for key in keys if key not in entries]
    if unknown:
        raise DataError(f"{page}: cites {unknown[0]!r}, which references.bib does not have")
    items = "".join(f"<li>{text}</li>\n" for text in sorted(entries[key] for key in keys))
    return f'```{{raw}} html\n<ul class="references">\n{items}</ul>\n```'


@cache
def _entries(path: Path) -> dict[str, str]:
    """Every entry of a BibTeX file as HTML."""
    from pybtex.database import parse_file  # type: ignore[import-untyped]
    from pybtex.plugin import find_plugin  # type: ignore[import-untyped]

    style: Any = find_plugin("pybtex.style.formatting", "plain")()
    data = parse_file(str(path))
    formatted = style.format_entries(list(data.entries.values()))
    return {entry.key: entry.text.render_as("html").replace("\n", " ") for entry in formatted}
