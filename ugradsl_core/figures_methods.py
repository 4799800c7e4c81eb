"""The figure of the method comparison: how near each method comes, and what it costs."""

from typing import TYPE_CHECKING

from ugradsl_core.figures import INK, ROW, mark, name_rows, place_gap, styled, subplots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def gap_and_cost_panel(summary: "pd.DataFrame", gaps: "pd.DataFrame") -> "pd.DataFrame":
    """What :func:`gap_and_cost` draws.

    Args:
        summary: ``results.summary`` of one setting, with Retrain.
        gaps: ``results.gap_panel`` of the same records.

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
