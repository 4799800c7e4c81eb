"""Intervals, tests and rankings against closed forms and enumeration."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from companion.experiments.records.record import Record
from companion.experiments.records.statistics import (
    agreement,
    kendall_interval,
    paired_difference,
    signed_gaps,
)
from companion.experiments.records.summary import METRICS
from records import record
from ugradsl_core.errors import DataError

RETRAIN = [record("retrain", seed, 30.0 + seed, 50.0, 100.0, 70.0) for seed in range(3)]


def off(label: str, *shifts: float) -> list[Record]:
    """A run for each seed whose four metrics are off Retrain's by a shift; its gap is |shift|."""
    return [
        record(label, seed, *(value + shift for value in RETRAIN[seed].metrics.values()))
        for seed, shift in enumerate(shifts)
    ]


def t_quantile_of_two_degrees(confidence: float) -> float:
    """Student's t with 2 degrees of freedom has F(t) = 1/2 + t / (2 √(t² + 2))."""
    return confidence * math.sqrt(2 / (1 - confidence**2))


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_the_interval_of_three_pairs_has_a_closed_form(confidence: float) -> None:
    found = paired_difference([11.0, 22.0, 33.0], [10.0, 20.0, 30.0], confidence)  # 1, 2, 3
    half = t_quantile_of_two_degrees(confidence) / math.sqrt(3)
    assert (found.n, found.mean, found.std) == (3, 2.0, 1.0)
    assert found.low == pytest.approx(2 - half)
    assert found.high == pytest.approx(2 + half)
    t = 2 * math.sqrt(3)
    assert found.p_value == pytest.approx(1 - t / math.sqrt(t**2 + 2))


def test_the_p_value_is_where_the_interval_touches_zero() -> None:
    found = paired_difference([1.0, 2.0, 4.5], [0.0, 0.0, 0.0])
    touching = paired_difference([1.0, 2.0, 4.5], [0.0, 0.0, 0.0], 1 - found.p_value)
    assert touching.low == pytest.approx(0, abs=1e-9)


def test_pairs_matter_and_not_their_order() -> None:
    values, references = [1.0, 20.0, 300.0], [0.0, 18.0, 297.0]
    found = paired_difference(values, references)
    assert (found.mean, found.std) == (2.0, 1.0)
    assert paired_difference(values[::-1], references[::-1]) == found
    assert paired_difference(values, references[::-1]).std > 100


@pytest.mark.parametrize("shift", [0.0, -7.3])
def test_differences_without_spread_have_no_interval(shift: float) -> None:
    references = [0.1, 0.2, 0.3]
    found = paired_difference([value + shift for value in references], references)
    assert found.mean == pytest.approx(shift)
    assert found.std == 0
    assert math.isnan(found.low)
    assert math.isnan(found.p_value)


def test_one_pair_has_a_mean_only() -> None:
    found = paired_difference([3.0], [1.0])
    assert (found.n, found.mean) == (1, 2.0)
    assert math.isnan(found.std)
    assert math.isnan(found.high)


@pytest.mark.parametrize("references", [[], [1.0, 2.0]])
def test_pairs_that_do_not_fit_are_rejected(references: list[float]) -> None:
    with pytest.raises(DataError, match="one length, at least 1; found"):
        paired_difference(references[:1], references)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(1.0, 2.0, (2000, 3))
    hits = [(d := paired_difference(list(x), [0.0] * 3)).low < 1 < d.high for x in draws]
    assert abs(np.mean(hits) - 0.95) < 3 * math.sqrt(0.95 * 0.05 / len(draws))


def test_signed_gaps_by_hand() -> None:
    runs = [*RETRAIN, *off("ugradsl", -4, -5, -6), *off("ga", 1, 3), record("ft", 0)]
    table = signed_gaps(runs)
    assert list(dict.fromkeys(table["label"])) == ["ga", "ugradsl"]  # FT diverged
    assert list(table[table["label"] == "ga"]["metric"]) == ["UA", "MIA", "RA", "TA"]
    row = table[(table["label"] == "ugradsl") & (table["metric"] == "RA")].iloc[0]
    half = t_quantile_of_two_degrees(0.95) / math.sqrt(3)
    assert (row["n"], row["difference"], row["seeds"]) == (3, -5.0, [-4.0, -5.0, -6.0])
    assert (row["low"], row["high"]) == pytest.approx((-5 - half, -5 + half))


def test_signed_gaps_have_the_additional_mia_where_records_have() -> None:
    runs = [*RETRAIN, *off("ga", 1, 2, 3)]
    with_add = [replace(r, metrics={**r.metrics, "add_MIA": 50.0 + r.seed}) for r in runs]
    assert list(signed_gaps(with_add)["metric"]) == list(METRICS)
    assert signed_gaps(RETRAIN).empty


LABELS = ["ft", "ga", "rl", "scrub", "ugradsl", "ugradsl+"]


def ranked(gaps: list[float]) -> list[Record]:
    """Runs of three seeds with the same gap each."""
    runs = [off(label, gap, gap, gap) for label, gap in zip(LABELS, gaps, strict=False)]
    return [*RETRAIN, *itertools.chain.from_iterable(runs)]


def test_the_same_order_has_tau_one() -> None:
    paper = dict(zip(LABELS, [1.0, 10.0, 100.0, 1000.0, 1e4, 1e5], strict=True))
    found = agreement(ranked([1, 2, 3, 4, 5, 6]), paper)
    assert found is not None
    assert found.labels == tuple(LABELS)
    assert found.tau == pytest.approx(1)
    assert found.exact
    assert found.p_value == pytest.approx(2 / math.factorial(6))  # this order and its opposite
    assert (found.low, found.high) == pytest.approx((1, 1))
    assert found.by_seed == pytest.approx({0: 1, 1: 1, 2: 1})
    opposite = agreement(ranked([6, 5, 4, 3, 2, 1]), paper)
    assert opposite is not None
    assert opposite.tau == pytest.approx(-1)
    assert opposite.p_value == pytest.approx(found.p_value)


def test_tau_counts_pairs() -> None:
    paper = dict(zip(LABELS[:4], [1.0, 2.0, 4.0, 3.0], strict=True))
    found = agreement(ranked([1, 2, 3, 4]), paper)
    assert found is not None
    assert found.tau == pytest.approx((5 - 1) / 6)  # five pairs agree, one does not
    assert found.p_value == pytest.approx(8 / 24)  # of 24 orders, 1 + 3 and as many reversed
    assert math.isnan(found.low)  # four methods are too few for a bootstrap


def test_ties_are_tau_b_and_approximate() -> None:
    paper = dict(zip(LABELS[:4], [1.0, 2.0, 2.0, 3.0], strict=True))
    found = agreement(ranked([1, 2, 3, 4]), paper)
    assert found is not None
    assert found.tau == pytest.approx(5 / math.sqrt(6 * 5))
    assert not found.exact


def test_methods_without_a_run_or_without_a_printed_gap_are_not_ranked() -> None:
    runs = [*ranked([1, 2, 3]), record("scrub", 0), *off("ugradsl", 9)]
    paper = {"ft": 1.0, "ga": 2.0, "rl": math.nan, "scrub": 3.0, "gli": 4.0, "retrain": math.nan}
    found = agreement(runs, paper)
    assert found is not None
    assert found.labels == ("ft", "ga")
    assert agreement(runs, {"ft": 1.0}) is None
    assert agreement([], paper) is None


def test_tau_by_seed_takes_the_seeds_that_all_methods_have() -> None:
    runs = [*RETRAIN, *off("ft", 1, 5, 1), *off("ga", 2, 2)]
    found = agreement(runs, {"ft": 1.0, "ga": 2.0})
    assert found is not None
    assert found.by_seed == {0: 1, 1: -1}
    assert found.tau == -1  # means 7/3 and 2


def test_the_gap_may_take_the_additional_mia_in() -> None:
    runs = [
        replace(made, metrics={**made.metrics, "add_MIA": 50.0 if made.method == "ft" else 0.0})
        for made in ranked([1, 2])
    ]
    paper = {"ft": 1.0, "ga": 2.0}
    plain, with_add = agreement(runs, paper), agreement(runs, paper, METRICS)
    assert plain is not None
    assert with_add is not None
    assert (plain.tau, with_add.tau) == (1, -1)


def test_the_bootstrap_interval_agrees_with_all_resamples() -> None:
    first, second = [1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 3.0, 5.0, 4.0]
    every = []
    for chosen in itertools.product(range(5), repeat=5):
        x, y = ([values[i] for i in chosen] for values in (first, second))
        every.append(stats.kendalltau(x, y).statistic if len(set(chosen)) > 1 else 0.0)
    levels = (0.1, 0.9)
    low, high = kendall_interval(first, second, 0.8)
    for bound, level in zip((low, high), levels, strict=True):  # 2,000 of 3,125: within 3 errors
        below, upto = np.mean(np.less(every, bound - 1e-9)), np.mean(np.less(every, bound + 1e-9))
        error = 3 * math.sqrt(0.1 * 0.9 / 2000)
        assert below - error <= level <= upto + error
    assert kendall_interval(first, second, 0.8) == (low, high)
