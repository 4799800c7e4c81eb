"""Write pictures of the built pages: light, dark and as on a phone.

    python tests/book/screenshots.py FOLDER [PAGE …]

A page is a path below `_build/html`, for example `book/index.html`; all pages by default.
"""

import argparse
from pathlib import Path

from playwright.sync_api import Browser

from serving import built_pages, chromium, served

VIEWS = {
    "light": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def picture(browser: Browser, address: str, view: str, target: Path) -> None:
    """One page in one view, from top to bottom, once its mathematics is typeset."""
    context = browser.new_context(**VIEWS[view])
    page = context.new_page()
    page.goto(address, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.screenshot(path=target, full_page=True)
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*")
    parser.add_argument("--views", nargs="*", choices=VIEWS, default=list(VIEWS))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with served() as root, chromium() as browser:
        for name in arguments.pages or built_pages():
            for view in arguments.views:
                stem = name.removesuffix(".html").replace("/", "-")
                picture(browser, f"{root}/{name}", view, arguments.folder / f"{stem}-{view}.png")


if __name__ == "__main__":
    main()
