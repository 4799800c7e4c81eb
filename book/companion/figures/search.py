"""Figures of a search: every trial of every method, and the best that k trials may bring."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from companion.figures.style import INK, ROW, colour, short, stacked, styled, subplots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
WIDEST = 60  # times the lowest value: a small panel has no room for more labels than 1, 10, …


@styled
def strip(trials: "pd.DataFrame", methods: Mapping[str, str]) -> "Figure":
    """One dot for each trial of a search, one row for each method, on a logarithmic scale.

    Args:
        trials: columns ``label``, ``gap`` (percentage points) and ``chosen`` (whether it is the
            configuration that the search chose).
        methods: label → title, from top to bottom.
    """
    import seaborn as sns

    titles = {label: short(title) for label, title in methods.items()}
    order = list(titles.values())
    table = trials.assign(method=trials["label"].map(titles))
    figure, axes = subplots(1, 1, ROW * len(order) + 0.8)
    axis = axes[0, 0]
    sns.stripplot(
        data=table, x="gap", y="method", order=order, hue="method", hue_order=order,
        palette={titles[label]: colour(label) for label in titles}, jitter=False, size=4.5,
        alpha=0.55, linewidth=0, legend=False, ax=axis,
    )  # fmt: skip
    for row in table[table["chosen"]].itertuples():
        place = order.index(str(row.method))
        axis.plot(row.gap, place, "|", ms=14, mew=1.8, color=colour(str(row.label)), zorder=4)
    axis.set_xscale("log")
    plain_ticks(axis, "x")
    axis.set_ylabel("")
    axis.set_xlabel("")
    axis.tick_params(axis="y", length=0)
    axis.grid(axis="both")
    axis.set_axisbelow(True)
    figure.supxlabel("validation gap to Retrain (percentage points)", fontsize=10, color=INK)
    return figure


@styled
def luck(curves: "Mapping[str, pd.DataFrame]", methods: Mapping[str, str]) -> "Figure":
    """Expected best of k trials with its band, a panel for each method, the others in grey.

    Args:
        curves: label → columns ``k``, ``mean``, ``low`` and ``high`` (percentage points).
        methods: label → title, in the order of reading.
    """
    rows = -(-len(methods) // COLUMNS)
    figure, axes = subplots(rows, COLUMNS, 1.15 * rows + 0.6, sharex=True, sharey=True)
    for axis, (label, title) in zip(axes.flat, methods.items(), strict=False):
        for other, curve in curves.items():
            if other != label:
                axis.plot(curve["k"], curve["mean"], color=INK, lw=0.6, alpha=0.3)
        own = curves[label]
        axis.fill_between(own["k"], own["low"], own["high"], color=colour(label), alpha=0.25, lw=0)
        axis.plot(own["k"], own["mean"], color=colour(label), lw=1.8)
        axis.set_yscale("log")
        axis.set_title(stacked(title), fontsize=9.5)
        axis.grid()
    for axis in axes.flat[: len(methods)]:
        plain_ticks(axis, "y", small=True)
    for axis in axes.flat[len(methods) :]:
        axis.set_visible(False)
    figure.supxlabel("trials, k", fontsize=10, color=INK)
    figure.supylabel("best gap (points)", fontsize=10, color=INK)
    return figure


def plain_ticks(axis: "Axes", which: str, *, small: bool = False) -> None:
    """1, 2, 5, 10, … instead of powers of ten; 1, 10, … in a small panel of many decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    scale = axis.xaxis if which == "x" else axis.yaxis
    low, high = scale.get_view_interval()
    subs = (1,) if small and high > WIDEST * low else (1, 2, 5)
    scale.set_major_locator(LogLocator(subs=subs))
    scale.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scale.set_minor_formatter(NullFormatter())


def spoken(values: Sequence[tuple[str, float]]) -> str:
    """Titles with their numbers, for the words beside a figure."""
    return ", ".join(f"{title} {value:.1f}" for title, value in values)
