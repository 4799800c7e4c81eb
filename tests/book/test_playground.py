"""The playground of the landing page: driven by mouse, keyboard and link, from a file."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from serving import HTML, quiet_page

ADDRESS = (HTML / "book" / "index.html").as_uri()
PLAYED = "#playground?m=ugradsl+&a=-1&p=0.8&lr=0.05&f=150-169.3&run=20,-0.4,0.9,0.02_15,-1,0.8,0.05"
METRICS = ("UA", "RA", "TA")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with quiet_page(browser, 1280, 900) as made:
        yield made


def opened(page: Page, link: str = "") -> Locator:
    """The playground on the landing page, once its models are trained."""
    page.goto(ADDRESS + link, wait_until="load")
    found = page.locator('.ugs-figure[data-figure="playground"]')
    found.scroll_into_view_if_needed()
    expect(found).to_have_attribute("data-trained", "true")
    return found


def words(found: Locator) -> str:
    return found.locator(".ugs-words").inner_text().replace("\u00a0", " ")


def said(found: Locator) -> dict[str, float]:
    """UA, RA and TA, and the gap, as the sentence has them."""
    text = words(found)
    values = {name: float(re.search(rf"{name} ([\d.]+)", text)[1]) for name in METRICS}  # type: ignore[index]
    return {**values, "gap": float(re.search(r"is ([\d.]+) points", text)[1])}  # type: ignore[index]


def computed(page: Page, params: dict[str, Any], legs: list[dict[str, Any]]) -> dict[str, float]:
    """The state of a run that is taken without the figure."""
    script = """([params, legs]) => {
      const run = window.UGradSLPlayground.init(params);
      for (const {steps, ...rates} of legs) { run.set(rates); run.step(steps); }
      return run.state();
    }"""
    state: dict[str, float] = page.evaluate(script, [params, legs])
    return state


def test_a_step_by_mouse_is_a_step_of_the_method(page: Page) -> None:
    found = opened(page)
    assert "before the first step" in words(found)
    for _ in range(3):
        found.get_by_role("button", name="Step").click()
    assert "step 3," in found.locator(".pg-clock").inner_text()
    assert "UGradSL+ after 3 steps" in words(found)
    expected = computed(page, {}, [{"steps": 3}])
    assert said(found) == pytest.approx({k: expected[k] for k in said(found)}, abs=0.051)
    found.get_by_role("button", name="Reset").click()
    assert "before the first step" in words(found)


def test_it_plays_pauses_and_stops_at_ten_epochs(page: Page) -> None:
    found = opened(page)
    found.get_by_label("GA", exact=True).check()
    found.get_by_role("button", name="Play").click()
    pause = found.get_by_role("button", name="Pause")
    expect(found.locator(".pg-clock")).not_to_have_text(re.compile("step [0-2],"))
    pause.click()
    stopped = found.locator(".pg-clock").inner_text()
    page.wait_for_timeout(400)
    assert found.locator(".pg-clock").inner_text() == stopped
    found.get_by_role("button", name="Play").click()
    expect(found.locator(".pg-clock")).to_have_text("step 40, epoch 10.0 of 10", timeout=30_000)
    expect(pause).to_have_count(0)
    assert said(found)["RA"] < 67
    assert "gap" in found.locator("fieldset label").first.inner_text()


def test_a_slider_moves_by_keyboard_and_the_run_goes_on_with_it(page: Page) -> None:
    found = opened(page)
    step = found.get_by_role("button", name="Step")
    step.click()
    found.get_by_label("smoothing rate α").focus()
    page.keyboard.press("ArrowLeft")
    assert found.locator("output").first.inner_text() == "−0.45"
    found.get_by_label("step size").focus()
    page.keyboard.press("ArrowRight")
    step.click()
    expected = computed(page, {}, [{"steps": 1}, {"steps": 1, "alpha": -0.45, "lr": 0.025}])
    assert said(found) == pytest.approx({k: expected[k] for k in said(found)}, abs=0.051)
    page.wait_for_function("() => location.hash.includes('run=1,-0.4,0.9,0.02_1,-0.45,0.9,0.025')")


def test_methods_say_which_of_the_sliders_they_use(page: Page) -> None:
    found = opened(page)
    used = {}
    for title in ("GA", "NegGrad+", "UGradSL", "UGradSL+", "Retrain"):
        found.get_by_label(title, exact=True).check()
        used[title] = [slider.is_enabled() for slider in found.locator("[type=range]").all()]
    plain, both = [False, False, True], [True, True, True]
    assert used == {
        "GA": plain, "NegGrad+": [False, True, True], "UGradSL": both, "UGradSL+": both,
        "Retrain": plain,
    }  # fmt: skip
    assert "Fresh weights" in words(found)


def test_points_are_marked_by_keyboard(page: Page) -> None:
    found = opened(page)
    points = found.get_by_role("checkbox")
    assert found.locator('[role="checkbox"][tabindex="0"]').count() == 1
    assert points.count() == 170
    marked = found.locator('[aria-checked="true"]')
    assert marked.count() == 20
    first = found.locator('[role="checkbox"][tabindex="0"]')
    first.focus()
    page.keyboard.press("Space")
    assert marked.count() == 19
    assert found.get_by_label("points to forget").input_value() == "own"
    where = "() => document.activeElement.getAttribute('aria-label')"
    before = page.evaluate(where)
    page.keyboard.press("ArrowRight")
    assert page.evaluate(where) != before
    page.keyboard.press("ArrowUp")
    assert "forget the point of class" in page.evaluate(where)
    assert found.locator('[role="checkbox"][tabindex="0"]').count() == 1


def test_points_are_marked_by_mouse_and_the_last_one_stays(page: Page) -> None:
    found = opened(page, "#playground?f=0")
    marked = found.locator('[aria-checked="true"]')
    assert marked.count() == 1
    marked.locator(".pg-mark").click(force=True)
    assert marked.count() == 1
    assert words(found) == "At least one point has to be forgotten."
    found.get_by_role("checkbox").nth(30).locator(".pg-mark").click(force=True)
    assert marked.count() == 2
    assert words(found).startswith("The original model")


def test_a_set_is_chosen_from_the_list(page: Page) -> None:
    found = opened(page)
    found.get_by_label("points to forget").select_option("class")
    assert found.locator('[aria-checked="true"]').count() == 50
    expected = computed(page, {"forget": "class"}, [])
    assert said(found) == pytest.approx({k: expected[k] for k in said(found)}, abs=0.051)


def test_a_link_shows_what_was_seen(page: Page) -> None:
    found = opened(page, PLAYED)
    assert "step 35," in found.locator(".pg-clock").inner_text()
    legs = [{"steps": 20}, {"steps": 15, "alpha": -1, "p": 0.8, "lr": 0.05}]
    expected = computed(page, {"forget": [3, *range(150, 170)]}, legs)
    assert said(found) == pytest.approx({k: expected[k] for k in said(found)}, abs=0.051)
    assert [o.inner_text() for o in found.locator("output").all()] == ["−1.00", "0.80", "0.05"]
    found.get_by_role("button", name="Step").click()
    page.wait_for_function("() => location.hash.includes('_16,-1,0.8,0.05')")
    assert PLAYED.split("&run=", maxsplit=1)[0].replace("150-169.3", "3.150-169") in page.url


@pytest.mark.parametrize(
    "link",
    [
        "#playground?",
        "#playground?m=magic&a=7&p=-1&lr=0&f=900&run=ten",
        "#playground?a=NaN&p=&lr=1e9&f=0-169&run=5,9,9,9",
        "#playground?f=3-&run=-4,0,0,0.1&m",
    ],
)
def test_a_link_without_sense_shows_the_beginning(link: str, page: Page) -> None:
    found = opened(page, link)
    assert "The original model, before the first step" in words(found)
    assert [o.inner_text() for o in found.locator("output").all()] == ["−0.40", "0.90", "0.02"]
    assert found.locator('[aria-checked="true"]').count() == 20


def test_the_address_stays_until_the_figure_is_used(page: Page) -> None:
    opened(page, "#a-short-tour")
    page.wait_for_timeout(400)
    assert page.url.endswith("#a-short-tour")


def test_suggestions_play_what_they_say(page: Page) -> None:
    found = opened(page)
    suggestions = found.locator(".pg-tries button")
    assert suggestions.count() == 5
    suggestions.last.click()
    expect(found.get_by_role("button", name="Pause")).to_be_visible()
    assert found.get_by_label("points to forget").input_value() == "random"
    suggestions.first.click()
    assert found.locator('[value="ga"]').is_checked()
    assert found.get_by_label("points to forget").input_value() == "island"


def test_every_control_has_a_label_and_every_drawing_a_name(page: Page) -> None:
    found = opened(page)
    for control in found.locator("input, select").all():
        assert control.evaluate("e => e.labels.length") == 1
    for drawing in found.locator("svg, canvas").all():
        hidden = drawing.get_attribute("aria-hidden") == "true"
        assert hidden != bool(drawing.get_attribute("aria-label"))
    assert found.locator(".ugs-fallback").count() == 0
    assert found.locator('[aria-live="polite"]').count() == 1


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_cut(width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    found = opened(page)
    for part in found.locator("canvas, svg, button, input, select, dd, dt, p").all():
        box = part.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    chart = found.locator(".pg-chart").bounding_box()
    assert chart is not None
    for text in found.locator(".pg-chart text").all():
        place = text.bounding_box()
        assert place is not None
        assert chart["x"] - 1 <= place["x"]
        assert place["x"] + place["width"] <= chart["x"] + chart["width"] + 1
        assert place["height"] >= 12
    beside = found.locator(".pg-choices").bounding_box()
    plane = found.locator(".pg-plane").bounding_box()
    assert beside is not None
    assert plane is not None
    assert (beside["y"] >= plane["y"] + plane["height"]) == (width < 600)


def test_who_wants_no_motion_sees_the_end_at_once(browser: Browser) -> None:
    context = browser.new_context(reduced_motion="reduce")
    found = opened(context.new_page())
    found.get_by_role("button", name="Play").click()
    assert found.locator(".pg-clock").inner_text() == "step 300, epoch 10.0 of 10"
    assert found.get_by_role("button", name="Pause").count() == 0
    context.close()


def test_the_plane_follows_the_theme(page: Page) -> None:
    found = opened(page)
    corner = """e => [...e.getContext('2d').getImageData(4, 4, 1, 1).data.slice(0, 3)]
      .reduce((sum, part) => sum + part, 0)"""
    seen = {}
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme }", theme)
        page.wait_for_timeout(200)
        seen[theme] = found.locator("canvas").evaluate(corner)
    assert seen["light"] > 1.8 * seen["dark"]


def test_without_javascript_a_sentence_stands_in(browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(ADDRESS, wait_until="load")
    fallback = page.locator('[data-figure="playground"] .ugs-fallback')
    assert "needs JavaScript" in fallback.inner_text()
    context.close()
