"""axe-core on every page, in light and in dark: no violation but those named here."""

from importlib.resources import files

import pytest
from playwright.sync_api import Browser

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that the package brings: nothing is loaded from anywhere else."""
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violations(name: str, scheme: str, browser: Browser, site: str, axe: str) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{site}/{name}", wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    page.evaluate(axe)
    found = page.evaluate(
        "tags => axe.run(document, {runOnly: tags, resultTypes: ['violations']})", list(RULES)
    )
    context.close()
    assert [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found["violations"]
        for node in rule["nodes"][:3]
    ] == []


def test_formulas_are_no_stops_of_the_tab_key(browser: Browser, site: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/notebooks/theory_3_theorem_1.html", wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")
    assert page.locator("mjx-container").count() > 50
    stops = page.locator("mjx-container[tabindex='0']")
    for stop in stops.all():  # only what has to be scrolled
        assert stop.evaluate("e => e.scrollWidth > e.clientWidth")
    context.close()
