"""The comparator: its numbers are the records', and mouse, keyboard and link choose models."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from companion.experiments.records.outputs import read_outputs
from companion.experiments.records.summary import PROTOCOL, published, record_label
from companion.files import RESULTS
from serving import HTML, quiet_page

ADDRESS = (HTML / "book" / "comparator.html").as_uri()
PRESET = "cifar10-random10"
PRESETS = sorted(
    path.parent.name.removesuffix("-bench") for path in RESULTS.glob(f"{PROTOCOL}/*-bench/outputs")
)
FOLDER = RESULTS / PROTOCOL / f"{PRESET}-bench" / "outputs"
pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="no outputs are published")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with quiet_page(browser, 390, 800) as made:
        yield made


def opened(page: Page, link: str = "") -> Locator:
    """The comparator from a file, once it shows two models."""
    page.goto(ADDRESS + link, wait_until="load")
    found = page.locator('.ugs-figure[data-figure="comparator"]')
    page.wait_for_selector("[data-shown]")
    return found


def cells(found: Locator, caption: str) -> dict[str, list[str]]:
    """Row → cells of the table with that caption."""
    table = found.locator("table").filter(has=found.page.get_by_text(caption, exact=False))
    rows = table.locator("tbody tr").all()
    return {r.locator("th").inner_text(): r.locator("td").all_inner_texts() for r in rows}


@pytest.mark.parametrize("preset", PRESETS)
def test_accuracies_and_attacks_are_those_of_the_records(preset: str, page: Page) -> None:
    found = opened(page, f"#setting={preset}-bench")
    shown = cells(found, "Accuracies of these outputs")
    records = {(record_label(r), r.seed): r for r in published(preset, "bench")}
    for place, label in enumerate(("retrain", "ugradsl+")):
        metrics = records[label, 0].metrics
        for name in ("UA", "MIA", "RA", "TA", "add_MIA"):
            cell = shown[f"{'additional MIA' if name == 'add_MIA' else name}, %"][place]
            assert cell == f"{metrics[name]:.1f}", (label, name)


def test_the_threshold_moves_by_keyboard_and_the_rates_follow(page: Page) -> None:
    found = opened(page, f"#setting={PRESET}-bench")
    knob = found.locator('input[type="range"]')
    knob.focus()
    before = cells(found, "What the attack says")
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    after = cells(found, "What the attack says")
    assert before != after
    kept = read_outputs(FOLDER / "retrain-0.safetensors").sets
    members = 100 * float((kept["retain"].confidence >= 0.7).mean())
    row = next(value for key, value in after.items() if "true positive" in key)
    assert row[0] == f"{members:.1f} %"
    assert "t=0.70" in page.url


def test_a_link_opens_its_view_and_choices_change_it(page: Page) -> None:
    link = f"#setting={PRESET}-bench&a=original-1&b=retrain--again-1&t=0.25"
    found = opened(page, link)
    assert "Original model, seed 1" in found.locator(".ugc-legend").inner_text()
    assert found.locator("output").inner_text() == "0.25"
    found.locator("select").nth(2).select_option("no-step-0")
    expect(found.locator(".ugc-legend")).to_contain_text("No step, seed 0")
    assert "b=no-step-0" in page.url


def test_nothing_is_wider_than_a_phone_and_every_drawing_has_words(page: Page) -> None:
    found = opened(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for drawing in found.locator("svg").all():
        assert len(drawing.get_attribute("aria-label") or "") > 20


def test_the_scripts_lie_beside_the_pages() -> None:
    scripts = HTML / "_static" / "outputs" / f"{PRESET}-bench"
    assert {p.stem for p in scripts.iterdir()} == {Path(p).stem for p in FOLDER.iterdir()}
