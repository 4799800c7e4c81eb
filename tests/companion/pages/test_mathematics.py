"""Formulas as MathML on light pages."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from companion.pages import mathematics

ROOT = Path(__file__).parents[3]
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"


class Script:
    def __init__(self, filename: str | None, **attributes: Any) -> None:
        self.filename, self.attributes = filename, attributes


def test_a_formula_is_well_formed_and_keeps_its_parts() -> None:
    tree = ElementTree.fromstring(mathematics.native(r"\frac{1-K}{K}\,\alpha"))
    assert tree.tag == f"{NAMESPACE}math"
    assert tree.get("display") == "inline"
    (fraction,) = tree.iter(f"{NAMESPACE}mfrac")
    assert ["".join(part.itertext()) for part in fraction] == ["1−K", "K"]
    assert "".join(tree.itertext()).replace("\u2009", "").endswith("α")


def test_a_display_has_its_number_beside_it() -> None:
    tex = "\\begin{align*} a ={}& b \\\\ & + c. \\tag{6} \\end{align*}"
    tree = ElementTree.fromstring(mathematics.native(tex, display=True))
    assert [part.tag for part in tree] == [f"{NAMESPACE}math", "span"]
    assert tree[1].text == "(6)"
    assert len(list(tree.iter(f"{NAMESPACE}mtr"))) == 2
    assert "tag" not in "".join(tree[0].itertext())


def test_without_a_number_there_is_none() -> None:
    assert "formula-number" not in mathematics.native("a = b", display=True)


def test_only_a_light_page_goes_without_mathjax() -> None:
    scripts = [
        Script("_static/a.js"),
        Script(None, body="window.MathJax = {}"),
        Script("_static/mathjax/tex-svg.js", defer="defer"),
        Script(None, body="let a"),
    ]
    (page,) = mathematics.LIGHT
    assert mathematics.without_mathjax(page, scripts) == [scripts[0], scripts[3]]
    assert mathematics.without_mathjax("book/readings", scripts) == scripts


@pytest.mark.parametrize("page", mathematics.LIGHT)
def test_light_pages_are_in_the_book(page: str) -> None:
    assert (ROOT / f"{page}.md").is_file()
