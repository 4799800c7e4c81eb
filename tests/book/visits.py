"""One visit to a built page, from which every test of that page reads what it needs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Page

LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")
VIEWS = ("mathematics", "images", "links", "stamp")
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
DESKTOP = {"width": 1280, "height": 844}
PHONE = {"width": 390, "height": 844}
STRUCTURE = """tags => axe.run(document, {
  runOnly: tags, rules: {"color-contrast": {enabled: false}}, preload: false,
  resultTypes: ["violations"],
}).then((found) => found.violations)"""
COLOURS = """() => {
  axe.configure({rules: [{id: "color-contrast", selector: "[data-probe]"}]});
  const options = {runOnly: {type: "rule", values: ["color-contrast"]}, preload: false};
  return axe.run(document, {...options, resultTypes: ["violations"]})
    .then((found) => found.violations);
}"""


@dataclass
class Visit:
    """What was heard and seen while one page was open.

    ``seen`` holds the views of ``look.js`` at a desktop's width, ``contrast`` the lowest contrast
    in each colour scheme with its text, ``overflow`` what sticks out on a phone and ``violations``
    what axe-core objects to, the colours in either scheme among it.
    """

    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seen: dict[str, Any] = field(default_factory=dict)
    contrast: dict[str, tuple[float, str]] = field(default_factory=dict)
    violations: dict[str, list[str]] = field(default_factory=dict)
    overflow: dict[str, Any] = field(default_factory=dict)


def look_at(page: Page, what: str) -> Any:
    """One view of ``look.js`` on an open page."""
    return page.evaluate(f"() => ({LOOK}).{what}()")


@contextmanager
def opened(context: BrowserContext, address: str) -> Iterator[tuple[Page, Visit]]:
    """A page that has loaded and typeset its mathematics."""
    page, visit = context.new_page(), Visit()

    def complain(kind: str, text: str, wrong: bool = True) -> None:
        if wrong:
            visit.complaints.append(f"{kind}: {text}")

    page.on("request", lambda request: visit.requests.append(request.url))
    page.on("pageerror", lambda error: complain("page error", str(error)))
    page.on("console", lambda m: complain(m.type, m.text, m.type in {"error", "warning"}))
    page.on("response", lambda r: complain(str(r.status), r.url, r.status >= 400))
    page.set_viewport_size(DESKTOP)
    page.emulate_media(color_scheme="light")
    page.goto(address, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    try:
        yield page, visit
    finally:
        page.close()


def visited(context: BrowserContext, address: str) -> Visit:
    """Look at a page in light, in dark and on a phone, and let axe-core judge it."""
    axe = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
    with opened(context, address) as (page, visit):
        page.wait_for_load_state("networkidle")
        visit.seen = {what: look_at(page, what) for what in VIEWS}
        page.add_style_tag(content="* {transition: none !important}")  # or colours lag behind
        page.evaluate(axe)
        visit.violations["structure"] = _worded(page.evaluate(STRUCTURE, list(RULES)))
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.wait_for_function(f"() => document.documentElement.dataset.theme === '{scheme}'")
            visit.contrast[scheme] = look_at(page, "contrast")
            look_at(page, "probes")
            visit.violations[scheme] = _worded(page.evaluate(COLOURS))
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(PHONE)
        page.wait_for_timeout(100)  # figures follow a new width in the next frames
        visit.overflow = look_at(page, "overflow")
    return visit


def _worded(violations: list[dict[str, Any]]) -> list[str]:
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in violations
        for node in rule["nodes"][:3]
    ]
