"""The landing page: light, its formulas native, and recorded runs that a keyboard walks through."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from companion.experiments.runs.evidence import load_evidence
from companion.files import RESULTS
from companion.pages.path import PRESET, SCALE
from companion.tables import paths
from serving import HTML, quiet_page

LANDING = "book/index.html"
FIGURE = '.ugs-figure[data-figure="path"]'
MOST_BYTES, MOST_REQUESTS = 1_500_000, 20
RUNS = paths.all_runs(load_evidence(PRESET, SCALE), RESULTS)

needs_runs = pytest.mark.skipif(not RUNS, reason="no recorded runs")


@pytest.fixture(params=[1280, 390], ids=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    with quiet_page(browser, request.param, 844) as made:
        yield made


def test_it_is_light_even_from_a_host_that_compresses_nothing(page: Page, site: str) -> None:
    sizes: dict[str, int] = {}
    page.on(
        "requestfinished",
        lambda request: sizes.update({request.url: request.sizes()["responseBodySize"]}),
    )
    page.goto(f"{site}/{LANDING}", wait_until="networkidle")
    assert len(sizes) <= MOST_REQUESTS, sorted(sizes)
    assert sum(sizes.values()) <= MOST_BYTES, sizes


def test_formulas_are_the_browsers_own_and_read_as_text(page: Page, site: str) -> None:
    page.goto(f"{site}/{LANDING}")
    assert page.evaluate("() => typeof window.MathJax") == "undefined"
    numbers = page.locator(".formula .formula-number").all_inner_texts()
    assert numbers == ["(6)", "(8)"]
    assert page.locator("math").count() > len(numbers)
    assert page.locator(".bd-article .math").count() == 0
    for box in page.locator(".formula math").all():
        size = box.bounding_box()
        assert size is not None
        assert size["height"] > 40


@needs_runs
def test_the_runs_are_those_of_the_records(page: Page, site: str) -> None:
    page.goto(f"{site}/{LANDING}")
    figure = page.locator(f"{FIGURE}[data-ready]")
    options = figure.get_by_label("Runs", exact=True).locator("option").all_inner_texts()
    assert options == [runs.title for runs in RUNS]
    for place, runs in enumerate(RUNS):
        figure.get_by_label("Runs", exact=True).select_option(str(place))
        figure.get_by_label("In the order of").select_option("0")
        slider = figure.locator("input[type=range]")
        slider.press("End")
        nearest = min(runs.rows, key=lambda row: row[-1] or 0)
        said = slider.get_attribute("aria-valuetext") or ""
        assert f"{len(runs.rows)} of {len(runs.rows)}" in said
        assert f"Avg. Gap {nearest[-1]:.1f} points" in said
        assert figure.locator("svg").get_attribute("aria-label") == paths.words(runs)
        assert figure.locator("svg circle").count() == len(runs.rows) + 1


@needs_runs
def test_arrows_go_from_run_to_run_and_words_follow(page: Page, site: str) -> None:
    page.goto(f"{site}/{LANDING}")
    figure = page.locator(f"{FIGURE}[data-ready]")
    slider = figure.locator("input[type=range]")
    slider.focus()
    slider.press("Home")
    first = slider.get_attribute("aria-valuetext")
    slider.press("ArrowRight")
    second = slider.get_attribute("aria-valuetext") or ""
    assert second != first
    about = second.partition(": ")[2]
    words = figure.locator(".ugs-words")
    page.wait_for_function(
        "([e, text]) => e.textContent.startsWith(text)", arg=[words.element_handle(), about]
    )


@needs_runs
def test_without_a_script_there_are_words(browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((HTML / LANDING).as_uri())
    assert page.locator(f"{FIGURE} .ugs-fallback").inner_text() == paths.words(RUNS[0])
    context.close()
