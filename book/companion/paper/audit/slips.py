"""Slips of one digit, and how often one of them would make a gap fit by chance."""

from collections.abc import Sequence
from dataclasses import dataclass

from companion.paper.audit.lines import SLACK, Line, distances, recomputed_gap

NEIGHBOURHOOD = 0.5  # percentage points, the least distance within which chance is counted


@dataclass(frozen=True)
class Slips:
    """Changes of one digit with which a line's printed gap would follow from its means.

    Attributes:
        cells: the metric and the number that would be there.
        chance: the share of gaps, at most as far from the recomputed one, that some change of one
            digit in a mean would make fit. The smaller it is, the more a fit says.
    """

    cells: tuple[str, ...]
    chance: float


def neighbours(number: float) -> set[float]:
    """The numbers of two decimals up to 100 that differ from it by one slip.

    A digit is changed, left out or added, or two that stand together are exchanged.
    """
    text, found = f"{number:.2f}", set()
    for place, digit in enumerate(text):
        if digit != ".":
            found |= {text[:place] + new + text[place + 1 :] for new in "0123456789"}
            found.add(text[:place] + text[place + 1 :])
            after = place + 2 if text[place + 1 : place + 2] == "." else place + 1
            if after < len(text):
                between = text[place + 1 : after]
                found.add(text[:place] + text[after] + between + digit + text[after + 1 :])
        found |= {text[:place] + new + text[place:] for new in "0123456789"}
    whole = {other for other in found if other[-3:-2] == "." and len(other) > 3}
    return {other for other in map(float, whole) if other <= 100} - {number}


def one_digit(line: Line, reference: Line, tolerance: float) -> Slips:
    """The slips in a mean, or in the gap itself, with which the printed gap fits.

    Args:
        line: with a gap and all its metrics.
        reference: Retrain's line.
        tolerance: largest difference of gaps that counts as rounding, in percentage points.
    """
    printed, recomputed = line.mean["avg_gap"], recomputed_gap(line, reference) or 0.0
    apart = distances(line, reference)
    gaps = {
        (metric, number): recomputed
        + (abs(number - reference.mean[metric]) - distance) / len(apart)
        for metric, distance in apart.items()
        for number in sorted(neighbours(line.mean[metric]))
    }
    fitting = [key for key, gap in gaps.items() if abs(gap - printed) <= tolerance + SLACK]
    cells = [f"{metric} {number:.2f}" for metric, number in fitting]
    own = (n for n in neighbours(printed) if abs(n - recomputed) <= tolerance + SLACK)
    cells += [f"Avg. Gap {number:.2f}" for number in sorted(own)]
    width = max(abs(printed - recomputed), NEIGHBOURHOOD)
    return Slips(tuple(cells), _chance(recomputed, width, list(gaps.values()), tolerance))


def _chance(middle: float, width: float, gaps: Sequence[float], tolerance: float) -> float:
    first, last = (round(100 * (middle + side * width)) for side in (-1, 1))
    tried = range(max(first, 0), last + 1)
    hits = sum(any(abs(gap - cents / 100) <= tolerance for gap in gaps) for cents in tried)
    return hits / len(tried)
