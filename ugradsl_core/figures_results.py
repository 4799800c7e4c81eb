"""Figures of the results pages: many methods in one look. Nothing is computed here."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ugradsl_core.figures import INK, ROW, mark, name_rows, place_gap, styled, subplots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


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
