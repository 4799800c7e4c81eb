"""Every built page in Chromium: quiet, self-contained, typeset, readable, linked, accessible."""

import os
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import pytest

from serving import HTML
from visits import look_at, opened

READABLE = 4.5
OTHER_SCHEMES = {"http", "https", "mailto", "javascript", "data"}


def test_loads_quietly_and_asks_no_other_host(name, visit, site):
    found = visit(name)
    assert found.complaints == []
    foreign = [url for url in found.requests if not url.startswith((site, "data:", "blob:"))]
    assert foreign == []


def test_mathematics_is_typeset(name, visit):
    found = visit(name).seen["mathematics"]
    assert found["typeset"] == found["sources"]
    assert found["errors"] == []
    assert found["raw"] == []


def test_every_image_is_there_and_has_alternative_text(name, visit):
    for image in visit(name).seen["images"]:
        assert image["loaded"], image
        assert image["alt"], image
        assert image["file"] not in image["alt"], f"a file name describes no image: {image}"
        assert "_images/" not in image["alt"], f"a file name describes no image: {image}"


def test_links_and_anchors_resolve(name, visit, site):
    broken = []
    for link in set(visit(name).seen["links"]):
        if not link.startswith(site):
            assert urlsplit(link).scheme in OTHER_SCHEMES, link
            continue
        address, anchor = urldefrag(link)
        path = HTML / unquote(urlsplit(address).path).lstrip("/")
        path = path / "index.html" if path.is_dir() else path
        if not path.is_file() or (anchor and unquote(anchor) not in identifiers(path)):
            broken.append(link.removeprefix(site))
    assert broken == []


def test_a_phone_shows_it_without_scrolling_sideways(name, visit):
    overflow = visit(name).overflow
    assert overflow["page"] <= 0, overflow
    assert overflow["parts"] == []
    assert overflow["tables"] == [], "a table scrolls sideways"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(name, scheme, visit):
    contrast, text = visit(name).contrast[scheme]
    assert contrast >= READABLE, text


@pytest.mark.parametrize("part", ["structure", "light", "dark"])
def test_axe_objects_to_nothing(name, part, visit):
    """By axe-core's rules: the structure once, one element of each look in either scheme."""
    assert visit(name).violations[part] == []


def test_it_has_a_stamp(name, visit):
    stamp = visit(name).seen["stamp"]
    assert stamp["words"].startswith("Built 20")
    assert "commit" in stamp["words"] or "version control" in stamp["words"]
    if name.startswith("notebooks/"):
        assert "live run took" in stamp["words"] or "committed" in stamp["words"]
        notebook = Path(name).with_suffix(".ipynb").name
        assert any(address.endswith(f"/{notebook}") for address in stamp["links"])
    for address in stamp["links"]:
        if address != "#":  # the page itself
            assert Path(os.path.normpath(HTML / name / ".." / address)).is_file()


def test_formulas_are_no_stops_of_the_tab_key(context, site):
    with opened(context, f"{site}/notebooks/theory_3_theorem_1.html") as (page, _):
        assert page.locator("mjx-container").count() > 50
        stops = page.locator("mjx-container[tabindex='0']")
        for stop in stops.all():  # only what has to be scrolled
            assert stop.evaluate("e => e.scrollWidth > e.clientWidth")


def test_the_root_leads_to_the_book(context, site):
    with opened(context, f"{site}/book/index.html") as (page, _):
        page.goto(f"{site}/index.html")
        page.wait_for_url(f"{site}/book/index.html")


def test_the_theme_can_be_changed(browser, site):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    context = browser.new_context()  # of its own: the choice is stored
    with opened(context, f"{site}/book/index.html") as (page, _):
        found = {}
        for _ in range(3):
            found[look_at(page, "theme")] = page.evaluate(ground)
            page.locator(".theme-switch-button:visible").first.click()
    context.close()
    assert set(found) == {"light", "dark"}
    assert found["light"] != found["dark"]


def test_the_search_finds_a_page(context, site):
    with opened(context, f"{site}/search.html?q=smoothing") as (page, _):
        page.wait_for_selector("#search-results li a")
        assert page.locator("#search-results li a").count() > 2


class _Identifiers(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found |= {value for key, value in attributes if key in {"id", "name"} and value}


@cache
def identifiers(path: Path) -> frozenset[str]:
    """The anchors of a page."""
    if path.suffix != ".html":
        return frozenset()
    parser = _Identifiers()
    parser.feed(path.read_text("utf-8"))
    return frozenset(parser.found)
