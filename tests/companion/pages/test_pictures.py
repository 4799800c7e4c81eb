"""Figures as a part of their page: text, ink, names, and a rendering for phones."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from companion.figures import style
from companion.figures.theory import Curve, plot
from companion.pages import landing, pictures

BOOK = Path(__file__).parents[3] / "book"
SVG = "{http://www.w3.org/2000/svg}"
IMAGE = '<img alt="{}" class="dark-light" src="../_images/{}.svg" />'


@pytest.fixture(scope="module")
def svg() -> str:
    curves = {"α = −1": Curve([1, 10, 100], [1e-3, 1, 1e3], "ga", "-", "o")}
    return style.to_svg(plot(curves, "rate & more", "distance", xscale="log", yscale="log"))


def test_text_of_a_figure_is_text_in_fonts_that_are_named_once(svg: str) -> None:
    root = ElementTree.fromstring(svg)
    said = {"".join(element.itertext()).strip() for element in root.iter(f"{SVG}text")}
    assert {"α = −1", "rate & more", "distance", "10−3"} <= said
    assert root.attrib["font-family"] == style.FONTS
    assert svg.count("font-family") == 1
    assert svg.startswith("<svg ")
    assert "<style" not in svg  # in a page it would be a rule of the page
    assert root.attrib["stroke-linejoin"] == "round"


def test_figures_become_parts_of_their_page(svg: str, tmp_path: Path) -> None:
    for name in ("a", "b", "b-narrow"):
        (tmp_path / f"{name}.svg").write_text(svg, "utf-8")
    found = {path.name: path for path in tmp_path.iterdir()}
    one, two, lost = IMAGE.format("A &lt; B", "a"), IMAGE.format("B", "b"), IMAGE.format("C", "c")
    body = pictures.inlined(f"<div>{one}{two}{lost}</div>", found.get)
    page = ElementTree.fromstring(body)
    boxes = [span.attrib["class"] for span in page.iter("span")]
    assert boxes == ["drawing", "drawing wide", "drawing narrow"]
    drawings = [span[0] for span in page.iter("span")]
    assert [each.attrib["aria-label"] for each in drawings] == ["A < B", "B", "B"]
    assert all(each.attrib["role"] == "img" for each in drawings)
    assert lost in body  # an image without a file stays
    assert style.INK not in body
    assert "currentcolor" in body
    names = re.findall(r' id="([^"]+)"', body)
    assert len(names) == len(set(names)) > 0
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', body)) == set(names)


def test_labels_are_never_smaller_than_can_be_read(svg: str) -> None:
    (least,) = re.findall(r"--least: (\d+)px", pictures.drawing(svg, "", "x"))
    sizes = [float(size) for size in re.findall(r"<text [^>]*?font-size: ([\d.]+)px", svg)]
    width = 72 * style.WIDTH
    assert min(sizes) * int(least) / width >= pictures.LEAST
    assert min(sizes) * (int(least) - 1) / width < pictures.LEAST
    assert int(least) <= width * 96 / 72  # never wider than it is by itself


def test_the_landing_page_has_one_as_wide_as_a_phone() -> None:
    assert landing.FIGURE.replace(".svg", pictures.NARROW) == landing.NARROW
    sizes = {}
    for draw in (landing.landing_figure, landing.narrow_figure):
        size = ElementTree.fromstring(draw(BOOK)).attrib
        sizes[draw] = [float(size[name].removesuffix("pt")) / 72 for name in ("width", "height")]
    wide, narrow = sizes.values()
    assert abs(narrow[0] - style.NARROW) < 0.01
    assert abs(wide[0] - style.WIDTH) < 0.01
    assert narrow[1] > wide[1]
