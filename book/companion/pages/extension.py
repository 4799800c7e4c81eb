"""What this book needs from Sphinx beyond its configuration.

* Fragments computed from the paper's tables and from the published records are
  written before any page is read (`companion.pages.fragments`).
* What the comparator loads on demand, and the records that can be downloaded, are written beside
  the pages.
* MathJax is served by the book itself, so a page asks no other host for anything.
* The scripts and styles that the book does not use are left out; the others are joined
  (`companion.pages.bundles`).
* A light page has its formulas as MathML instead (`companion.pages.mathematics`).
* The core's docstrings become API pages, and `code` words link to them
  (`companion.pages.reference`).
* Figures are numbered by part (`companion.pages.numbering`).
* Folded code comes below what it shows (`companion.pages.cells`).
* Figures become a part of their page (`companion.pages.pictures`).
* A page that has moved is found at its old address (`companion.pages.moved`).
* Every page carries its stamp (`companion.pages.stamp`), and what the theme leaves inaccessible
  is mended (`companion.pages.accessible`).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

from myst_nb.sphinx_ext import add_global_html_resources
from sphinx.application import Sphinx
from sphinx.builders.html._assets import _CascadingStyleSheet, _JavaScript
from sphinx.util.fileutil import copy_asset

from companion.experiments.records.summary import published_settings
from companion.experiments.runs.evidence import load_evidence
from companion.pages import (
    accessible,
    bundles,
    cells,
    comparator,
    fragments,
    head,
    mathematics,
    moved,
    numbering,
    pictures,
)
from companion.pages.reference import api, links
from companion.pages.stamp import stamp_of
from companion.tables import sources

MATHJAX_PARTS = ("tex-svg.js", "input/tex/extensions")


def write_fragments(app: Sphinx) -> None:
    """Compute the fragments from the tables and records in the tree that is being built."""
    book = Path(app.srcdir) / "book"
    fragments.write(book, book / "_generated")


def write_notebook_styles(app: Sphinx) -> None:
    """Write MyST-NB's style sheet before the pages, which join it: it would come after them."""
    (Path(app.outdir) / "_static").mkdir(parents=True, exist_ok=True)
    add_global_html_resources(app, None)


def shape_page(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Join the page's scripts and styles, stamp it, take figures into its body and mend that."""
    static = Path(app.outdir) / "_static"
    context["script_files"] = mathematics.without_mathjax(pagename, context["script_files"])
    for kind, make in (("css_files", _CascadingStyleSheet), ("script_files", _JavaScript)):
        context[kind] = bundles.bundled(context[kind], static, make)
    context["metatags"] = head.without_viewport(context.get("metatags", ""))
    context["description"] = head.description(doctree)
    context["stamp"] = stamp_of(pagename, Path(app.srcdir))
    context["generate_toctree_html"] = accessible.name_toggles(context["generate_toctree_html"])
    if "body" in context:
        context["body"] = accessible.mend(pictures.inlined(context["body"], images_of(app)))


def images_of(app: Sphinx) -> Callable[[str], Path | None]:
    """The file behind an image of the built book, by its name there."""
    source = Path(app.srcdir)
    known = {name: source / path for path, (_, name) in app.env.images.items()}

    def find(name: str) -> Path | None:
        path = known.get(name, source / "book" / "_generated" / name)
        return path if path.is_file() else None

    return find


def drop_images(app: Sphinx, exception: Exception | None) -> None:
    """Remove the copies of figures that are a part of their page now."""
    if exception is None and app.builder.format == "html":
        for path in (Path(app.outdir) / "_images").glob("*.svg"):
            path.unlink()


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


def write_records(app: Sphinx, exception: Exception | None) -> None:
    """Write the campaign's records of each setting as files to download, CSV and JSONL."""
    if exception is not None or app.builder.format != "html":
        return
    target, root = Path(app.outdir) / sources.RECORDS, Path(app.srcdir) / "book" / "results"
    target.mkdir(exist_ok=True)
    for name, scale, _ in published_settings(root):  # none before the campaign
        evidence = load_evidence(name, scale, root)
        for kind in sources.KINDS:
            for file, text in sources.record_files(*sources.published_set(evidence, kind)).items():
                (target / file).write_text(text, encoding="utf-8")


def write_moved(app: Sphinx, exception: Exception | None) -> None:
    """Lead from the old addresses of pages to the new ones."""
    if exception is None and app.builder.format == "html":
        moved.write(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect these steps to Sphinx."""
    # This extension of the table of contents does not say whether pages may be read side by side,
    # so Sphinx assumes not. It numbers sections after all are read, and here it has none to number.
    app.extensions["sphinx_multitoc_numbering"].parallel_read_safe = True
    app.connect("builder-inited", write_fragments)
    app.connect("builder-inited", write_notebook_styles)
    app.connect("html-page-context", shape_page, priority=900)
    app.connect("autodoc-process-docstring", api.show_fields, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", api.short_signature)
    app.connect("env-updated", links.add_exports)
    app.connect("env-get-updated", numbering.number_figures, priority=900)  # after Sphinx
    app.connect("missing-reference", links.resolve)
    app.add_post_transform(links.LinkCode)
    app.add_post_transform(mathematics.NativeMath)
    app.add_post_transform(cells.CodeBelow)
    app.connect("build-finished", copy_mathjax)
    app.connect("build-finished", write_outputs)
    app.connect("build-finished", write_records)
    app.connect("build-finished", drop_images)
    app.connect("build-finished", write_moved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
