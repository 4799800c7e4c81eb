"""Tables to figures; nothing is computed here.

Figures are SVG on a transparent ground in greys and colours that can be read on light and on dark
pages and by colour-blind readers, and the same from byte to byte for the same data. A method has
the same colour in the whole book.
"""

import functools
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#7b8087"
COLOURS = {
    "original": "#7b8087",
    "retrain": "#7b8087",
    "ft": "#3a8fc4",
    "ga": "#d0742b",
    "neggrad+": "#a9791f",
    "ugradsl": "#c2619a",
    "ugradsl+": "#1f9b77",
}
STYLE = {
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.size": 10.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "svg.hashsalt": "ugradsl",
    "svg.fonttype": "path",
}
WIDTH = 5.4
SEED_MARK: dict[str, Any] = {"ms": 4.5, "mfc": "#2b2f36", "mec": "#f4f4f4", "mew": 0.9}
PALETTE = ("#3a8fc4", "#c2619a", "#1f9b77", "#d0742b")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))

P = ParamSpec("P")


def _styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    @functools.wraps(draw)
    def styled(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        import matplotlib as mpl

        with mpl.rc_context(STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return styled


def colour(label: str) -> str:
    """The colour of a method; grey for one that has none."""
    return COLOURS.get(label.partition(":")[0], INK)


def _subplots(rows: int, columns: int, height: float, **options: Any) -> "tuple[Figure, Any]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def to_svg(figure: "Figure") -> str:
    """The figure as SVG text, without a date."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def show(figure: "Figure") -> Any:
    """The figure as a notebook displays it."""
    from IPython.display import SVG

    return SVG(to_svg(figure))  # type: ignore[no-untyped-call]


def _gap_panel(axis: "Axes", panel: "pd.DataFrame", title: str) -> None:
    places = range(len(panel))
    for place, row in zip(places, panel.to_dict(orient="records"), strict=True):
        hollow = ":" in str(row["label"])
        axis.barh(
            place,
            row["gap"],
            height=0.62,
            color="none" if hollow else colour(row["label"]),
            edgecolor=colour(row["label"]),
            hatch="////" if hollow else None,
            linewidth=1.2,
        )
        seeds = row.get("seeds")
        if isinstance(seeds, Sequence):
            axis.plot(seeds, [place] * len(seeds), "o", zorder=3, **SEED_MARK)
    axis.set_yticks(places, panel["method"])
    axis.invert_yaxis()
    axis.set_title(title)
    axis.grid(axis="x")
    axis.set_axisbelow(True)
    axis.tick_params(axis="y", length=0)


@_styled
def gaps(panels: "Mapping[str, pd.DataFrame]") -> "Figure":
    """Bars of Avg. Gap, one panel below the other.

    Args:
        panels: title → columns ``label``, ``method``, ``gap`` (percentage points) and, where
            there are any, ``seeds`` (the gap of each seed, drawn as dots).
    """
    heights = [len(panel) + 1.2 for panel in panels.values()]
    figure, axes = _subplots(
        len(panels),
        1,
        0.31 * sum(heights) + 0.5,
        gridspec_kw={"height_ratios": heights},
    )
    for axis, (title, panel) in zip(axes[:, 0], panels.items(), strict=True):
        _gap_panel(axis, panel, title)
    figure.supxlabel(
        "Avg. Gap to Retrain (percentage points; smaller is better)", fontsize=10, color=INK
    )
    return figure


@_styled
def metric_profile(table: "pd.DataFrame", metrics: Sequence[str]) -> "Figure":
    """Each metric of each method with its spread, beside a line at Retrain's.

    Args:
        table: ``results.summary`` of one setting.
        metrics: columns of it, in percent.
    """
    figure, axes = _subplots(len(metrics), 1, 0.24 * len(table) * len(metrics) + 0.9, sharey=True)
    reference = table[table.label == "retrain"]
    for axis, name in zip(axes[:, 0], metrics, strict=True):
        if len(reference):
            axis.axvline(float(reference[name].iloc[0]), color=INK, lw=1, ls=(0, (4, 3)))
        for place, row in enumerate(table.to_dict(orient="records")):
            hollow = ":" in str(row["label"])
            spread = row[f"{name}_std"]
            axis.errorbar(
                row[name],
                place,
                xerr=None if spread != spread else spread,  # noqa: PLR0124
                fmt="o",
                ms=6,
                color=colour(row["label"]),
                mfc="none" if hollow else colour(row["label"]),
            )
        axis.set_title(f"{name} (%)")
        axis.grid(axis="x")
        axis.tick_params(axis="y", length=0)
    axes[0, 0].set_yticks(range(len(table)), table["method"])
    axes[0, 0].invert_yaxis()
    return figure


@_styled
def histograms(groups: Mapping[str, Sequence[float]], xlabel: str) -> "Figure":
    """One histogram below the other, on the same bins over [0, 1].

    Args:
        groups: title → values in [0, 1].
        xlabel: what the values are.
    """
    figure, axes = _subplots(len(groups), 1, 1.15 * len(groups) + 0.5, sharex=True, sharey=True)
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


@_styled
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
    figure, axes = _subplots(1, 1, 3.0)
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


@_styled
def curves(
    series: Mapping[str, Sequence[float]],
    x: Sequence[float],
    xlabel: str,
    ylabel: str,
    marked: float | None = None,
) -> "Figure":
    """Lines over a common axis.

    Args:
        series: name → one value for each of ``x``.
        x: the common axis.
        xlabel: its name and unit.
        ylabel: name and unit of the values.
        marked: a value of ``x`` to mark with a vertical line.
    """
    figure, axes = _subplots(1, 1, 3.1)
    axis = axes[0, 0]
    for number, (name, values) in enumerate(series.items()):
        axis.plot(x, values, color=PALETTE[number % 4], ls=DASHES[number % 4], lw=2, label=name)
    if marked is not None:
        axis.axvline(marked, color=INK, lw=1, ls=(0, (4, 3)))
    axis.set_xlabel(xlabel)
    axis.set_ylabel(ylabel)
    axis.grid()
    figure.legend(loc="outside upper left", ncols=3, labelcolor=INK, fontsize=9.5)
    return figure
