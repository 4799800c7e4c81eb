"""Pages on the paper's numbers: figures, tables and fragments show what was computed."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from companion.figures import audit as figures_audit
from companion.figures import style
from companion.notebooks.parameters import check_parameters
from companion.pages import claims, numbers
from companion.pages.readings import FRAGMENTS
from companion.paper.audit import Audit, audit
from companion.paper.audit.findings import KINDS
from companion.paper.audit.gaps import EXPLANATIONS
from companion.paper.audit.lines import RESULT_TABLES, TOLERANCE, read_lines
from companion.paper.claims import CLAIMS, records, scoreboard
from companion.paper.claims import paper as of_paper
from companion.paper.numbers import NOTES, TABLES, read_rows
from companion.tables import audit as tables_audit
from ugradsl_core.errors import ConfigError

BOOK = Path(__file__).parents[3] / "book"


@pytest.fixture(scope="module")
def paper() -> Audit:
    return audit()


def test_all_figures_draw_the_same_twice(paper: Audit) -> None:
    fit = next(iter(paper.others.values()))
    draw = [
        lambda: figures_audit.differences(tables_audit.difference_rows(paper.checks), TOLERANCE),
        lambda: figures_audit.against_bound(tables_audit.bound_rows(paper.checks)),
        lambda: figures_audit.implied_reference(
            tables_audit.implied_rows(paper), {"as printed": 71.1}, fit.metric, (66, 80)
        ),
        lambda: figures_audit.two_orders(tables_audit.order_panels(paper.rankings)),
    ]
    for figure in draw:
        first = style.to_svg(figure())
        assert first == style.to_svg(figure())
        assert "</svg>" in first


def test_figures_have_a_look_for_every_explanation(paper: Audit) -> None:
    assert {check.explanation for check in paper.checks} <= set(figures_audit.EXPLAINED)
    looks = [look[1:] for look in figures_audit.EXPLAINED.values()]
    assert len(set(looks)) == len(looks)


def test_what_figures_draw_is_what_was_audited(paper: Audit) -> None:
    assert len(tables_audit.difference_rows(paper.checks)) == len(paper.checks)
    excess = tables_audit.bound_rows(paper.checks)
    assert all(-TOLERANCE <= shown <= limit + TOLERANCE for limit, shown, _ in excess)
    for rows in tables_audit.order_panels(paper.rankings).values():
        gaps = [recomputed for _, _, recomputed in rows]
        assert gaps == sorted(gaps)
    rows = tables_audit.implied_rows(paper)
    assert len(rows) == 15
    assert all(low < high for row in rows for low, high in row.intervals)


def test_lists_hold_every_finding_and_its_cells(paper: Audit) -> None:
    page = tables_audit.findings_list(paper.findings)
    assert page.count("<details>") == len(paper.findings)
    assert page.count("table-") == sum(len(finding.cells) for finding in paper.findings)
    assert tables_audit.findings_list(paper.findings, ["crossed-cell"]) == tables_audit.NOTHING
    overview = tables_audit.overview(paper.findings)
    assert all(title.replace("'", "&#x27;") in overview for title, _ in KINDS.values())


def test_tables_add_up(paper: Audit) -> None:
    assert tuple(tables_audit.EXPLANATION_TITLES) == EXPLANATIONS
    page = tables_audit.gaps_table(paper.checks)
    last = re.findall(r"<tr class=\"strong\">(.*?)</tr>", page, re.S)[0]
    total, *parts = (int(number) for number in re.findall(r"<td>(\d+)</td>", last))
    assert total == sum(parts) == len(paper.checks)
    assert tables_audit.ranking_table(paper.rankings).count('class="strong"') == 3
    references = tables_audit.references_table(paper)
    assert references.count(" *</td>") == 2
    assert tables_audit.references_table(audit([2])) == tables_audit.NOTHING


def test_halves_are_rounded_up(paper: Audit) -> None:
    assert "UGradSL+ (adaptive) 1.52" in tables_audit.ranking_table(paper.rankings)


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
    assert found is not None
    return json.loads(found[1].replace("<\\/", "</"))


def test_the_numbers_page_has_every_number() -> None:
    data = data_of(numbers.table(BOOK))
    lines = numbers.by_block(read_lines())
    assert len(data["rows"]) == len(lines)
    heads = [*numbers.NUMBERS, "recomputed", "RTE"]
    for row, line in zip(data["rows"], lines, strict=True):
        assert len(row) == len(data["text"]) + len(data["numbers"]) + 1
        cells = dict(zip(heads, row[len(data["text"]) :], strict=False))
        assert row[0] == line.table
        for metric, number in line.mean.items():
            assert cells[metric][:2] == [number, line.spread.get(metric)]
        for metric, reason in line.reason.items():
            assert cells[metric] == reason
        assert set(row[-1]) <= set(data["kinds"])
    assert any("gap-other-retrain" in row[-1] for row in data["rows"])


def test_the_download_is_the_files_together() -> None:
    rows = list(csv.DictReader(io.StringIO(numbers.all_cells(BOOK))))
    expected = [row.model_dump() for n in RESULT_TABLES for row in read_rows(n)]
    assert rows == [{key: str(value) for key, value in row.items()} for row in expected]


def test_every_table_is_explained() -> None:
    page = numbers.notes(BOOK)
    assert all(f"Table {number}\n: {title}." in page for number, title in TABLES.items())
    assert all(note in page for note in NOTES.values())


def test_the_scoreboard_links_every_claim_to_its_rule() -> None:
    board = claims.scoreboard_section(BOOK)
    details = claims.details(BOOK)
    for claim in CLAIMS:
        assert f"<claim-{claim.key}>" in board
        assert f"(claim-{claim.key})=" in details
        assert f"“{claim.words}”" in details
        for _, path in claim.pages:
            assert (BOOK / path.partition("#")[0]).exists()
    scored = scoreboard(root=BOOK)
    assert board.count("verdict-none") >= sum(r.ours.outcome == "not run" for r in scored)
    assert f"{len(CLAIMS)} claims" in board
    assert claims.summary(scored) in board


def test_every_outcome_has_a_look() -> None:
    assert all(f"verdict-{claims.CLASSES[outcome]}" for outcome in claims.OUTCOMES)
    assert {*records.OUTCOMES.values(), *of_paper.OUTCOMES.values()} <= set(claims.OUTCOMES)


def test_the_title_is_the_first_row_of_the_scoreboard() -> None:
    first = claims.board(scoreboard(root=BOOK)).split("* - ")[2]
    assert first.startswith("{ref}`The smoothing itself helps <claim-smoothing>`")


def test_the_readings_are_findings(paper: Audit) -> None:
    for name, fragment in FRAGMENTS.items():
        assert fragment(BOOK), name
    twice = FRAGMENTS["readings-twice.md"](BOOK)
    means = [f for f in paper.findings if f.kind == "printed-twice" and f.severity != "minor"]
    assert twice == "\n".join(f"- {finding.sentence}" for finding in means)
    gaps = FRAGMENTS["readings-gaps.md"](BOOK)
    assert f"- {len(paper.checks)}\n" in f"{gaps}\n"
    spread = FRAGMENTS["readings-spread.md"](BOOK)
    assert re.findall(r"^  - (\d+)$", spread, re.M) == ["20", "0", "16", "0", "64", "64"]


@pytest.mark.parametrize("tables", ["", "x", "5", "1;2", "1,99"])
def test_tables_of_the_notebook_are_checked(tables: str) -> None:
    with pytest.raises(ConfigError, match="tables: should be all or numbers among 1, 2, 3, 4, 6"):
        check_parameters("paper_audit", tables=tables)


def test_parameters_of_the_notebook() -> None:
    assert check_parameters("paper_audit", tables=18).numbers == (18,)
    assert check_parameters("paper_audit", tables="2, 18,2").numbers == (2, 18)
    assert check_parameters("paper_audit").limit == TOLERANCE
    assert check_parameters("paper_audit", tolerance=0.02).limit == 0.02
    with pytest.raises(ConfigError, match="tolerance: should be greater than or equal to 0"):
        check_parameters("paper_audit", tolerance=-1)
