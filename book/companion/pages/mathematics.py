"""Formulas that browsers typeset themselves, where a page is too light for MathJax.

MathJax is a script of two megabytes. A page whose few formulas are simple carries them as MathML;
authors write TeX on it as on any other.
"""

import re
from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.transforms.post_transforms import SphinxPostTransform

LIGHT = ("book/index",)
TAG = re.compile(r"\s*\\tag\{([^}]+)\}")
MATHJAX = ("MathJax", "mathjax")


def native(tex: str, *, display: bool = False) -> str:
    """The HTML of a formula in TeX: MathML, and beside a display the number of its ``\\tag``."""
    tag = TAG.search(tex)
    formula = convert(TAG.sub("", tex), display="block" if display else "inline")
    if not display:
        return formula
    number = f'<span class="formula-number">({tag[1]})</span>' if tag else ""
    return f'<div class="formula">{formula}{number}</div>'


class NativeMath(SphinxPostTransform):
    """Replace the formulas of light pages by MathML."""

    default_priority = 10
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Replace every formula of the page, if it is a light one."""
        if self.env.docname not in LIGHT:
            return
        for kind in (nodes.math, nodes.math_block):
            for formula in list(self.document.findall(kind)):
                text = native(formula.astext(), display=kind is nodes.math_block)
                formula.replace_self(nodes.raw("", text, format="html"))


def without_mathjax(pagename: str, scripts: list[Any]) -> list[Any]:
    """A page's scripts; a light page needs neither MathJax nor its settings."""
    if pagename not in LIGHT:
        return scripts

    def names_it(script: Any) -> bool:
        body = str(getattr(script, "attributes", {}).get("body") or "")
        return any(word in f"{script.filename} {body}" for word in MATHJAX)

    return [script for script in scripts if not names_it(script)]
