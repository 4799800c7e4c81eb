"""Verdicts with ties: against closed forms, enumeration, and records that leave things open."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import campaign_records as campaign
from companion.experiments.records.ties import (
    BETTER,
    FEW,
    FIVE,
    FOUR,
    NOT_RUN,
    OUTSIDE,
    TIED,
    UNDECIDED,
    WORSE,
    GapTable,
    compare,
    decide,
    gap_table,
    holm,
    measures_of,
    rank,
    seed_gaps,
    verdicts,
)
from ugradsl_core.errors import DataError

NAN = float("nan")
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)
SAMPLES = st.lists(
    st.lists(st.floats(-50, 50).map(lambda x: round(x, 3)), min_size=0, max_size=6),
    min_size=1,
    max_size=6,
)


def table(
    floor: float = NAN, lost: dict[str, int] | None = None, **gaps: Sequence[float]
) -> GapTable:
    """Gaps of seeds 0, 1, …; labels with an underscore for each plus."""
    found = {label.replace("_", "+"): dict(enumerate(values)) for label, values in gaps.items()}
    return GapTable(FOUR, found, lost or {}, floor)


def outcome(made: GapTable, first: str, second: str) -> str:
    return compare([(made, first, second)])[0].outcome


# ----- Holm's procedure


def test_holm_by_hand() -> None:
    # 4 · .01, 3 · .02, 2 · .03 = .06 again, and .06 for .05, which is not multiplied
    assert holm([0.03, 0.01, 0.05, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(P_VALUES, st.randoms())
def test_holm_is_between_no_correction_and_bonferronis_and_keeps_the_order(
    p_values: list[float], random: object
) -> None:
    adjusted = holm(p_values)
    for p, corrected in zip(p_values, adjusted, strict=True):
        assert p <= corrected <= min(1.0, len(p_values) * p) + 1e-12
    pairs = sorted(zip(p_values, adjusted, strict=True))
    assert [b for _, b in pairs] == sorted(b for _, b in pairs)


@given(P_VALUES, st.floats(0.001, 0.2))
def test_holm_rejects_what_the_closed_procedure_rejects(
    p_values: list[float], alpha: float
) -> None:
    """A member falls where Bonferroni rejects every intersection that it is part of."""
    chosen = p_values[:7]
    adjusted = holm(chosen)
    for place in range(len(chosen)):
        rejected = all(
            min(chosen[i] for i in subset) * len(subset) <= alpha
            for size in range(1, len(chosen) + 1)
            for subset in itertools.combinations(range(len(chosen)), size)
            if place in subset
        )
        assert rejected is (adjusted[place] <= alpha)


# ----- one test and its family


def test_one_sample_is_scipys_test() -> None:
    sample = [-1.5, -3.0, -2.5, -2.0]
    (found,) = decide([sample])
    test = stats.ttest_1samp(sample, 0.0)
    low, high = test.confidence_interval(0.95)
    assert found.p_value == pytest.approx(test.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    assert (found.n, found.mean, found.level) == (4, pytest.approx(-2.25), 0.05)
    assert found.corrected == found.p_value
    assert found.sign == -1


def test_three_seeds_by_hand() -> None:
    # mean 2, s = 1, t = 2·√3; with 2 degrees of freedom P(|T| > t) = 1 − t/√(t² + 2)
    (found,) = decide([[1.0, 2.0, 3.0]])
    t = 2 * math.sqrt(3)
    assert found.p_value == pytest.approx(1 - t / math.sqrt(t * t + 2))
    assert found.sign == 0  # p = .074


def test_a_family_is_corrected_and_few_seeds_are_no_part_of_it() -> None:
    clear, open_ = [5.0, 5.1, 4.9], [1.0, 2.0, 3.0]
    alone = decide([clear])[0]
    first, second, few, none = decide([clear, open_, [9.0, 9.0], []])
    assert first.corrected == pytest.approx(2 * alone.p_value)
    assert (first.level, second.level) == (0.025, 0.05)
    assert (first.sign, second.sign, few.sign, none.sign) == (1, 0, 0, 0)
    assert all(math.isnan(x) for x in (few.p_value, few.low, few.corrected, none.mean))
    assert (few.n, few.mean, none.n) == (2, 9.0, 0)


def test_differences_without_spread_are_the_limit_of_the_test() -> None:
    same, nothing = decide([[0.1 + 0.2] * 3, [0.1 + 0.2 - 0.3] * 3])
    assert (same.p_value, same.sign, same.low, same.high) == (0.0, 1, 0.3, 0.3)
    assert (nothing.p_value, nothing.sign) == (1.0, 0)
    close = decide([[0.3 - 1e-6, 0.3, 0.3 + 1e-6]])[0]
    assert close.p_value < 1e-9


@settings(deadline=None)
@given(SAMPLES)
def test_an_interval_leaves_out_zero_just_where_the_test_rejects(
    samples: list[list[float]],
) -> None:
    for found in decide(samples):
        if found.n >= 3:
            outside = found.low > 0 or found.high < 0
            assert outside is (found.sign != 0)
            assert found.sign in (0, np.sign(found.mean))


@settings(deadline=None)
@given(SAMPLES)
def test_the_sign_turns_with_the_sample(samples: list[list[float]]) -> None:
    turned = decide([[-x for x in sample] for sample in samples])
    for one, other in zip(decide(samples), turned, strict=True):
        assert one.sign == -other.sign


def test_the_error_rate_over_a_family_is_kept() -> None:
    draw = np.random.default_rng(0)
    rounds = 1000
    wrong = sum(
        any(found.sign for found in decide(list(draw.normal(size=(8, 5))))) for _ in range(rounds)
    )
    assert wrong / rounds <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / rounds)
    assert wrong / rounds > 0.02  # corrected, and not to death


@pytest.mark.parametrize("alpha", [0.0, 1.0, 5.0])
def test_a_level_that_is_none_is_refused(alpha: float) -> None:
    with pytest.raises(DataError, match=r"alpha: should be between 0 and 1; found"):
        decide([[1.0, 2.0, 3.0]], alpha)


# ----- comparisons


def test_outcomes() -> None:
    made = table(ga=[9.0, 9.2, 9.1], ft=[2.0, 2.1, 2.3], rl=[2.2, 2.0, 2.2], ff=[1.0, 1.0])
    assert outcome(made, "ft", "ga") == BETTER
    assert outcome(made, "ga", "ft") == WORSE
    assert outcome(made, "ft", "rl") == outcome(made, "rl", "ft") == TIED
    assert outcome(made, "ff", "ga") == FEW
    assert outcome(made, "ff", "iu") == NOT_RUN


def test_below_the_noise_floor_nothing_is_decided() -> None:
    gaps = {"ga": [3.0, 3.1, 3.2], "ft": [2.0, 2.1, 2.2]}  # 1.0 in every seed
    assert outcome(table(floor=0.9, **gaps), "ft", "ga") == BETTER
    assert outcome(table(floor=1.1, **gaps), "ft", "ga") == UNDECIDED
    assert outcome(table(floor=NAN, **gaps), "ft", "ga") == BETTER
    noisy = table(floor=9.0, ga=[3.0, 9.0, 5.0], ft=[2.0, 9.5, 4.0])
    assert outcome(noisy, "ft", "ga") == TIED


def test_who_lost_a_run_is_never_better() -> None:
    gaps = {"ga": [9.0, 9.2, 9.1], "ft": [2.0, 2.1, 2.3]}
    assert outcome(table(lost={"ft": 1}, **gaps), "ft", "ga") == UNDECIDED
    assert outcome(table(lost={"ga": 1}, **gaps), "ft", "ga") == BETTER
    assert outcome(table(lost={"ga": 1}, **gaps), "ga", "ft") == WORSE
    assert outcome(table(lost={"ft": 1}, **gaps), "ga", "ft") == UNDECIDED
    assert outcome(table(lost={"rl": 5}, **gaps), "rl", "ft") == FEW


def test_only_seeds_that_both_have_are_compared() -> None:
    made = GapTable(FOUR, {"ga": {0: 9.0, 1: 9.1, 2: 9.2, 7: 0.0}, "ft": {2: 2.0, 1: 2.1, 0: 2.3}})
    (found,) = compare([(made, "ft", "ga")])
    assert found.means == pytest.approx((2.1333, 9.1), abs=1e-3)
    assert (found.decision.n, found.family) == (3, 1)


def test_a_family_spans_tables() -> None:
    made = table(ga=[9.0, 9.5, 9.1], ft=[2.0, 2.1, 2.3])
    one = compare([(made, "ft", "ga")])[0]
    two = compare([(made, "ft", "ga"), (made, "ga", "ft"), (made, "ft", "iu")])
    assert two[0].decision.corrected == pytest.approx(2 * one.decision.p_value)
    assert {found.family for found in two} == {2}


# ----- ranks


def test_ranks_are_sets() -> None:
    made = table(
        ft=[1.0, 1.1, 1.2, 1.1], rl=[1.1, 1.0, 1.1, 1.2],
        ga=[5.0, 5.1, 5.0, 5.2], ff=[20.0, 20.1, 20.3, 20.1],
    )  # fmt: skip
    found = rank(made)
    assert found.labels == ("ft", "rl", "ga", "ff")
    assert found.ranks == {"ft": (1, 2), "rl": (1, 2), "ga": (3, 3), "ff": (4, 4)}
    assert found.best == {"ft", "rl"}
    assert found.family == 6


def test_an_erratic_method_cannot_be_told_from_anybody() -> None:
    made = table(ft=[1.0, 1.1, 1.2], ff=[1.0, 60.0, 30.0], ga=[8.0, 8.1, 8.2])
    found = rank(made)
    assert found.ranks["ff"] == (1, 3)
    assert found.best == {"ft", "ff"}
    assert found.ranks["ga"] == (2, 3)


def test_some_stand_outside_the_ranking() -> None:
    inside = {"ft": [1.0, 1.1, 1.2], "ga": [8.0, 8.1, 8.2]}
    outside = {label: dict(enumerate([0.0, 0.1, 0.1])) for label in OUTSIDE if label != "retrain"}
    gaps = {label: dict(enumerate(values)) for label, values in inside.items()}
    made = GapTable(FOUR, {**gaps, **outside, "rl": {0: 0.0}, "ff": gaps["ft"]}, {"ff": 1, "iu": 3})
    found = rank(made)
    assert found.labels == ("ft", "ga")
    assert set(found.unranked) == {*outside, "rl", "ff", "iu"}
    assert found.unranked["rl"] == FEW
    assert found.unranked["ff"] == found.unranked["iu"] == "lost a run"
    assert "more passes than the budget" in found.unranked["pabi"]


def test_nobody_is_ranked_where_there_is_nobody() -> None:
    found = rank(GapTable(FOUR, {}))
    assert (found.labels, found.ranks, found.best, found.family) == ((), {}, frozenset(), 0)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.floats(0, 60), min_size=3, max_size=5), min_size=1, max_size=6),
    st.floats(0, 5),
)
def test_ranks_hold_together(values: list[list[float]], floor: float) -> None:
    labels = ["ft", "ga", "rl", "ff", "iu", "be"][: len(values)]
    made = GapTable(
        FOUR, {x: dict(enumerate(v)) for x, v in zip(labels, values, strict=True)}, {}, floor
    )
    found = rank(made)
    count = len(found.labels)
    assert all(1 <= low <= high <= count for low, high in found.ranks.values())
    assert found.labels[0] in found.best
    # every rank is somebody's: what is better and what is worse balance
    assert sum(low - 1 for low, _ in found.ranks.values()) == sum(
        count - high for _, high in found.ranks.values()
    )


# ----- from records


def test_gaps_are_taken_from_records() -> None:
    records = campaign.results({"ft": [1.0, 2.0, 3.0], "ga": [4.0, NAN, 4.0]})
    assert seed_gaps(records) == {
        "ft": pytest.approx({0: 1.0, 1: 2.0, 2: 3.0}),
        "ga": pytest.approx({0: 4.0, 2: 4.0}),
    }
    assert gap_table(records).lost == {"ga": 1}
    assert math.isnan(gap_table(records).floor)
    again = campaign.results({"retrain:again": [0.5, 0.7, 0.9]})
    assert gap_table(again).floor == pytest.approx(0.7)


def test_an_attack_without_a_signal_is_no_measurement() -> None:
    records = campaign.results({"ft": [1.0, 1.1, 1.2], "ga": [4.0, 4.1, 4.2]})
    silent = [
        replace(r, metrics={**r.metrics, "add_MIA": NAN}) if (r.method, r.seed) == ("ga", 1) else r
        for r in records
    ]
    assert gap_table(silent, FOUR).lost == {}
    assert gap_table(silent, FIVE).lost == {"ga": 1}
    assert set(gap_table(silent, FIVE).gaps["ga"]) == {0, 2}
    lost = [
        replace(r, metrics={**r.metrics, "MIA": NAN}) if (r.method, r.seed) == ("retrain", 1) else r
        for r in records
    ]
    assert set(gap_table(lost).gaps["ft"]) == {0, 2}  # there is nothing to compare with
    assert gap_table(lost).lost == {"retrain": 1}


def test_the_second_measure_is_there_where_all_records_have_it() -> None:
    records = campaign.results({"ft": [1.0]})
    assert measures_of(records) == [FOUR, FIVE]
    older = [replace(r, metrics={k: v for k, v in r.metrics.items() if k != "add_MIA"})
             for r in records]  # fmt: skip
    assert measures_of([*records, *older]) == [FOUR]
    assert measures_of([]) == []


def test_verdicts_of_a_page() -> None:
    pairs = (("ugradsl+", "ft"), ("ugradsl", "ga"), ("rl", "ga"), ("salun", "rl"))
    records = campaign.results(
        {"ugradsl+": [2, 2.1, 2.2], "ft": [9, 9.2, 9.0], "ugradsl": [5, 5.2, 6],
         "ga": [5.1, 5, 6.2], "rl": [1, 1]}
    )  # fmt: skip
    found = verdicts(records, pairs)
    assert [set(v.outcomes.values()) for v in found] == [{BETTER}, {TIED}, {FEW}, {NOT_RUN}]
    assert found[0].claim == "UGradSL+ against FT"
    assert found[0].evidence.startswith("Avg. Gap: 2.10 against 9.07 points, difference −6.97 [−")
    assert (
        "after correction for 2 comparisons, 3 seeds. The same by Avg. Gap (5)."
        in found[0].evidence
    )
    assert found[2].evidence.startswith("Avg. Gap: 1.00 against 5.05 points in 2 seeds.")
    assert found[3].evidence == "Avg. Gap: no records of both methods."


def test_a_verdict_that_depends_on_the_measure_shows_both() -> None:
    records = campaign.results({})
    for seed in range(3):
        records.append(campaign.run("ft", seed, 5 + seed / 10, attack=25.0))
        records.append(campaign.run("ga", seed, 9 + seed / 10))
    (found,) = verdicts(records, [("ft", "ga")])
    assert found.outcomes == {FOUR: BETTER, FIVE: TIED}
    assert "Avg. Gap: 5.10 against 9.10" in found.evidence
    assert "Avg. Gap (5): 9.08 against 9.10" in found.evidence


def test_lost_runs_and_the_floor_are_said() -> None:
    gaps = {"ft": [2.0, 2.1, 2.2, NAN], "ga": [2.5, 2.6, 2.7, 2.5], "retrain:again": [1.0] * 4}
    (found,) = verdicts(campaign.results(gaps), [("ft", "ga")])
    assert set(found.outcomes.values()) == {UNDECIDED}
    assert "the difference is below the noise floor of 1.00" in found.evidence
    assert "runs that diverged or have no signal: 1 of FT" in found.evidence


def test_smoke_runs_bear_no_verdict() -> None:
    records = [replace(r, scale="smoke") for r in campaign.results({"ft": [1, 1, 1]})]
    with pytest.raises(DataError, match=r"records: are of the smoke scale, .* supports no verdict"):
        verdicts(records)
