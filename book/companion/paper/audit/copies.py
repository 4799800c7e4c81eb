"""Rows that should agree and do not, and rows that agree and should not."""

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence

from companion.paper.audit.findings import MATERIAL, Finding, Severity, listed, numbered
from companion.paper.audit.gaps import GapCheck
from companion.paper.audit.lines import MEASURES, SLACK, TOLERANCE, Line, spaced
from companion.paper.audit.values import spread_is_gap_lines, straightened
from companion.paper.names import name

FEWEST_EQUAL = 3
COMPARED = (*MEASURES, "RTE")


def copies(
    lines: Sequence[Line], checks: Sequence[GapCheck] = (), tolerance: float = TOLERANCE
) -> list[Finding]:
    """All findings of this module.

    Args:
        lines: of all tables.
        checks: of their gaps, which can tell to which of two equal lines the numbers belong.
        tolerance: largest difference of gaps that counts as rounding.
    """
    copied = copied_lines(lines, checks, tolerance)
    return [*printed_twice(lines), *copied, *copied_spreads(lines)]


def title(line: Line) -> str:
    """An experiment in words, whichever table it is printed in."""
    dataset, paradigm, backbone, method, size, varied = line.experiment
    shown = "" if backbone in ("resnet-18", "bert") else name(backbone)
    parts = [name(dataset), shown, paradigm, spaced(size), varied]
    return f"{name(method)} ({', '.join(filter(None, parts))})"


def printed_twice(lines: Sequence[Line]) -> list[Finding]:
    """Experiments for which two tables print different numbers.

    Where RA and TA appear to be in exchanged columns, they are read the other way round.
    """
    groups: dict[tuple[str, ...], list[Line]] = {}
    for line in straightened(lines):
        groups.setdefault(line.experiment, []).append(line)
    return [
        finding
        for group in groups.values()
        if len({line.table for line in group}) > 1 and (finding := _disagreement(group))
    ]


def _disagreement(group: Sequence[Line]) -> Finding | None:
    parts, cells, largest, means = [], [], 0.0, 0
    for metric in COMPARED:
        values = _versions((line.table, line.mean.get(metric)) for line in group)
        spreads = _versions((line.table, line.spread.get(metric)) for line in group)
        if len(values) > 1:
            parts.append(f"{metric} {_where(values)}")
            if metric != "RTE":
                means += 1
                largest = max(largest, max(values) - min(values))
        elif len(spreads) > 1 and metric != "RTE":
            parts.append(f"the standard deviation of {metric} {_where(spreads)}")
        if len(values) > 1 or len(spreads) > 1:
            cells += [line.cell(metric) for line in group if metric in line.mean]
    if not parts:
        return None
    severity: Severity = "minor"
    if means:
        severity = "serious" if largest >= MATERIAL - SLACK else "moderate"
    shown = title(group[0])
    return Finding(
        "printed-twice",
        severity,
        tuple(sorted({line.table for line in group})),
        shown,
        f"{shown}: {'; '.join(parts)}.",
        tuple(cells),
        {"means": means, "largest_difference": largest},
    )


def _versions(printed: Iterable[tuple[int, float | None]]) -> dict[float, list[int]]:
    found: dict[float, list[int]] = {}
    for table, number in printed:
        if number is not None:
            found.setdefault(number, []).append(table)
    return found


def _where(versions: dict[float, list[int]]) -> str:
    return listed(f"{number:.2f} in {numbered(tables)}" for number, tables in versions.items())


def copied_lines(
    lines: Sequence[Line], checks: Sequence[GapCheck] = (), tolerance: float = TOLERANCE
) -> list[Finding]:
    """Lines of different experiments whose means all agree."""

    def alike(first: Line, second: Line) -> bool:
        shared = [m for m in first.measures if m in second.mean]
        equal = [m for m in shared if first.mean[m] == second.mean[m]]
        telling = [m for m in equal if first.mean[m] not in (0, 100)]
        return len(equal) == len(shared) and len(telling) >= FEWEST_EQUAL

    found = []
    for group in _clusters(lines, alike):
        metrics = [m for m in group[0].measures if all(m in line.mean for line in group)]
        means = listed(f"{m} {group[0].mean[m]:.2f}" for m in metrics)
        text = f"have the same means: {means}{_where_it_fits(group, checks, tolerance)}"
        found.append(_of_group("copied-line", "moderate", group, text, metrics))
    return found


def _where_it_fits(group: Sequence[Line], checks: Sequence[GapCheck], tolerance: float) -> str:
    own = [check for check in checks if check.line in group]
    fits = [check for check in own if abs(check.difference) <= tolerance + SLACK]
    if not fits or len(fits) == len(own):
        return ""
    there, odd = (
        listed(str(check.line) for check in some)
        for some in (fits, [check for check in own if check not in fits])
    )
    return f". The printed gap follows from them in {there}, but not in {odd}"


def copied_spreads(lines: Sequence[Line]) -> list[Finding]:
    """Lines of different experiments with other means and the same spreads.

    Of a hundred thousand pairs of lines some share three spreads by chance, hardly any share all
    four, and hardly any of the far fewer pairs of one method share three.
    """
    distances = spread_is_gap_lines(lines)
    usable = [line for line in lines if line not in distances]

    def equal(first: Line, second: Line) -> list[str]:
        return [
            m
            for m in MEASURES
            if first.spread.get(m, 0.0) > 0 and first.spread[m] == second.spread.get(m)
        ]

    def alike(first: Line, second: Line) -> bool:
        shared = [m for m in first.measures if m in second.mean]
        other = any(first.mean[m] != second.mean[m] for m in shared)
        whole = all(first.spread.get(m) == second.spread.get(m) for m in shared)
        related = first.method == second.method
        return other and (whole or related) and len(equal(first, second)) >= FEWEST_EQUAL

    found = []
    for group in _clusters(usable, alike):
        metrics = [
            m
            for m in MEASURES
            if sum(m in equal(a, b) for a, b in itertools.combinations(group, 2))
        ]
        pairs = [(a, b) for a, b in itertools.combinations(group, 2) if alike(a, b)]
        most = max((equal(a, b) for a, b in pairs), key=len)
        sample = next(a for a, b in pairs if equal(a, b) == most)
        text = listed(f"{m} ± {sample.spread[m]:.2f}" for m in most)
        found.append(
            _of_group(
                "copied-spread",
                "minor",
                group,
                f"share standard deviations but not means: {text}",
                metrics,
            )
        )
    return found


def _of_group(
    kind: str, severity: Severity, group: Sequence[Line], what: str, metrics: Iterable[str]
) -> Finding:
    places: dict[str, list[int]] = {}
    for line in group:
        places.setdefault(title(line), []).append(line.table)
    where = listed(f"{shown} in {numbered(tables)}" for shown, tables in places.items())
    return Finding(
        kind,
        severity,
        tuple(sorted({line.table for line in group})),
        where,
        f"{where} {what}.",
        tuple(line.cell(m) for line in group for m in metrics if m in line.row),
        {"lines": len(group)},
    )


def _clusters(lines: Sequence[Line], alike: Callable[[Line, Line], bool]) -> list[list[Line]]:
    """Groups of lines that pairs of different experiments tie together."""
    parent = list(range(len(lines)))

    def root(place: int) -> int:
        while parent[place] != place:
            place = parent[place]
        return place

    for first, second in itertools.combinations(range(len(lines)), 2):
        a, b = lines[first], lines[second]
        if a.experiment != b.experiment and alike(a, b):
            parent[root(second)] = root(first)
    groups: dict[Hashable, list[Line]] = {}
    for place, line in enumerate(lines):
        groups.setdefault(root(place), []).append(line)
    return [group for group in groups.values() if len(group) > 1]
