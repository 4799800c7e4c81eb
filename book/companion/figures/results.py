"""Figures of records: gaps, and gaps against cost."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from companion.figures.style import (
    INK,
    ROW,
    WIDTH,
    colour,
    mark,
    name_rows,
    place_gap,
    short,
    styled,
    subplots,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _gap_panel(axis: "Axes", panel: "pd.DataFrame", title: str, width: float) -> None:
    from matplotlib.transforms import blended_transform_factory

    for place, row in enumerate(panel.to_dict(orient="records")):
        place_gap(axis, place, {str(key): value for key, value in row.items()})
    name_rows(axis, list(panel["method"]))
    axis.set_xlim(left=0)
    lines = textwrap.wrap(title, round(60 * width / WIDTH))
    axis.set_title("\n".join(" " for _ in lines))  # room for the text, which begins further left
    figure = axis.get_figure()
    if figure is not None:
        where = blended_transform_factory(figure.transFigure, axis.transAxes)
        text = axis.annotate(
            "\n".join(lines),
            (0.01, 1.0),
            xycoords=where,
            xytext=(0, 6),
            textcoords="offset points",
            weight="bold",
            annotation_clip=False,
        )
        text.set_in_layout(False)


@styled
def gaps(panels: "Mapping[str, pd.DataFrame]", width: float = WIDTH) -> "Figure":
    """Marks of Avg. Gap, one panel below the other.

    Args:
        panels: title → columns ``label``, ``method``, ``gap`` (percentage points) and, where
            there are any, ``seeds`` (the gap of each seed, drawn as dots).
        width: of the figure, in inches.
    """
    heights = [len(panel) + 1.5 for panel in panels.values()]
    figure, axes = subplots(
        len(panels), 1, ROW * sum(heights) + 0.5, width, gridspec_kw={"height_ratios": heights}
    )
    for axis, (title, panel) in zip(axes[:, 0], panels.items(), strict=True):
        _gap_panel(axis, panel, title, width)
    words = "Avg. Gap to Retrain (percentage points; smaller is better)"
    label = textwrap.fill(words, round(60 * width / WIDTH))
    figure.supxlabel(label, fontsize=10, color=INK)
    return figure


def gap_and_cost_panel(summary: "pd.DataFrame", gaps: "pd.DataFrame") -> "pd.DataFrame":
    """What :func:`gap_and_cost` draws.

    Args:
        summary: ``summary.summary`` of one setting, with Retrain.
        gaps: ``summary.gap_panel`` of the same records.

    Returns:
        ``gaps`` with a column ``cost``: samples passed forward and backward, in percent of
        Retrain's.
    """
    passes = (summary["forward"] + summary["backward"]).set_axis(summary["label"])
    return gaps.assign(cost=[100 * passes[label] / passes["retrain"] for label in gaps["label"]])


@styled
def gap_and_cost(panel: "pd.DataFrame") -> "Figure":
    """Two columns over the same methods: Avg. Gap on the left, passes on the right.

    Args:
        panel: columns ``label``, ``method``, ``gap`` (percentage points), ``seeds`` (the gap of
            each seed) and ``cost`` (percent of Retrain's passes).
    """
    height = ROW * len(panel) + 1.0
    figure, axes = subplots(1, 2, height, sharey=True, gridspec_kw={"width_ratios": (1.25, 1)})
    left, right = axes[0]
    for place, row in enumerate(panel.to_dict(orient="records")):
        place_gap(left, place, {str(key): value for key, value in row.items()})
        right.plot(row["cost"], place, ms=7, **mark(str(row["label"])))
    name_rows(left, list(panel["method"]))
    left.set_xlim(left=0)
    left.set_xlabel("Avg. Gap to Retrain\n(percentage points)")
    right.set_xscale("log")
    right.axvline(100, color=INK, lw=1, ls=(0, (4, 3)))
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.set_xlabel("passes (% of Retrain's,\nlogarithmic)")
    right.tick_params(axis="y", length=0)
    right.grid()
    right.set_axisbelow(True)
    return figure


@styled
def gap_columns(panels: "Mapping[str, pd.DataFrame]", methods: Mapping[str, str]) -> "Figure":
    """Avg. Gap of the same methods from several sources, side by side, each on its own scale.

    Args:
        panels: title → columns ``label``, ``gap`` (percentage points) and, where there are any,
            ``seeds``. A method that a panel does not have gets a dash there.
        methods: label → title, from top to bottom.
    """
    figure, axes = subplots(1, len(panels), ROW * len(methods) + 1.0, sharey=True)
    for axis, (title, panel) in zip(axes[0], panels.items(), strict=True):
        rows = {str(row["label"]): row for row in panel.to_dict(orient="records")}
        for place, label in enumerate(methods):
            gap = rows.get(label, {}).get("gap", float("nan"))
            if not math.isnan(gap):
                place_gap(axis, place, {str(k): v for k, v in rows[label].items()})
            else:
                axis.annotate(
                    "–", (0.04, place), xycoords=("axes fraction", "data"), va="center", color=INK
                )
        name_rows(axis, list(methods.values()))
        axis.set_xlim(left=0)
        axis.set_title(title)
    figure.supxlabel(
        "Avg. Gap to Retrain (percentage points; smaller is better)", fontsize=10, color=INK
    )
    return figure


@styled
def signed_gaps(table: "pd.DataFrame", metrics: Sequence[str], columns: int = 2) -> "Figure":
    """Method − Retrain for each metric, with its interval, beside a line at zero.

    Args:
        table: ``statistics.signed_gaps`` of one setting.
        metrics: one panel each.
        columns: of panels.
    """
    methods = dict(zip(table["label"], table["method"], strict=True))
    rows = -(-len(metrics) // columns)
    figure, axes = subplots(rows, columns, rows * (ROW * len(methods) + 0.6) + 0.3, sharey=True)
    for axis, name in zip(axes.flat, metrics, strict=False):
        panel = table[table["metric"] == name].set_index("label")
        axis.axvline(0, color=INK, lw=1.2)
        for place, label in enumerate(methods):
            if label not in panel.index:
                continue
            row = panel.loc[label]
            style = mark(label)
            if not math.isnan(row["low"]):
                axis.plot([row["low"], row["high"]], [place] * 2, color=style["color"], lw=1.6)
            axis.plot(row["difference"], place, ms=6, zorder=3, **style)
        name_rows(axis, list(methods.values()))
        axis.set_title(name)
    for axis in axes.flat[len(metrics) :]:
        axis.set_visible(False)
    figure.supxlabel("method − Retrain (percentage points)", fontsize=10, color=INK)
    return figure


@styled
def bars_and_time(panel: "pd.DataFrame", unit: str) -> "Figure":
    """The form of the paper's Figure 1: bars of Avg. Gap, points of run time on a second axis.

    Args:
        panel: columns ``label``, ``method``, ``gap`` (percentage points) and ``time``; NaN where
            there is no number, and then nothing is drawn.
        unit: of the times.
    """
    figure, axes = subplots(1, 1, 3.3)
    axis, places = axes[0, 0], range(len(panel))
    axis.bar(places, panel["gap"], 0.72, color=[colour(str(x)) for x in panel["label"]], alpha=0.75)
    axis.set_xticks(places, [short(str(x)) for x in panel["method"]], rotation=90)
    axis.tick_params(axis="x", length=0)
    axis.set_ylabel("Avg. Gap (points): bars")
    axis.grid(axis="y")
    axis.set_axisbelow(True)
    times = axis.twinx()
    times.plot(places, panel["time"], "D:", color=INK, ms=5, lw=1, mec="none")
    times.set_ylim(bottom=0)
    times.set_ylabel(f"RTE ({unit}): points")
    times.spines["right"].set_visible(True)
    return figure


@styled
def gap_against_passes(panel: "pd.DataFrame") -> "Figure":
    """Avg. Gap over samples passed, each method a mark with its interval; lower left is better.

    Args:
        panel: columns ``label``, ``method``, ``gap``, ``low``, ``high`` (percentage points; the
            interval is NaN where there is none) and ``cost`` (percent of Retrain's passes).
    """
    figure, axes = subplots(1, 1, 3.4 + 0.2 * -(-len(panel) // 3))
    axis = axes[0, 0]
    for row in panel.to_dict(orient="records"):
        style = mark(str(row["label"]))
        if not math.isnan(row["low"]):
            ends = [max(row["low"], 0), row["high"]]
            axis.plot([row["cost"]] * 2, ends, color=style["color"], lw=1.4, alpha=0.7)
        title = short(str(row["method"]))
        axis.plot(row["cost"], row["gap"], ms=7, ls="", zorder=3, label=title, **style)
    axis.axvline(100, color=INK, lw=1, ls=(0, (4, 3)))
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("passes (% of Retrain's, logarithmic)")
    axis.set_ylabel("Avg. Gap to Retrain (percentage points)")
    axis.grid()
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower left", ncols=3, labelcolor=INK, fontsize=9)
    return figure
