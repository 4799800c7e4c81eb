"""Figures with a narrow rendering for phones."""

from pathlib import Path
from xml.etree import ElementTree

from companion.figures import style
from companion.pages import landing, pictures

BOOK = Path(__file__).parents[3] / "book"


def test_a_figure_with_a_narrow_rendering_offers_it(tmp_path: Path) -> None:
    sources, images = tmp_path / "sources", tmp_path / "html" / "_images"
    sources.mkdir()
    (sources / "a-narrow.svg").write_text("<svg/>")
    one = '<img alt="A" class="dark-light" src="../_images/a.svg" />'
    two = '<img alt="B" src="../_images/b.svg" />'
    found = pictures.with_narrow(f"<p>{one}{two}</p>", sources, images)
    source = '<source media="(max-width: 600px)" srcset="../_images/a-narrow.svg">'
    assert found == f"<p><picture>{source}{one}</picture>{two}</p>"
    assert (images / "a-narrow.svg").read_text() == "<svg/>"
    assert not (images / "b-narrow.svg").exists()


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
