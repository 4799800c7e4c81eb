import os
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from serving import CHROMIUM, HTML, built_pages, chromium, served

REQUIRED = os.environ.get("UGRADSL_REQUIRE_BOOK") == "1"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", built_pages() or ["(no page built)"])


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
