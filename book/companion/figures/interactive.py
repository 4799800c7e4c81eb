"""Figures that a reader moves: HTML with inline data for the scripts in ``book/_static``.

They compute in the page, from formulas or from data that the page carries, and need no server.
"""

import html
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.figures.style import BLUE, COLOURS, OCHRE, RED, VIOLET, colour
from companion.figures.sweeps import REFERENCES
from companion.figures.theory import LANDSCAPE_COLOURS, THEORY_COLOURS
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd

SCRIPTS = {  # figure → its scripts in book/_static, loaded after theory.js
    "gls": ("theory-gls.js",),
    "label-ldp": ("theory-label-ldp.js",),
    "landscape": ("theory-landscape.js",),
    "comparator": ("comparator.js",),
    "playground": ("playground.js", "playground-view.js"),
    "sweep": ("sweep.js",),
    "path": ("path.js",),
}
FALLBACK = (
    "This figure moves in the built book, with JavaScript; the other figures of this page show "
    "the same without it."
)
PLAYGROUND_FALLBACK = (
    "This playground trains a small network in the page and needs JavaScript; the step-by-step "
    "notebook shows the same updates without it."
)


def figure(name: str, label: str, data: Mapping[str, Any], fallback: str = FALLBACK) -> str:
    """The HTML of an interactive figure.

    Args:
        name: a key of ``SCRIPTS``.
        label: what the figure is, for those who cannot see it.
        data: what its script reads, as JSON.
        fallback: what stands in its place without JavaScript.
    """
    text = json.dumps(data, ensure_ascii=False).replace("</", "<\\/")
    scripts = "".join(
        f'<script defer src="../_static/{script}"></script>'
        for script in ("theory.js", *SCRIPTS[name])
    )
    return (
        f'<div class="ugs-figure" data-figure="{name}" role="group" '
        f'aria-label="{html.escape(label)}">'
        f'<script type="application/json">{text}</script>'
        f'<p class="ugs-fallback">{fallback}</p></div>{scripts}'
    )


def show(text: str) -> Any:
    """The figure as a notebook displays it."""
    from IPython.display import HTML

    return HTML(text)  # type: ignore[no-untyped-call]


def gls(alpha: float, num_classes: int, probability: float) -> str:
    """The smoothed label and the direction of ascent, over α, K and the model's confidence."""
    data = {"alpha": alpha, "K": num_classes, "p": probability, "colours": THEORY_COLOURS}
    return figure("gls", "Smoothed label and ascent direction, with sliders for α and K", data)


def label_ldp(alpha: float, ratio: float, num_classes: int) -> str:
    """ε of Theorem 3 over α, with sliders for γ₁/γ₂, K and α."""
    data = {
        "alpha": alpha,
        "ratio": ratio,
        "K": num_classes,
        "largest_ratio": max(4.0, ratio),
        "colours": THEORY_COLOURS,
    }
    return figure("label-ldp", "ε of Theorem 3, with sliders for γ₁/γ₂, K and α", data)


def landscape(coordinates: list[float], plane: list[list[float]]) -> str:
    """The loss on a plane as a surface to turn; row i, column j is at d₁·cⱼ + d₂·cᵢ."""
    data = {"coordinates": coordinates, "plane": plane, "colours": LANDSCAPE_COLOURS}
    return figure("landscape", "The loss around θ_r as a surface, with sliders to turn it", data)


def sweep(panels: "Mapping[str, pd.DataFrame]", x: str, name: str, start: float) -> str:
    """A number of every method over the recorded grid, with a slider for the swept value.

    Args:
        panels: title → table in the form of ``records.sweeps.summary``; they stand side by side.
        x: the swept value, a number.
        name: what it is called.
        start: where the slider begins.
    """
    metrics = {"gap": "Avg. Gap (points)", **{n: f"{n} (%)" for n in GAP_METRICS}}
    shown: list[dict[str, Any]] = []
    values: set[float] = set()
    for title, table in panels.items():
        levels: list[dict[str, Any]] = []
        series: dict[str, dict[str, Any]] = {}
        for row in table.to_dict(orient="records"):
            point = {key: _number(row[key]) for key in metrics}
            if row["label"] in REFERENCES and row[x] is None:
                levels.append({"title": row["method"], **point})
                continue
            values.add(float(row[x]))
            empty = {"title": row["method"], "colour": colour(row["label"]), "points": []}
            series.setdefault(row["label"], empty)["points"].append({"x": float(row[x]), **point})
        shown.append({"title": title, "levels": levels, "series": list(series.values())})
    grid = sorted(values)
    data = {
        "panels": shown,
        "name": name,
        "values": grid,
        "start": start,
        "metrics": metrics,
        "digits": max((len(f"{value:g}".partition(".")[2]) for value in grid), default=0),
    }
    label = f"Metrics and Avg. Gap over {name}: {', '.join(panels)}, with a slider"
    return figure("sweep", label, data)


def _number(value: float) -> float | None:
    """A number as JSON has it, to four digits."""
    return None if math.isnan(value) else round(float(value), 4)


def playground() -> str:
    """Points in the plane, a small network, and the methods' steps, taken in the page.

    Its scripts are found from a page that is one folder below the book's root.
    """
    colours = {
        "classes": [BLUE, OCHRE, VIOLET],
        "forget": RED,
        "retain": COLOURS["ugradsl+"],
    }
    label = "Playground: a small network that forgets points in the plane"
    return figure("playground", label, {"colours": colours}, PLAYGROUND_FALLBACK)


def path(series: Sequence[Mapping[str, Any]], words: str) -> str:
    """Runs in the plane of UA and RA, with a slider that goes from one to the next.

    Args:
        series: the fields of :class:`companion.tables.paths.Runs`, and their ``words``.
        words: what stands in the figure's place without JavaScript.
    """
    label = "Recorded runs by UA and RA, with Retrain, and a slider from run to run"
    return figure("path", label, {"series": series}, words)
