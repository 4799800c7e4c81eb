"""Repairs of generated HTML."""

import re

import pandas as pd
from bs4 import BeautifulSoup

from companion.pages.accessible import mend, name_toggles

ARGUMENTS = (
    '<dt>f<span>(</span><dl>\n<dd><em class="sig-param">a</em>,</dd>\n'
    '<dd><em class="sig-param">b</em></dd>\n</dl>\n<span>)</span></dt>'
)
FIELDS = (
    '<dl class="field-list simple">\n<dt>Raises</dt><dd><dl><dt>a</dt><dd>b</dd></dl></dd></dl>'
)


def test_arguments_are_no_definitions_and_definitions_stay() -> None:
    found = mend(ARGUMENTS + FIELDS)
    assert "<dl>\n<dd>" not in found
    assert found.count('<div class="sig-arguments">') == 1
    assert found.count("<div>") == 2
    assert found.endswith(FIELDS)


def test_labels_and_roles_that_mislead_are_dropped() -> None:
    given = '<summary aria-label="Toggle hidden content">Show</summary>'
    entry = '<div role="list" class="citation-list"><div class="citation" role="doc-biblioentry">'
    assert mend(given) == "<summary>Show</summary>"
    assert mend(entry) == '<div class="citation-list"><div class="citation">'


def test_toggles_of_the_sidebar_are_named_after_their_page() -> None:
    tree = '<ul><li><a href="x">API</a><details><summary><i></i></summary></details></li></ul>'
    soup = name_toggles(lambda kind: BeautifulSoup(tree, "html.parser"))("sidebar")
    assert soup.summary["aria-label"] == "Pages below API"
    assert name_toggles(lambda kind: "text")("raw") == "text"


def test_empty_heads_are_cells_and_formulas_have_names() -> None:
    given = '<tr><th scope="col"></th><th class="head"><p>UA</p></th></tr>'
    assert mend(given) == '<tr><td></td><th class="head"><p>UA</p></th></tr>'
    formula = '<th class="head"><p><span class="math notranslate">\\(\\Delta_{x}\\)</span></p></th>'
    found = mend(formula)
    hidden = '<span class="visually-hidden">Delta_ x</span>'
    assert found.count(hidden) == 1
    assert found.replace(hidden, "") == formula


def test_regions_of_one_name_are_numbered() -> None:
    region = '<div role="region" tabindex="0" aria-label="{}"></div>'
    found = mend("".join(region.format(x) for x in "aba"))
    assert found == "".join(region.format(x) for x in ("a", "b", "a (2)"))


def test_heads_of_tables_have_a_scope() -> None:
    given = (
        "<table><thead><tr><th>UA</th></tr></thead>"
        '<tbody><tr><th class="x">GA</th><th scope="rowgroup">b</th></tr></tbody></table>'
    )
    found = BeautifulSoup(mend(given), "html.parser")
    assert [head["scope"] for head in found.find_all("th")] == ["col", "row", "rowgroup"]
    assert found.find("th", class_="x").text == "GA"


def test_a_data_frame_has_one_row_of_heads_and_a_head_in_each_row() -> None:
    index = pd.MultiIndex.from_tuples([("a", 0), ("a", 1), ("b", 0)], names=["method", "seed"])
    table = pd.DataFrame({"UA": [1, 2, 3], "RA": [4, 5, 6]}, index=index).to_html()
    mended = mend(table)
    head, body = mended.split("</thead>")
    assert head.count("<tr") == 1
    assert re.findall(r"<th[^>]*>([^<]*)</th>", head) == ["method", "seed", "UA", "RA"]
    rows = [re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", row) for row in body.split("</tr>")[:-1]]
    assert rows == [["a", "0", "1", "4"], ["a", "1", "2", "5"], ["b", "0", "3", "6"]]
    assert "rowspan" not in mended
    grouped = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_product([["x"], ["y", "z"]]))
    assert mend(grouped.to_html()).split("</thead>")[0].count("<tr") == 2  # both rows say something
