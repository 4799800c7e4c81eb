"""What the page of sharper questions shows, in words made from its data."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from companion.experiments.records.ties import ALPHA, holm
from companion.experiments.settings.labels import title_of
from companion.figures import sharper, style
from companion.tables.findings import listed

if TYPE_CHECKING:
    import pandas as pd

ORIGINAL, FLOOR = "original", "retrain:again"


def title(label: str) -> str:
    """A label's title; the original model has one, too."""
    return "Original" if label == ORIGINAL else title_of(label)


def panel(rows: Mapping[str, tuple[float, float, float]]) -> "pd.DataFrame":
    """Label → value with the ends of its interval, as figures want it."""
    import pandas as pd

    columns = ["label", "method", "value", "low", "high"]
    return pd.DataFrame(
        [[label, title(label), *values] for label, values in rows.items()], columns=columns
    )


def figure(
    panels: "Mapping[str, pd.DataFrame]",
    xlabel: str,
    lines: Sequence[float] = (),
    *,
    log: bool = False,
    digits: int = 1,
) -> Any:
    """Panels as a notebook shows them, with all their values in words."""
    parts = []
    for number, (name, rows) in enumerate(panels.items()):
        spoken = ", ".join(
            f"{row.method} {row.value:.{digits}f}" if math.isfinite(float(str(row.value))) else
            f"{row.method} none"
            for row in rows.itertuples()
        )  # fmt: skip
        at = f" (line at {lines[number]:.{digits}f})" if lines else ""
        parts.append(f"{name}{at}: {spoken}")
    words = f"A mark for each method, {xlabel}. {'. '.join(parts)}."
    return style.show(sharper.intervals(panels, xlabel, lines, log=log), words)


def take_away(table: "pd.DataFrame", floor: float, models: int) -> str:
    """Three sentences on the summary of the page, as HTML; no number in them is typed.

    Args:
        table: index label; columns ``gap`` (points), ``accuracy`` (0…1, of single samples),
            ``p`` (of the permutation test) and ``klom`` (nats, mean over D_f).
        floor: what KLoM is on average for two samples of one law.
        models: of each kind.
    """
    control = table.loc[FLOOR]
    methods = table.drop(index=[ORIGINAL, FLOOR])
    corrected = dict(zip(methods.index, holm(methods["p"].tolist()), strict=True))
    told = [title(label) for label, p in corrected.items() if p <= ALPHA]
    rest = [title(label) for label, p in corrected.items() if p > ALPHA]
    sentences = [
        f"The control is where it should be: between two sets of {models} retrained models the "
        f"attack is right for {100 * control['accuracy']:.1f} % of the samples (chance is 50 %), "
        f"and KLoM is {control['klom']:.2f} nats (two samples of one law: {floor:.2f} on average)."
        if control["p"] > ALPHA
        else "The control failed: the attack tells two sets of retrained models apart "
        f"({100 * control['accuracy']:.1f} %, p = {control['p']:.3f}), so read nothing into the "
        "other rows.",
        (
            f"The attack tells {listed(told)} from retrained models"
            if told
            else "The attack tells no method from retrained models"
        )
        + (f"; it does not tell {listed(rest)}." if rest and told else ".")
        + f" (Permutation tests at the {100 * ALPHA:g} % level, corrected by Holm's procedure.)",
        _orders(methods),
    ]
    return "<ul>" + "".join(f"<li>{sentence}</li>" for sentence in sentences) + "</ul>"


def _orders(methods: "pd.DataFrame") -> str:
    """Whether the smallest Avg. Gap and the smallest KLoM are of the same method."""
    by_gap, by_klom = str(methods["gap"].idxmin()), str(methods["klom"].idxmin())
    gap, klom = methods.loc[by_gap], methods.loc[by_klom]
    near = f"{title(by_gap)} has the smallest Avg. Gap, {gap['gap']:.1f} points"
    if by_gap == by_klom:
        return f"{near}, and the smallest KLoM, {gap['klom']:.2f} nats."
    return (
        f"{near}, but its KLoM is {gap['klom']:.2f} nats; {title(by_klom)} has the smallest KLoM, "
        f"{klom['klom']:.2f} nats, with an Avg. Gap of {klom['gap']:.1f} points. The two measures "
        "do not order the methods alike."
    )
