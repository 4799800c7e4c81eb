"""Figures in the built book: labels that can be read on a phone, and that stay apart."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from companion.pages.numbering import LETTERS
from companion.pages.pictures import LEAST
from serving import HTML, built_pages

WITH_FIGURES = [
    name for name in built_pages() if 'class="drawing' in (HTML / name).read_text("utf-8")
]
LABELS = """() => [...document.querySelectorAll(".drawing text")]
  .filter((e) => e.getClientRects().length && !e.querySelector("tspan"))
  .map((e) => {
    const scale = e.closest("svg").getScreenCTM().a;
    return [e.textContent, scale * parseFloat(getComputedStyle(e).fontSize)];
  })"""
SCROLLERS = """() => [...document.querySelectorAll(".drawing")]
  .filter((e) => e.scrollWidth > e.clientWidth + 1)
  .map((e) => [e.tabIndex, e.getAttribute("aria-label")])"""
# Pairs of labels of a figure that lie over each other by more than the edges of their boxes, and
# labels that are cut off. Formulas are placed glyph by glyph, and their boxes are higher than they.
COLLISIONS = """() => [...document.querySelectorAll(".drawing > svg")].flatMap((svg) => {
  const edge = svg.getBoundingClientRect();
  const boxes = [...svg.querySelectorAll("text")]
    .filter((e) => e.getClientRects().length && !e.querySelector("tspan"))
    .map((e) => [e.textContent.trim(), e.getBoundingClientRect()]);
  const over = (a, b) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > 2 &&
    Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.45 * Math.min(a.height, b.height);
  const cut = boxes.filter(([, b]) => b.left < edge.left - 1 || b.right > edge.right + 1);
  const pairs = boxes.flatMap(([text, a], i) =>
    boxes.slice(i + 1).filter(([, b]) => over(a, b)).map(([other]) => [text, other]));
  return [...pairs, ...cut.map(([text]) => [text, "the edge"])];
})"""


def test_figures_are_numbered_by_part_and_each_number_once() -> None:
    """As in "Fig. R.2", so that the paper's "Figure 6" is none of ours."""
    numbers = [
        number
        for name in built_pages()
        for number in re.findall(
            r'<span class="caption-number">([^<]*)</span>', (HTML / name).read_text("utf-8")
        )
    ]
    if not built_pages():
        pytest.skip("no page built")
    assert len(numbers) > 50
    assert len(set(numbers)) == len(numbers)
    letters = "".join(LETTERS.values())
    assert all(re.fullmatch(rf"Fig\. [{letters}]\.\d+ ", number) for number in numbers)


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    made = context.new_page()
    made.set_default_timeout(20_000)
    yield made
    context.close()


@pytest.mark.parametrize("address", WITH_FIGURES)
def test_labels_can_be_read_on_a_phone(address: str, page: Page, site: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site}/{address}", wait_until="load")
    for text, size in page.evaluate(LABELS):
        assert size >= LEAST - 0.1, text
    page.wait_for_timeout(50)
    for stop, label in page.evaluate(SCROLLERS):
        assert stop == 0
        assert label == "Figure, scrolls sideways"


@pytest.mark.parametrize("address", WITH_FIGURES)
def test_labels_stay_apart_in_any_font(address: str, page: Page, site: str) -> None:
    """Where DejaVu Sans is missing, another one stands in: no label grows into its neighbour."""
    page.set_viewport_size({"width": 1280, "height": 844})
    page.goto(f"{site}/{address}", wait_until="load")
    for fonts in ("DejaVu Sans", "Liberation Sans"):
        page.add_style_tag(content=f".drawing > svg {{font-family: '{fonts}' !important}}")
        assert page.evaluate(COLLISIONS) == []
