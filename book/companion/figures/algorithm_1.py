"""The framework of UGradSL as a diagram."""

from typing import TYPE_CHECKING

from companion.figures.style import BLUE, COLOURS, INK, RED, WIDTH, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def framework(alpha: float | None, p: float) -> "Figure":
    """From the request to one step of Eq. (8): D_r descends, smoothed D_f ascends.

    Args:
        alpha: the smoothing rate; None draws the self-adaptive one, which needs features of both.
        p: weight of the retain term.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import FancyBboxPatch

    figure = Figure(figsize=(WIDTH, 3.1))
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set_xlim(0, 100)
    axis.set_ylim(0, 58)
    axis.axis("off")

    def box(x: float, y: float, width: float, text: str, colour: str = INK) -> None:
        patch = FancyBboxPatch(
            (x, y), width, 11, boxstyle="round,pad=0.4", fc="none", ec=colour, lw=1.5
        )
        axis.add_patch(patch)
        axis.text(x + width / 2, y + 5.5, text, ha="center", va="center", fontsize=8.5)

    def arrow(start: tuple[float, float], end: tuple[float, float], colour: str = INK) -> None:
        style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
        axis.annotate("", end, start, arrowprops=style)

    box(1, 23, 11, "$D_{tr}$")
    box(20, 40, 12, "$B_r$ of $D_r$", BLUE)
    box(20, 6, 12, "$B_f$ of $D_f$", RED)
    rate = r"$\alpha_j = c_j\,/\,|B_f|$" if alpha is None else rf"$\alpha = {alpha:g}$"
    box(40, 6, 19, f"smoothed labels\n{rate}", COLOURS["ugradsl"])
    box(66, 40, 19, f"$p = {p:g}$\ndescent on $\\ell$", BLUE)
    box(66, 6, 19, f"$1-p = {1 - p:g}$\nascent on $\\ell^{{GLS}}$", RED)
    box(76, 23, 23, "one step of $\\theta$,\nEq. (8)", COLOURS["ugradsl+"])
    arrow((12.6, 31), (19.4, 43), BLUE)
    arrow((12.6, 26), (19.4, 14), RED)
    arrow((32.6, 45.5), (65.4, 45.5), BLUE)
    arrow((32.6, 11.5), (39.4, 11.5), RED)
    arrow((59.6, 11.5), (65.4, 11.5), RED)
    arrow((78, 39.4), (85, 34.8), BLUE)
    arrow((78, 17.6), (85, 22.4), RED)
    if alpha is None:
        box(40, 23, 19, "features: count $c_j$\ncloser than $\\beta$")
        arrow((30, 39.4), (43, 34.8))
        arrow((30, 17.6), (43, 22.4))
        arrow((49.5, 22.4), (49.5, 17.6))
    return figure
