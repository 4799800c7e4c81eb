"""Bars and histograms."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from companion.figures.style import INK, PALETTE, colour, styled, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def histograms(groups: Mapping[str, Sequence[float]], xlabel: str) -> "Figure":
    """One histogram below the other, on the same bins over [0, 1].

    Args:
        groups: title → values in [0, 1].
        xlabel: what the values are.
    """
    figure, axes = subplots(len(groups), 1, 1.15 * len(groups) + 0.5, sharex=True, sharey=True)
    bins = [i / 20 for i in range(21)]
    for axis, (title, values) in zip(axes[:, 0], groups.items(), strict=True):
        label = title.split(" ")[0].lower()
        axis.hist(values, bins=bins, color=colour(label), weights=[100 / len(values)] * len(values))
        axis.set_title(title)
        axis.grid(axis="y")
        axis.set_axisbelow(True)
    figure.supxlabel(xlabel, fontsize=10, color=INK)
    figure.supylabel("share of samples (%)", fontsize=10, color=INK)
    return figure


@styled
def bars(
    series: Mapping[str, Sequence[float]],
    categories: Sequence[str],
    xlabel: str,
    ylabel: str,
    palette: Sequence[str] = PALETTE,
) -> "Figure":
    """Grouped bars: one group for each category, one colour for each series.

    Args:
        series: name → one value for each category.
        categories: names of the groups.
        xlabel: what the categories are.
        ylabel: what the values are, with their unit.
        palette: one colour for each series.
    """
    figure, axes = subplots(1, 1, 3.0)
    axis = axes[0, 0]
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [i + (number - (len(series) - 1) / 2) * width for i in range(len(categories))]
        axis.bar(places, values, width * 0.92, label=name, color=palette[number % len(palette)])
    axis.axhline(0, color=INK, lw=0.8)
    axis.set_xticks(range(len(categories)), categories)
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    figure.legend(loc="outside upper left", ncols=3, labelcolor=INK, fontsize=9.5)
    return figure
