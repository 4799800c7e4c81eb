"""The built pages behind a loopback port, and a browser to open them with."""

import functools
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from companion.pages.moved import MOVED

HTML = Path(__file__).resolve().parents[2] / "_build" / "html"
REDIRECTS = {"index.html", *(f"{old}.html" for old in MOVED)}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


class _SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def built_pages() -> list[str]:
    """Every page of the built book, as a path below its root, but for those that only redirect."""
    pages = (path.relative_to(HTML) for path in HTML.rglob("*.html"))
    found = (str(page) for page in pages if page.parts[0] not in {"_static", "_sources"})
    return sorted(set(found) - REDIRECTS)


@contextmanager
def served() -> Iterator[str]:
    """Serve the built book; yields its address."""
    handler = functools.partial(_SilentHandler, directory=str(HTML))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without any traffic of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def quiet_page(browser: Browser, width: int, height: int) -> Iterator[Page]:
    """A page of that size, in which no script may fail and no error may be printed."""
    context = browser.new_context(viewport={"width": width, "height": height})
    made = context.new_page()
    made.set_default_timeout(20_000)
    complaints: list[str] = []
    made.on("pageerror", lambda error: complaints.append(str(error)))
    made.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    yield made
    context.close()
    assert complaints == []
