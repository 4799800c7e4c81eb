"""The best of k trials: against enumeration of all subsets and of all draws."""

import itertools
import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.experiments.records.luck import (
    best_of,
    best_quantile,
    expected_best,
    expected_best_with_replacement,
)
from ugradsl_core.errors import DataError

VALUES = st.lists(st.floats(0, 100).map(lambda x: round(x, 2)), min_size=1, max_size=7)


@given(VALUES)
def test_without_replacement_it_is_the_mean_over_all_subsets(values: list[float]) -> None:
    for k in range(1, len(values) + 1):
        minima = [min(subset) for subset in itertools.combinations(values, k)]
        assert expected_best(values, k) == pytest.approx(sum(minima) / len(minima))


@given(VALUES.map(lambda values: values[:4]))
def test_with_replacement_it_is_the_mean_over_all_draws(values: list[float]) -> None:
    for k in (1, 2, 3, 5):
        minima = [min(draw) for draw in itertools.product(values, repeat=k)]
        assert expected_best_with_replacement(values, k) == pytest.approx(sum(minima) / len(minima))


@given(VALUES, st.floats(0.01, 0.99))
def test_a_quantile_is_that_of_all_subsets(values: list[float], share: float) -> None:
    for k in range(1, len(values) + 1):
        minima = sorted(min(subset) for subset in itertools.combinations(values, k))
        found = best_quantile(values, k, share)
        assert sum(m <= found for m in minima) >= share * len(minima) - 1e-9
        assert sum(m < found for m in minima) < share * len(minima) + 1e-9


@given(VALUES)
def test_limits_and_order(values: list[float]) -> None:
    n = len(values)
    assert expected_best(values, 1) == pytest.approx(sum(values) / n)
    assert expected_best_with_replacement(values, 1) == pytest.approx(sum(values) / n)
    assert expected_best(values, n) == min(values)
    curve = [expected_best(values, k) for k in range(1, n + 1)]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(curve))
    for k, mean in enumerate(curve, start=1):
        assert mean <= expected_best_with_replacement(values, k) + 1e-9  # a draw may come twice
        assert best_quantile(values, k, 0) == min(values)
        assert sum(best_of(n, k)) == 1


def test_two_values_by_hand() -> None:
    assert expected_best([4.0, 2.0], 2) == 2.0
    assert expected_best_with_replacement([4.0, 2.0], 2) == pytest.approx(2.5)  # 4, 2, 2, 2
    assert expected_best([1.0, 2.0, 4.0], 2) == pytest.approx(4 / 3)  # 1, 1, 2


def test_the_estimate_without_replacement_is_unbiased() -> None:
    """Over all samples of 3 from a population, it is the best of 2 from the population."""
    population = [1.0, 2.0, 5.0, 6.0, 9.0]
    samples = list(itertools.combinations(population, 3))
    mean = sum(expected_best(sample, 2) for sample in samples) / len(samples)
    assert mean == pytest.approx(expected_best(population, 2))
    biased = [expected_best_with_replacement(sample, 2) for sample in samples]
    assert sum(biased) / len(biased) > mean


@pytest.mark.parametrize("estimate", [expected_best, expected_best_with_replacement])
def test_what_cannot_be_estimated_is_refused(estimate: Callable[..., float]) -> None:
    for values in ([], [1.0, math.nan]):
        with pytest.raises(DataError, match="luck: needs at least one value, and no NaN"):
            estimate(values, 1)
    with pytest.raises(DataError, match=r"k: should be a whole number from 1 to .*; found 0"):
        estimate([1.0], 0)
    with pytest.raises(DataError, match="k: should be a whole number from 1 to 1; found 2"):
        expected_best([1.0], 2)
    with pytest.raises(DataError, match=r"share: should be between 0 and 1; found 1\.5"):
        best_quantile([1.0], 1, 1.5)
