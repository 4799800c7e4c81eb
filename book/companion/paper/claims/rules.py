"""Rules that turn numbers into verdicts: thresholds, and words for outcomes.

The paper's own numbers were known when they were written, and so were our records from before the
protocol; no record of the protocol was. A threshold that a claim leaves open, such as what
"marginal" is, is chosen here once.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

MARGINAL = 1.25  # times the cost of the method that is improved
STABLE = 2.0  # largest over smallest Avg. Gap of a sweep
DROP = 1.0  # percentage points of RA or TA
APART = 2.0  # percentage points of the additional MIA above Retrain's
COLLAPSED = 0.5  # of Retrain's TA
ALWAYS = 0.95  # share of forget sets for "partly"
TOP = 3
BASES = (("ugradsl", "ga"), ("ugradsl+", "ft"))  # each of ours and what it adds smoothing to
FEWEST_SEEDS = 3
FEWEST_VALUES = 3  # of a sweep
FEW_SETTINGS, MANY_SETTINGS = 3, 6
GOOD, PARTLY, BAD = "good", "partly", "bad"
TIED, UNDECIDED, FEW = "tied", "undecided", "few"
STRENGTHS: dict[str, str] = {
    "none": "nothing to go by",
    "weak": "the paper: fewer than three settings; ours: fewer than three seeds, or no setting "
    "with a search of its own",
    "moderate": "the paper: three to five settings; ours: one or two with a search of their own",
    "strong": "the paper: six settings or more; ours: three or more with a search of their own",
    "exact": "a formula, no experiment",
}


@dataclass(frozen=True)
class Judgement:
    """Whether a claim holds, by one kind of evidence.

    Attributes:
        outcome: for the paper's numbers ``supported``, ``partly``, ``not supported`` or
            ``no numbers``; for our records ``reproduced``, ``partly``, ``tied``, ``undecided``,
            ``not reproduced``, ``too few seeds`` or ``not run``.
        evidence: the numbers behind it, in a sentence or two.
        strength: a key of ``STRENGTHS``.
    """

    outcome: str
    evidence: str
    strength: str


def all_or_half(held: Sequence[bool]) -> str:
    """Good: every comparison holds; partly: more than half of them; bad: fewer."""
    if all(held):
        return GOOD
    return PARTLY if sum(held) > len(held) / 2 else BAD


def all_or_some(held: Sequence[bool]) -> str:
    """Good: every part holds; partly: some; bad: none."""
    return overall([GOOD if part else BAD for part in held])


def overall(outcomes: Sequence[str]) -> str:
    """Good if all are, bad if all are, else partly."""
    for outcome in (GOOD, BAD):
        if all(found == outcome for found in outcomes):
            return outcome
    return PARTLY


def combined(outcomes: Sequence[str]) -> str:
    """One outcome from those of comparisons that noise may leave open.

    Good: all are. Partly: some are good or partly so. Bad: none is, and some are bad. Otherwise
    nothing could be told apart: tied, or undecided where all are below the noise floor. What has
    too few seeds counts only where there is nothing else.
    """
    known = [outcome for outcome in outcomes if outcome != FEW]
    if not known:
        return FEW
    if all(outcome == GOOD for outcome in known):
        return GOOD
    for outcome, sign in ((GOOD, PARTLY), (PARTLY, PARTLY), (BAD, BAD), (TIED, TIED)):
        if outcome in known:
            return sign
    return UNDECIDED


def sweep_parts(
    gaps: Mapping[str, Mapping[str, float]], limits: Mapping[str, float]
) -> tuple[list[str], list[str]]:
    """Outcome and evidence of each method's sweep.

    Good: the largest gap is at most twice the smallest. Partly: it is not, but no gap exceeds
    that of the method which is improved. Bad: one does.

    Args:
        gaps: method → value → Avg. Gap.
        limits: method → Avg. Gap of the method that it improves, where it is known.
    """
    outcomes, parts = [], []
    for method, values in gaps.items():
        small, large = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        ratio = values[large] / values[small] if values[small] else math.inf
        limit = limits.get(method, math.inf)
        outcome = GOOD if ratio <= STABLE else PARTLY
        if outcome == PARTLY and not values[large] <= limit < math.inf:
            outcome = BAD
        outcomes.append(outcome)
        compared = f"; the method it improves has {limit:.2f}" if limit < math.inf else ""
        parts.append(
            f"{method}: from {values[small]:.2f} at {small} to {values[large]:.2f} at {large}, "
            f"{ratio:.1f} times{compared}"
        )
    return outcomes, parts


def judge_epochs(
    accuracy: Mapping[str, Mapping[str, float]],
    gaps: Mapping[str, Mapping[str, float]],
    reference: float,
    title: Callable[[str], str],
) -> tuple[str, str]:
    """Outcome and evidence of a sweep over epochs.

    Good: GA's TA falls below half of Retrain's, UGradSL+'s never does, and its largest gap
    is at most twice its smallest. Partly: the first two. Bad: otherwise.

    Args:
        accuracy: method → epochs → TA, with ``ga`` and ``ugradsl+``.
        gaps: method → epochs → Avg. Gap.
        reference: Retrain's TA.
        title: of a method.
    """
    lowest = {method: min(values.values()) for method, values in accuracy.items()}
    fallen = {method: value < COLLAPSED * reference for method, value in lowest.items()}
    (steady,), (change,) = sweep_parts({title("ugradsl+"): gaps["ugradsl+"]}, {})
    outcome = BAD
    if fallen["ga"] and not fallen["ugradsl+"]:
        outcome = GOOD if steady == GOOD else PARTLY
    floors = ", ".join(f"{title(method)} {value:.2f}" for method, value in lowest.items())
    return outcome, f"Lowest TA in %: {floors}; Retrain {reference:.2f}. Gap of {change}."
