"""Drawings of the chapters on influence functions and Theorems 1 and 2; nothing is computed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from companion.figures.style import DASHES, INK, PALETTE, styled, subplots
from companion.figures.theory import THEORY_COLOURS, Curve, plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """A place in the plane.

    Attributes:
        x: horizontal.
        y: vertical.
        colour: a key of ``THEORY_COLOURS``, or a colour.
        marker: Matplotlib's marker.
        shift: of the name from the mark, in points.
    """

    x: float
    y: float
    colour: str
    marker: str = "o"
    shift: tuple[float, float] = (7, 4)


def agreement(
    predictions: Mapping[str, tuple[Sequence[float], Sequence[float], str, str]],
    xlabel: str,
    ylabel: str,
) -> "Figure":
    """Predicted over true values, with the diagonal on which both agree.

    Args:
        predictions: name → true values, predicted values, colour and marker.
        xlabel: what the true values are, with their unit.
        ylabel: what was predicted.
    """
    every = [value for true, guess, *_ in predictions.values() for value in (*true, *guess)]
    ends = (min(every), max(every))
    curves = {"both agree": Curve(ends, ends, INK, (0, (4, 3)))}
    for name, (true, guess, colour, marker) in predictions.items():
        curves[name] = Curve(true, guess, colour, "none", marker)
    return plot(curves, xlabel, ylabel, height=3.6)


@styled
def strips(
    rows: Mapping[str, Sequence[float]],
    notes: Mapping[str, str],
    xlabel: str,
    *,
    below: str = "measured",
    above: str = "ga",
) -> "Figure":
    """One row of dots for each name, coloured by their sign, and a note at its end.

    Args:
        rows: name → values; none at all where nothing could be computed.
        notes: name → what is said of the row.
        xlabel: what the values are, with their unit.
        below: colour of values of at most zero.
        above: colour of the others.
    """
    figure, axes = subplots(1, 1, 0.42 * len(rows) + 1.0)
    axis = axes[0, 0]
    for place, (name, values) in enumerate(rows.items()):
        for number, value in enumerate(values):
            shift = 0.5 * ((number * 0.618034) % 1 - 0.5)  # spreads dots evenly, the same each time
            colour = THEORY_COLOURS[below if value <= 0 else above]
            axis.plot(value, place + shift, "o", ms=5, color=colour, alpha=0.8, mew=0)
        axis.annotate(
            notes.get(name, ""),
            (1.0, place),
            (4, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=INK,
        )
    axis.axvline(0, color=INK, lw=1)
    axis.set_yticks(range(len(rows)), list(rows))
    axis.set_ylim(len(rows) - 0.45, -0.55)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(xlabel)
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    return figure


@styled
def shares(
    lines: Mapping[str, Sequence[float | None]],
    categories: Sequence[str],
    xlabel: str,
    ylabel: str,
) -> "Figure":
    """One line of marks for each name over common categories, in percent; None leaves a gap.

    Args:
        lines: name → one value for each category.
        categories: names of the places on the horizontal axis.
        xlabel: what they are.
        ylabel: what the values are, in percent.
    """
    figure, axes = subplots(1, 1, 3.4)
    axis = axes[0, 0]
    marks = zip(PALETTE, DASHES, ("o", "s", "^", "D"), strict=True)
    for (name, values), (colour, dashes, marker) in zip(lines.items(), marks, strict=False):
        known = [(k, value) for k, value in enumerate(values) if value is not None]
        axis.plot(*zip(*known, strict=True), color=colour, ls=dashes, marker=marker, label=name)
    axis.axhline(50, color=INK, lw=1, ls=(0, (4, 3)))
    axis.set_xticks(range(len(categories)), categories)
    axis.set_ylim(-4, 104)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    return figure


@styled
def places(
    points: Mapping[str, Point],
    xlabel: str,
    ylabel: str,
    *,
    lines: Mapping[str, Curve] | None = None,
    height: float = 3.4,
    equal: bool = False,
) -> "Figure":
    """Named points in the plane.

    Args:
        points: name → place; the name is written beside it.
        xlabel: the horizontal axis with its unit.
        ylabel: the vertical axis with its unit.
        lines: name → line, drawn below the points.
        height: in inches.
        equal: the same unit on both axes.
    """
    figure, axes = subplots(1, 1, height)
    axis = axes[0, 0]
    for line in (lines or {}).values():
        colour = THEORY_COLOURS.get(line.colour, line.colour)
        axis.plot(line.x, line.y, color=colour, ls=line.line, lw=1.8, zorder=1)
    for name, point in points.items():
        colour = THEORY_COLOURS.get(point.colour, point.colour)
        axis.plot(point.x, point.y, point.marker, ms=7, color=colour, zorder=3)
        axis.annotate(
            name,
            (point.x, point.y),
            point.shift,
            textcoords="offset points",
            fontsize=9.5,
            color=INK,
            ha="left" if point.shift[0] >= 0 else "right",
        )
    if equal:
        axis.set_aspect("equal", adjustable="datalim")
    axis.margins(0.12)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid()
    axis.set_axisbelow(True)
    return figure
