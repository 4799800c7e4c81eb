"""How much luck a search needs: the best of k configurations, expected, and its spread.

Values are what a search minimises. Two estimators share the n values that a search has tried:

* :func:`expected_best_with_replacement` of Dodge et al. (2019) takes the k draws from the empirical
  distribution. It is biased: a draw may come twice, so that k draws are fewer than k
  configurations, and the expected minimum comes out too large.
* :func:`expected_best` of Tang et al. (2020) averages the minimum over all subsets of k, without
  replacement. It is unbiased for k up to n where the values are independent draws.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from ugradsl_core.errors import DataError


def _checked(values: Sequence[float], k: int, largest: float) -> list[float]:
    """The values, sorted.

    Raises:
        DataError: no values, one that is not a number, or k out of range.
    """
    if not values or any(math.isnan(value) for value in values):
        raise DataError("luck: needs at least one value, and no NaN")
    if not 1 <= k <= largest:
        raise DataError(f"k: should be a whole number from 1 to {largest:g}; found {k}")
    return sorted(values)


def best_of(n: int, k: int) -> list[Fraction]:
    """For each rank, the probability that it is the best of k drawn from n without replacement.

    Exact: the i-th smallest (i from 1) is the minimum of C(n − i, k − 1) of the C(n, k) subsets.
    """
    subsets = math.comb(n, k)
    return [Fraction(math.comb(n - i, k - 1), subsets) for i in range(1, n + 1)]


def expected_best(values: Sequence[float], k: int) -> float:
    """Mean over all subsets of k values of their smallest one (Tang et al., 2020).

    Args:
        values: validation gaps of all the trials of a search, n of them.
        k: from 1 to n.

    Raises:
        DataError: no values, NaN, or k out of range.
    """
    ordered = _checked(values, k, len(values))
    return math.fsum(
        float(share) * value for share, value in zip(best_of(len(ordered), k), ordered, strict=True)
    )


def expected_best_with_replacement(values: Sequence[float], k: int) -> float:
    """Mean of the smallest of k draws from the empirical distribution (Dodge et al., 2019).

    The i-th smallest of n values is the minimum with probability
    ((n − i + 1)/n)ᵏ − ((n − i)/n)ᵏ.

    Raises:
        DataError: no values, NaN, or k below 1.
    """
    ordered = _checked(values, k, math.inf)
    n = len(ordered)
    shares = (((n - i) / n) ** k - ((n - i - 1) / n) ** k for i in range(n))
    return math.fsum(share * value for share, value in zip(shares, ordered, strict=True))


def best_quantile(values: Sequence[float], k: int, share: float) -> float:
    """The smallest value that the best of k draws without replacement exceeds rarely enough.

    It is the ``share`` quantile of the minimum over all subsets of k: exact, no resampling.

    Raises:
        DataError: no values, NaN, k out of range, or a share that is not between 0 and 1.
    """
    ordered = _checked(values, k, len(values))
    if not 0 <= share <= 1:
        raise DataError(f"share: should be between 0 and 1; found {share}")
    reached = Fraction(0)
    for part, value in zip(best_of(len(ordered), k), ordered, strict=True):
        reached += part
        if reached >= Fraction(share):
            return value
    return ordered[-1]
