"""Colours and drawings that the chapters on theory share; nothing is computed here.

A quantity has the same colour in every chapter, and that of its method elsewhere in the book.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from companion.figures.style import COLOURS, INK, styled, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

THEORY_COLOURS = {
    "retrain": COLOURS["retrain"],  # θ_r*, Δθ_r
    "ga": COLOURS["ga"],  # θ_f*, Δθ_f, ascent with α = 0
    "nls": COLOURS["ugradsl"],  # Δθ_n, ascent with α < 0
    "pls": COLOURS["ft"],  # α > 0
    "one-hot": INK,  # α = 0, as a label
    "formula": INK,  # what the paper's equation says
    "measured": COLOURS["ugradsl+"],  # what was counted or computed, beside a formula
    "bound": "#a9791f",  # an upper bound, Eq. (31)
}
LANDSCAPE_COLOURS = (  # low to high loss: Matplotlib's cividis
    *("#00224e", "#013271", "#2f426d", "#48526c", "#5e636f", "#727374"),
    *("#878478", "#9d9576", "#b6a96f", "#cebc63", "#e7d150", "#fee838"),
)
Scale = str


@dataclass(frozen=True)
class Curve:
    """A line or a row of marks.

    Attributes:
        x: horizontal values.
        y: vertical values, as many.
        colour: a key of ``THEORY_COLOURS``, or a colour.
        line: Matplotlib's line style; ``"none"`` for marks only.
        marker: Matplotlib's marker; empty for none.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    line: Any = "-"
    marker: str = ""


def signed(value: float, digits: str = "g") -> str:
    """A number with a true minus sign, as it stands in text and legends."""
    return f"{value:{digits}}".replace("-", "−")


@styled
def plot(
    curves: Mapping[str, Curve],
    xlabel: str,
    ylabel: str,
    *,
    xscale: Scale = "linear",
    yscale: Scale = "linear",
    ylim: tuple[float, float] | None = None,
    marked: Mapping[float, str] | None = None,
    height: float = 3.2,
) -> "Figure":
    """Curves over a common axis, with a legend above.

    Args:
        curves: name → curve; a name that begins with ``_`` is not in the legend.
        xlabel: the horizontal axis with its unit.
        ylabel: the vertical axis with its unit.
        xscale: ``linear``, ``log``, ``log2`` (powers of two, written out) or ``symlog``.
        yscale: ``linear``, ``log`` or ``symlog``.
        ylim: limits of the vertical axis.
        marked: places on the horizontal axis → what a dashed line there is.
        height: in inches.
    """
    figure, axes = subplots(1, 1, height)
    axis = axes[0, 0]
    for name, curve in curves.items():
        colour = THEORY_COLOURS.get(curve.colour, curve.colour)
        style = {"ls": curve.line, "marker": curve.marker or None, "ms": 5.5, "lw": 2}
        axis.plot(curve.x, curve.y, color=colour, label=name, **style)
    if xscale == "log2":
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
    else:
        axis.set_xscale(xscale)
    axis.set_yscale(yscale)
    if ylim is not None:
        axis.set_ylim(*ylim)
    for place, text in (marked or {}).items():
        axis.axvline(place, color=INK, lw=1, ls=(0, (4, 3)))
        if text:
            axis.annotate(
                text,
                (place, 1),
                (3, 2),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                fontsize=9,
                color=INK,
            )
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid()
    axis.set_axisbelow(True)
    named = [name for name in curves if not name.startswith("_")]
    if named:
        columns = 3 if len(named) == 3 and sum(map(len, named)) < 36 else 2
        figure.legend(loc="outside upper left", ncols=columns, labelcolor=INK, fontsize=9.5)
    return figure


@styled
def domain(
    ratios: Sequence[float],
    best: Sequence[float],
    lowest: Sequence[float],
    names: tuple[str, str, str],
    xlabel: str,
    ylabel: str,
) -> "Figure":
    """Two bands, one above the other: from zero to ``best``, and from there to ``lowest``.

    Args:
        ratios: the horizontal axis.
        best: where the bands meet.
        lowest: where the second one ends.
        names: of the first band, the second one, and of what lies beyond.
        xlabel: the horizontal axis.
        ylabel: the vertical axis.
    """
    from matplotlib.patches import Patch

    figure, axes = subplots(1, 1, 3.6)
    axis = axes[0, 0]
    bottom = min(lowest) * 1.12
    looks: list[dict[str, Any]] = [
        {"facecolor": THEORY_COLOURS["nls"], "alpha": 0.4, "lw": 0},
        {"facecolor": "none", "edgecolor": THEORY_COLOURS["nls"], "hatch": "/////", "lw": 0},
        {"facecolor": "none", "edgecolor": INK, "lw": 0.6},
    ]
    axis.fill_between(ratios, 0, best, **looks[0])
    axis.fill_between(ratios, best, lowest, **looks[1])
    axis.plot(ratios, best, color=INK, lw=2)
    axis.plot(ratios, lowest, color=INK, lw=1, ls=(0, (4, 3)))
    axis.set_ylim(bottom, 0)
    axis.set_xlim(ratios[0], ratios[-1])
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    keys = [Patch(label=name, **look) for name, look in zip(names, looks, strict=True)]
    figure.legend(handles=keys, loc="outside upper left", ncols=1, labelcolor=INK, fontsize=9.5)
    return figure


@styled
def counted_mask(
    close: Sequence[Sequence[bool]], row_name: str, column_name: str, titles: tuple[str, str]
) -> "Figure":
    """A matrix of truth values with the count of each row at its right, of each column below.

    Args:
        close: the matrix; true entries are filled.
        row_name: what a row is.
        column_name: what a column is.
        titles: of the counts at the right, and of those below.
    """
    from matplotlib.patches import Rectangle

    rows, columns = len(close), len(close[0])
    figure, axes = subplots(1, 1, 0.4 * rows + 1.2)
    axis = axes[0, 0]
    for i, row in enumerate(close):
        for j, value in enumerate(row):
            fill = THEORY_COLOURS["pls"] if value else "none"
            axis.add_patch(Rectangle((j, i), 1, 1, lw=0.6, facecolor=fill, edgecolor=INK))
        axis.text(columns + 0.35, i + 0.5, str(sum(row)), va="center", weight="bold")
    for j in range(columns):
        total = sum(row[j] for row in close)
        axis.text(j + 0.5, rows + 0.5, str(total), ha="center", va="center")
    axis.text(columns + 0.35, -0.4, titles[0], va="center", ha="left", weight="bold")
    axis.text(0, rows + 1.25, titles[1], va="center", ha="left")
    axis.set_xlim(-1, columns + 2.6)
    axis.set_ylim(rows + 1.7, -0.9)
    for i in range(rows):
        axis.text(-0.2, i + 0.5, f"{row_name}{i + 1}", va="center", ha="right")
    for j in range(columns):
        axis.text(j + 0.5, -0.4, f"{column_name}{j + 1}", va="center", ha="center")
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.set_aspect("equal")
    return figure


@styled
def contours(
    coordinates: Sequence[float], plane: Sequence[Sequence[float]], label: str
) -> "Figure":
    """Levels of a positive function on a square, equally spaced in its logarithm.

    Args:
        coordinates: of both axes.
        plane: row i, column j: the value at (coordinates[j], coordinates[i]).
        label: what the values are, with their unit.
    """
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.ticker import LogFormatterSciNotation

    figure, axes = subplots(1, 1, 4.4)
    axis = axes[0, 0]
    values = [value for row in plane for value in row]
    norm = LogNorm(min(values), max(values))
    count = len(LANDSCAPE_COLOURS)
    edges = [float(norm.inverse(i / count)) for i in range(count + 1)]
    shades = ListedColormap(LANDSCAPE_COLOURS)
    edges[0], edges[-1] = edges[0] * 0.999, edges[-1] * 1.001
    filled = axis.contourf(coordinates, coordinates, plane, levels=edges, cmap=shades, norm=norm)
    filled.set_edgecolor("face")
    axis.plot(0, 0, "o", ms=7, color="#ffffff", mec="#c8501e", mew=2)
    axis.set_aspect("equal")
    axis.set_xlabel("step along d₁ (filter lengths)")
    axis.set_ylabel("step along d₂ (filter lengths)")
    bar = figure.colorbar(filled, ax=axis, shrink=0.85, format=LogFormatterSciNotation())
    decades = [10.0**k for k in range(-6, 4) if edges[0] <= 10.0**k <= edges[-1]]
    bar.set_ticks(decades)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return figure
