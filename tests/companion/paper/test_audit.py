"""The audit: every class of planted error is found, and nothing is found in clean tables."""

import csv
import json
import math
import random
import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.files import PAPER_FOLDER
from companion.paper.audit import Audit, audit, audit_lines, directions, explained
from companion.paper.audit.findings import KINDS, SEVERITIES, listed, numbered
from companion.paper.audit.gaps import EXPLANATIONS, check_gaps
from companion.paper.audit.lines import (
    RESULT_TABLES,
    TOLERANCE,
    Line,
    largest_mean_of_gaps,
    read_lines,
    recomputed_gap,
    reference_of,
)
from companion.paper.audit.ranks import place
from companion.paper.audit.slips import neighbours
from companion.paper.audit.spreads import fewest_runs, is_possible, largest_spread
from printed import METRICS, clean, gap_of_means, mean_of_gaps
from ugradsl_core.errors import ConfigError

SEEDS = st.integers(0, 10**9)
PERCENT = st.floats(0, 100)


def changed(lines: Sequence[Line], method: str, **cells: float) -> list[Line]:
    """The lines with some numbers of one method replaced; ``UA_std`` is a spread."""
    mean = {metric: value for metric, value in cells.items() if not metric.endswith("_std")}
    spread = {metric.removesuffix("_std"): v for metric, v in cells.items() if metric not in mean}
    return [
        replace(line, mean={**line.mean, **mean}, spread={**line.spread, **spread})
        if line.method == method
        else line
        for line in lines
    ]


def without(lines: Sequence[Line], method: str, *metrics: str, reason: str = "lost") -> list[Line]:
    """The lines with some cells of one method illegible."""
    return [
        replace(
            line,
            mean={m: v for m, v in line.mean.items() if m not in metrics},
            spread={m: v for m, v in line.spread.items() if m not in metrics},
            reason={**line.reason, **dict.fromkeys(metrics, reason)},
        )
        if line.method == method
        else line
        for line in lines
    ]


def get(lines: Sequence[Line], method: str) -> Line:
    return next(line for line in lines if line.method == method)


def refitted(lines: Sequence[Line], methods: Sequence[str] = ()) -> list[Line]:
    """The lines with their gaps printed anew from their means; of some methods, or of all."""
    reference = get(lines, "retrain")
    return [
        replace(line, mean={**line.mean, "avg_gap": round(recomputed_gap(line, reference) or 0, 2)})
        if line.method != "retrain" and (not methods or line.method in methods)
        else line
        for line in lines
    ]


def kinds(lines: Sequence[Line]) -> set[str]:
    return {finding.kind for finding in audit_lines(lines).findings}


# ----- arithmetic


@given(st.lists(st.tuples(PERCENT, PERCENT), min_size=4, max_size=5))
def test_rounding_stays_within_the_tolerance(cells: list[tuple[float, float]]) -> None:
    exact = statistics.fmean(abs(a - b) for a, b in cells)
    rounded = statistics.fmean(abs(round(a, 2) - round(b, 2)) for a, b in cells)
    assert abs(round(exact, 2) - rounded) <= TOLERANCE + 1e-9


@given(SEEDS, st.integers(2, 6), st.floats(0.01, 8))
def test_a_mean_of_gaps_lies_between_the_gap_of_means_and_its_bound(
    seed: int, runs: int, width: float
) -> None:
    rng = random.Random(seed)
    values = {
        side: {m: [rng.gauss(50, width) for _ in range(runs)] for m in METRICS} for side in "ab"
    }
    lines = {
        side: replace(
            clean()[0],
            mean={m: round(statistics.fmean(v), 2) for m, v in found.items()},
            spread={m: round(statistics.stdev(v), 2) for m, v in found.items()},
        )
        for side, found in values.items()
    }
    a, b = lines["a"], lines["b"]
    bound = largest_mean_of_gaps(a, b, a.spread, b.spread)
    exact = mean_of_gaps(values["a"], values["b"])
    assert bound is not None
    assert gap_of_means(values["a"], values["b"]) <= exact + 1e-9 <= bound + TOLERANCE + 1e-9


def test_the_bound_on_a_mean_of_gaps_by_hand() -> None:
    # two seeds on either side of a Retrain without spread: |D| is the same in both
    line = replace(clean()[0], mean={"UA": 50.0}, spread={"UA": math.sqrt(2)}, row={"UA": 1})
    reference = replace(line, spread={"UA": 0.0})
    bound = largest_mean_of_gaps(line, reference, line.spread, reference.spread)
    # seeds 51 and 49 have the sample deviation √2 and a mean gap of 1; many seeds come up to √2
    assert bound == pytest.approx(math.sqrt(2) + 0.01)


def test_a_gap_needs_every_mean() -> None:
    lines = clean()
    line, reference = get(lines, "ga"), get(lines, "retrain")
    by_hand = sum(abs(line.mean[m] - reference.mean[m]) for m in METRICS) / 4
    assert recomputed_gap(line, reference) == pytest.approx(by_hand, abs=1e-12)
    assert recomputed_gap(get(without(lines, "ga", "TA"), "ga"), reference) is None
    assert recomputed_gap(line, get(without(lines, "retrain", "TA"), "retrain")) is None
    assert largest_mean_of_gaps(line, reference, {}, reference.spread) is None


@given(st.lists(PERCENT, min_size=2, max_size=12))
def test_no_sample_has_a_larger_spread(sample: list[float]) -> None:
    assert statistics.stdev(sample) <= largest_spread(statistics.fmean(sample), len(sample)) + 1e-6


@pytest.mark.parametrize(
    ("mean", "runs", "sample"),
    [
        (50, 2, [0, 100]),
        (10, 2, [0, 20]),
        (40, 3, [0, 20, 100]),
        (0, 5, [0] * 5),
        (100, 3, [100] * 3),
        (61.16, 3, [0, 83.48, 100]),
    ],
)
def test_the_largest_spread_is_reached(mean: float, runs: int, sample: list[float]) -> None:
    assert statistics.fmean(sample) == pytest.approx(mean)
    assert largest_spread(mean, runs) == pytest.approx(statistics.stdev(sample))


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8))
def test_what_was_measured_is_possible_after_rounding(sample: list[float]) -> None:
    mean, spread = round(statistics.fmean(sample), 2), round(statistics.stdev(sample), 2)
    assert is_possible(mean, spread)
    assert spread == 0 or (fewest_runs(mean, spread) or 999) <= len(sample)


def test_impossible_spreads_have_no_number_of_runs() -> None:
    assert fewest_runs(8.19, 38.38) is None
    assert fewest_runs(30.07, 49.48) == 3
    assert fewest_runs(99.97, 0.18) == 26
    assert not is_possible(1.0, 20.0)


def test_one_slip_changes_one_digit() -> None:
    near = neighbours(50.50)
    assert {0.50, 5.50, 51.50, 50.55, 50.05, 55.00} <= near
    assert 50.50 not in near
    assert 41.51 not in near
    assert all(0 <= number <= 100 for number in near)
    assert 40.71 in neighbours(47.01)
    assert 11.10 in neighbours(1.10)
    assert 1.10 in neighbours(11.10)


# ----- clean tables


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_nothing_is_found_in_clean_tables(seed: int) -> None:
    tables = [
        *clean(seed),
        *clean(seed, 2, dataset="cifar100"),
        *clean(seed, 9, dataset="svhn", paradigm="class-wise"),
    ]
    assert audit_lines(tables).findings == ()


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_means_of_per_seed_gaps_are_never_taken_for_errors(seed: int) -> None:
    found = audit_lines(clean(seed, definition=mean_of_gaps))
    assert {finding.kind for finding in found.findings} <= {"gap-per-seed", "best-changes"}
    assert {check.explanation for check in found.checks} <= {"rounding", "per-seed"}


def test_the_same_numbers_in_two_tables_are_no_finding() -> None:
    assert kinds([*clean(), *(replace(line, table=17) for line in clean())]) == set()


# ----- planted errors


def other_retrain() -> list[Line]:
    """Half of the gaps were measured from a Retrain whose TA was 4 points larger."""
    lines = clean(1)
    other = changed(lines, "retrain", TA=get(lines, "retrain").mean["TA"] + 4)
    some = {m: get(refitted(other), m).mean["avg_gap"] for m in ("ft", "iu", "rl", "scrub")}
    for method, gap in some.items():
        lines = changed(lines, method, avg_gap=gap)
    return lines


def elsewhere() -> list[Line]:
    """Table 4 prints another UA, from which its gap does not follow; Table 10 has the right one."""
    right = clean(2)
    wrong = changed([replace(line, table=4) for line in right], "ga", UA=71.23)
    return [*right, *wrong]


def copied_line() -> list[Line]:
    """A line of Table 2 stands in Table 9 as well, with a gap to its new Retrain."""
    source, target = clean(3, 2, dataset="cifar100"), clean(3, 9, dataset="svhn")
    line = get(source, "iu")
    means = {metric: line.mean[metric] for metric in METRICS}
    return [*source, *refitted(changed(target, "iu", **means), ["iu"])]


def copied_spread() -> list[Line]:
    source, target = clean(4, 2, dataset="cifar100"), clean(4, 9, dataset="svhn")
    spreads = {f"{m}_std": s for m, s in get(source, "iu").spread.items()}
    return [*source, *changed(target, "rl", **spreads)]


def spread_is_gap() -> list[Line]:
    lines = clean(5)
    line, reference = get(lines, "scrub"), get(lines, "retrain")
    spreads = {f"{m}_std": round(abs(line.mean[m] - reference.mean[m]), 2) for m in METRICS}
    return changed(lines, "scrub", **spreads)


def swapped_columns() -> list[Line]:
    def swapped(numbers: object) -> dict[str, float]:
        pairs = dict(numbers)  # type: ignore[call-overload]
        return {**pairs, "RA": pairs["TA"], "TA": pairs["RA"]}

    return [
        replace(line, mean=swapped(line.mean), spread=swapped(line.spread)) for line in clean(6)
    ]


def crossed_cell() -> list[Line]:
    lines = clean(7)
    ra = get(lines, "ft")
    cells = {"TA": ra.mean["RA"], "TA_std": ra.spread["RA"], "RA": ra.mean["RA"] + 0.4}
    return refitted(changed(lines, "ga", **cells), ["ga"])


def weak_reference() -> list[Line]:
    return refitted(changed(clean(8), "retrain", RA=70.0, TA=50.0))


def timed(size: str, retrain: float, ft: float, plus: float) -> list[Line]:
    lines = clean(9, 17, parameter="forget_fraction", parameter_value=size)
    for method, minutes in (("retrain", retrain), ("ft", ft), ("ugradsl+", plus)):
        lines = changed(lines, method, RTE=minutes)
    return [replace(line, row={**line.row, "RTE": 9}) for line in lines]


def lost_cell() -> list[Line]:
    return without(clean(10), "retrain", "TA")


def open_cell() -> list[Line]:
    lines = clean(11)
    number = get(lines, "retrain").mean["UA"]
    reason = f"not legible in our copy: {number}±1.49 is either UA or MIA"
    return without(lines, "retrain", "UA", "MIA", reason=reason)


def wrong_best() -> list[Line]:
    lines = clean(12)
    return changed(lines, "ugradsl+", avg_gap=min(get(lines, "ga").mean["avg_gap"], 0.01))


def per_seed() -> list[Line]:
    return clean(13, definition=mean_of_gaps)


def misprint() -> list[Line]:
    """A useless model whose RA of 0.50 is printed as 50.50."""
    lines = changed(clean(14), "ga", UA=99.9, MIA=66.46, RA=0.5, TA=1.0, UA_std=0.0)
    return changed(refitted(lines, ["ga"]), "ga", RA=50.5)


def gap_off(amount: float) -> list[Line]:
    lines = clean(15)
    return changed(lines, "rl", avg_gap=get(lines, "rl").mean["avg_gap"] + amount)


PLANTED: dict[str, tuple[Callable[[], list[Line]], set[str]]] = {
    "another Retrain": (other_retrain, {"gap-other-retrain"}),
    "the right cell elsewhere": (elsewhere, {"gap-elsewhere", "printed-twice"}),
    "a line copied": (copied_line, {"copied-line"}),
    "spreads copied": (copied_spread, {"copied-spread"}),
    "spreads that are distances": (spread_is_gap, {"spread-is-gap"}),
    "an impossible spread": (lambda: changed(clean(), "ga", UA=8.19, UA_std=38.38), set()),
    "columns swapped": (swapped_columns, {"swapped-columns"}),
    "cells crossed": (crossed_cell, {"crossed-cell"}),
    "a weak reference": (weak_reference, {"weak-reference"}),
    "a lost cell": (lost_cell, {"lost-cell"}),
    "a lost cell with two readings": (open_cell, {"lost-cell"}),
    "the wrong best": (wrong_best, {"best-changes", "gap-unexplained"}),
    "per-seed gaps": (per_seed, {"gap-per-seed"}),
    "a digit too many": (misprint, {"gap-misprint"}),
    "a gap too large": (lambda: gap_off(5.0), {"gap-unexplained"}),
    "a gap too small": (lambda: gap_off(-0.2), {"gap-unexplained"}),
    "Retrain's time": (
        lambda: [*timed("10%", 9, 1, 5), *timed("20%", 16, 1, 5), *timed("30%", 14, 1, 5)],
        {"run-time"},
    ),
    "UGradSL+'s time": (lambda: timed("10%", 9, 2, 0.3), {"run-time"}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_error_is_found_and_nothing_else(name: str) -> None:
    lines, expected = PLANTED[name]
    if name == "an impossible spread":
        planted = refitted(lines(), ["ga"])
        expected = {"impossible-spread"}
    else:
        planted = lines()
    assert kinds(planted) == expected


def test_every_kind_of_finding_was_planted() -> None:
    planted = set().union(*(expected for _, expected in PLANTED.values())) | {"impossible-spread"}
    assert planted == set(KINDS)


def test_another_retrain_value_is_named() -> None:
    lines = other_retrain()
    found = audit_lines(lines).findings[0]
    assert found.severity == "serious"
    assert found.numbers is not None
    truth = get(lines, "retrain").mean["TA"] + 4
    assert found.numbers["low"] <= truth <= found.numbers["high"]
    assert found.numbers["high"] - found.numbers["low"] < 0.2
    assert found.numbers["lines"] == 4


def test_a_lost_cell_is_recovered() -> None:
    for lines, metric, seed in ((lost_cell(), "TA", 10), (open_cell(), "MIA", 11)):
        (found,) = audit_lines(lines).findings
        assert found.numbers is not None
        truth = get(clean(seed), "retrain").mean[metric]
        assert found.numbers["low"] - 1e-9 <= truth <= found.numbers["high"] + 1e-9
        assert f"Retrain's {metric} is not legible" in found.sentence


def test_a_cell_printed_elsewhere_is_named() -> None:
    found = {finding.kind: finding for finding in audit_lines(elsewhere()).findings}
    right = get(clean(2), "ga").mean["UA"]
    assert f"Table 10 prints UA {right:.2f}" in found["gap-elsewhere"].sentence
    assert f"UA {right:.2f} in Table 10 and 71.23 in Table 4" in found["printed-twice"].sentence


def test_spreads_alone_that_differ_are_minor() -> None:
    other = [replace(line, table=17) for line in clean()]
    (found,) = audit_lines([*clean(), *changed(other, "ga", UA_std=0.01)]).findings
    assert (found.kind, found.severity) == ("printed-twice", "minor")
    (found,) = audit_lines([*clean(), *refitted(changed(other, "ga", UA=91.0), ["ga"])]).findings
    assert (found.kind, found.severity) == ("printed-twice", "serious")


def test_a_copied_line_says_where_its_gap_fits() -> None:
    source, target = clean(3, 2, dataset="cifar100"), clean(3, 9, dataset="svhn")
    means = {m: get(source, "iu").mean[m] for m in (*METRICS, "avg_gap")}
    found = {f.kind: f for f in audit_lines([*source, *changed(target, "iu", **means)]).findings}
    assert "follows from them in Table 2" in found["copied-line"].sentence
    assert "not in Table 9" in found["copied-line"].sentence


def test_the_size_of_a_gap_decides_how_severe_it_is() -> None:
    assert audit_lines(gap_off(5.0)).findings[0].severity == "serious"
    assert audit_lines(gap_off(-0.2)).findings[0].severity == "moderate"


def test_the_tolerance_is_the_callers() -> None:
    assert audit_lines(gap_off(-0.2), tolerance=0.25).findings == ()
    assert len(audit_lines(clean(), tolerance=0.0).findings) > 0
    for wrong in (-1.0, math.nan):
        with pytest.raises(ConfigError, match="tolerance: should be a number of at least 0; found"):
            audit_lines(clean(), tolerance=wrong)


def test_a_best_within_rounding_is_no_change() -> None:
    lines = clean(12)
    (ranking,) = audit_lines(lines).rankings
    first, second = ranking.recomputed[0][0], ranking.recomputed[1][0]
    means = {m: get(lines, first).mean[m] for m in METRICS}
    near = changed(lines, second, **{**means, "UA": means["UA"] + 0.02})
    near = changed(near, second, avg_gap=get(lines, first).mean["avg_gap"] - 0.01)
    (ranking,) = audit_lines(near).rankings
    assert not ranking.changed


def test_methods_with_equal_gaps_share_a_place() -> None:
    order = (("a", 1.0), ("b", 1.0), ("c", 2.0))
    assert [place(order, name) for name in "abcd"] == [1, 1, 3, None]


# ----- the paper


@pytest.fixture(scope="module")
def paper() -> Audit:
    return audit()


def test_every_gap_of_the_paper_is_explained_once(paper: Audit) -> None:
    counts = explained(paper.checks)
    assert set(counts) == set(RESULT_TABLES)
    assert sum(sum(row.values()) for row in counts.values()) == len(paper.checks)
    assert all(set(row) == set(EXPLANATIONS) for row in counts.values())
    sides = directions(paper.checks).values()
    assert sum(side["gaps"] for side in sides) == len(paper.checks)


def test_every_finding_rests_on_cells_of_the_files(paper: Audit) -> None:
    files = {}
    for number in RESULT_TABLES:
        path = PAPER_FOLDER / f"table-{number:02d}.csv"
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
        files[path.name] = [dict(zip(rows[0], row, strict=True)) for row in rows]
    for finding in paper.findings:
        assert finding.cells
        assert finding.sentence.endswith(".")
        assert finding.severity in SEVERITIES
        assert finding.kind in KINDS
        for cell in finding.cells:
            name, row, metric, number = re.fullmatch(
                r"(table-\d\d\.csv) row (\d+): .* (\w+) ([\d.]+|missing)(?: ± [\d.]+)?", cell
            ).groups()  # type: ignore[union-attr]
            found = files[name][int(row) - 1]
            assert int(found["table"]) in finding.tables
            if finding.kind != "printed-twice" or metric not in ("RA", "TA"):
                assert found["metric"] == metric
                printed = found["mean"] or "missing"
                assert printed == number or float(printed) == float(number)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("best-changes", ["Table 1 (CIFAR-100, class-wise)", "PABI", "SalUn"]),
        ("best-changes", ["Table 4 (CIFAR-10, random)", "ℓ1-sparse and RL"]),
        ("best-changes", ["Table 18 (CIFAR-100, random, 50 %)", "SalUn"]),
        ("gap-other-retrain", ["5 of 15", "between 74.82 and 74.90", "71.10"]),
        ("gap-elsewhere", ["Table 2 (CIFAR-100, random, UGradSL)", "Table 18 prints MIA 40.71"]),
        ("gap-elsewhere", ["Table 4 (CIFAR-10, random, FT)", "UA 1.10"]),
        ("gap-misprint", ["PABI", "RA 0.50"]),
        ("gap-unexplained", ["Table 2 (CIFAR-100, random, ℓ1-sparse)", "23.75", "19.25"]),
        ("copied-line", ["ℓ1-sparse", "RL", "UA 2.80"]),
        ("copied-line", ["BE (SVHN", "BE (CIFAR-10, ViT"]),
        ("copied-line", ["UGradSL", "20 %", "30 %"]),
        ("copied-spread", ["SCRUB", "UGradSL+", "UA ± 0.59"]),
        ("spread-is-gap", ["Table 17", "32 of 40", "UGradSL and UGradSL+"]),
        ("spread-is-gap", ["Table 18", "32 of 40"]),
        ("impossible-spread", ["ℓ1-sparse", "8.19 ± 38.38"]),
        ("swapped-columns", ["Table 19"]),
        ("swapped-columns", ["Table 18", "50 %", "11 of 11"]),
        ("weak-reference", ["Table 11", "61.41"]),
        ("lost-cell", ["ImageNet", "all 14"]),
        ("lost-cell", ["CelebA", "is UA"]),
    ],
)
def test_known_findings_of_the_paper(paper: Audit, kind: str, words: list[str]) -> None:
    sentences = [finding.sentence for finding in paper.findings if finding.kind == kind]
    assert any(all(word in sentence for word in words) for sentence in sentences)


def test_per_seed_gaps_stand_where_the_sweeps_are(paper: Audit) -> None:
    counts = explained(paper.checks)
    sweeps = [6, 7, 13, 14, 15, 16]
    assert all(
        set(k for k, n in counts[t].items() if n) == {"rounding", "per-seed"} for t in sweeps
    )
    assert set(counts[17]) >= {"rounding"}
    assert counts[17]["rounding"] == sum(counts[17].values())


def test_some_tables_are_reported_with_the_evidence_of_all(paper: Audit) -> None:
    some = audit([2])
    assert {check.line.table for check in some.checks} == {2}
    assert all(2 in finding.tables for finding in some.findings)
    assert any("Table 18 prints MIA 40.71" in finding.sentence for finding in some.findings)
    assert list(some.findings) == [f for f in paper.findings if 2 in f.tables]
    for table in (5, 8, 20):
        with pytest.raises(ConfigError, match=f"table: {table} has no results to audit"):
            audit([table])


def test_findings_are_json(paper: Audit) -> None:
    rows = json.loads(json.dumps([f.as_json() for f in paper.findings], allow_nan=False))
    assert len(rows) == len(paper.findings)
    assert {"kind", "title", "severity", "tables", "where", "sentence", "cells", "numbers"} == set(
        rows[0]
    )


def test_findings_come_by_severity(paper: Audit) -> None:
    order = [list(SEVERITIES).index(finding.severity) for finding in paper.findings]
    assert order == sorted(order)
    assert set(order) == set(range(4))


def test_lines_hold_the_files_numbers() -> None:
    lines = read_lines([10])
    line = next(x for x in lines if x.dataset == "cifar10" and x.method == "ugradsl")
    assert line.mean == {
        "UA": 5.87, "MIA": 13.33, "RA": 98.82, "TA": 92.17, "avg_gap": 2.01, "RTE": 0.45,
    }  # fmt: skip
    assert line.spread == {"UA": 0.51, "MIA": 0.70, "RA": 0.28, "TA": 0.23}
    assert reference_of(lines) is lines[0]
    assert str(line) == "Table 10 (CIFAR-10, random, UGradSL)"


def test_the_same_experiment_is_recognised() -> None:
    lines = read_lines()

    def only(table: int, method: str, value: str = "") -> Line:
        (line,) = (
            x
            for x in lines
            if (x.table, x.method, x.parameter_value) == (table, method, value)
            and (x.dataset, x.paradigm) == ("cifar10", "random")
        )
        return line

    assert only(10, "ft").experiment == only(17, "ft", "10%").experiment
    assert only(10, "ft").experiment != only(17, "ft", "20%").experiment
    assert only(13, "ugradsl", "0.90").experiment == only(15, "ugradsl", "-0.4").experiment
    assert only(13, "ugradsl", "0.91").experiment != only(15, "ugradsl", "-0.4").experiment
    adaptive = only(6, "ugradsl (adp)", "median;cosine")
    assert adaptive.experiment == only(10, "ugradsl (adp)").experiment
    assert only(10, "ft").experiment != only(12, "ft").experiment


def test_words() -> None:
    assert numbered([4]) == "Table 4"
    assert numbered([17, 4, 10, 4]) == "Tables 4, 10 and 17"
    assert numbered([4, 13, 14, 15, 16, 17]) == "Tables 4 and 13–17"
    assert listed(["a"]) == "a"
    assert check_gaps([]) == []
