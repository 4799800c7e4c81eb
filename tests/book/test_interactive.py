"""Interactive figures of the theory: their formulas are Python's, and they need no server."""

import math
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page

from companion.experiments.records.summary import published
from companion.theory.privacy import alpha_domain, best_prediction, label_ldp_epsilon
from serving import HTML
from ugradsl_core.errors import ConfigError
from ugradsl_core.smoothing import gls_labels

PAGES = {
    "gls": "notebooks/theory_4_smoothing.html",
    "label-ldp": "notebooks/theory_6_label_ldp.html",
    "landscape": "notebooks/theory_8_landscape.html",
}


@pytest.fixture(params=PAGES)
def figure(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    made = context.new_page()
    made.set_default_timeout(10_000)
    yield made
    context.close()


def opened(page: Page, name: str) -> Locator:
    """The figure on its page, which is opened as a file and not through a server."""
    page.goto((HTML / PAGES[name]).as_uri(), wait_until="load")
    found = page.locator(f'.ugs-figure[data-figure="{name}"][data-ready="true"]')
    found.wait_for()
    return found


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def epsilon(alpha: float, gamma1: float, gamma2: float, k: int) -> float:
    try:
        return label_ldp_epsilon(alpha, gamma1, gamma2, k)
    except ConfigError:
        return math.nan


def test_epsilon_in_the_page_is_pythons(page: Page) -> None:
    opened(page, "label-ldp")
    grid = [
        [alpha, gamma1, gamma2, k]
        for gamma1, gamma2 in ((2.0, 1.0), (1.01, 1.0), (9.5, 0.5), (1.0, 1.0), (0.5, 1.0))
        for k in (2, 3, 10, 100)
        for alpha in (-200.0, -18.0, -4.0, -1.1, -1.0, -0.4, -0.01, -1e-6, 0.0, 0.3)
    ]
    found = page.evaluate(
        "grid => grid.map(row => { const v = UGS.labelLdpEpsilon(...row);"
        " return Number.isNaN(v) ? null : v; })",
        grid,
    )
    expected = [epsilon(*row) for row in grid]
    for row, ours, theirs in zip(grid, expected, found, strict=True):
        assert (theirs is None) == math.isnan(ours), row
        if theirs is not None:
            assert theirs == pytest.approx(ours, rel=1e-12, abs=1e-12), row
    assert 0 < sum(map(math.isnan, expected)) < len(expected)


def test_domain_and_prediction_in_the_page_are_pythons(page: Page) -> None:
    opened(page, "label-ldp")
    lowest = page.evaluate("() => UGS.lowestAlpha(3, 2, 10)")
    assert lowest == pytest.approx(alpha_domain(3, 2, 10)[0], rel=1e-12)
    own, other = page.evaluate("() => UGS.bestPrediction(-0.3, 3, 2, 10)")
    expected = best_prediction(-0.3, 3, 2, 10)
    assert own == pytest.approx(float(expected[0, 0]), rel=1e-12)
    assert other == pytest.approx(float(expected[0, 1]), rel=1e-12)


def test_labels_and_ascent_in_the_page_are_pythons(page: Page) -> None:
    import torch

    opened(page, "gls")
    for alpha in (-2.0, -0.4, 0.0, 1.0):
        for k in (2, 10, 20):
            rate = torch.tensor([alpha], dtype=torch.float64)
            label = gls_labels(torch.tensor([0]), rate, k)[0]
            entries = page.evaluate("([a, k]) => UGS.glsLabel(a, k)", [alpha, k])
            assert entries == pytest.approx(label[:2].tolist(), abs=1e-12)
            p = torch.full((k,), 0.1 / (k - 1), dtype=torch.float64)
            p[0] = 0.9
            push = p - label
            found = page.evaluate("([a, k]) => UGS.ascent(a, k, 0.9)", [alpha, k])
            assert found == pytest.approx(push[:2].tolist(), abs=1e-12)
            length = page.evaluate("([d, k]) => UGS.lengthOf(d, k)", [found, k])
            assert length == pytest.approx(float(push.norm()), abs=1e-12)


def test_the_slider_moves_by_keyboard_and_the_words_follow(page: Page) -> None:
    found = opened(page, "label-ldp")
    words = found.locator(".ugs-words")
    values = dict(zip(("ratio", "k", "alpha"), found.locator("output").all(), strict=True))
    found.locator("input").nth(2).focus()
    before = words.inner_text()
    page.keyboard.press("ArrowLeft")
    assert words.inner_text() != before
    ratio, k, alpha = (number(values[name].inner_text()) for name in ("ratio", "k", "alpha"))
    expected = label_ldp_epsilon(alpha, ratio, 1, int(k))
    assert words.inner_text().startswith(f"ε = {expected:.2f}.")
    page.keyboard.press("Home")
    assert "outside" in words.inner_text()


def test_every_control_has_a_label_and_every_drawing_a_description(figure: str, page: Page) -> None:
    found = opened(page, figure)
    inputs = found.locator("input")
    assert inputs.count() >= 3
    for control in inputs.all():
        assert control.evaluate("e => e.labels.length") == 1
    for drawing in found.locator("svg").all():
        assert drawing.get_attribute("aria-label")
    assert found.locator(".ugs-fallback").count() == 0
    assert found.get_attribute("aria-label")


def test_every_control_changes_the_figure(figure: str, page: Page) -> None:
    found = opened(page, figure)
    for control in found.locator("input").all():
        before = found.inner_html()
        if control.get_attribute("type") == "checkbox":
            control.click()
        else:
            control.focus()
            page.keyboard.press("ArrowLeft" if at_its_end(control) else "ArrowRight")
        assert found.inner_html() != before, control.get_attribute("id")


def at_its_end(control: Locator) -> bool:
    return bool(control.evaluate("e => Number(e.value) + Number(e.step) > Number(e.max)"))


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_it_fits_its_page_and_keeps_its_text_size(figure: str, width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    found = opened(page, figure)
    for drawing in found.locator("svg").all():
        box = drawing.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        inside = drawing.locator("text")
        for text in inside.all():
            place = text.bounding_box()
            assert place is not None
            assert place["x"] >= box["x"] - 1
            assert place["x"] + place["width"] <= box["x"] + box["width"] + 1
            assert place["height"] >= 12


def test_the_surface_reads_the_published_plane(page: Page) -> None:
    (record,) = published("cifar10-random10", "bench-landscape")
    found = opened(page, "landscape")
    words = found.locator(".ugs-words")
    assert f"{record.metrics['loss']:.4f}" in words.inner_text()
    found.get_by_label("step along d₁").focus()
    page.keyboard.press("End")
    middle = len(record.metrics["coordinates"]) // 2
    assert f"{record.metrics['plane'][middle][-1]:.4f}" in words.inner_text()


def test_the_address_keeps_the_state_of_a_figure(figure: str, page: Page) -> None:
    found = opened(page, figure)
    before = states(found)
    for control in found.locator("input[type=range]").all():
        control.focus()
        page.keyboard.press("ArrowLeft" if at_its_end(control) else "ArrowRight")
    page.wait_for_function("name => location.hash.startsWith(`#${name}?`)", arg=figure)
    page.wait_for_timeout(400)
    after, link = states(found), page.url
    assert after != before
    page.goto("about:blank")
    page.goto(link, wait_until="load")
    again = page.locator(f'.ugs-figure[data-figure="{figure}"][data-ready="true"]')
    again.wait_for()
    assert states(again) == after


def states(figure: Locator) -> list[str]:
    """The places of its controls, and what its drawings say of themselves."""
    places = [control.input_value() for control in figure.locator("input[type=range]").all()]
    drawings = [str(svg.get_attribute("aria-label")) for svg in figure.locator("svg").all()]
    return [*places, *drawings]


@pytest.mark.parametrize("query", ["alpha=", "alpha=x&K=ten", "nothing=1", ""])
def test_an_address_that_says_nothing_changes_nothing(query: str, page: Page) -> None:
    before = states(opened(page, "gls"))
    page.goto("about:blank")
    page.goto(f"{(HTML / PAGES['gls']).as_uri()}#gls?{query}", wait_until="load")
    found = page.locator('.ugs-figure[data-figure="gls"][data-ready="true"]')
    found.wait_for()
    assert states(found) == before


def test_turning_the_surface_is_said(page: Page) -> None:
    found = opened(page, "landscape")
    words = found.locator(".ugs-words")
    before = words.inner_text()
    found.get_by_label("turn (degrees)").focus()
    page.keyboard.press("ArrowRight")
    assert words.inner_text() != before
    assert "Turned by 40 degrees" in words.inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_words_can_be_read(figure: str, scheme: str, browser: Browser) -> None:
    context = browser.new_context(color_scheme=scheme)
    found = opened(context.new_page(), figure)
    ink, paper = found.locator(".ugs-words").evaluate(
        "e => [getComputedStyle(e).color, getComputedStyle(document.body).backgroundColor]"
    )
    context.close()
    assert abs(luminance(ink) - luminance(paper)) > 0.4


def luminance(colour: str) -> float:
    """Roughly, of ``rgb(…)``: between 0 and 1."""
    parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


def test_without_javascript_a_sentence_stands_in(figure: str, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((HTML / PAGES[figure]).as_uri(), wait_until="load")
    assert "other figures of this page" in page.locator(".ugs-fallback").inner_text()
    context.close()
