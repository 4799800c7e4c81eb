"""Figures of the audit of the paper's tables. Nothing is computed here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from companion.figures.style import BLUE, INK, OCHRE, RED, ROW, VIOLET, name_rows, styled, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GREEN = "#1f9b77"
EXPLAINED: dict[str, tuple[str, str, str]] = {  # explanation → title, colour, mark
    "rounding": ("follows, up to rounding", INK, "|"),
    "per-seed": ("can be a mean of per-seed gaps", BLUE, "o"),
    "other-retrain": ("another Retrain value", VIOLET, "D"),
    "elsewhere": ("a cell printed elsewhere", GREEN, "s"),
    "misprint": ("a digit", OCHRE, "P"),
    "unexplained": ("unexplained", RED, "X"),
}
LINEAR = 0.5  # percentage points up to which differences are drawn in proportion
EDGES = (-3.5, 18.0)
STEPS = (0.0, -0.28, 0.28)
FITTING: dict[str, dict[str, Any]] = {"rounding": {"marker": "o", "ms": 6}}


def _marks(kind: str, size: float) -> dict[str, Any]:
    _, colour, mark = EXPLAINED[kind]
    return {"color": colour, "marker": mark, "ls": "none", "ms": size, "zorder": 3}


@styled
def differences(rows: Sequence[tuple[str, float, str]], tolerance: float) -> "Figure":
    """Printed minus recomputed gap of every row of the paper, one strip for each table.

    Args:
        rows: the table's title, the difference in percentage points, and its explanation.
        tolerance: what rounding can cause, drawn as a band.
    """
    titles = list(dict.fromkeys(title for title, _, _ in rows))
    figure, axes = subplots(1, 1, ROW * len(titles) + 1.9)
    axis = axes[0, 0]
    axis.axvspan(-tolerance, tolerance, color=INK, alpha=0.25, lw=0)
    places = _apart(rows, titles)
    for kind, (label, _, _) in EXPLAINED.items():
        own = [
            (gap, place)
            for (_, gap, found), place in zip(rows, places, strict=True)
            if found == kind
        ]
        if own:
            axis.plot(*zip(*own, strict=True), label=label, **_marks(kind, 6.5))
    name_rows(axis, titles)
    axis.set_xscale("symlog", linthresh=LINEAR, linscale=1.2)
    axis.set_xlim(*EDGES)
    ticks = [-2, -1, -0.4, -0.2, 0, 0.2, 0.4, 1, 2, 5, 10]
    axis.set_xticks(ticks, [f"{tick:g}".replace("-", "−") for tick in ticks])
    axis.minorticks_off()
    axis.set_xlabel("printed − recomputed Avg. Gap (percentage points)")
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    return figure


def _apart(rows: Sequence[tuple[str, float, str]], titles: Sequence[str]) -> list[float]:
    """A height for each mark, so that equal differences in one table do not hide each other."""
    places, seen = [], dict[tuple[str, float], int]()
    for title, gap, kind in rows:
        shift = 0.0
        if kind != "rounding":
            number = seen[title, round(gap, 1)] = seen.get((title, round(gap, 1)), -1) + 1
            shift = STEPS[number % len(STEPS)]
        places.append(titles.index(title) + shift)
    return places


@styled
def against_bound(rows: Sequence[tuple[float, float, str]]) -> "Figure":
    """How much larger than the gap of means a printed gap is, over how much it can be.

    Args:
        rows: the largest possible excess of a mean of per-seed gaps, the printed excess (both in
            percentage points), and the explanation.
    """
    figure, axes = subplots(1, 1, 3.4)
    axis = axes[0, 0]
    most = max((limit for limit, _, _ in rows), default=1.0)
    axis.plot([0, most], [0, most], color=INK, lw=1.3, ls=(0, (4, 3)))
    axis.axhline(0, color=INK, lw=0.8)
    for kind, (label, _, _) in EXPLAINED.items():
        own = [(limit, excess) for limit, excess, found in rows if found == kind]
        if own:
            axis.plot(*zip(*own, strict=True), label=label, **_marks(kind, 6))
    axis.set_xlabel("largest possible excess (points)")
    axis.set_ylabel("printed excess (points)")
    axis.grid()
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    return figure


@dataclass(frozen=True)
class Implied:
    """What a method's printed gap says about Retrain's value of a metric.

    Attributes:
        title: of the method.
        intervals: where Retrain's value has to lie.
        kind: the explanation of the method's gap.
    """

    title: str
    intervals: tuple[tuple[float, float], ...]
    kind: str


@styled
def implied_reference(
    rows: Sequence[Implied], marked: Mapping[str, float], metric: str, window: tuple[float, float]
) -> "Figure":
    """For each method the Retrain values with which its printed gap fits.

    Args:
        rows: from top to bottom.
        marked: title → value, as vertical lines.
        metric: its name.
        window: the values to show.
    """
    figure, axes = subplots(1, 1, ROW * len(rows) + 1.3)
    axis = axes[0, 0]
    for number, (title, value) in enumerate(marked.items()):
        axis.axvline(value, color=INK, lw=1.4, ls=("-", (0, (4, 3)))[number % 2], label=title)
    for place, row in enumerate(rows):
        for low, high in row.intervals:
            middle = (low + high) / 2
            if window[0] <= middle <= window[1]:
                colour = EXPLAINED[row.kind][1]
                axis.plot([low, high], [place, place], color=colour, lw=2)
                axis.plot(middle, place, **{**_marks(row.kind, 7), **FITTING.get(row.kind, {})})
    name_rows(axis, [row.title for row in rows])
    axis.set_xlim(*window)
    axis.set_xlabel(f"Retrain's {metric} with which the printed gap fits (%)")
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    return figure


@styled
def two_orders(panels: Mapping[str, Sequence[tuple[str, float, float]]]) -> "Figure":
    """Printed and recomputed gap of the best methods, one panel below the other.

    Args:
        panels: title → method, printed and recomputed gap, in percentage points.
    """
    heights = [len(rows) + 1.6 for rows in panels.values()]
    figure, axes = subplots(
        len(panels), 1, ROW * sum(heights) + 1.0, gridspec_kw={"height_ratios": heights}
    )
    for axis, (title, rows) in zip(axes[:, 0], panels.items(), strict=True):
        for place, (_, printed, recomputed) in enumerate(rows):
            axis.plot([printed, recomputed], [place, place], color=INK, lw=1.6)
            axis.plot(printed, place, "o", ms=8, mfc="none", mec=BLUE, mew=1.8, zorder=3)
            axis.plot(recomputed, place, "o", ms=4.5, color=RED, zorder=4)
        name_rows(axis, [method for method, _, _ in rows])
        axis.set_xlim(left=0)
        axis.set_title(title)
    first = axes[0, 0]
    first.plot([], [], "o", ms=8, mfc="none", mec=BLUE, mew=1.8, label="printed")
    first.plot([], [], "o", ms=4.5, color=RED, label="recomputed from the printed means")
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    figure.supxlabel(
        "Avg. Gap to Retrain (percentage points; smaller is better)", fontsize=10, color=INK
    )
    return figure
