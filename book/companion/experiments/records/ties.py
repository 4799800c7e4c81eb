"""Verdicts with ties: which of two methods comes nearer to Retrain, and ranks as sets.

Two methods are compared by the difference of their Avg. Gaps in each seed, against the Retrain of
that seed. The test is the two-sided paired *t* test at the level ``ALPHA``, corrected by Holm's
step-down procedure over a family: all comparisons that are shown together. "Better" and "worse"
are said only where the corrected test rejects, which is where the interval at the level of its own
step leaves out 0; otherwise two methods are tied. A difference below the noise floor, the mean gap
between two Retrains of the same data, stays undecided even where the test rejects.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np

from companion.experiments.records.record import Record
from companion.experiments.records.summary import gaps_by_seed, record_label
from companion.experiments.settings.labels import title_of
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import FIVE_METRICS, GAP_METRICS, GAP_NAMES

ALPHA = 0.05
FEWEST_SEEDS = 3
REFERENCE, FLOOR, NO_STEP = "retrain", "retrain:again", "no-step"
OUTSIDE = {  # labels that compete with nobody, and why
    REFERENCE: "the reference",
    FLOOR: "the noise floor",
    NO_STEP: "no unlearning",
    "pabi": "needs more passes than the budget",
}
MEASURES: dict[str, tuple[str, ...]] = {name: metrics for metrics, name in GAP_NAMES.items()}
FOUR, FIVE = GAP_NAMES[GAP_METRICS], GAP_NAMES[FIVE_METRICS]  # as in the paper's Table 4
BETTER, WORSE, TIED, UNDECIDED = "better", "worse", "tied", "undecided"
FEW, NOT_RUN = "too few seeds", "not run"
NAN = float("nan")

Gaps = Mapping[str, Mapping[int, float]]


@dataclass(frozen=True)
class Decision:
    """A sample of paired differences, tested as one of a family.

    Attributes:
        n: differences.
        mean: of them.
        low: lower end of the *t* interval for the mean at confidence 1 − ``level``; NaN for fewer
            than three differences.
        high: upper end.
        level: at which Holm's procedure tests this member; it stops at the first that it cannot
            reject, and those after that one keep its level.
        p_value: two-sided, of mean 0; NaN for fewer than three differences.
        corrected: Holm's adjusted p-value.
        sign: of the mean where the corrected test rejects, else 0.
    """

    n: int
    mean: float
    low: float
    high: float
    level: float
    p_value: float
    corrected: float
    sign: int


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of Holm's step-down procedure, in the order given.

    The k-th smallest of m is multiplied by m − k + 1, and no adjusted value is below that of a
    smaller p. Rejecting those up to α keeps the probability of any false rejection below α, however
    the tests depend on each other.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    adjusted, largest = [NAN] * len(p_values), 0.0
    for step, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - step) * p_values[place]))
        adjusted[place] = largest
    return adjusted


def decide(samples: Sequence[Sequence[float]], alpha: float = ALPHA) -> list[Decision]:
    """Test every sample of paired differences for mean 0; those of three or more are the family.

    Differences without any spread are the limit of the *t* test: p is 0, or 1 where they are all 0.

    Raises:
        DataError: alpha is not between 0 and 1.
    """
    from scipy import stats

    if not 0 < alpha < 1:
        raise DataError(f"alpha: should be between 0 and 1; found {alpha}")
    rounded = [np.round(np.asarray(sample, float), 9) for sample in samples]  # sums are not exact
    members = [i for i, sample in enumerate(rounded) if len(sample) >= FEWEST_SEEDS]
    errors = {i: float(rounded[i].std(ddof=1)) / math.sqrt(len(rounded[i])) for i in members}
    p_values = {i: _p_value(float(rounded[i].mean()), errors[i], len(rounded[i])) for i in members}
    corrected = dict(zip(members, holm([p_values[i] for i in members]), strict=True))
    levels = _levels(p_values, alpha)
    found = []
    for i, sample in enumerate(rounded):
        n, mean = len(sample), float(sample.mean()) if len(sample) else NAN
        if i not in corrected:
            found.append(Decision(n, mean, NAN, NAN, NAN, NAN, NAN, 0))
            continue
        half = float(stats.t.ppf(1 - levels[i] / 2, n - 1)) * errors[i]
        sign = int(np.sign(mean)) if corrected[i] <= alpha else 0
        ends = (mean - half, mean + half)
        found.append(Decision(n, mean, *ends, levels[i], p_values[i], corrected[i], sign))
    return found


def _p_value(mean: float, error: float, n: int) -> float:
    from scipy import stats

    if not error > 0:
        return float(mean == 0)
    return float(2 * stats.t.sf(abs(mean) / error, n - 1))


def _levels(p_values: Mapping[int, float], alpha: float) -> dict[int, float]:
    """Member → the level that Holm's procedure tests it at."""
    levels, level, stopped = {}, alpha, False
    for step, place in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if not stopped:
            level = alpha / (len(p_values) - step)
            stopped = p_values[place] > level
        levels[place] = level
    return levels


@dataclass(frozen=True)
class GapTable:
    """Avg. Gap of every run in one setting, by one measure.

    Attributes:
        measure: a key of ``MEASURES``.
        gaps: label → seed → Avg. Gap to the Retrain of that seed, in percentage points.
        lost: label → runs that diverged, or in which an attack of the measure has no signal: the
            100 points that such a run counts elsewhere are a convention, and no measurement that
            a test could use.
        floor: mean gap between two Retrains of the same data; NaN where there is no second one.
    """

    measure: str
    gaps: Gaps
    lost: Mapping[str, int] = field(default_factory=dict)
    floor: float = NAN


def seed_gaps(records: Sequence[Record], names: Sequence[str] = GAP_METRICS) -> Gaps:
    """Label → seed → Avg. Gap over ``names`` to the Retrain of that seed; Retrain is left out.

    Runs that diverged, have no Retrain of their seed, lack a metric, or have an attack without a
    signal are left out, too.
    """
    return gaps_by_seed([record for record in records if _measured(record, names)], names)


def _measured(record: Record, names: Sequence[str]) -> bool:
    return all(not math.isnan(record.metrics.get(name, NAN)) for name in names)


def gap_table(records: Sequence[Record], measure: str = FOUR) -> GapTable:
    """The gaps of records of one setting, and its noise floor."""
    gaps = seed_gaps(records, MEASURES[measure])
    lost: dict[str, int] = {}
    for record in records:
        if not _measured(record, MEASURES[measure]):
            lost[record_label(record)] = lost.get(record_label(record), 0) + 1
    again = list(gaps.get(FLOOR, {}).values())
    return GapTable(measure, gaps, lost, float(np.mean(again)) if again else NAN)


@dataclass(frozen=True)
class Comparison:
    """Two methods in the seeds that both have.

    Attributes:
        first: a label.
        second: a label.
        means: Avg. Gap of each over those seeds.
        decision: on first − second; negative where the first is nearer to Retrain.
        outcome: of the first: ``better``, ``worse``, ``tied``, ``undecided``, ``too few seeds``
            or ``not run``.
        floor: see :class:`GapTable`.
        lost: runs of the first and of the second that have no gap, see :class:`GapTable`.
        family: comparisons that were tested together.
    """

    first: str
    second: str
    means: tuple[float, float]
    decision: Decision
    outcome: str
    floor: float
    lost: tuple[int, int]
    family: int


def compare(asked: Iterable[tuple[GapTable, str, str]], alpha: float = ALPHA) -> list[Comparison]:
    """Compare pairs of methods, each in its own table; all of them together are one family.

    A method that lost a run is never better than another one: what its gap would have been there
    is not known.
    """
    listed = list(asked)
    samples, means = [], []
    for table, first, second in listed:
        own, other = table.gaps.get(first, {}), table.gaps.get(second, {})
        seeds = sorted(set(own) & set(other))
        samples.append([own[seed] - other[seed] for seed in seeds])
        means.append(tuple(_mean([x[seed] for seed in seeds]) for x in (own, other)))
    decisions = decide(samples, alpha)
    family = sum(not math.isnan(decision.p_value) for decision in decisions)
    found = []
    for (table, first, second), (a, b), decision in zip(listed, means, decisions, strict=True):
        lost = (table.lost.get(first, 0), table.lost.get(second, 0))
        known = [label in table.gaps or table.lost.get(label, 0) > 0 for label in (first, second)]
        outcome = _outcome(decision, table.floor, lost) if all(known) else NOT_RUN
        found.append(
            Comparison(first, second, (a, b), decision, outcome, table.floor, lost, family)
        )
    return found


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else NAN


def _outcome(decision: Decision, floor: float, lost: tuple[int, int]) -> str:
    if decision.n < FEWEST_SEEDS:
        return FEW
    if not decision.sign:
        return TIED
    if abs(decision.mean) < floor:  # False where the floor is NaN
        return UNDECIDED
    winner = 0 if decision.sign < 0 else 1
    if lost[winner]:
        return UNDECIDED
    return (BETTER, WORSE)[winner]


@dataclass(frozen=True)
class Ranking:
    """Ranks of the methods of a table as sets of methods that cannot be told apart.

    Attributes:
        measure: a key of ``MEASURES``.
        labels: the ranked ones, the smallest mean gap first.
        ranks: label → the first and the last rank that it may have: 1 + the number of methods that
            are better than it, and their whole number less those that are worse.
        best: those that cannot be told apart from the smallest mean gap, itself among them.
        unranked: label → why it has no rank.
        family: pairs that were tested together.
    """

    measure: str
    labels: tuple[str, ...]
    ranks: Mapping[str, tuple[int, int]]
    best: frozenset[str]
    unranked: Mapping[str, str]
    family: int


def rank(table: GapTable, alpha: float = ALPHA) -> Ranking:
    """Rank the methods of a table; all pairs of the ranked ones are one family."""
    unranked = {label: why for label, why in OUTSIDE.items() if label in table.gaps}
    means = {}
    for label in {**table.gaps, **table.lost}:
        if label in OUTSIDE:
            continue
        seeds = table.gaps.get(label, {})
        if table.lost.get(label):
            unranked[label] = "lost a run"
        elif len(seeds) < FEWEST_SEEDS:
            unranked[label] = FEW
        else:
            means[label] = _mean(list(seeds.values()))
    labels = tuple(sorted(means, key=means.__getitem__))
    found = compare([(table, a, b) for a, b in combinations(labels, 2)], alpha)
    above, below = dict.fromkeys(labels, 0), dict.fromkeys(labels, 0)
    beaten = set()
    for pair in found:
        if pair.outcome in (BETTER, WORSE):
            winner, loser = (
                (pair.first, pair.second) if pair.outcome == BETTER else (pair.second, pair.first)
            )
            above[loser] += 1
            below[winner] += 1
            if winner == labels[0]:
                beaten.add(loser)
    ranks = {label: (1 + above[label], len(labels) - below[label]) for label in labels}
    best = frozenset(label for label in labels if label not in beaten)
    return Ranking(table.measure, labels, ranks, best, unranked, found[0].family if found else 0)


PAIRS = (  # what the paper compares, and (first) what its title claims: smoothing against none
    ("ugradsl+", "neggrad+"),
    ("ugradsl", "neggrad+:forget"),
    ("ugradsl", "ga"),
    ("ugradsl+", "ft"),
    ("ugradsl:adaptive", "ugradsl"),
    ("ugradsl+:adaptive", "ugradsl+"),
    ("ugradsl:adaptive-positive", "ugradsl"),
    ("ugradsl+:adaptive-positive", "ugradsl+"),
)
SMOKE = "smoke"  # the scale whose runs support no verdict


@dataclass(frozen=True)
class Verdict:
    """Whether the first of two methods comes nearer to Retrain, by each measure.

    Attributes:
        claim: which two, as a sentence without a full stop.
        outcomes: measure → outcome of :class:`Comparison`.
        evidence: the numbers behind them, in a sentence or two.
    """

    claim: str
    outcomes: Mapping[str, str]
    evidence: str


def measures_of(records: Sequence[Record]) -> list[str]:
    """The measures that records allow: the one with the additional MIA only where all have it."""
    good = [record for record in records if record.status == "ok"]
    return [
        measure
        for measure, names in MEASURES.items()
        if good and all(set(names) <= set(record.metrics) for record in good)
    ]


def verdicts(records: Sequence[Record], pairs: Sequence[tuple[str, str]] = PAIRS) -> list[Verdict]:
    """A verdict on each pair; all pairs together are one family, for each measure.

    Raises:
        DataError: the records are of the smoke scale, which supports no verdict.
    """
    if any(record.scale == SMOKE for record in records):
        raise DataError(
            "records: are of the smoke scale, which shows that the code runs and supports no "
            "verdict; use records of the bench or paper scale"
        )
    measures = measures_of(records) or list(MEASURES)[:1]
    by_measure = {}
    for measure in measures:
        table = gap_table(records, measure)
        by_measure[measure] = compare([(table, *pair) for pair in pairs])
    return [
        Verdict(
            f"{title_of(first)} against {title_of(second)}",
            {measure: found[i].outcome for measure, found in by_measure.items()},
            evidence({measure: found[i] for measure, found in by_measure.items()}),
        )
        for i, (first, second) in enumerate(pairs)
    ]


def evidence(found: Mapping[str, Comparison]) -> str:
    """The numbers of a comparison: by the first measure, and by all of them where they differ."""
    first = next(iter(found))
    if len({comparison.outcome for comparison in found.values()}) > 1:
        return " ".join(sentence(measure, each) for measure, each in found.items())
    same = [measure for measure in found if measure != first]
    known = found[first].outcome != NOT_RUN
    return sentence(first, found[first]) + (
        f" The same by {', '.join(same)}." if same and known else ""
    )


def sentence(measure: str, found: Comparison) -> str:
    """The numbers of a comparison, in a sentence."""
    first, second = title_of(found.first), title_of(found.second)
    decision = found.decision
    lost = [
        f"{count} of {title}"
        for title, count in zip((first, second), found.lost, strict=True)
        if count
    ]
    extra = f"; runs that diverged or have no signal: {', '.join(lost)}" if lost else ""
    if found.outcome == NOT_RUN:
        return f"{measure}: no records of both methods."
    if not decision.n:
        return f"{measure}: no seed that both methods finished{extra}."
    text = f"{measure}: {found.means[0]:.2f} against {found.means[1]:.2f} points"
    if found.outcome == FEW:
        return f"{text} in {decision.n} seed{'s' * (decision.n > 1)}{extra}."
    text += (
        f", difference {signed(decision.mean)} [{signed(decision.low)}, {signed(decision.high)}], "
        f"p {p_text(decision.corrected)}"
        + (f" after correction for {found.family} comparisons" if found.family > 1 else "")
        + f", {decision.n} seeds"
    )
    if found.outcome == UNDECIDED and abs(decision.mean) < found.floor:
        text += f"; the difference is below the noise floor of {found.floor:.2f}"
    return f"{text}{extra}."


def signed(number: float, digits: int = 2) -> str:
    """A number with its sign; zero has none."""
    text, zero = f"{number:+.{digits}f}".replace("-", "−"), f"{0:.{digits}f}"
    return zero if text[1:] == zero else text


def p_text(p_value: float) -> str:
    """A p-value to two digits, and no smaller than a *t* test of a few seeds can be trusted."""
    return f"= {p_value:.2g}" if p_value >= 0.001 else "< 0.001"
