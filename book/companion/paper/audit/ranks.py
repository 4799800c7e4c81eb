"""The order of the methods in each block, by the printed and by the recomputed Avg. Gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from companion.paper.audit.findings import Finding, listed, points
from companion.paper.audit.gaps import Fit
from companion.paper.audit.lines import (
    SLACK,
    TOLERANCE,
    Block,
    Line,
    blocks,
    describe,
    judged,
    recomputed_gap,
    reference_of,
)
from companion.paper.names import name

PROPOSED = ("ugradsl", "ugradsl+", "ugradsl (adp)", "ugradsl+ (adp)")
FEWEST_METHODS = 3

Order = tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Ranking:
    """The methods of one block, the smallest gap first.

    Attributes:
        block: which.
        reference: Retrain's line from which gaps were recomputed.
        printed: method and printed gap.
        recomputed: method and recomputed gap.
    """

    block: Block
    reference: Line
    printed: Order
    recomputed: Order

    @property
    def best_printed(self) -> tuple[str, ...]:
        """The methods with the smallest printed gap."""
        return _best(self.printed)

    @property
    def best_recomputed(self) -> tuple[str, ...]:
        """The methods with the smallest recomputed gap."""
        return _best(self.recomputed)

    @property
    def changed(self) -> bool:
        """Whether another method is best after recomputing, by more than rounding can cause."""
        if not self.printed:
            return False
        own = min(dict(self.recomputed)[method] for method in self.best_printed)
        return own - self.recomputed[0][1] > 2 * TOLERANCE + SLACK


def _best(order: Order) -> tuple[str, ...]:
    if not order:
        return ()
    return tuple(method for method, gap in order if gap <= order[0][1] + SLACK)


def place(order: Order, method: str) -> int | None:
    """1 for the method with the smallest gap; methods with equal gaps share the better place."""
    gaps = dict(order)
    if method not in gaps:
        return None
    return 1 + sum(gap < gaps[method] - SLACK for gap in gaps.values())


def rank(block: Sequence[Line], reference: Line) -> Ranking:
    """One block, its gaps recomputed from ``reference``; lines without a gap are left out."""
    pairs = [
        (line.method, line.mean["avg_gap"], gap)
        for line in judged(block)
        if "avg_gap" in line.mean and (gap := recomputed_gap(line, reference)) is not None
    ]
    printed = tuple(sorted(((m, gap) for m, gap, _ in pairs), key=lambda pair: pair[1]))
    recomputed = tuple(sorted(((m, gap) for m, _, gap in pairs), key=lambda pair: pair[1]))
    return Ranking(block[0].block, reference, printed, recomputed)


def rankings(lines: Sequence[Line], fits: Mapping[Block, Sequence[Fit]]) -> list[Ranking]:
    """Every block that compares methods, one of which is UGradSL+.

    A lost cell of Retrain's line is filled with the value that fits all printed gaps, where there
    is just one.
    """
    found = []
    for key, block in blocks(lines).items():
        reference = reference_of(block)
        sweep = any(line.parameter not in ("", "forget_fraction") for line in block)
        names = {line.method for line in judged(block)}
        if reference is None or sweep or "ugradsl+" not in names or len(names) < FEWEST_METHODS:
            continue
        fitting = [fit for fit in fits.get(key, ()) if len(fit.lines) == fit.tried]
        if len(fitting) == 1:
            reference = completed(fitting[0])
        ranking = rank(block, reference)
        if len(ranking.recomputed) >= FEWEST_METHODS:
            found.append(ranking)
    return found


def completed(fit: Fit) -> Line:
    """Retrain's line with the value that fits."""
    mean = {**fit.reference.mean, fit.metric: round(fit.value, 2)}
    return replace(fit.reference, mean=mean)


def changed_bests(
    ranked: Sequence[Ranking], lines: Sequence[Line], others: Mapping[Block, Fit]
) -> list[Finding]:
    """Blocks in which another method is best after recomputing.

    Args:
        ranked: of :func:`rankings`.
        lines: of all tables.
        others: another Retrain value, of the blocks that have one.
    """
    found, grouped = [], blocks(lines)
    for ranking in ranked:
        if not ranking.changed:
            continue
        printed, recomputed = ranking.printed[0], ranking.recomputed[0]
        old, new = _titles(ranking.best_printed), _titles(ranking.best_recomputed)
        own = dict(ranking.recomputed)[printed[0]]
        text = (
            f"{describe(ranking.block)}: {old} has the smallest printed Avg. Gap, {printed[1]:.2f}."
            f" Recomputed from the printed means it is {points(own)}, and the smallest is "
            f"{points(recomputed[1])}, of {new}."
        )
        numbers = {
            "printed": printed[1],
            "recomputed": own,
            "best_recomputed": recomputed[1],
        }
        if ranking.block in others:
            fit = others[ranking.block]
            other = rank(grouped[ranking.block], completed(fit))
            text += (
                f" Measured throughout from the other Retrain {fit.metric} that some of its gaps "
                f"fit, {fit.value:.2f}, the smallest is "
                f"{points(other.recomputed[0][1])}, of "
                f"{_titles(other.best_recomputed)}."
            )
            numbers["best_with_other_retrain"] = other.recomputed[0][1]
        involved = {*ranking.best_printed, *ranking.best_recomputed, "retrain"}
        cells = [
            line.cell(metric)
            for line in grouped[ranking.block]
            if line.method in involved
            for metric in (*line.measures, *(["avg_gap"] if "avg_gap" in line.mean else []))
        ]
        found.append(
            Finding(
                "best-changes",
                "serious",
                (ranking.block[0],),
                describe(ranking.block),
                text,
                tuple(cells),
                numbers,
            )
        )
    return found


def _titles(methods: Sequence[str]) -> str:
    return listed(name(method) for method in methods)
