"""Algorithm 1: the paper's lines beside the lines of our code that carry them out."""

import html
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from companion.figures import algorithm_1, style
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import mixed
from ugradsl_core.methods.ugradsl import ugradsl, ugradsl_plus
from ugradsl_core.smoothing import adaptive_alpha, pairwise_distance, signed_alpha
from ugradsl_core.training import loop

GRID = (
    "display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,17rem),1fr));"
    "gap:0.3rem 1rem;padding:0.5rem 0;border-top:1px solid #7b808755"
)


@dataclass(frozen=True)
class Place:
    """A line of our code: that of a function's source which holds a text, and some after it."""

    function: Callable[..., Any]
    holds: str
    lines: int = 1


@dataclass(frozen=True)
class Line:
    """A line of the paper's Algorithm 1, where ours is, and what differs."""

    number: str
    text: str
    ours: tuple[Place, ...]
    note: str = ""


LINES = (
    Line(
        "1, 2, 14",
        "t_c ← 1; while t_c < E do …; t_c ← t_c + 1",
        (
            Place(loop.train, "for epoch in range(first_epoch, sgd.epochs):"),
            Place(mixed.run_mixed, 'if config.epoch_count == "E-1":', 2),
        ),
        "As printed the loop makes E − 1 epochs; ours makes E unless told to follow the print.",
    ),
    Line(
        "3",
        "while D_r (D_f) is not fully iterated do",
        (
            Place(ugradsl_plus, "return run_mixed("),
            Place(ugradsl, "return run_mixed("),
            Place(loop.train, "for batches in plan(epoch):"),
        ),
        "UGradSL+ iterates over D_r; UGradSL, in brackets, over D_f.",
    ),
    Line(
        "4, 5",
        "Sample a batch B_r in D_r; sample a batch B_f from D_f where |B_f| = |B_r|",
        (Place(mixed._plan, "retain_order = shuffled(", 2),),
        "The other set is cycled, in batches of equal size.",
    ),
    Line(
        "6",
        "if α is not given then",
        (Place(mixed._smooth_rate, "if config.alpha is not None:", 2),),
    ),
    Line(
        "7",
        "Extract the feature of z_i^r and z_j^f using h_θf",
        (Place(mixed._loss, "return logits, logits if tap is None"),),
        "Features are the input of the last layer, kept from the pass that gives the loss.",
    ),
    Line(
        "8",
        "Calculate the distance d for each (z_i^r, z_j^f) pair",
        (Place(pairwise_distance, "return ((1 - forget_unit @ retain_unit.T) / 2)"),),
    ),
    Line(
        "9",
        "For each z_j^f, count the number c_j^f of z_i^r whose distance is < β",
        (Place(adaptive_alpha, "close = distances < threshold"),),
    ),
    Line(
        "10",
        "Calculate the smooth rate α_j = c_j^f / |B_f| for each z_j^f ∈ B_f",
        (
            Place(adaptive_alpha, "return close.sum(dim=1)"),
            Place(signed_alpha, 'if sign == "negative":', 2),
        ),
        "Printed as positive; Eq. (8) marks the labels as negative smoothing, our default.",
    ),
    Line(
        "12",
        "Update the model using B_r, B_f, p and α_i according to Eq. (8)",
        (
            Place(mixed._loss, "forget_loss = smoothed_cross_entropy("),
            Place(mixed._loss, "return p * retain_loss - (1 - p) * forget_loss"),
            Place(loop.train, "value = gradient(batches)"),
            Place(loop.train, "optimiser.step()"),
        ),
        "Eq. (8) prints sums over the batches; ours are means unless reduction is sum.",
    ),
)


def source_of(place: Place) -> tuple[str, int]:
    """The lines of a place as they are in the source now, without indentation, and their number.

    Raises:
        ConfigError: the function has no such line.
    """
    lines, first = inspect.getsourcelines(place.function)
    for offset, line in enumerate(lines):
        if place.holds in line:
            chosen = lines[offset : offset + place.lines]
            return inspect.cleandoc("\n" + "".join(chosen)), first + offset
    raise ConfigError(f"{place.function.__qualname__}: has no line with {place.holds!r}")


def side_by_side() -> str:
    """The paper's lines and ours, as HTML: two columns, or one below the other on a phone."""
    items = []
    for line in LINES:
        code = []
        for place in line.ours:
            text, number = source_of(place)
            where = f"{place.function.__module__}, line {number}"
            code.append(
                f'<pre style="white-space:pre-wrap;margin:0"><code>{html.escape(text)}</code></pre>'
                f"<small>{html.escape(where)}</small>"
            )
        note = f"<br><em>{_raised(line.note)}</em>" if line.note else ""
        items.append(
            f'<li style="{GRID}"><div><strong>{line.number}:</strong> {_raised(line.text)}{note}'
            f'</div><div style="min-width:0">{"".join(code)}</div></li>'
        )
    return f'<ul style="list-style:none;padding:0">{"".join(items)}</ul>'


def _raised(text: str) -> str:
    """Escaped text with what follows ``_`` as a subscript and what follows ``^`` raised."""
    found = re.sub(r"(?<=\w)_(\w+?)(?=\^|\b)", r"<sub>\1</sub>", html.escape(text))
    return re.sub(r"\^(\w)", r"<sup>\1</sup>", found)


def framework(alpha: float | None, p: float) -> Any:
    """The framework, our drawing of what the paper's Figure 2 shows, with this page's weights."""
    rate = "α_j = c_j / |B_f|, one for each sample" if alpha is None else f"α = {alpha:g}"
    words = (
        "A diagram from left to right. A request splits D_tr into D_r and D_f. A batch B_r of D_r "
        f"gives the cross-entropy, weight p = {p:g}. A batch B_f of D_f has its labels smoothed "
        f"with {rate}"
        + (", from the distances of its features to those of B_r" if alpha is None else "")
        + f", and gives the smoothed loss, weight 1 − p = {1 - p:g}. Descent on the first and "
        "ascent on the second make one step of the model, Eq. (8), and the next batches follow."
    )
    return style.show(algorithm_1.framework(alpha, p), words)
