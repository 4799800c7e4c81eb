"""The reference in the built book: inventory, links from code, search, weight."""

import gzip
import zlib
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from companion.pages.reference import api, cli
from serving import HTML

LANDING = "book/index.html"
MEGABYTE = 10**6
WANTED = {
    "API": "book/reference/api.html",
    "licence": "book/cite.html",
    "own model": "book/own-model.html",
    "changelog": "book/reference/changelog.html",
}


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 844})
    yield context.new_page()
    context.close()


def inventory() -> dict[str, str]:
    """Names of Python objects in ``objects.inv``, and where they are."""
    raw = (HTML / "objects.inv").read_bytes().split(b"\n", 4)[4]
    lines = [line.split() for line in zlib.decompress(raw).decode("utf-8").splitlines()]
    return {line[0]: line[3] for line in lines if line[1].startswith("py:")}


def test_the_inventory_has_every_public_object(site: str) -> None:
    found = inventory()
    wanted = {
        f"{module}.{name}"
        for module in api.modules()
        for name in api.own_objects(__import__(module, fromlist=["_"]))
    }
    assert len(wanted) > 150
    assert wanted - set(found) == set()
    assert set(api.exports()) - set(found) == set()
    assert "ugradsl_core.methods.METHODS" in found


def test_words_of_code_lead_to_the_reference(page: Page, site: str) -> None:
    page.goto(f"{site}/book/own-model.html")
    links = page.locator(".bd-article a.code-link")
    targets = {link.get_attribute("href") or "" for link in links.all()}
    assert any(target.endswith("#ugradsl_core.api.unlearn") for target in targets)
    assert page.locator(".bd-article :is(h1, h2, h3, pre) a.code-link").count() == 0


def test_every_command_can_be_linked(page: Page, site: str) -> None:
    page.goto(f"{site}/{cli.PAGE}.html")
    for anchor in cli.anchors().values():
        assert page.locator(f"#{anchor}").count() == 1


@pytest.mark.parametrize("query", WANTED)
def test_the_search_finds_it_among_the_first_three(query: str, page: Page, site: str) -> None:
    page.goto(f"{site}/search.html?q={query}")
    page.wait_for_selector("#search-results li a")
    page.wait_for_timeout(500)  # results come one by one
    first = page.locator("#search-results li > a").evaluate_all("a => a.map(x => x.href)")[:3]
    assert any(WANTED[query] in address for address in first), first


def test_the_landing_page_is_light(page: Page, site: str) -> None:
    """Its requests, and their bytes as a host sends them that compresses text."""
    sizes = {}

    def weigh(response) -> None:
        body = response.body()
        text = not response.url.endswith((".woff2", ".woff", ".png"))
        sizes[response.url] = len(gzip.compress(body)) if text else len(body)

    page.on("response", weigh)
    page.goto(f"{site}/{LANDING}", wait_until="networkidle")
    assert len(sizes) <= 20, sorted(sizes)
    assert sum(sizes.values()) <= 1.5 * MEGABYTE, sizes
    assert all(url.startswith((site, "data:")) for url in sizes)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_ink_of_figures_can_be_read(scheme: str, browser: Browser, site: str) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.goto(f"{site}/notebooks/random_forgetting.html")
    label = page.locator(".drawing text").first
    ink, brightness, paper = label.evaluate(
        "e => [getComputedStyle(e).fill, getComputedStyle(e.closest('svg')).filter,"
        " getComputedStyle(document.body).backgroundColor]"
    )
    context.close()
    factor = float(brightness.removeprefix("brightness(").rstrip(")"))
    assert contrast([factor * part for part in rgb(ink)], rgb(paper)) >= 4.5


def rgb(colour: str) -> list[float]:
    """The parts of ``rgb(…)``."""
    return [float(x) for x in colour[colour.index("(") + 1 : -1].split(",")[:3]]


def contrast(first: list[float], second: list[float]) -> float:
    """Of two colours, WCAG 2."""

    def luminance(colour: list[float]) -> float:
        linear = [
            v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
            for v in (min(x, 255) / 255 for x in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, (first, second)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(
    "address", ["notebooks/random_forgetting.html", "book/leaderboard.html", LANDING]
)
def test_printed_pages_are_whole(address: str, page: Page, site: str) -> None:
    page.set_viewport_size({"width": 690, "height": 980})  # A4 less its margins
    page.emulate_media(media="print")
    page.goto(f"{site}/{address}", wait_until="networkidle")
    cut = page.evaluate(
        """() => [...document.querySelectorAll(".bd-article :is(table, pre)")]
          .filter((e) => e.getClientRects().length)
          .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 2)
          .map((e) => e.outerHTML.slice(0, 200))"""
    )
    assert cut == []
    for button in ("prev-next-footer", "copybtn", "headerlink", "numbers-controls"):
        shown = f"() => [...document.querySelectorAll('.{button}')].some(e => e.offsetHeight > 0)"
        assert not page.evaluate(shown), button
