import os
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext
from xdist.scheduler import LoadScopeScheduling

from serving import CHROMIUM, HTML, built_pages, chromium, served
from visits import Visit, visited

REQUIRED = os.environ.get("UGRADSL_REQUIRE_BOOK") == "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", built_pages() or ["(no page built)"])


class ByPage(LoadScopeScheduling):
    """All tests of a page in one process, since they share a visit; the others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        page = re.search(r"\[([^\]]+?\.html)", nodeid)
        return page[1] if page else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPage:
    return ByPage(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of one page, one after another."""
    order = {name: number for number, name in enumerate(built_pages(), start=1)}
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
