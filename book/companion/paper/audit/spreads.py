"""Which standard deviations numbers between 0 and 100 can have."""

import functools
import math

from companion.paper.audit.lines import HALF_UNIT

MANY_RUNS = 200  # beyond this the largest spread hardly changes, and nobody repeats so often


def largest_spread(mean: float, runs: int) -> float:
    """The largest sample standard deviation that ``runs`` numbers in [0, 100] with that mean have.

    All but one of them are then 0 or 100: the spread is convex in the numbers, so it is largest at
    a corner of what their sum leaves open.

    Args:
        mean: in [0, 100].
        runs: at least 2.
    """
    total = runs * min(max(mean, 0.0), 100.0)
    full = min(int(total // 100), runs)
    rest = total - 100 * full
    squares = full * 100**2 + rest**2 - total**2 / runs
    return math.sqrt(max(squares, 0.0) / (runs - 1))


@functools.cache
def fewest_runs(mean: float, spread: float) -> int | None:
    """The smallest number of runs for which mean and spread are possible; None if there is none.

    Both are taken half a unit of their last digit nearer to what is possible.

    Args:
        mean: printed, in percent.
        spread: printed sample standard deviation.
    """
    towards_half = mean + (HALF_UNIT if mean < 50 else -HALF_UNIT)
    for runs in range(2, MANY_RUNS + 1):
        if spread - HALF_UNIT <= largest_spread(towards_half, runs):
            return runs
    return None


def is_possible(mean: float, spread: float) -> bool:
    """Whether any number of runs can have them."""
    return spread == 0 or fewest_runs(mean, spread) is not None
