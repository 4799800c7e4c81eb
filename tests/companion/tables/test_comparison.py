"""Our records beside the paper's tables: complete, in order, and true to both."""

import itertools
from dataclasses import replace

import pytest

from companion.experiments.records.record import Record
from companion.experiments.records.summary import by_label, summary
from companion.experiments.settings.labels import LABELS, title_of
from companion.tables import comparison
from companion.tables.comparison import (
    agreement_table,
    cost_table,
    gap_panels,
    ordered,
    printed,
    side_by_side,
)
from companion.tables.results import NO_RECORDS, signed_table
from companion.tables.words import signed
from comparison_cases import cells, downloaded
from records import record
from synthetic import every_method
from ugradsl_core.metrics import average_gap

SETTINGS = [("cifar10-random10", 10), ("cifar10-random10", 4), ("cifar10-class", 4)]


@pytest.mark.parametrize(("preset", "number"), SETTINGS)
def test_every_method_has_our_line_and_the_papers_where_there_is_one(
    preset: str, number: int
) -> None:
    records = every_method(preset)
    rows = cells(side_by_side(records, preset, number))
    paper = printed(preset, number).set_index("label")
    ours = [row for row in rows[1:] if row[0] != "the paper"]
    assert [row[0] for row in ours] == [title_of(label) for label in LABELS]
    below = {a[0]: b for a, b in itertools.pairwise(rows) if b[0] == "the paper"}
    assert set(below) == set(paper["method"])
    for label, row in paper.iterrows():
        assert below[title_of(str(label))][2] == row["UA_printed"]
        assert below[title_of(str(label))][1] == (row["avg_gap_printed"] or "–")
    assert {len(row) for row in rows} == {6 + (number == 4)}


def test_the_gap_of_table_4_has_five_metrics_and_that_of_table_10_four() -> None:
    records = every_method("cifar10-random10")
    table = summary(records).set_index("label")
    for number, column in ((10, "mean_of_gaps"), (4, "mean_of_gaps_add_MIA")):
        rows = {row[0]: row for row in cells(side_by_side(records, "cifar10-random10", number))}
        assert rows["GA"][1].startswith(f"{table.loc['ga', column]:.2f} ± ")
    assert table.loc["ga", "mean_of_gaps"] != table.loc["ga", "mean_of_gaps_add_MIA"]


def test_before_a_run_the_paper_stands_alone() -> None:
    page = side_by_side([], "cifar10-class", 4)
    rows = cells(page)
    assert ["FT", "not run yet"] in rows
    assert '<td colspan="6">not run yet</td>' in page
    assert "ours (not run yet)" in page
    assert set(downloaded(page)["source"]) == {"paper, Table 4"}
    assert set(downloaded(page)["scale"]) == {"paper"}


def test_tables_that_need_records_say_that_there_are_none() -> None:
    assert signed_table([], "x.csv") == NO_RECORDS
    assert cost_table([], "cifar10-class", 4) == NO_RECORDS
    assert agreement_table([], "cifar10-class", [4]) == NO_RECORDS


def test_the_papers_best_and_worst_are_read_from_its_table() -> None:
    text = comparison.best_and_worst("cifar10-random10", [10, 4], 2)
    expected = (
        "Table 10 UGradSL+ (adaptive) 1.52, UGradSL (adaptive) 1.76, and the largest IU 10.91"
    )
    assert expected in text
    assert "in Table 4 UGradSL 1.78," in text
    assert "width 64" in text


def test_a_method_that_only_the_paper_names_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = comparison.paper_rows(1, "cifar100", "class-wise")
    monkeypatch.setattr(comparison, "printed", lambda preset, number: paper)
    rows = cells(side_by_side(every_method("cifar10-class"), "cifar10-class", 1))
    place = rows.index(["GLI", "not defined, not run"])
    assert place == len(rows) - 2
    assert rows[-1][0] == "the paper"
    assert rows[-1][2] == "39.78 ± 7.4"


def test_diverged_runs_are_named() -> None:
    records = every_method("cifar10-random10", diverged="scrub")
    rows = cells(side_by_side(records, "cifar10-random10", 10))
    assert ["SCRUB", "diverged in 3 runs"] in rows
    one = [replace(r, status="diverged", metrics={}) if r.seed == 2 else r for r in records]
    records = [b if a.method == "ga" else a for a, b in zip(records, one, strict=True)]
    rows = cells(side_by_side(records, "cifar10-random10", 10))
    ga = next(row for row in rows if row[0] == "GA")
    assert ga[1].endswith("|(1 diverged)")
    assert "SCRUB" not in [row[0] for row in cells(signed_table(records, "x.csv"))]
    assert "SCRUB" not in [row[0] for row in cells(cost_table(records, "cifar10-random10", 10))]


def test_only_the_chosen_methods_are_shown_and_downloaded() -> None:
    records = every_method("cifar10-random10")
    page = side_by_side(records, "cifar10-random10", 10, ["retrain", "ga"])
    names = [row[0] for row in cells(page)]
    assert names == ["Method", "Retrain", "the paper", "GA", "the paper"]
    data = downloaded(page)
    assert list(data["source"]) == ["ours", "ours", "paper, Table 10", "paper, Table 10"]
    assert list(data["avg_gap"].round(2).dropna())[-1] == 6.80


def test_the_signed_table_by_hand() -> None:
    runs: list[Record] = []
    for seed, shift in enumerate((-1, -2, -3)):
        runs.append(record("retrain", seed, 30.0, 50.0, 90.0, 70.0))
        runs.append(record("ga", seed, 30.0 + shift, 50.0, 90.0, 70.0 - shift))
    page = signed_table(runs, "x.csv")
    assert cells(page)[1:] == [
        ["GA", "−2.0|[−4.5, 0.5]", "0.0|–", "0.0|–", "+2.0|[−0.5, 4.5]", "–",
         "1.00|± 0.50", "1.00"],
    ]  # fmt: skip
    assert "0 of 2 leave out 0, and about 0 would" in page
    assert list(downloaded(page)["metric"]) == ["UA", "MIA", "RA", "TA"]


@pytest.mark.parametrize(
    ("number", "text"), [(1.26, "+1.3"), (-1.26, "−1.3"), (0.04, "0.0"), (-0.04, "0.0")]
)
def test_signs(number: float, text: str) -> None:
    assert signed(number) == text


def test_the_cost_table_compares_shares_of_retrain() -> None:
    runs = [
        record("retrain", 0, *[50.0] * 4, seconds=200.0, setting=_setting()),
        record("ga", 0, *[40.0] * 4, seconds=5.0, setting=_setting()),
    ]
    page = cost_table(runs, "cifar10-random10", 10)
    rows = {row[0]: row[1:] for row in cells(page)}
    assert rows["Retrain"] == ["200.0", "100.0", "0.0", "0.0", "24.66", "100.0"]
    assert rows["GA"] == ["5.0", "2.5", "0.0", "0.0", "0.31", "1.3"]
    assert "different machines" not in page
    runs[1] = replace(runs[1], hardware={"device": "cpu", "threads": 1})
    assert "2 different machines" in cost_table(runs, "cifar10-random10", 10)


def _setting() -> dict[str, object]:
    return every_method("cifar10-random10", seeds=1)[0].setting


def test_the_agreement_table_ranks_by_the_gap_of_its_table() -> None:
    paper = printed("cifar10-random10", 10).set_index("label")["avg_gap"]
    runs: list[Record] = []
    for seed in range(2):
        runs.append(record("retrain", seed, *[50.0] * 4, setting=_setting()))
        for label in set(paper.dropna().index) & set(LABELS):
            runs.append(record(label, seed, *[50.0 + paper[label]] * 4, setting=_setting()))
    rows = cells(agreement_table(runs, "cifar10-random10", [10]))
    assert rows[1][:4] == ["Table 10", "12", "1.00", "1.00 to 1.00"]
    assert rows[1][5] == "1.00, 1.00"
    alone = cells(agreement_table(runs[:2], "cifar10-random10", [10]))
    assert alone[1] == ["Table 10", "fewer than two methods"]


def test_ties_in_the_paper_are_said() -> None:
    records = every_method("cifar10-random10")
    rows = cells(agreement_table(records, "cifar10-random10", [10, 4]))
    assert [row[0] for row in rows[1:]] == ["Table 10", "Table 4, by Avg. Gap (5)"]
    assert not rows[1][4].endswith("(approx.)")
    assert rows[2][4].endswith("(approx.)")  # RL and ℓ1-sparse have one printed gap


def test_gap_panels_are_sorted_by_ours_and_then_by_the_papers() -> None:
    records = [r for r in every_method("cifar10-random10") if r.method not in {"rl", "be"}]
    panels, methods = gap_panels(records, "cifar10-random10", [10, 4])
    assert [title.split(",")[0] for title in panels] == ["Ours", "Table 10", "Table 4"]
    groups = by_label(records)
    gap = {
        label: sum(
            average_gap(run.metrics, groups["retrain"][seed].metrics) for seed, run in runs.items()
        )
        for label, runs in groups.items()
        if label != "retrain"
    }
    assert list(methods) == [*sorted(gap, key=lambda label: gap[label]), "rl", "be"]
    _, methods = gap_panels([], "cifar10-class", [4])
    assert next(iter(methods)) == "ugradsl+"
    assert list(methods.values())[-1] == "GA"
    _, methods = gap_panels(records, "cifar10-random10", [10], ["ga", "rl"])
    assert list(methods) == ["ga", "rl"]


def test_labels_that_only_the_paper_has_come_last() -> None:
    assert ordered(["gli", "ugradsl", "ft", "ugradsl"]) == ["ft", "ugradsl", "gli"]
