import os
from collections.abc import Callable, Iterator
from functools import lru_cache

import pytest
from playwright.sync_api import Browser, BrowserContext

from serving import CHROMIUM, HTML, built_pages, chromium, served
from visits import Visit, visited

REQUIRED = os.environ.get("UGRADSL_REQUIRE_BOOK") == "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", built_pages() or ["(no page built)"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep all tests of one page in one process, one after another: they share a visit."""
    order = {name: number for number, name in enumerate(built_pages(), start=1)}
    for item in items:
        if _page_of(item) in order:
            item.add_marker(pytest.mark.xdist_group(_page_of(item)))
    items.sort(key=lambda item: order.get(_page_of(item), 0))


def _page_of(item: pytest.Item) -> str:
    return str(getattr(item, "callspec", None) and item.callspec.params.get("name"))


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the built book; without a book or a browser, skip, or fail in CI."""
    missing = []
    if not built_pages():
        missing.append(f"no pages in {HTML}: run `make book` first")
    if CHROMIUM is None:
        missing.append("no chromium on the PATH")
    if missing:
        (pytest.fail if REQUIRED else pytest.skip)("; ".join(missing))
    with served() as address:
        yield address


@pytest.fixture(scope="session")
def bare_browser() -> Iterator[Browser]:
    """Chromium for scripts that need no built book; one a process, as Playwright wants it."""
    if CHROMIUM is None:
        (pytest.fail if REQUIRED else pytest.skip)("no chromium on the PATH")
    with chromium() as started:
        yield started


@pytest.fixture(scope="session")
def browser(site: str, bare_browser: Browser) -> Browser:
    return bare_browser


@pytest.fixture(scope="session")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """What all visits share, so that a script of the theme is fetched and compiled once."""
    made = browser.new_context()
    yield made
    made.close()


@pytest.fixture(scope="session")
def visit(context: BrowserContext, site: str) -> Callable[[str], Visit]:
    """The visit to a page of that name, which its tests share."""
    return lru_cache(maxsize=2)(lambda name: visited(context, f"{site}/{name}"))
