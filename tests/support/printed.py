"""Made-up tables, printed as the paper prints its own: two decimals of means and spreads."""

import random
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from companion.paper.audit.lines import Line, lines_of
from companion.paper.numbers import Result

METRICS = ("UA", "MIA", "RA", "TA")
METHODS = ("ft", "ga", "iu", "rl", "salun", "scrub", "ugradsl", "ugradsl+")
Runs = Mapping[str, Sequence[float]]


def runs_of(rng: random.Random, base: Mapping[str, float], seeds: int, width: float) -> Runs:
    """Numbers between 0 and 100, one for each seed and metric."""
    return {
        metric: [min(max(rng.gauss(middle, width), 0.0), 100.0) for _ in range(seeds)]
        for metric, middle in base.items()
    }


def bases(rng: random.Random) -> dict[str, dict[str, float]]:
    """Where each method's metrics lie; every model knows its training data better than the rest."""
    reference = {"UA": rng.uniform(5, 40), "MIA": rng.uniform(10, 60)}
    reference |= {"RA": rng.uniform(90, 98), "TA": rng.uniform(60, 80)}
    found = {"retrain": reference}
    for method in METHODS:
        found[method] = {
            "UA": rng.uniform(0, 60),
            "MIA": rng.uniform(0, 90),
            "RA": reference["RA"] - rng.uniform(-2, 9),
            "TA": reference["TA"] - rng.uniform(-6, 9),
        }
    return found


def gap_of_means(runs: Runs, reference: Runs) -> float:
    """Before any rounding."""
    apart = [abs(statistics.fmean(runs[m]) - statistics.fmean(reference[m])) for m in METRICS]
    return statistics.fmean(apart)


def mean_of_gaps(runs: Runs, reference: Runs) -> float:
    """Seed by seed, before any rounding."""
    return statistics.fmean(
        abs(a - b) for m in METRICS for a, b in zip(runs[m], reference[m], strict=True)
    )


def printed(
    methods: Mapping[str, Runs],
    table: int = 10,
    definition: Any = gap_of_means,
    **place: str,
) -> list[Result]:
    """The cells of one block.

    Args:
        methods: method → runs, with ``retrain``.
        table: its number.
        definition: of the gap.
        place: ``dataset``, ``paradigm``, ``backbone``, ``parameter`` or ``parameter_value``.
    """
    cells = []
    for method, runs in methods.items():
        values = {m: (statistics.fmean(runs[m]), statistics.stdev(runs[m])) for m in METRICS}
        cells += [
            cell(table, method, m, f"{a:.2f}", f"{s:.2f}", **place) for m, (a, s) in values.items()
        ]
        if method == "retrain":
            cells.append(cell(table, method, "avg_gap", "", "", **place))
        else:
            gap = definition(runs, methods["retrain"])
            cells.append(cell(table, method, "avg_gap", f"{gap:.2f}", "", **place))
    return cells


def cell(table: int, method: str, metric: str, mean: str, std: str = "", **place: str) -> Result:
    """One printed cell; ``reason`` says why it is empty."""
    fields = {
        "table": table,
        "dataset": "cifar10",
        "paradigm": "random",
        "backbone": "resnet-18",
        "method": method,
        "parameter": "",
        "parameter_value": "",
        "metric": metric,
        "mean": mean,
        "std": std,
        "unit": "minute" if metric == "RTE" else "percent",
        "missing_reason": "" if mean else "reference row has no gap",
    }
    return Result.model_validate({**fields, **place})


def clean(
    seed: int = 0, table: int = 10, definition: Any = gap_of_means, **place: str
) -> list[Line]:
    """A block in which nothing is wrong."""
    rng = random.Random(f"{seed} {table} {sorted(place.items())}")
    methods = {m: runs_of(rng, base, 3, 1.0) for m, base in bases(rng).items()}
    return lines_of(printed(methods, table, definition, **place))
