"""The figure of the page on streaming: memory against the number of images."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from companion.figures.style import DASHES, INK, PALETTE, styled, subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = ("o", "s")


@styled
def memory(series: Mapping[str, Sequence[tuple[int, float]]], floor: float) -> "Figure":
    """Peak memory of an epoch, a line for each way to hold the images, named at its end.

    Args:
        series: name → pairs of a number of images and the peak in MiB, by number.
        floor: the peak before the data set was loaded, in MiB.
    """
    figure, axes = subplots(1, 1, 3.1)
    axis = axes[0, 0]
    for number, (name, pairs) in enumerate(series.items()):
        images, peaks = zip(*pairs, strict=True)
        style = {"color": PALETTE[number], "ls": DASHES[number], "marker": MARKS[number]}
        axis.plot(images, peaks, lw=2, ms=6, label=name, **style)
    axis.axhline(floor, color=INK, lw=1.5, ls=(0, (1, 1.5)), label="the libraries alone")
    axis.set_ylim(0, 1.12 * max(peak for pairs in series.values() for _, peak in pairs))
    axis.set_xlim(left=0)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_xlabel("images in the epoch")
    axis.set_ylabel("peak memory (MiB)")
    axis.grid()
    figure.legend(loc="outside upper left", ncols=3, labelcolor=INK, fontsize=9.5)
    return figure
