"""What records of a few seeds can tell: differences to Retrain, and agreement of two rankings.

Every test and interval is SciPy's. With three seeds they say little, and the pages say so: the t
quantile is 4.3, and no normal distribution can be checked with three numbers.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.experiments.records.record import Record
from companion.experiments.records.summary import (
    METRICS,
    by_label,
    gaps_by_seed,
    natural_order,
    paired,
)
from companion.experiments.settings.labels import title_of
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST_FOR_INTERVAL = 5
NAN = float("nan")


@dataclass(frozen=True)
class PairedDifference:
    """The mean of paired differences with its t interval and test.

    Attributes:
        n: pairs.
        mean: of value − reference.
        std: sample standard deviation of the differences; NaN for one pair.
        low: lower end of the interval for the mean; NaN where the differences have no spread.
        high: upper end.
        p_value: two-sided, of the hypothesis that the mean is 0; NaN where ``low`` is.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    p_value: float


def paired_difference(
    values: Sequence[float], references: Sequence[float], confidence: float = CONFIDENCE
) -> PairedDifference:
    """Student's t interval and test for the mean of ``values − references``, pair by pair.

    It takes the differences for independent and normal. Where they are all the same, up to
    rounding, they hold no estimate of a spread, so there is no interval.

    Raises:
        DataError: no pairs, or sequences of different lengths.
    """
    from scipy import stats

    if not values or len(values) != len(references):
        raise DataError(
            f"paired_difference: needs two sequences of one length, at least 1; found "
            f"{len(values)} and {len(references)}"
        )
    differences = np.round(np.subtract(values, references), 9)  # sums of floats are not exact
    n, mean = len(differences), float(differences.mean())
    std = float(differences.std(ddof=1)) if n > 1 else NAN
    if not std > 0:
        return PairedDifference(n, mean, std, NAN, NAN, NAN)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(confidence)
    return PairedDifference(n, mean, std, float(low), float(high), float(test.pvalue))


def signed_gaps(records: Sequence[Record]) -> "pd.DataFrame":
    """Method − Retrain for each method and metric, paired by seed, in percentage points.

    Columns are ``label``, ``method``, ``metric``, ``n``, ``difference`` (mean over seeds), ``std``,
    ``low``, ``high``, ``p_value`` (see :class:`PairedDifference`) and ``seeds`` (a list). Methods
    are in natural order; those without a run paired with Retrain, and Retrain, are left out, and
    so are attacks without a signal.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for label in natural_order(by_label(records)):
        runs, references = paired(records, label)
        for name in METRICS if label != "retrain" else ():
            both = [(a, b) for a, b in zip(runs, references, strict=True) if name in a]
            pairs = [(a[name], b[name]) for a, b in both if not math.isnan(a[name] - b[name])]
            if not pairs:
                continue
            found = paired_difference([a for a, _ in pairs], [b for _, b in pairs])
            rows.append(
                {
                    "label": label,
                    "method": title_of(label),
                    "metric": name,
                    "n": found.n,
                    "difference": found.mean,
                    "std": found.std,
                    "low": found.low,
                    "high": found.high,
                    "p_value": found.p_value,
                    "seeds": [a - b for a, b in pairs],
                }
            )
    columns = ["label", "method", "metric", "n", "difference", "std", "low", "high", "p_value"]
    return pd.DataFrame(rows, columns=[*columns, "seeds"])


@dataclass(frozen=True)
class Agreement:
    """Kendall's τ between two rankings of the same methods.

    Attributes:
        labels: the methods, in natural order.
        tau: τ-b: 1 for the same order, −1 for the opposite one, 0 on average without a relation.
        p_value: two-sided, of independent rankings.
        exact: whether ``p_value`` counts permutations; otherwise, with ties, it is approximate.
        low: lower end of the bootstrap interval over methods; NaN for fewer than five methods.
        high: upper end.
        by_seed: τ of the ranking in each seed that all the methods have.
    """

    labels: tuple[str, ...]
    tau: float
    p_value: float
    exact: bool
    low: float
    high: float
    by_seed: dict[int, float]


def _tau(first: Sequence[float], second: Sequence[float]) -> float:
    """τ-b; 0 where one ranking is all ties, as in a resample that holds one method only."""
    from scipy import stats

    if min(np.ptp(first), np.ptp(second)) == 0:
        return 0.0
    return float(stats.kendalltau(first, second).statistic)


def kendall_interval(
    first: Sequence[float], second: Sequence[float], confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Percentile bootstrap interval for τ: pairs are drawn with replacement, τ taken again.

    It answers how far τ hangs on the choice of methods, not how far it hangs on the seeds. With a
    dozen pairs it is rough and somewhat too narrow. NaN for fewer than five pairs.
    """
    from scipy import stats

    if len(first) < FEWEST_FOR_INTERVAL:
        return NAN, NAN
    found = stats.bootstrap(
        (np.asarray(first, float), np.asarray(second, float)),
        _tau,
        paired=True,
        vectorized=False,
        n_resamples=RESAMPLES,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    low, high = found.confidence_interval
    return float(low), float(high)


def agreement(
    records: Sequence[Record],
    printed: Mapping[str, float],
    names: Sequence[str] = GAP_METRICS,
) -> Agreement | None:
    """How far our ranking by Avg. Gap agrees with a printed one, over the methods of both.

    Ours is the ranking by the mean over seeds of each seed's gap to Retrain. A method without a
    finished run, or without a printed gap, is not ranked.

    Args:
        records: of one setting.
        printed: Avg. Gap by label; NaN is no gap.
        names: the metrics in our gap; with ``add_MIA`` for the paper's Table 4.

    Returns:
        None for fewer than two methods.
    """
    from scipy import stats

    found = gaps_by_seed(records, names)
    gaps = {
        label: found[label]
        for label in natural_order(found)
        if not math.isnan(printed.get(label, NAN))
    }
    if len(gaps) < 2:
        return None
    ours = [float(np.mean(list(seeds.values()))) for seeds in gaps.values()]
    theirs = [printed[label] for label in gaps]
    shared = sorted(set.intersection(*(set(seeds) for seeds in gaps.values())))
    ties = len(set(ours)) < len(ours) or len(set(theirs)) < len(theirs)
    return Agreement(
        tuple(gaps),
        _tau(ours, theirs),
        float(stats.kendalltau(ours, theirs, method="asymptotic" if ties else "exact").pvalue),
        not ties,
        *kendall_interval(ours, theirs),
        {seed: _tau([seeds[seed] for seeds in gaps.values()], theirs) for seed in shared},
    )
