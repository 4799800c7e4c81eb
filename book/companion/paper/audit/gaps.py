"""What can explain a printed Avg. Gap that is not the mean distance of the printed means.

The explanations are tried in this order, and the first that fits is kept:

``rounding``: the difference is at most the tolerance, which rounding alone can cause.
``elsewhere``: another table prints another value for one cell of the same experiment, and with it
the gap fits.
``other-retrain``: one other value of one of Retrain's metrics makes several lines fit at once.
``per-seed``: the gap is larger, by no more than the mean of per-seed gaps can be.
``misprint``: one digit of one cell, or of the gap, changed, left out, added or exchanged with its
neighbour; kept only where so good a fit is rarely chance.
``unexplained``: none of these.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from companion.paper.audit.lines import (
    MEASURES,
    SLACK,
    TOLERANCE,
    Block,
    Line,
    blocks,
    distances,
    judged,
    largest_mean_of_gaps,
    recomputed_gap,
    reference_of,
)
from companion.paper.audit.slips import one_digit
from companion.paper.audit.spreads import is_possible

EXPLANATIONS = ("rounding", "elsewhere", "other-retrain", "per-seed", "misprint", "unexplained")
FEWEST_FITTED = 3  # lines that another Retrain value has to make fit
RARE = 0.1  # largest share of gaps as far off that one changed digit may fit by chance


@dataclass(frozen=True)
class GapCheck:
    """A line's printed gap beside the one of its printed means.

    Attributes:
        line: the line.
        reference: Retrain's line.
        printed: Avg. Gap as printed.
        recomputed: the mean distance of the printed means to Retrain's.
        largest: the largest mean of per-seed gaps that the spreads allow; None if one is unknown.
        explanation: one of ``EXPLANATIONS``.
        detail: the numbers behind the explanation, as half a sentence.
    """

    line: Line
    reference: Line
    printed: float
    recomputed: float
    largest: float | None
    explanation: str
    detail: str = ""

    @property
    def difference(self) -> float:
        """Printed minus recomputed, in percentage points."""
        return self.printed - self.recomputed


@dataclass(frozen=True)
class Fit:
    """A value of one of Retrain's metrics that makes printed gaps fit.

    Attributes:
        reference: Retrain's line.
        metric: which.
        low: smallest value with which all of ``lines`` fit.
        high: largest such value.
        lines: the lines that fit with it.
        tried: how many lines there were.
    """

    reference: Line
    metric: str
    low: float
    high: float
    lines: tuple[Line, ...]
    tried: int

    @property
    def value(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


def check_gaps(lines: Sequence[Line], tolerance: float = TOLERANCE) -> list[GapCheck]:
    """Every line whose gap is printed and can be recomputed, in order.

    Args:
        lines: of any tables; other tables' lines of the same experiment serve as evidence.
        tolerance: largest difference that counts as rounding, in percentage points.
    """
    peers: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        peers.setdefault(line.experiment, []).append(line)
    checks = []
    for block in blocks(lines).values():
        reference = reference_of(block)
        if reference is not None:
            checks += _explain_block(list(_compare(block, reference, peers)), peers, tolerance)
    return checks


def _compare(
    block: Sequence[Line], reference: Line, peers: Mapping[tuple[str, ...], Sequence[Line]]
) -> Iterator[GapCheck]:
    for line in judged(block):
        recomputed, printed = recomputed_gap(line, reference), line.mean.get("avg_gap")
        if recomputed is not None and printed is not None:
            spreads = (known_spreads(item, peers[item.experiment]) for item in (line, reference))
            largest = largest_mean_of_gaps(line, reference, *spreads)
            yield GapCheck(line, reference, printed, recomputed, largest, "rounding")


def known_spreads(line: Line, peers: Iterable[Line]) -> dict[str, float]:
    """A line's spreads; one that is missing or impossible is taken from another table, if there."""
    found: dict[str, float] = {}
    for source in (line, *peers):
        for metric, spread in source.spread.items():
            same = source.mean.get(metric) == line.mean.get(metric)
            if metric not in found and same and is_possible(source.mean[metric], spread):
                found[metric] = spread
    return found


def _explain_block(
    checks: Sequence[GapCheck],
    peers: Mapping[tuple[str, ...], Sequence[Line]],
    tolerance: float,
) -> list[GapCheck]:
    off = [check for check in checks if abs(check.difference) > tolerance + SLACK]
    fit = other_retrain(off, tolerance)
    explained = []
    for check in checks:
        if check not in off:
            explained.append(check)
            continue
        cell = _elsewhere(check, peers, tolerance)
        if cell:
            found = ("elsewhere", cell)
        elif fit and check.line in fit.lines:
            text = f"Retrain's {fit.metric} of {fit.low:.2f} to {fit.high:.2f}"
            found = ("other-retrain", f"{text} in place of {fit.reference.mean[fit.metric]:.2f}")
        elif fits_per_seed(check, tolerance):
            limit = "no ± is printed that would bound it"
            if check.largest is not None:
                limit = f"it may be up to {check.largest:.2f}"
            found = ("per-seed", limit)
        else:
            found = _misprint(check, tolerance)
        explained.append(replace(check, explanation=found[0], detail=found[1]))
    return explained


def fits_per_seed(check: GapCheck, tolerance: float = TOLERANCE) -> bool:
    """Whether the printed gap can be the mean of per-seed gaps, which is never the smaller one."""
    if check.difference < -tolerance - SLACK:
        return False
    return check.largest is None or check.printed <= check.largest + tolerance + SLACK


def _elsewhere(
    check: GapCheck, peers: Mapping[tuple[str, ...], Sequence[Line]], tolerance: float
) -> str:
    line, reference = check.line, check.reference
    for metric in distances(line, reference):
        for peer in peers[line.experiment]:
            other = peer.mean.get(metric, line.mean[metric])
            if other == line.mean[metric]:
                continue
            changed = replace(line, mean={**line.mean, metric: other})
            if abs(check.printed - (recomputed_gap(changed, reference) or 0)) <= tolerance + SLACK:
                return f"Table {peer.table} prints {metric} {other:.2f}, with which the gap fits"
    return ""


def _misprint(check: GapCheck, tolerance: float) -> tuple[str, str]:
    slips = one_digit(check.line, check.reference, tolerance)
    if not slips.cells:
        return "unexplained", "no change of one digit makes it fit"
    text = f"a change of one digit would make it fit ({' or '.join(slips.cells)})"
    percent = f"{100 * slips.chance:.0f} %"
    if slips.chance <= RARE and len(slips.cells) == 1:
        return "misprint", f"{text}, as one would by chance for {percent} of gaps as far off"
    return "unexplained", f"{text}, but so would one for {percent} of all gaps as far off"


def implied(
    line: Line, reference: Line, metric: str, tolerance: float = TOLERANCE
) -> list[tuple[float, float]]:
    """Intervals in which Retrain's ``metric`` has to lie for the line's printed gap to fit.

    There are two, below and above the method's own value, or none.
    """
    known = {m: d for m, d in distances(line, reference).items() if m != metric}
    count = len(known) + 1
    needed = count * line.mean["avg_gap"] - sum(known.values())
    half = count * tolerance + SLACK
    if needed < -half:
        return []
    middle = line.mean[metric]
    return [(middle + sign * needed - half, middle + sign * needed + half) for sign in (-1, 1)]


def fit_reference(
    lines: Sequence[Line], reference: Line, metric: str, tolerance: float = TOLERANCE
) -> Fit | None:
    """The value of Retrain's ``metric`` with which the most printed gaps fit."""
    pieces = [
        (low, high, line)
        for line in lines
        if metric in line.mean and "avg_gap" in line.mean
        for low, high in implied(line, reference, metric, tolerance)
        if high >= 0 and low <= 100
    ]
    best: Fit | None = None
    for start, _, _ in pieces:
        within = [piece for piece in pieces if piece[0] <= start <= piece[1]]
        fitted = tuple(dict.fromkeys(line.row["avg_gap"] for _, _, line in within))
        if within and (best is None or len(fitted) > len(best.lines)):
            chosen = tuple(line for line in lines if line.row["avg_gap"] in fitted)
            high = min(piece[1] for piece in within)
            best = Fit(reference, metric, max(start, 0.0), min(high, 100.0), chosen, len(lines))
    return best


def other_retrain(off: Sequence[GapCheck], tolerance: float = TOLERANCE) -> Fit | None:
    """Another Retrain value that explains at least half, and three, of a block's odd lines.

    One of them has to be a line that per-seed gaps cannot explain, since these are the simpler
    explanation of gaps that are larger.
    """
    if len(off) < FEWEST_FITTED:
        return None
    lines, reference = [check.line for check in off], off[0].reference
    fits = [
        fit
        for metric in distances(lines[0], reference)
        if (fit := fit_reference(lines, reference, metric, tolerance))
    ]
    best = max(fits, key=lambda fit: len(fit.lines), default=None)
    if best is None or len(best.lines) < max(FEWEST_FITTED, len(off) / 2):
        return None
    hard = [check for check in off if not fits_per_seed(check, tolerance)]
    return best if any(check.line in best.lines for check in hard) else None


def lost_cells(lines: Iterable[Line], tolerance: float = TOLERANCE) -> dict[Block, list[Fit]]:
    """For each block in which one of Retrain's metrics is lost: the values that fit the gaps.

    Where the copy leaves open which of two metrics a number belongs to, there is one fit for each.
    """
    found: dict[Block, list[Fit]] = {}
    for key, block in blocks(lines).items():
        reference = reference_of(block)
        for candidate, metric in _readings(reference) if reference else ():
            others = [line for line in judged(block) if recomputable(line, candidate, metric)]
            fit = fit_reference(others, candidate, metric, tolerance)
            if fit is not None:
                found.setdefault(key, []).append(fit)
    return found


def recomputable(line: Line, reference: Line, metric: str) -> bool:
    """Whether the line's gap is known, and all its distances but that of ``metric``."""
    expected = {m for m in line.measures if m != metric}
    return "avg_gap" in line.mean and metric in line.mean and expected <= set(reference.mean)


def _readings(reference: Line) -> list[tuple[Line, str]]:
    """Retrain's line with at most one lost metric, and that metric; one pair for each reading."""
    lost = [m for m in MEASURES if m in reference.row and m not in reference.mean]
    if len(lost) == 1:
        return [(reference, lost[0])]
    open_number = reference.open_number
    if len(lost) == 2 and open_number is not None:
        first, second = lost
        pairs = ((first, second), (second, first))
        return [
            (replace(reference, mean={**reference.mean, given: open_number}), missing)
            for given, missing in pairs
        ]
    return []
