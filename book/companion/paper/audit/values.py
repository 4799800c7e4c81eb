"""Numbers that cannot be, or cannot mean, what their column says."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from companion.paper.audit.findings import Finding, listed
from companion.paper.audit.lines import (
    SLACK,
    TOLERANCE,
    Line,
    blocks,
    describe,
    distances,
    judged,
    reference_of,
    spaced,
)
from companion.paper.audit.spreads import fewest_runs
from companion.paper.names import name

FEW_RUNS = 5  # nearly all spreads of the paper are possible with three or four runs
CLEAR = 0.1  # percentage points, a distance that is more than rounding
FROM_ENDS = 0.5  # percentage points
MOST = 0.8  # share of a block's lines
FAR_ABOVE = 10.0  # percentage points
NAMES_EXCHANGED = {"RA": "TA", "TA": "RA"}
TIME_TOLERANCE = 0.25
FT_EPOCHS = 10  # Appendix E.1, all data sets but ImageNet


def values(lines: Sequence[Line]) -> list[Finding]:
    """All findings of this module."""
    return [
        *spread_is_gap(lines),
        *impossible_spreads(lines),
        *swapped_columns(lines),
        *crossed_cells(lines),
        *weak_references(lines),
        *run_times(lines),
    ]


def spread_is_gap_lines(lines: Sequence[Line]) -> list[Line]:
    """Lines whose numbers after ± are distances to Retrain."""
    found = []
    for block in blocks(lines).values():
        reference = reference_of(block)
        for line in judged(block) if reference else ():
            apart = distances(line, reference) if reference else {}
            equal = all(
                abs(line.spread.get(metric, -1.0) - distance) <= TOLERANCE + SLACK
                for metric, distance in apart.items()
            )
            if equal and sum(distance > CLEAR for distance in apart.values()) >= 3:
                found.append(line)
    return found


def spread_is_gap(lines: Sequence[Line]) -> list[Finding]:
    """One finding for each table with such lines."""
    found = []
    odd = spread_is_gap_lines(lines)
    for number in sorted({line.table for line in odd}):
        own = [line for line in odd if line.table == number]
        sizes = list(dict.fromkeys(line.block for line in own))
        others = [
            line
            for line in lines
            if line.block in sizes and line.method != "retrain" and line not in own
        ]
        where = f"Table {number}"
        if sizes[0][-1]:
            where += f" ({listed(spaced(block[-1]) for block in sizes)})"
        text = (
            f"{where}: in {len(own)} of {len(own) + len(others)} rows the number after ± is the "
            "distance of the mean to Retrain's, in every metric"
        )
        kept = list(dict.fromkeys(name(line.method) for line in others))
        text += f"; {listed(kept)} have other numbers there." if kept else "."
        found.append(
            Finding(
                "spread-is-gap",
                "moderate",
                (number,),
                where,
                text,
                tuple(line.cell(metric) for line in own for metric in line.measures),
                {"lines": len(own), "of": len(own) + len(others)},
            )
        )
    return found


def impossible_spreads(lines: Sequence[Line]) -> list[Finding]:
    """Cells whose spread no number of runs allows, or only many."""
    distance = spread_is_gap_lines(lines)
    found = []
    for line in lines:
        for metric in line.measures if line not in distance else ():
            mean, spread = line.mean[metric], line.spread.get(metric, 0.0)
            runs = fewest_runs(mean, spread) if spread else 2
            if runs is not None and runs <= FEW_RUNS:
                continue
            with_runs = f"only with at least {runs} runs" if runs else "with no number of runs"
            text = (
                f"{line}: {metric} is {mean:.2f} ± {spread:.2f}. Numbers between 0 and 100 have "
                f"such a mean and standard deviation {with_runs}."
            )
            found.append(
                Finding(
                    "impossible-spread",
                    "minor" if runs else "moderate",
                    (line.table,),
                    str(line),
                    text,
                    (line.cell(metric),),
                    {"mean": mean, "spread": spread} | ({"fewest_runs": runs} if runs else {}),
                )
            )
    return found


def swapped_columns(lines: Sequence[Line]) -> list[Finding]:
    """Blocks in which TA lies above RA throughout."""
    found = []
    for key, block in blocks(lines).items():
        reference = reference_of(block)
        both = [line for line in block if {"RA", "TA"} <= set(line.mean)]
        above = [line for line in both if line.mean["TA"] > line.mean["RA"]]
        if reference is None or reference not in above or len(above) < MOST * len(both):
            continue
        text = (
            f"{describe(key)}: TA exceeds RA in {len(above)} of {len(both)} rows, Retrain's "
            f"among them ({reference.mean['TA']:.2f} against {reference.mean['RA']:.2f}). A model "
            "is rarely better on unseen data than on its own training data; the two columns "
            "appear to be exchanged. Avg. Gap does not depend on their order."
        )
        found.append(
            Finding(
                "swapped-columns",
                "moderate",
                (key[0],),
                describe(key),
                text,
                tuple(line.cell(metric) for line in both for metric in ("RA", "TA")),
                {"lines": len(above), "of": len(both)},
            )
        )
    return found


def straightened(lines: Sequence[Line]) -> list[Line]:
    """The lines, with RA and TA exchanged where their columns appear to be."""
    swapped = {finding.where for finding in swapped_columns(lines)}
    return [_exchanged(line) if describe(line.block) in swapped else line for line in lines]


def _exchanged(line: Line) -> Line:
    def other(numbers: Mapping[str, float]) -> dict[str, float]:
        return {NAMES_EXCHANGED.get(metric, metric): value for metric, value in numbers.items()}

    return replace(line, mean=other(line.mean), spread=other(line.spread))


def crossed_cells(lines: Sequence[Line]) -> list[Finding]:
    """A cell under RA and one under TA with the same mean and spread, in one table."""
    swapped = {finding.where for finding in swapped_columns(lines)}
    usable = [
        line
        for line in lines
        if describe(line.block) not in swapped and {"RA", "TA"} <= set(line.spread)
    ]
    found = []
    for first, second in itertools.permutations(usable, 2):
        mean = first.mean["RA"]
        same = mean == second.mean["TA"] and first.spread["RA"] == second.spread["TA"]
        if first.table == second.table and same and FROM_ENDS <= mean <= 100 - FROM_ENDS:
            found.append(
                Finding(
                    "crossed-cell",
                    "minor",
                    (first.table,),
                    str(first),
                    f"{first} and {second}: RA of the first and TA of the second are both "
                    f"{mean:.2f} ± {first.spread['RA']:.2f}.",
                    (first.cell("RA"), second.cell("TA")),
                    {"mean": mean},
                )
            )
    return found


def weak_references(lines: Sequence[Line]) -> list[Finding]:
    """Blocks whose methods fit D_r far better than their Retrain does."""
    swapped = {finding.where for finding in swapped_columns(lines)}
    found = []
    for key, block in blocks(lines).items():
        reference = reference_of(block)
        if reference is None or "RA" not in reference.mean or describe(key) in swapped:
            continue
        own = reference.mean["RA"]
        above = [line for line in judged(block) if line.mean.get("RA", 0.0) > own + FAR_ABOVE]
        if not above:
            continue
        best = max(line.mean["RA"] for line in above)
        verb = "have an RA of up to" if len(above) > 1 else "has an RA of"
        text = (
            f"{describe(key)}: {listed(name(line.method) for line in above)} {verb} {best:.2f}, "
            f"while Retrain's is {own:.2f}. Either Retrain was trained less than the original "
            "model, and a small gap is then a distance to an unfinished model, or these rows "
            "belong to another network."
        )
        found.append(
            Finding(
                "weak-reference",
                "moderate",
                (key[0],),
                describe(key),
                text,
                (reference.cell("RA"), *(line.cell("RA") for line in above)),
                {"lines": len(above), "reference": own, "largest": best},
            )
        )
    return found


def run_times(lines: Sequence[Line]) -> list[Finding]:
    """Retrain's time over the size of D_r, and UGradSL+ against FT, in tables that vary D_f."""
    found = []
    for number in sorted({line.table for line in lines if line.size}):
        own = [line for line in lines if line.table == number and "RTE" in line.mean]
        found += [*_retrain_times(own), *_plus_times(own)]
    return found


def retained(line: Line) -> float:
    """The share of the training set that is kept."""
    return 1 - float(line.size.rstrip("%")) / 100


def _retrain_times(lines: Sequence[Line]) -> list[Finding]:
    times = {line.size: line for line in lines if line.method == "retrain"}
    whole = {size: line.mean["RTE"] / retained(line) for size, line in times.items()}
    middle = statistics.median(whole.values()) if whole else 0.0
    found = []
    for size, line in times.items():
        if abs(whole[size] - middle) <= TIME_TOLERANCE * middle:
            continue
        text = (
            f"{line}: Retrain takes {line.mean['RTE']:.2f} min at {spaced(size)}, that is "
            f"{whole[size]:.1f} min for the whole training set; the table's median is "
            f"{middle:.1f} min. The two were not run alike."
        )
        found.append(
            Finding(
                "run-time",
                "minor",
                (line.table,),
                str(line),
                text,
                tuple(other.cell("RTE") for other in times.values()),
                {"whole": whole[size], "median": middle},
            )
        )
    return found


def _plus_times(lines: Sequence[Line]) -> list[Finding]:
    found = []
    for block in blocks(lines).values():
        times = {line.method: line for line in block}
        if not {"ft", "ugradsl+"} <= set(times):
            continue
        plus, ft = times["ugradsl+"], times["ft"]
        epoch = 2 * ft.mean["RTE"] / FT_EPOCHS  # of D_r, and of as many samples of D_f
        if plus.mean["RTE"] >= epoch:
            continue
        text = (
            f"{plus}: UGradSL+ takes {plus.mean['RTE']:.2f} min. One epoch of it reads D_r and as "
            f"many samples of D_f, twice an epoch of FT, which by FT's {ft.mean['RTE']:.2f} min "
            f"and {FT_EPOCHS} epochs (Appendix E.1) takes {epoch:.2f} min."
        )
        found.append(
            Finding(
                "run-time",
                "minor",
                (plus.table,),
                str(plus),
                text,
                (plus.cell("RTE"), ft.cell("RTE")),
                {"minutes": plus.mean["RTE"], "epoch": epoch},
            )
        )
    return found
