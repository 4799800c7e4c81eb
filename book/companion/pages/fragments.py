"""Fragments of pages that are computed, not typed: tables of the paper, records, versions.

Before the book is built, ``write`` turns each entry of ``FRAGMENTS`` into a file that a page
includes. To add a fragment, write a function from the book's folder to Markdown, add it to
``FRAGMENTS`` under a file name, and put ``{include} _generated/<file name>`` into a page.
"""

from collections.abc import Callable
from pathlib import Path

from companion.figures import interactive
from companion.pages import (
    answer,
    backbones,
    cards,
    claims,
    comparator,
    data,
    gpu,
    landing,
    leaderboard,
    measurements,
    methods,
    numbers,
    path,
    presets,
    readings,
    scale,
    status,
    which_method,
)
from companion.pages.markdown import raw_html
from companion.pages.reference import api, cli
from companion.pages.status import notation, status_records, status_versions

Fragment = Callable[[Path], str]


def write(book: Path, target: Path) -> None:
    """Write every fragment into ``target``; a file whose text has not changed is not touched.

    Args:
        book: the book's folder, with ``paper/`` and ``results/`` in it.
        target: the folder of the fragments, created if missing.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file_name, fragment in FRAGMENTS.items():
        text = fragment(book).rstrip() + "\n"
        path = target / file_name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def playground(_: Path) -> str:
    """The interactive figure of the landing page."""
    return raw_html(interactive.playground())


FRAGMENTS: dict[str, Fragment] = {
    "landing.md": landing.landing,
    landing.FIGURE: landing.landing_figure,
    landing.NARROW: landing.narrow_figure,
    "playground.md": playground,
    "notation.md": notation,
    "status-versions.md": status_versions,
    "status-records.md": status_records,
    **answer.FRAGMENTS,
    **backbones.FRAGMENTS,
    **claims.FRAGMENTS,
    **comparator.FRAGMENTS,
    **data.FRAGMENTS,
    **numbers.FRAGMENTS,
    **path.FRAGMENTS,
    **presets.FRAGMENTS,
    **readings.FRAGMENTS,
    **leaderboard.FRAGMENTS,
    **gpu.FRAGMENTS,
    **scale.FRAGMENTS,
    **measurements.FRAGMENTS,
    **cards.FRAGMENTS,
    **methods.FRAGMENTS,
    **status.FRAGMENTS,
    **api.FRAGMENTS,
    **cli.FRAGMENTS,
    **which_method.FRAGMENTS,
}
