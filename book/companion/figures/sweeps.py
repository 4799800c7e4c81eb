"""Figures of a sweep: metrics and gap over its values, a map of trials, and cost against gap."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.figures.search import plain_ticks
from companion.figures.style import DASHES, INK, colour, mark, short, styled, subplots
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METRICS = (*GAP_METRICS, "gap")
BANDED = 4  # lines that still leave room for bands
NAMES = {"gap": "Avg. Gap"}
REFERENCES = ("retrain", "retrain:again", "no-step")
LEVELS = {"no-step": ("no step", (0, (6, 2))), "retrain:again": ("noise floor", (0, (1, 1.5)))}
LONGEST = 20  # characters of a line of a title above one of two panels
PARAMETERS = {"p": "1 − p", "alpha": "α", "lr": "learning rate"}


@styled
def curves(panels: "Mapping[str, pd.DataFrame]", x: str, xlabel: str, by: str = "") -> "Figure":
    """Four metrics and the gap over a swept value: a column for each table, a row for each number.

    Retrain is a dashed grey line; in the row of the gap, grey lines are no step and noise floor.

    Args:
        panels: title → table in the form of ``records.sweeps.summary``; an empty one says that it
            has not been run.
        x: the swept value on the horizontal axis; those that are no numbers are set side by side.
        xlabel: its name.
        by: a second swept value, which the lines' dashes tell apart.
    """
    swept = [table[~table["label"].isin(REFERENCES)] for table in panels.values()]
    widths = [0.4 if own.empty and len(panels) > 1 else 1.0 for own in swept]
    figure, axes = subplots(
        len(METRICS), len(panels), 1.45 * len(METRICS) + 0.6, sharex="col",
        gridspec_kw={"width_ratios": widths},
    )  # fmt: skip
    known: dict[str, Any] = {}
    for column, ((title, table), own) in enumerate(zip(panels.items(), swept, strict=True)):
        banded = own.groupby(["label", *([by] if by else [])], sort=False).ngroups <= BANDED
        places = _places(own[x].tolist())
        others = list(dict.fromkeys(own[by])) if by else [None]
        for row, metric in enumerate(METRICS):
            axis = axes[row, column]
            if not column:
                axis.set_ylabel(f"{NAMES.get(metric, metric)} {'points' if row == 4 else '%'}")
            axis.grid()
            for (label, method), lines in own.groupby(["label", "method"], sort=False):
                for number, other in enumerate(others):
                    line = lines[lines[by] == other] if by else lines
                    if line[metric].notna().any():
                        name = short(f"{method}, {other}" if by else str(method))
                        drawn = _line(
                            axis, line, str(label), metric, places, x, DASHES[number], banded
                        )
                        known.setdefault(name, drawn)
            _levels(axis, table, metric, places, x)
        axes[0, column].set_title(textwrap.fill(title, LONGEST))
        if own.empty:
            for axis in axes[:, column]:
                axis.set_xticks([])
                axis.set_yticks([])
            axes[0, column].text(
                0.5, 0.5, "not run yet", ha="center", transform=axes[0, column].transAxes, color=INK
            )
        elif not all(isinstance(value, int | float) for value in own[x]):
            axes[-1, column].set_xticks(
                list(places.values()), [_text(value) for value in places], fontsize=8.5,
                rotation=90 if len(places) > 4 else 0,
            )  # fmt: skip
        if not own.empty:
            axes[-1, column].set_xlabel(xlabel)
    figure.align_ylabels()
    if known:
        figure.legend(
            known.values(), known.keys(), loc="outside upper left", ncols=2, labelcolor=INK,
            fontsize=9,
        )  # fmt: skip
    return figure


def _text(value: Any) -> str:
    return "median" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _places(values: Sequence[Any]) -> dict[Any, float]:
    """Where each value is drawn: numbers at themselves, others side by side."""
    if all(isinstance(value, int | float) for value in values):
        return {value: float(value) for value in values}
    return {value: float(place) for place, value in enumerate(dict.fromkeys(values))}


def _line(
    axis: "Axes", table: "pd.DataFrame", label: str, metric: str, places: Mapping[Any, float],
    x: str, dash: Any, banded: bool,
) -> Any:  # fmt: skip
    rows = sorted(table.to_dict(orient="records"), key=lambda row: places[row[x]])
    at = [places[row[x]] for row in rows]
    means = [row[metric] for row in rows]
    if banded:
        stds = [row[f"{metric}_std"] for row in rows]
        spread = [0.0 if math.isnan(std) else std for std in stds]
        low, high = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
        axis.fill_between(at, low, high, color=colour(label), alpha=0.15, lw=0)
    (line,) = axis.plot(at, means, ls=dash, lw=1.5, ms=3.5, **mark(label))
    return line


def _levels(
    axis: "Axes", table: "pd.DataFrame", metric: str, places: Mapping[Any, float], x: str
) -> None:
    """References: lines across where they have no value, else lines over the values.

    The noise floor has its name at the left end, as it may be close to no step.
    """
    shown = {"retrain": ("Retrain", (0, (4, 3)))} if metric != "gap" else LEVELS
    for label, (name, dash) in shown.items():
        rows = table[(table["label"] == label) & table[metric].notna()].to_dict(orient="records")
        side = "left" if label == "retrain:again" else "right"
        if len(rows) == 1 and rows[0][x] is None:
            axis.axhline(rows[0][metric], color=INK, lw=1, ls=dash)
            axis.annotate(
                name, (float(side == "right"), rows[0][metric]),
                xycoords=("axes fraction", "data"), ha=side, va="bottom", fontsize=8.5, color=INK,
            )  # fmt: skip
        elif rows:
            found = sorted((places[row[x]], row[metric]) for row in rows if row[x] in places)
            axis.plot(*zip(*found, strict=True), color=INK, lw=1, ls=dash)
            end = found[0 if side == "left" else -1]
            axis.annotate(name, end, ha=side, va="bottom", fontsize=8.5, color=INK)


@styled
def trial_map(trials: "Mapping[str, pd.DataFrame]") -> "Figure":
    """Every trial of a search over pairs of p, α and the learning rate; colour is its gap.

    Args:
        trials: title → columns ``p``, ``alpha``, ``lr`` and ``gap`` (percentage points); a row of
            maps for each.
    """
    import matplotlib as mpl
    from matplotlib.colors import LogNorm

    pairs = (("p", "alpha"), ("lr", "alpha"), ("lr", "p"))
    gaps = [gap for table in trials.values() for gap in table["gap"]]
    norm = LogNorm(min(gaps), max(*gaps, min(gaps) * 1.01))
    figure, axes = subplots(len(trials), 3, 2.1 * len(trials) + 0.4)
    for row, (title, table) in enumerate(trials.items()):
        values = table.assign(p=1 - table["p"])
        best = values.sort_values("gap").iloc[0]
        for axis, (x, y) in zip(axes[row], pairs, strict=True):
            dots = axis.scatter(
                values[x], values[y], c=values["gap"], norm=norm, cmap="viridis_r", s=26,
                edgecolors=INK, linewidths=0.4,
            )  # fmt: skip
            axis.plot(best[x], best[y], "o", ms=11, mfc="none", mec=INK, mew=1.4)
            for name, scale in ((x, axis.set_xscale), (y, axis.set_yscale)):
                scale("linear" if name == "alpha" else "log")
            axis.set_xlabel(PARAMETERS[x])
            axis.set_ylabel(PARAMETERS[y])
            axis.grid()
            axis.set_axisbelow(True)
        axes[row, 0].set_title(title)
    bar = figure.colorbar(dots, ax=axes.ravel().tolist(), location="right", aspect=30, shrink=0.8)
    bar.set_label("validation gap (points)", color=INK)
    bar.ax.yaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    bar.ax.yaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    return figure


def front(table: "pd.DataFrame") -> "pd.DataFrame":
    """The rows that no other row beats in both passes and gap, by passes: the Pareto front."""
    good = table[table["gap"].notna() & ~table["label"].isin(REFERENCES)]
    good = good.sort_values(["passes", "gap"], kind="stable")
    best = good["gap"].cummin()
    return good[(good["gap"] == best) & ~best.duplicated()]


@styled
def pareto(panels: "Mapping[str, pd.DataFrame]", x: str) -> "Figure":
    """Avg. Gap against samples passed; the step line is the Pareto front.

    Args:
        panels: title → table in the form of ``records.sweeps.summary``.
        x: the swept value, which is written beside the marks of the front.
    """
    figure, axes = subplots(1, len(panels), 3.4, sharey=True)
    known: dict[str, Any] = {}
    for axis, (title, table) in zip(axes[0], panels.items(), strict=True):
        own = table[~table["label"].isin(REFERENCES) & table["gap"].notna()]
        by_passes = own.sort_values("passes", kind="stable")
        for (label, method), rows in by_passes.groupby(["label", "method"], sort=False):
            (line,) = axis.plot(rows["passes"], rows["gap"], lw=0.8, ms=5, **mark(str(label)))
            known.setdefault(str(method), line)
        best = front(table)
        axis.step(best["passes"], best["gap"], where="post", color=INK, lw=2.2, alpha=0.5)
        for row in best.to_dict(orient="records"):
            axis.annotate(
                _text(row[x]), (row["passes"], row["gap"]), xytext=(3, 4),
                textcoords="offset points", fontsize=8.5, color=INK,
            )  # fmt: skip
        for label, (name, dash) in LEVELS.items():
            level = table[(table["label"] == label) & table["gap"].notna()]
            if len(level):
                axis.axhline(level["gap"].mean(), color=INK, lw=1, ls=dash)
                axis.annotate(  # at the right, as the cheapest run of the front is at the left
                    name, (1, level["gap"].mean()), xycoords=("axes fraction", "data"),
                    ha="right", va="bottom", fontsize=8.5, color=INK,
                )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        plain_ticks(axis, "x", small=True)
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}")
        plain_ticks(axis, "y")
        axis.set_title(title)
        axis.grid()
    words = "samples passed forward and backward (thousands)"
    figure.supxlabel(words, fontsize=10, color=INK)
    axes[0, 0].set_ylabel("Avg. Gap (points)")
    if known:
        figure.legend(
            known.values(), known.keys(), loc="outside upper left", ncols=4, labelcolor=INK,
            fontsize=9,
        )  # fmt: skip
    return figure
