"""Every built page, opened in Chromium: quiet, self-contained, typeset, readable, linked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from playwright.sync_api import Browser, Page

from serving import HTML

LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")
VIEWS = ("mathematics", "images", "links", "overflow", "contrast", "theme")
READABLE = 4.5
OTHER_SCHEMES = {"http", "https", "mailto", "javascript", "data"}


def look_at(page: Page, what: str) -> Any:
    """One view of `look.js` on an open page."""
    return page.evaluate(f"() => ({LOOK}).{what}()")


@dataclass
class Visit:
    """What was heard and seen while one page was open."""

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)


@contextmanager
def opened(browser: Browser, address: str, width: int, scheme: str) -> Iterator[tuple[Page, Visit]]:
    """A page that has loaded and typeset its mathematics."""
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page, visit = context.new_page(), Visit()

    def complain(kind: str, text: str, wrong: bool = True) -> None:
        if wrong:
            visit.complaints.append(f"{kind}: {text}")

    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("pageerror", lambda error: complain("page error", str(error)))
    page.on("console", lambda m: complain(m.type, m.text, m.type in {"error", "warning"}))
    page.on("response", lambda r: complain(str(r.status), r.url, r.status >= 400))
    page.goto(address, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    try:
        yield page, visit
    finally:
        context.close()


@pytest.fixture(scope="session")
def visit(browser: Browser, site: str):
    @cache
    def look(name: str, width: int = 1280, scheme: str = "light") -> Visit:
        with opened(browser, f"{site}/{name}", width, scheme) as (page, visit):
            page.wait_for_load_state("networkidle")
            visit.seen = {what: look_at(page, what) for what in VIEWS}
        return visit

    return look


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
    overflow = visit(name, width=390).seen["overflow"]
    assert overflow["page"] <= 0, overflow
    assert overflow["parts"] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(name, scheme, visit):
    seen = visit(name, scheme=scheme).seen
    contrast, text = seen["contrast"]
    assert seen["theme"] == scheme
    assert contrast >= READABLE, text


def test_the_root_leads_to_the_book(browser, site):
    with opened(browser, f"{site}/book/index.html", 1280, "light") as (page, _):
        page.goto(f"{site}/index.html")
        page.wait_for_url(f"{site}/book/index.html")


def test_the_theme_can_be_changed(browser, site):
    ground = "() => getComputedStyle(document.body).backgroundColor"
    with opened(browser, f"{site}/book/index.html", 1280, "light") as (page, _):
        found = {}
        for _ in range(3):
            found[look_at(page, "theme")] = page.evaluate(ground)
            page.locator(".theme-switch-button:visible").first.click()
    assert set(found) == {"light", "dark"}
    assert found["light"] != found["dark"]


def test_the_search_finds_a_page(browser, site):
    with opened(browser, f"{site}/search.html?q=smoothing", 1280, "light") as (page, _):
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
