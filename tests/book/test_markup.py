"""Identifiers, titles, descriptions, the order of styles, and colours of the indices."""

import re
from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from serving import HTML, built_pages, quiet_page

LOOK = (Path(__file__).parent / "look.js").read_text("utf-8").rstrip().rstrip(";")
INDICES = ("py-modindex.html", "genindex.html", "search.html?q=unlearn")


@pytest.fixture(scope="module")
def pages(site: str) -> dict[str, str]:
    return {name: (HTML / name).read_text("utf-8") for name in built_pages()}


def test_an_identifier_is_there_once(pages: dict[str, str]) -> None:
    twice = {
        name: found
        for name, text in pages.items()
        if (found := [x for x, n in Counter(re.findall(r'\sid="([^"]+)"', text)).items() if n > 1])
    }
    assert twice == {}


def test_titles_are_plain_and_the_viewport_is_said_once(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        (title,) = re.findall(r"<title>(.*?)</title>", text, re.DOTALL)
        assert not re.search(r"[\\$]", title), name
        assert text.count('name="viewport"') == 1, name


def test_pages_of_the_book_describe_themselves(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        if name.startswith(("book/", "notebooks/")):
            found = re.findall(r'<meta name="description" content="([^"]+)"', text)
            assert len(found) == 1, name
            assert len(found[0]) >= 20, name


def test_styles_of_the_book_come_after_those_of_extensions(pages: dict[str, str]) -> None:
    (bundle,) = re.findall(r"_static/(bundle-\w+\.css)", pages["book/index.html"])
    text = (HTML / "_static" / bundle).read_text("utf-8")
    own, extension = text.index("/* companion.css */"), text.index("/* sphinx-design.min.css */")
    assert extension < own


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_indices_can_be_read(scheme: str, browser: Browser, site: str) -> None:
    with quiet_page(browser, 1280, 844) as page:
        page.emulate_media(color_scheme=scheme)
        for name in INDICES:
            page.goto(f"{site}/{name}")
            worst, text = page.evaluate(f"() => ({LOOK}).contrast()")
            assert worst >= 4.5, (name, text)


def test_cells_of_the_hyperparameters_wrap(browser: Browser, site: str) -> None:
    with quiet_page(browser, 390, 844) as page:
        page.goto(f"{site}/book/hyperparameters.html")
        page.wait_for_selector("#all-presets .numbers-table tbody tr")
        found = page.evaluate(f"() => ({LOOK}).overflow()")
        assert found == {"page": 0, "parts": [], "tables": []}
