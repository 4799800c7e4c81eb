"""The tables' script on made-up tables: cards on a phone, sorting, filters and downloads."""

import csv
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Browser, Page

from companion.tables.html import Cell, to_html

STATIC = Path(__file__).parents[2] / "book" / "_static"
HEADER = ["Method", "Avg. Gap", "Setting", "UA, %", "MIA, %", "RA, %", "TA, %", "additional MIA, %"]
ROWS: list[list[Cell]] = [
    ["GA", "10.50 ± 1.00", ("one", "transferred")],
    ["FT", "9.25 ± 0.10", "two"],
    ["Retrain", "–", "one"],
    ["SalUn", ("2.00 ± 0.20", "1 diverged"), "two"],
]


def html() -> str:
    rows = [[*row, *["50.0 ± 0.0"] * 5] for row in ROWS]
    data = pd.DataFrame({"label": [row[0] for row in ROWS], "note": ["a,b", "", "", "Δ"]})
    table = to_html(HEADER, rows, "Made up. For a test.", data, "all.csv")
    return f'<div class="leaderboard" data-filters="Setting;Method">{table}</div>'


@pytest.fixture(params=[1280, 390])
def page(request: pytest.FixtureRequest, bare_browser: Browser, tmp_path: Path) -> Iterator[Page]:
    """A page of the given width that holds one leaderboard and nothing else."""
    sheets = "".join(
        f'<link rel="stylesheet" href="{(STATIC / name).as_uri()}">'
        for name in ("companion.css", "tables.css")
    )
    script = f'<script src="{(STATIC / "tables.js").as_uri()}" defer></script>'
    body = f'<article class="bd-article">{html()}</article>'
    path = tmp_path / "page.html"
    path.write_text(
        f'<!doctype html><html data-theme="light"><meta charset="utf-8">{sheets}{script}{body}',
        encoding="utf-8",
    )
    context = bare_browser.new_context(viewport={"width": request.param, "height": 844})
    found = context.new_page()
    found.goto(path.as_uri())
    found.wait_for_selector(".numbers-count")
    yield found
    context.close()


def methods(page: Page) -> list[str]:
    return page.locator("tbody tr:not([hidden]) th").all_inner_texts()


def test_a_phone_shows_a_card_for_each_row(page: Page) -> None:
    assert page.viewport_size is not None
    phone = page.viewport_size["width"] == 390
    assert page.locator("table.cards").count() == int(phone)
    if phone:
        box = page.locator("table").bounding_box()
        assert box is not None
        assert box["width"] <= 390
        assert page.locator("tbody tr").first.locator("td").first.get_attribute("data-label") == (
            "Avg. Gap"
        )


def test_rows_sort_by_numbers_and_what_has_none_comes_last(page: Page) -> None:
    page.get_by_label("Sort by").select_option(label="Avg. Gap")
    assert methods(page) == ["SalUn", "FT", "GA", "Retrain"]
    assert page.url.endswith("#sort=Avg.+Gap")
    page.reload()  # the address keeps the order
    assert methods(page) == ["SalUn", "FT", "GA", "Retrain"]
    page.get_by_label("Sort by").select_option(label="as published")
    assert methods(page) == [row[0] for row in ROWS]


def test_a_head_sorts_from_the_keyboard(page: Page) -> None:
    head = page.locator("thead th", has_text="Avg. Gap")
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert methods(page) == ["GA", "FT", "SalUn", "Retrain"]


def test_filters_hide_rows_and_the_download_holds_the_rest(page: Page) -> None:
    page.get_by_label("Setting").select_option("two")
    assert methods(page) == ["FT", "SalUn"]
    assert page.locator(".numbers-count").inner_text() == "2 of 4 rows"
    with page.expect_download() as started:
        page.get_by_text("Download these rows").click()
    with open(started.value.path(), encoding="utf-8") as file:
        assert [(row["label"], row["note"]) for row in csv.DictReader(file)] == [
            ("FT", ""),
            ("SalUn", "Δ"),
        ]


def test_an_order_survives_a_filter_and_a_download(page: Page) -> None:
    page.get_by_label("Sort by").select_option(label="Avg. Gap")
    page.get_by_label("Setting").select_option("one")
    assert methods(page) == ["GA", "Retrain"]
