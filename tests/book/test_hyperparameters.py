"""The hyperparameters in one table: filters, search by address, download."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from companion.experiments.settings.preset import SCALES, load_presets

ROWS = ".numbers-table tbody tr"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def total(page: Page) -> int:
    return int(page.locator(".numbers-count").inner_text().split(" of ")[1].replace(",", ""))


def test_the_table_has_every_row_and_filters_add_up(page: Page, site: str) -> None:
    page.goto(f"{site}/book/hyperparameters.html")
    page.wait_for_selector(ROWS)
    entries = [entry for scale in SCALES for entry in load_presets(scale).values()]
    assert total(page) == sum(1 + len(entry["methods"]) for entry in entries)
    page.get_by_label("Scale", exact=True).select_option("bench")
    page.get_by_label("Method", exact=True).select_option("UGradSL+")
    assert total(page) == sum("ugradsl+" in x["methods"] for x in load_presets("bench").values())
    with page.expect_download() as download:
        page.get_by_text("Download these rows as CSV").first.click()
    lines = download.value.path().read_text("utf-8").strip().splitlines()
    assert lines[0] == "Preset,Scale,Method,lr,Epochs,Batch,Others,Where from"
    assert len(lines) == 1 + total(page)


def test_an_address_opens_a_search(page: Page, site: str) -> None:
    page.goto(f"{site}/book/hyperparameters.html#q=svhn salun")
    page.wait_for_selector(ROWS)
    cells = page.locator(f"{ROWS} > :nth-child(3)").all_inner_texts()
    assert set(cells) == {"SalUn"}
