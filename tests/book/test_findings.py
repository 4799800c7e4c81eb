"""The audit's findings: folded by severity, chosen by table and severity, kept in the address."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from companion.paper.audit.findings import Finding
from companion.tables import audit

STATIC = Path(__file__).parents[2] / "book" / "_static"
FINDINGS = [
    Finding("best-changes", "serious", (1,), "", "S1", ("a",)),
    Finding("best-changes", "moderate", (1, 4), "", "M14", ("a", "b")),
    Finding("run-time", "minor", (4,), "", "m4", ("a",)),
    Finding("run-time", "note", (14,), "", "n14", ("a",)),
]


@pytest.fixture
def address(tmp_path: Path) -> str:
    sheets = "".join(
        f'<link rel="stylesheet" href="{(STATIC / name).as_uri()}">'
        for name in ("companion.css", "tables.css", "paper.css")
    )
    chooser = audit.chooser(FINDINGS).replace("../_static", STATIC.as_uri())
    body = f'<article class="bd-article">{chooser}{audit.findings_list(FINDINGS)}</article>'
    path = tmp_path / "page.html"
    path.write_text(
        f'<!doctype html><html data-theme="light"><meta charset="utf-8">{sheets}{body}', "utf-8"
    )
    return path.as_uri()


@pytest.fixture
def page(bare_browser: Browser, address: str) -> Iterator[Page]:
    context = bare_browser.new_context(viewport={"width": 390, "height": 844})
    made = context.new_page()
    made.goto(address)
    made.wait_for_selector("#findings-table")
    yield made
    context.close()


def shown(page: Page) -> list[str]:
    items = page.locator(".findings > li:visible").all()
    return [item.inner_text().split("\n")[0].split()[-1] for item in items]


def test_what_matters_little_is_folded(page: Page) -> None:
    assert shown(page) == ["S1", "M14"]
    fold = page.locator("details.folded > summary")
    assert fold.inner_text() == "1 minor finding and 1 note"
    fold.click()
    assert shown(page) == ["S1", "M14", "m4", "n14"]


def test_a_choice_shows_what_it_names_and_nothing_else(page: Page) -> None:
    page.get_by_label("Table").select_option("4")
    assert shown(page) == ["M14", "m4"]  # not table 14
    assert page.locator("#chosen-findings").inner_text() == "2 of 4 findings on this page"
    page.get_by_label("Severity").select_option("serious")
    assert shown(page) == []
    page.get_by_label("Table").select_option("")
    assert shown(page) == ["S1"]
    assert page.locator("details.folded:visible").count() == 0


def test_a_choice_can_be_linked(page: Page, address: str) -> None:
    page.goto(f"{address}?table=4&severity=minor#x")
    page.wait_for_selector("#findings-table")
    assert shown(page) == ["m4"]
    page.get_by_label("Severity").select_option("")
    assert page.url.endswith("?table=4#x")
    page.goto(f"{address}?table=99")
    assert shown(page) == ["S1", "M14"]


def test_print_shows_all(page: Page) -> None:
    page.emulate_media(media="print")
    page.add_style_tag(path=STATIC / "print.css")
    assert shown(page) == ["S1", "M14", "m4", "n14"]
