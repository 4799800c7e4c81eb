"""What a finding of the audit is, the kinds that there are, and how severe each can be."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from companion.paper.audit.lines import SLACK

Severity = Literal["serious", "moderate", "minor", "note"]
SEVERITIES: dict[str, str] = {
    "serious": "can change a conclusion: which method is best, or a gap by half a point or more",
    "moderate": "a number, or a column, that cannot be right as printed",
    "minor": "a standard deviation, a run time or a rounding; no mean is touched",
    "note": "an inference that helps to read a table; nothing is wrong",
}
MATERIAL = 0.5  # percentage points

KINDS: dict[str, tuple[str, str]] = {  # kind → title, rule
    "best-changes": (
        "The best method changes",
        "The smallest printed Avg. Gap and the smallest gap recomputed from the printed means "
        "belong to different methods.",
    ),
    "gap-other-retrain": (
        "Gaps measured from another Retrain",
        "At least three odd gaps of a block, and at least half of them, fit one other value of a "
        "Retrain metric, and per-seed gaps cannot explain all of these.",
    ),
    "gap-elsewhere": (
        "A cell that another table prints so that the gap fits",
        "The printed gap follows once one cell is replaced by what another table prints for the "
        "same experiment.",
    ),
    "gap-misprint": (
        "A gap that one digit would mend",
        "One digit of one cell, changed, left out, added or exchanged with its neighbour, makes "
        "the gap fit, and would do so by chance for at most a tenth of the gaps as far off.",
    ),
    "gap-unexplained": (
        "A gap that does not follow from its row",
        "Neither rounding, nor per-seed gaps, nor another Retrain value, nor another table, nor "
        "a convincing misprint explains the difference.",
    ),
    "gap-per-seed": (
        "Gaps that can be means of per-seed gaps",
        "The printed gap is larger than the gap of the means, by no more than Jensen's inequality "
        "and the printed standard deviations allow.",
    ),
    "printed-twice": (
        "One experiment, two numbers",
        "Two tables print different numbers for the same data set, paradigm, backbone, method, "
        "size of D_f and parameters.",
    ),
    "copied-line": (
        "One row, two experiments",
        "All means of two rows agree, at least three of them other than 0 and 100, though the "
        "experiments differ.",
    ),
    "copied-spread": (
        "The same standard deviations with other means",
        "All standard deviations of two rows agree, at least three of them not zero, or three "
        "agree in two rows of one method, though the experiments and the means differ.",
    ),
    "crossed-cell": (
        "One method's TA is another's RA",
        "A cell under RA and one under TA in the same table agree in mean and standard deviation, "
        "the mean at least half a point from 0 and 100.",
    ),
    "spread-is-gap": (
        "A standard deviation that is a distance",
        "In every metric of a row the number after ± is the distance of the mean to Retrain's, "
        "up to rounding, and at least three of these distances exceed a tenth of a point.",
    ),
    "impossible-spread": (
        "A standard deviation that is too large",
        "No number of runs with values between 0 and 100 can have this mean and this sample "
        "standard deviation, or only more than five runs can.",
    ),
    "swapped-columns": (
        "RA and TA in exchanged columns",
        "TA exceeds RA in Retrain's row and in at least four fifths of the block's rows.",
    ),
    "weak-reference": (
        "A reference that fits its data less than the methods do",
        "Some rows have a retain accuracy more than ten points above Retrain's.",
    ),
    "run-time": (
        "Run times that do not fit each other",
        "Retrain's time for each retained sample differs by more than a quarter from the table's "
        "median, or UGradSL+ is faster than one of its epochs can be, judging by FT's ten.",
    ),
    "lost-cell": (
        "What a lost cell was",
        "There is a value of the illegible cell with which all printed gaps fit, at least two.",
    ),
}


@dataclass(frozen=True)
class Finding:
    """Something that a reader of the paper's tables should know.

    Attributes:
        kind: a key of ``KINDS``.
        severity: a key of ``SEVERITIES``.
        tables: numbers of the tables that it concerns.
        where: the place in words.
        sentence: the finding, for a reader who has the paper open.
        cells: the cells it rests on, as file, row and number.
        numbers: what was computed from them.
    """

    kind: str
    severity: Severity
    tables: tuple[int, ...]
    where: str
    sentence: str
    cells: tuple[str, ...] = ()
    numbers: Mapping[str, float] | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON has it."""
        return {**asdict(self), "title": KINDS[self.kind][0], "numbers": dict(self.numbers or {})}


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """By severity, then in the order of ``KINDS``, then by table."""
    order, kinds = list(SEVERITIES), list(KINDS)
    return sorted(findings, key=lambda f: (order.index(f.severity), kinds.index(f.kind), f.tables))


def points(gap: float) -> str:
    """A gap with two decimals; halves are rounded up, in spite of binary fractions."""
    return f"{gap + SLACK:.2f}"


def listed(words: Iterable[str]) -> str:
    """``a, b and c``."""
    *first, last = list(words)
    return f"{', '.join(first)} and {last}" if first else last


def runs_of(numbers: Iterable[int]) -> list[str]:
    """Numbers in order, three or more that follow each other as ``13–17``."""
    found = sorted(set(numbers))
    runs: list[list[int]] = []
    for number in found:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words: list[str] = []
    for run in runs:
        words += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else map(str, run)
    return words


def numbered(tables: Iterable[int]) -> str:
    """``Table 4``, ``Tables 4, 10 and 17`` or ``Tables 4 and 13–17``."""
    found = set(tables)
    return f"Table{'s' * (len(found) > 1)} {listed(runs_of(found))}"
