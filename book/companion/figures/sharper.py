"""Values with intervals, one row for each method, in panels side by side."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from companion.figures.style import INK, ROW, mark, name_rows, styled, subplots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@styled
def intervals(
    panels: "Mapping[str, pd.DataFrame]",
    xlabel: str,
    lines: Sequence[float] = (),
    *,
    log: bool = False,
) -> "Figure":
    """A mark and an interval for each method, in each panel.

    Args:
        panels: title → columns ``label``, ``method``, ``value``, ``low``, ``high``, with the same
            methods in the same order. A value that is not finite is not drawn.
        xlabel: what the values are, with their unit.
        lines: a dashed line in each panel, such as chance; none where there are none.
        log: logarithmic axes.
    """
    first = next(iter(panels.values()))
    figure, axes = subplots(1, len(panels), ROW * len(first) + 1.0, sharey=True)
    for number, (axis, (title, panel)) in enumerate(zip(axes[0], panels.items(), strict=True)):
        for place, row in enumerate(panel.to_dict(orient="records")):
            style = mark(str(row["label"]))
            if math.isfinite(row["low"]) and math.isfinite(row["high"]):
                axis.plot([row["low"], row["high"]], [place] * 2, color=style["color"], lw=1.5)
            if math.isfinite(row["value"]):
                axis.plot(row["value"], place, ms=6.5, zorder=3, **style)
        name_rows(axis, list(panel["method"]))
        if log:
            axis.set_xscale("log")
        if lines:
            axis.axvline(lines[number], color=INK, lw=1.2, ls=(0, (4, 3)))
        axis.set_title(title, fontsize=9.5)
    figure.supxlabel(xlabel, fontsize=10, color=INK)
    return figure
