"""The paper's tables as printed lines, and how far each line's Avg. Gap is what its cells say.

A line is one method in one half of a table. Its block are the lines that are measured from the
same Retrain: the same table, data set, paradigm, backbone and size of D_f.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from companion.paper.names import name
from companion.paper.numbers import TABLES, Result, read_rows
from ugradsl_core.errors import ConfigError
from ugradsl_core.metrics import FIVE_METRICS

MEASURES = FIVE_METRICS
RESULT_TABLES = tuple(number for number in TABLES if number not in (5, 8))
HALF_UNIT = 0.005  # the tables print two decimals; a cell such as 100 has lost its zeros
TOLERANCE = 3 * HALF_UNIT  # a method's cell, Retrain's cell and the gap itself, each rounded
SLACK = 1e-9  # of sums of binary fractions
DEFAULT_SIZE = "10%"  # Appendix E.2: random forgetting removes 10 % of D_tr
P_HELD, ALPHA_HELD = "0.90", "-0.4"  # in Tables 15 and 16, and in Tables 13 and 14
ADAPTIVE_DEFAULT = "median;cosine"  # Appendix D.5
OPEN_NUMBER = re.compile(r"([0-9.]+)±[0-9.]+ is either")

Block = tuple[int, str, str, str, str]


@dataclass(frozen=True)
class Line:
    """One printed line.

    Attributes:
        mean: the legible numbers by metric, ``avg_gap`` and ``RTE`` among them.
        spread: the numbers after ±.
        unit: of ``RTE``, ``minute`` or ``hour``.
        row: of each metric, the row in the CSV file, counted from 1 with the header.
        reason: of each metric that has no number, why.
    """

    table: int
    dataset: str
    paradigm: str
    backbone: str
    method: str
    parameter: str
    parameter_value: str
    mean: Mapping[str, float]
    spread: Mapping[str, float]
    unit: str
    row: Mapping[str, int]
    reason: Mapping[str, str]

    @property
    def size(self) -> str:
        """The printed size of D_f, such as ``20%``; empty where the table varies none."""
        return self.parameter_value if self.parameter == "forget_fraction" else ""

    @property
    def block(self) -> Block:
        """What the lines measured from the same Retrain share."""
        return (self.table, self.dataset, self.paradigm, self.backbone, self.size)

    @property
    def measures(self) -> tuple[str, ...]:
        """The metrics that an Avg. Gap may be made of and that are legible here."""
        return tuple(name for name in MEASURES if name in self.mean)

    @property
    def experiment(self) -> tuple[str, ...]:
        """What identifies the run, whichever table it is printed in."""
        size = (self.size or DEFAULT_SIZE) if self.paradigm == "random" else ""
        return (self.dataset, self.paradigm, self.backbone, self.method, size, self._varied())

    def _varied(self) -> str:
        if self.method == "retrain" or self.parameter in ("", "forget_fraction", "occurrence"):
            return ""
        if self.parameter == "p":
            return f"p {self.parameter_value}, α {ALPHA_HELD}"
        if self.parameter == "alpha":
            return f"p {P_HELD}, α {self.parameter_value}"
        if self.parameter_value == ADAPTIVE_DEFAULT:
            return ""
        return f"{self.parameter} {self.parameter_value}"

    def __str__(self) -> str:
        varied = "" if self.parameter == "forget_fraction" else self._varied()
        parts = [name(self.dataset), self.paradigm, spaced(self.size), name(self.method), varied]
        return f"Table {self.table} ({', '.join(filter(None, parts))})"

    @property
    def open_number(self) -> float | None:
        """A legible number of which the copy does not show to which of two metrics it belongs."""
        found = OPEN_NUMBER.search(" ".join(self.reason.values()))
        return float(found[1]) if found else None

    def cell(self, metric: str) -> str:
        """Where a number stands: file and row, and the number."""
        if metric in self.reason or metric not in self.mean:
            number = f"{metric} missing"
        else:
            number = f"{metric} {self.mean[metric]:.2f}"
        if metric in self.spread:
            number += f" ± {self.spread[metric]:.2f}"
        return f"table-{self.table:02d}.csv row {self.row[metric]}: {name(self.method)} {number}"


def spaced(percent: str) -> str:
    """``20%`` as prose has it."""
    return percent.replace("%", " %")


def describe(block: Block) -> str:
    """A block in words."""
    number, dataset, paradigm, backbone, size = block
    usual = "bert" if dataset == "20newsgroups" else "resnet-18"
    parts = [name(dataset), paradigm, "" if backbone == usual else name(backbone)]
    return f"Table {number} ({', '.join(filter(None, [*parts, spaced(size)]))})"


def read_lines(tables: Sequence[int] = RESULT_TABLES, root: Path | None = None) -> list[Line]:
    """The lines of some result tables, in the paper's order.

    Args:
        tables: their numbers.
        root: the folder with the CSV files; the repository's by default.

    Raises:
        ConfigError: a number that is no result table's.
        DataError: a file that cannot be read or breaks its schema.
    """
    for number in tables:
        if number not in RESULT_TABLES:
            valid = ", ".join(map(str, RESULT_TABLES))
            raise ConfigError(f"table: {number} has no results to audit. Valid: {valid}")
    return [line for number in tables for line in lines_of(read_rows(number, root))]


def lines_of(rows: Iterable[object]) -> list[Line]:
    """Cells, in the order of their file, put together to lines."""
    groups: dict[tuple[object, ...], list[tuple[int, Result]]] = {}
    for number, row in enumerate(rows, start=2):
        if isinstance(row, Result):
            key = (row.table, *(getattr(row, field) for field in Result.key[:-1]))
            groups.setdefault(key, []).append((number, row))
    lines = []
    for cells in groups.values():
        first = cells[0][1]
        lines.append(
            Line(
                first.table,
                first.dataset,
                first.paradigm,
                first.backbone,
                first.method,
                first.parameter,
                first.parameter_value,
                {c.metric: float(c.mean) for _, c in cells if c.mean},
                {c.metric: float(c.std) for _, c in cells if c.std},
                next((c.unit for _, c in cells if c.metric == "RTE"), "minute"),
                {c.metric: number for number, c in cells},
                {c.metric: c.missing_reason for _, c in cells if c.missing_reason},
            )
        )
    return lines


def blocks(lines: Iterable[Line]) -> dict[Block, list[Line]]:
    """Lines by block, in order; a line that is printed a second time is left out."""
    groups: dict[Block, list[Line]] = {}
    for line in lines:
        if line.parameter != "occurrence":
            groups.setdefault(line.block, []).append(line)
    return groups


def reference_of(block: Sequence[Line]) -> Line | None:
    """Retrain's line of a block."""
    return next((line for line in block if line.method == "retrain"), None)


def judged(block: Sequence[Line]) -> list[Line]:
    """The lines of a block that are compared with Retrain."""
    return [line for line in block if line.method != "retrain"]


def distances(line: Line, reference: Line) -> dict[str, float]:
    """|method − Retrain| of every metric that both lines show."""
    return {
        metric: abs(line.mean[metric] - reference.mean[metric])
        for metric in line.measures
        if metric in reference.mean
    }


def recomputed_gap(line: Line, reference: Line) -> float | None:
    """The mean distance of the printed means to Retrain's; None where one of them is missing."""
    found = distances(line, reference)
    expected = set(line.row) & set(reference.row) & set(MEASURES)
    return math.fsum(found.values()) / len(found) if found and set(found) == expected else None


def largest_mean_of_gaps(
    line: Line, reference: Line, spread: Mapping[str, float], reference_spread: Mapping[str, float]
) -> float | None:
    """The largest mean of per-seed gaps that the printed means and spreads allow.

    A difference D of a method and Retrain over seeds has mean d and, whatever the correlation, a
    standard deviation of at most s + s'. So E|D| ≤ √(E D²) ≤ √(d² + (s + s')²). The spreads are
    taken half a unit larger, as they are rounded.

    Args:
        line: of a method.
        reference: of its Retrain.
        spread: standard deviations of the method's metrics.
        reference_spread: those of Retrain.

    Returns:
        None where a spread or a mean is missing.
    """
    if recomputed_gap(line, reference) is None:
        return None
    total = 0.0
    for metric, distance in distances(line, reference).items():
        if metric not in spread or metric not in reference_spread:
            return None
        widest = spread[metric] + reference_spread[metric] + 2 * HALF_UNIT
        total += math.hypot(distance, widest)
    return total / len(distances(line, reference))
