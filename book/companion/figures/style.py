"""Colours, marks and sizes of the book's figures, and how they are shown."""

import functools
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


INK = "#7b8087"
BLUE, RED, OCHRE, VIOLET = "#3a8fc4", "#c8501e", "#a88a17", "#6a5fd0"
LOOKS = {  # label → colour, mark
    "original": (INK, "p"),
    "retrain": (INK, "D"),
    "no-step": (INK, "s"),
    "gli": (INK, "x"),
    # descent on D_r
    "ft": (BLUE, "o"),
    "l1-sparse": (BLUE, "^"),
    "eu-k": (BLUE, "v"),
    "cf-k": (BLUE, "<"),
    "pabi": (BLUE, ">"),
    # ascent on D_f
    "ga": (RED, "o"),
    "neggrad+": (RED, "^"),
    "scrub": (RED, "v"),
    # other labels for D_f
    "rl": (OCHRE, "s"),
    "salun": (OCHRE, "D"),
    "be": (OCHRE, "X"),
    "bs": (OCHRE, "P"),
    # one step by the Fisher information
    "ff": (VIOLET, "d"),
    "iu": (VIOLET, "h"),
    # the paper's own
    "ugradsl": ("#c2619a", "o"),
    "ugradsl+": ("#1f9b77", "s"),
}
COLOURS = {label: colour for label, (colour, _) in LOOKS.items()}
FILLS = {
    "": "full",
    "adaptive": "none",
    "adaptive-positive": "left",
    "adaptive-inverse": "right",
    "forget": "none",
    "again": "none",
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
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],  # Matplotlib brings it along
    "svg.hashsalt": "ugradsl",
    "svg.fonttype": "none",  # text stays text: it can be found, selected and enlarged
}
WIDTH = 5.4
NARROW = 3.5  # on a phone, in inches: text is as large as that around it
ROW = 0.235
PALETTE = (BLUE, "#c2619a", "#1f9b77", RED)
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)))

# Layouts are made for DejaVu Sans. Verdana is as wide, and what a system has besides is narrower,
# so that no text grows into its neighbour where the first is missing.
FONTS = "'DejaVu Sans', Verdana, sans-serif"
FONT = re.compile(r" ?font-family: 'DejaVu Sans'(?:, [^;\"]*)?;")
RULE = re.compile(r" <defs>\s*<style[^>]*>\*\{([^}]*)\}</style>\s*</defs>\n")
BETWEEN = re.compile(r"(<text>|</tspan>)\s+(<tspan|</text>)")  # glyphs of one word
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))

P = ParamSpec("P")


def styled(draw: "Callable[P, Figure]") -> "Callable[P, Figure]":
    """Draw in the book's style, whatever the caller's settings are."""

    @functools.wraps(draw)
    def in_style(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        import matplotlib as mpl

        with mpl.rc_context(STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return in_style


def colour(label: str) -> str:
    """The colour of a method; grey for one that has none."""
    return COLOURS.get(label.partition(":")[0], INK)


def mark(label: str) -> dict[str, Any]:
    """How a method's mark looks, as arguments of Matplotlib's ``plot``; variants are not filled."""
    method, _, variant = label.partition(":")
    shape = LOOKS.get(method, (INK, "o"))[1]
    edge = 2.0 if shape == "x" else 1.3
    return {
        "color": colour(label),
        "marker": shape,
        "fillstyle": FILLS.get(variant, "full"),
        "mew": edge,
    }


def short(title: str) -> str:
    """A method's title where room is short: “adaptive, positive” becomes “positive”."""
    return title.replace("adaptive, ", "")


def stacked(title: str) -> str:
    """A method's title above a small panel: what is in brackets has a line of its own."""
    return short(title).replace(" (", "\n(")


def subplots(
    rows: int, columns: int, height: float, width: float = WIDTH, **options: Any
) -> "tuple[Figure, Any]":
    """A figure as wide as a column of text and its axes, as a matrix; sizes in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False, **options)


def name_rows(axis: "Axes", titles: Sequence[str]) -> None:
    """Name the places 0, 1, … of the vertical axis from top to bottom, with a light line each."""
    from matplotlib.ticker import MaxNLocator

    axis.set_yticks(range(len(titles)), [short(title) for title in titles])
    axis.set_ylim(len(titles) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axis.grid()
    axis.set_axisbelow(True)


def place_gap(axis: "Axes", place: int, row: "Mapping[str, Any]") -> None:
    """One method's gap as a mark at the end of a line from zero, above a dot for each seed."""
    seeds = row.get("seeds")
    lift = 0.1 if isinstance(seeds, Sequence) else 0.0
    own = colour(row["label"])
    axis.plot([0, row["gap"]], [place - lift] * 2, color=own, lw=1.3, alpha=0.7)
    axis.plot(row["gap"], place - lift, ms=7, zorder=3, **mark(row["label"]))
    if isinstance(seeds, Sequence):
        axis.plot(seeds, [place + 0.26] * len(seeds), "o", ms=3, color=own, mew=0, zorder=4)


def to_svg(figure: "Figure") -> str:
    """The figure as one SVG element without a date, the same bytes each time.

    It can stand in a page: its style rule is an attribute of its own, and its fonts are named once.
    """
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context(STYLE):  # type: ignore[arg-type]
        figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    text = buffer.getvalue()
    text = BETWEEN.sub(r"\1\2", FONT.sub("", text[text.index("<svg") :]))
    rule = RULE.search(text)
    own = re.sub(r"([\w-]+): (\w+);?", r'\1="\2"', rule[1]) if rule else ""
    own = f'<svg font-family="{FONTS}" {own} '
    return RULE.sub("", text, count=1).replace("<svg ", own, 1)


@dataclass(frozen=True)
class Shown:
    """A figure as a notebook displays it, with words for those who do not see it."""

    svg: str
    alt: str

    def _repr_mimebundle_(self, **_: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        kind = "image/svg+xml"
        return {kind: self.svg, "text/plain": "<figure>"}, {kind: {"alt": self.alt}}


def show(figure: "Figure", alt: str = "") -> Any:
    """The figure as a notebook displays it.

    Args:
        figure: to show.
        alt: what it shows, made from its data; the book gives it in place of the cell's own words.
    """
    from IPython.display import SVG

    svg = to_svg(figure)
    return Shown(svg, alt) if alt else SVG(svg)  # type: ignore[no-untyped-call]
