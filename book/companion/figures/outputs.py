"""What models said of single samples: distributions of losses, and confusion matrices."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from companion.figures.style import INK, PALETTE, stacked, styled, subplots

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

COLUMNS = 3


@styled
def loss_distributions(models: "Mapping[str, tuple[NDArray[Any], NDArray[Any]]]") -> "Figure":
    """Distribution functions of the losses on D_f and D_te, one panel for each model.

    Args:
        models: title → losses on D_f and on D_te, in nats.
    """
    import seaborn as sns

    rows = -(-len(models) // COLUMNS)
    figure, axes = subplots(rows, COLUMNS, 1.9 * rows + 0.5, sharex=True, sharey=True)
    for axis, (title, losses) in zip(axes.flat, models.items(), strict=False):
        for values, colour, dashes in zip(losses, PALETTE, ("-", "--"), strict=False):
            sns.ecdfplot(x=values + 1e-4, ax=axis, color=colour, ls=dashes, lw=1.8)
        axis.set(title=stacked(title), xscale="log", xlabel="", ylabel="")
        axis.grid()
    for axis in axes.flat[len(models) :]:
        axis.set_visible(False)
    figure.supxlabel("loss (nats)", fontsize=10, color=INK)
    figure.supylabel("share of samples", fontsize=10, color=INK)
    handles = [
        axes.flat[0].plot([], [], color=colour, ls=dashes, lw=1.8)[0]
        for colour, dashes in zip(PALETTE, ("-", "--"), strict=False)
    ]
    names = ["forgotten, D_f", "test, D_te"]
    figure.legend(handles, names, loc="outside upper left", ncols=2, labelcolor=INK, fontsize=9.5)
    return figure


@styled
def distances_by_class(distances: "pd.DataFrame", told: "pd.DataFrame") -> "Figure":
    """How far the losses on D_f are from those on D_te, models as rows, classes as columns.

    Args:
        distances: Kolmogorov–Smirnov distances in [0, 1].
        told: of the same shape, whether a test tells the two apart; these cells are marked.
    """
    import seaborn as sns

    figure, axes = subplots(1, 1, 0.27 * len(distances) + 1.0)
    words = distances.map("{:.2f}".format) + told.map(lambda x: "*" if x else "")
    sns.heatmap(
        distances, ax=axes[0, 0], annot=words, fmt="", vmin=0, vmax=1, cmap="Blues", cbar=False,
        annot_kws={"fontsize": 8}, linewidths=0.5,
    )  # fmt: skip
    axes[0, 0].tick_params(length=0, labelsize=9, rotation=0)
    axes[0, 0].set(ylabel="", xlabel="class")
    return figure


@styled
def confusions(models: "Mapping[str, NDArray[Any]]") -> "Figure":
    """Confusion matrices, one panel for each model.

    Args:
        models: title → counts, rows are true classes, (K, K); empty rows stay empty.
    """
    import seaborn as sns

    rows = -(-len(models) // COLUMNS)
    figure, axes = subplots(rows, COLUMNS, 2.0 * rows + 0.3, sharex=True, sharey=True)
    for axis, (title, counts) in zip(axes.flat, models.items(), strict=False):
        totals = counts.sum(1, keepdims=True)
        shares = 100 * counts / totals.clip(1)
        sns.heatmap(
            shares, ax=axis, vmin=0, vmax=100, cmap="Blues", cbar=False, square=True,
            xticklabels=counts.shape[0] <= 10, yticklabels=counts.shape[0] <= 10,
        )  # fmt: skip
        axis.set_title(stacked(title), fontsize=8.5)
        axis.tick_params(length=0, labelsize=8, rotation=0)
    for axis in axes.flat[len(models) :]:
        axis.set_visible(False)
    figure.supxlabel("predicted class", fontsize=10, color=INK)
    figure.supylabel("true class", fontsize=10, color=INK)
    return figure
