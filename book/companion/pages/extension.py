"""What this book needs from Sphinx beyond its configuration.

* Fragments computed from the paper's tables and from the published records are
  written before any page is read (`companion.pages.fragments`).
* What the comparator loads on demand is written beside the pages.
* MathJax is served by the book itself, so a page asks no other host for anything.
* The live-code scripts, which the book does not use, are left out.
"""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util.fileutil import copy_asset

from companion.pages import comparator, fragments

MATHJAX_PARTS = ("tex-svg.js", "input/tex/extensions")


def write_fragments(app: Sphinx) -> None:
    """Compute the fragments from the tables and records in the tree that is being built."""
    book = Path(app.srcdir) / "book"
    fragments.write(book, book / "_generated")


def drop_live_code_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: object
) -> None:
    """Each page would declare THEBE_JS_URL twice: a syntax error in every console."""
    context["script_files"] = [s for s in context["script_files"] if not _is_live_code(s)]


def _is_live_code(script: Any) -> bool:
    body = getattr(script, "attributes", {}).get("body") or ""
    return "THEBE" in body or "thebe" in str(getattr(script, "filename", None) or "")


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Take MathJax from its package, without the parts that the book does not load."""
    if exception is not None or app.builder.format != "html":
        return
    package = distribution("sphinx-mathjax-offline")
    source = Path(str(package.locate_file("sphinx-mathjax-offline"))) / "static" / "mathjax"
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX_PARTS:
        is_file = (source / part).is_file()
        copy_asset(str(source / part), str((target / part).parent if is_file else target / part))


def write_outputs(app: Sphinx, exception: Exception | None) -> None:
    """Write what the comparator loads on demand: one script for each model."""
    if exception is None and app.builder.format == "html":
        comparator.write_scripts(Path(app.srcdir) / "book" / "results", Path(app.outdir))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect these steps to Sphinx."""
    app.connect("builder-inited", write_fragments)
    app.connect("html-page-context", drop_live_code_scripts, priority=900)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_outputs)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
