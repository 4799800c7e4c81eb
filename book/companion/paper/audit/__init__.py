"""The audit of the paper's tables: findings that anybody can reproduce from the CSV files.

It reads a transcription from one copy of the paper, so a finding may be a fault of the copy or of
the transcription, and it sees two decimals of means and spreads, not the runs behind them. It
shows where numbers contradict each other, seldom which of them is wrong.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from companion.files import PAPER_FOLDER
from companion.paper.audit.copies import copies
from companion.paper.audit.findings import Finding, sorted_findings
from companion.paper.audit.gaps import EXPLANATIONS, Fit, GapCheck, check_gaps, lost_cells
from companion.paper.audit.lines import RESULT_TABLES, TOLERANCE, Block, Line, read_lines
from companion.paper.audit.ranks import PROPOSED, Ranking, changed_bests, rankings
from companion.paper.audit.reports import gap_findings, lost_findings, other_retrains
from companion.paper.audit.values import values
from ugradsl_core.errors import ConfigError


@dataclass(frozen=True)
class Audit:
    """Everything that the audit computes.

    Attributes:
        lines: the printed lines.
        checks: every line whose gap is printed and can be recomputed.
        rankings: every block that compares methods.
        fits: values of Retrain's lost cells that fit printed gaps.
        others: another Retrain value, of the blocks that have one.
        findings: the most severe first.
    """

    lines: tuple[Line, ...]
    checks: tuple[GapCheck, ...]
    rankings: tuple[Ranking, ...]
    fits: Mapping[Block, Sequence[Fit]]
    others: Mapping[Block, Fit]
    findings: tuple[Finding, ...]


def audit_lines(lines: Sequence[Line], tolerance: float = TOLERANCE) -> Audit:
    """Audit lines, of the paper or made up.

    Args:
        lines: all that are printed.
        tolerance: largest difference of gaps that counts as rounding, in percentage points.

    Raises:
        ConfigError: a tolerance that is negative or no number.
    """
    if not tolerance >= 0:
        raise ConfigError(f"tolerance: should be a number of at least 0; found {tolerance!r}")
    checks = check_gaps(lines, tolerance)
    fits = lost_cells(lines, tolerance)
    ranked, others = rankings(lines, fits), other_retrains(checks, tolerance)
    findings = [
        *changed_bests(ranked, lines, others),
        *gap_findings(checks, tolerance),
        *copies(lines, checks, tolerance),
        *values(lines),
        *lost_findings(fits),
    ]
    return Audit(
        tuple(lines),
        tuple(checks),
        tuple(ranked),
        fits,
        others,
        tuple(sorted_findings(findings)),
    )


def audit(
    tables: Sequence[int] = RESULT_TABLES,
    tolerance: float = TOLERANCE,
    root: Path | None = None,
) -> Audit:
    """Audit the paper's tables.

    Args:
        tables: those to report on; all of them serve as evidence.
        tolerance: largest difference of gaps that counts as rounding, in percentage points.
        root: the folder with the CSV files; the repository's by default.

    Raises:
        ConfigError: a table without results, or a bad tolerance.
        DataError: a CSV file that cannot be read or breaks its schema.
    """
    read_lines(tables, root)
    files = sorted((root or PAPER_FOLDER).glob("*.csv"))
    whole = _whole(root, tolerance, tuple(file.read_bytes() for file in files))
    chosen = set(tables)
    return Audit(
        tuple(line for line in whole.lines if line.table in chosen),
        tuple(check for check in whole.checks if check.line.table in chosen),
        tuple(ranking for ranking in whole.rankings if ranking.block[0] in chosen),
        {block: fits for block, fits in whole.fits.items() if block[0] in chosen},
        {block: fit for block, fit in whole.others.items() if block[0] in chosen},
        tuple(finding for finding in whole.findings if chosen & set(finding.tables)),
    )


@lru_cache(maxsize=1)
def _whole(root: Path | None, tolerance: float, _: tuple[bytes, ...]) -> Audit:
    """The audit of all tables; the contents of their files tell whether it is still the same."""
    return audit_lines(read_lines(RESULT_TABLES, root), tolerance)


def explained(checks: Sequence[GapCheck]) -> dict[int, dict[str, int]]:
    """For each table, how many gaps have which explanation."""
    counts: dict[int, Counter[str]] = {}
    for check in checks:
        counts.setdefault(check.line.table, Counter())[check.explanation] += 1
    return {table: {name: count[name] for name in EXPLANATIONS} for table, count in counts.items()}


def directions(checks: Sequence[GapCheck]) -> dict[str, dict[str, int]]:
    """For the paper's methods and the others: gaps, and how many are printed too small or large.

    Only differences that no definition of the gap explains are counted.
    """
    groups = {
        "UGradSL, UGradSL+ and their adaptive forms": [c for c in checks if _own(c)],
        "the other methods": [c for c in checks if not _own(c)],
    }
    return {
        group: {
            "gaps": len(members),
            "smaller": sum(c.difference < 0 for c in members if _odd(c)),
            "larger": sum(c.difference > 0 for c in members if _odd(c)),
        }
        for group, members in groups.items()
    }


def _own(check: GapCheck) -> bool:
    return check.line.method in PROPOSED


def _odd(check: GapCheck) -> bool:
    return check.explanation not in ("rounding", "per-seed")
