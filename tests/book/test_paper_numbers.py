"""The page of the paper's numbers: search, filters, sorting, pages and the download."""

import csv
import io
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

ADDRESS = "book/paper-numbers.html"
SEARCH = "#numbers-search"
ROWS = ".numbers-table tbody tr"


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{site}/{ADDRESS}")
    page.wait_for_selector(ROWS)
    yield page
    context.close()


def column(page: Page, number: int) -> list[str]:
    """What a column shows, counted from 1."""
    return page.locator(f"{ROWS} > :nth-child({number})").all_inner_texts()


def total(page: Page) -> int:
    return int(page.locator(".numbers-count").inner_text().split(" of ")[1])


def test_words_are_searched_together(page: Page) -> None:
    everything = total(page)
    page.fill(SEARCH, "table 10 SVHN ugradsl+")
    assert 0 < total(page) < everything
    assert set(column(page, 4)) == {"10"}
    assert all("SVHN" in setting for setting in column(page, 5))
    page.fill(SEARCH, "nothing has these words")
    assert page.locator(ROWS).count() == 0
    assert "No row" in page.locator(".numbers-count").inner_text()


def test_a_number_is_a_word_of_its_own(page: Page) -> None:
    page.fill(SEARCH, "table 1")
    assert set(column(page, 4)) == {"1"}


def test_lines_can_be_chosen_by_what_the_audit_says(page: Page) -> None:
    page.get_by_label("The audit says").select_option("gap-other-retrain")
    assert set(column(page, 1)) == {"ℓ1-sparse", "RL", "SCRUB", "UGradSL", "UGradSL+"}


def test_filters_add_up(page: Page) -> None:
    page.select_option("#numbers-filter-0", "18")
    whole = total(page)
    page.select_option("#numbers-filter-4", "UGradSL")
    assert 0 < total(page) < whole
    assert set(column(page, 1)) == {"UGradSL"}
    page.select_option("#numbers-filter-4", "")
    assert total(page) == whole


def test_a_column_sorts_by_its_numbers_from_the_keyboard(page: Page) -> None:
    page.select_option("#numbers-filter-0", "1")
    button = page.locator(".numbers-table thead th button", has_text="Avg. Gap")
    button.focus()
    page.keyboard.press("Enter")
    head = page.locator(".numbers-table thead th", has_text="Avg. Gap")
    assert head.get_attribute("aria-sort") == "ascending"
    gaps = [float(text) for text in column(page, 2) if text not in ("", "–")]
    assert gaps == sorted(gaps)
    assert column(page, 2)[-1] == "–"  # what has no number comes last
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    gaps = [float(text) for text in column(page, 2) if text not in ("", "–")]
    assert gaps == sorted(gaps, reverse=True)
    assert column(page, 2)[-1] == "–"


def test_pages_can_be_turned(page: Page) -> None:
    first = page.locator(".numbers-count").inner_text()
    before = page.get_by_role("button", name="Previous")
    assert before.is_disabled()
    page.get_by_role("button", name="Next").click()
    assert page.locator(".numbers-count").inner_text() != first
    before.click()
    assert page.locator(".numbers-count").inner_text() == first


def test_the_lines_shown_can_be_downloaded(page: Page) -> None:
    page.select_option("#numbers-filter-0", "10")
    page.fill(SEARCH, "cifar-10 retrain")
    with page.expect_download() as started:
        page.get_by_text("Download these rows").click()
    with open(started.value.path(), encoding="utf-8") as file:
        rows = list(csv.DictReader(io.StringIO(file.read())))
    assert len(rows) == total(page) == 1
    assert (rows[0]["UA"], rows[0]["UA ±"], rows[0]["Avg. Gap"]) == ("8.07", "0.47", "")


def test_all_numbers_can_be_downloaded(page: Page, site: str) -> None:
    link = page.get_by_text("All result cells in one CSV file").locator("xpath=ancestor::a")
    answer = page.request.get(f"{site}/book/{link.get_attribute('href')}")
    assert answer.ok
    assert answer.text().startswith("table,dataset,paradigm,backbone,method,")


def test_an_address_opens_one_table(browser: Browser, site: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site}/{ADDRESS}#table=12")
    page.wait_for_selector(ROWS)
    assert set(column(page, 4)) == {"12"}
    context.close()


def test_reasons_of_missing_numbers_are_told(page: Page) -> None:
    page.fill(SEARCH, "celeba retrain")
    missing = page.locator(f"{ROWS} td[title]")
    reasons = [cell.get_attribute("title") or "" for cell in missing.all()]
    assert any("not legible" in reason for reason in reasons)
