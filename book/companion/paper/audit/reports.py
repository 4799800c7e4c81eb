"""Findings about Avg. Gap, put together line by line or block by block."""

from collections.abc import Mapping, Sequence

from companion.paper.audit.findings import MATERIAL, Finding, Severity, listed, points
from companion.paper.audit.gaps import Fit, GapCheck, other_retrain
from companion.paper.audit.lines import SLACK, TOLERANCE, Block, Line, describe
from companion.paper.names import name

FEW = 4  # gaps that say little


def gap_findings(checks: Sequence[GapCheck], tolerance: float = TOLERANCE) -> list[Finding]:
    """Every printed gap that rounding does not explain."""
    found = []
    for block in _by_block(checks).values():
        shared = [c for c in block if c.explanation == "other-retrain"]
        if shared:
            found.append(_from_another_retrain(shared, block, tolerance))
        seeds = [c for c in block if c.explanation == "per-seed"]
        if seeds:
            found.append(_per_seed(seeds, block))
        found += [_single(check) for check in block if check.explanation in SINGLE]
    return found


def other_retrains(checks: Sequence[GapCheck], tolerance: float = TOLERANCE) -> dict[Block, Fit]:
    """The other Retrain value of each block that has one."""
    found = {}
    for key, block in _by_block(checks).items():
        fit = other_retrain([c for c in block if c.explanation == "other-retrain"], tolerance)
        if fit:
            found[key] = fit
    return found


def _by_block(checks: Sequence[GapCheck]) -> dict[Block, list[GapCheck]]:
    groups: dict[Block, list[GapCheck]] = {}
    for check in checks:
        groups.setdefault(check.line.block, []).append(check)
    return groups


def _cells(check: GapCheck) -> list[str]:
    metrics = [*check.line.measures, "avg_gap"]
    return [check.line.cell(metric) for metric in metrics]


def _reference_cells(reference: Line) -> list[str]:
    return [reference.cell(metric) for metric in reference.measures]


def _from_another_retrain(
    shared: Sequence[GapCheck], block: Sequence[GapCheck], tolerance: float
) -> Finding:
    fit = other_retrain(shared, tolerance)
    assert fit is not None  # these checks were explained by one
    where, printed = describe(shared[0].line.block), fit.reference.mean[fit.metric]
    rest = sum(check.explanation == "rounding" for check in block)
    text = (
        f"{where}: {len(shared)} of {len(block)} printed gaps "
        f"({listed(name(check.line.method) for check in shared)}) follow from a Retrain "
        f"{fit.metric} between {fit.low:.2f} and {fit.high:.2f}, {rest} from the printed "
        f"{printed:.2f}. Gaps that are measured from different references cannot be compared."
    )
    return Finding(
        "gap-other-retrain",
        "serious",
        (shared[0].line.table,),
        where,
        text,
        (*_reference_cells(fit.reference), *(cell for check in shared for cell in _cells(check))),
        {"low": fit.low, "high": fit.high, "printed": printed, "lines": len(shared)},
    )


def _per_seed(seeds: Sequence[GapCheck], block: Sequence[GapCheck]) -> Finding:
    where = describe(seeds[0].line.block)
    most = max(check.difference for check in seeds)
    unknown = sum(check.largest is None for check in seeds)
    text = (
        f"{where}: {len(seeds)} of {len(block)} printed gaps are larger than the gap of the "
        f"printed means, by up to {most:.2f} points"
    )
    text += (
        f"; for {unknown} of them no ± is printed that would bound means of per-seed gaps."
        if unknown
        else ", as means of per-seed gaps can be."
    )
    return Finding(
        "gap-per-seed",
        "minor",
        (seeds[0].line.table,),
        where,
        text,
        tuple(cell for check in seeds for cell in _cells(check)),
        {"lines": len(seeds), "of": len(block), "largest_difference": most},
    )


SINGLE = {"elsewhere", "misprint", "unexplained"}


def _single(check: GapCheck) -> Finding:
    apart = abs(check.difference)
    side = "larger" if check.difference > 0 else "smaller"
    text = (
        f"{check.line}: the printed gap {check.printed:.2f} is {apart:.2f} points {side} than the "
        f"{points(check.recomputed)} that its means give"
    )
    if check.explanation == "unexplained":
        reason = f". {check.detail[0].upper()}{check.detail[1:]}."
        if check.difference > 0 and check.largest is not None:
            reason = f", and a mean of per-seed gaps is at most {check.largest:.2f} here{reason}"
        elif check.difference < 0:
            reason = f", and a mean of per-seed gaps is never smaller{reason}"
    else:
        reason = f". {check.detail[0].upper()}{check.detail[1:]}."
    severity: Severity = "serious" if apart >= MATERIAL - SLACK else "moderate"
    if check.explanation != "unexplained":
        severity = "moderate"
    return Finding(
        f"gap-{check.explanation}",
        severity,
        (check.line.table,),
        str(check.line),
        text + reason,
        (*_reference_cells(check.reference), *_cells(check)),
        {"printed": check.printed, "recomputed": check.recomputed, "difference": check.difference},
    )


def lost_findings(fits: Mapping[Block, Sequence[Fit]]) -> list[Finding]:
    """Illegible cells of Retrain's lines that the printed gaps determine.

    A reading is reported if all gaps of its block, of which there are at least two, fit it, and
    no other reading of the same cells does so.
    """
    found = []
    for key, readings in fits.items():
        fitting = [fit for fit in readings if len(fit.lines) == fit.tried >= 2]
        if len(fitting) != 1:
            continue
        fit = fitting[0]
        text = (
            f"{describe(key)}: Retrain's {fit.metric} is not legible in our copy. With "
            f"{fit.value:.2f} (between {fit.low:.2f} and {fit.high:.2f}) all {fit.tried} printed "
            "gaps fit"
        )
        if len(readings) > 1:
            given = fit.reference.open_number or 0.0
            metric = next(m for m, value in fit.reference.mean.items() if value == given)
            text += (
                f", if the {given:.2f} that the copy leaves open is {metric}; if it is "
                f"{fit.metric}, no {metric} fits them all"
            )
        few = f"With {fit.tried} gaps this is weak evidence. " if fit.tried < FEW else ""
        cells = [fit.reference.cell(metric) for metric in fit.reference.row if metric != "RTE"]
        cells += [line.cell("avg_gap") for line in fit.lines]
        found.append(
            Finding(
                "lost-cell",
                "note",
                (key[0],),
                describe(key),
                f"{text}. {few}The CSV file keeps the cell missing.",
                tuple(cells),
                {"value": fit.value, "low": fit.low, "high": fit.high, "lines": fit.tried},
            )
        )
    return found
