"""The order of code and output in a notebook's cells."""

from docutils import nodes
from docutils.utils import new_document

from companion.pages.cells import CodeBelow


def cell(hidden: str, *parts: str) -> nodes.container:
    made = nodes.container(hide_mode=hidden)
    made.extend(nodes.container(nb_element=part) for part in parts)
    return made


def test_folded_code_comes_below_what_it_shows() -> None:
    document = new_document("page")
    shown = "cell_code_output"
    cells = [cell("input", "code", shown), cell("input", "code"), cell("output", "code", shown)]
    document.extend(cells)
    CodeBelow(document).run()
    found = [[part["nb_element"] for part in each] for each in cells]
    assert found == [[shown, "code"], ["code"], ["code", shown]]
