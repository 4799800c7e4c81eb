"""The other settings of an experiment: what the paper prints for each, and ours beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from companion.experiments.records.ties import seed_gaps
from companion.experiments.runs.evidence import load_evidence
from companion.experiments.settings.preset import preset_setting
from companion.paper.claims.published import setting_title
from companion.paper.names import name
from companion.tables import comparison, findings, takeaways
from companion.tables.paper import paper_rows


@dataclass(frozen=True)
class Place:
    """Where the paper prints an experiment with other data or another network.

    Attributes:
        preset: ours.
        number: of the paper's table.
        stands_in: the paper's data set, where ours replaces one that we may not or cannot use.
    """

    preset: str
    number: int
    stands_in: str | None = None


RANDOM = (
    Place("cifar100-random10", 2),
    Place("tiny-imagenet-random10", 2),
    Place("mnist-m-random10", 10, "svhn"),
    Place("cifar10-random10-vgg16", 12),
)
CLASS_WISE = (
    Place("cifar100-class", 1),
    Place("tiny-imagenet-class", 1, "imagenet"),
    Place("mnist-m-class", 9, "svhn"),
    Place("20newsgroups-class", 9),
    Place("cifar10-class-vit", 11),
)


def elsewhere(places: Sequence[Place], scale: str = "bench", root: Path | None = None) -> str:
    """One folded part for each setting: the paper's order, then ours or "not run yet".

    Args:
        places: the settings.
        scale: of our records.
        root: folder of records; None is the book's own.
    """
    return "\n".join(_part(place, scale, root) for place in places)


def _part(place: Place, scale: str, root: Path | None) -> str:
    evidence = load_evidence(place.preset, scale, root)
    title = setting_title(preset_setting(place.preset, scale).identity())
    judged = bool(seed_gaps(evidence.results))
    state = "with our records" if judged else "not run yet"
    if place.stands_in is None:
        paper = comparison.best_and_worst(place.preset, [place.number])
        table = comparison.side_by_side(evidence.results, place.preset, place.number)
    else:
        paper = _stood_in(place)
        table = findings.results(evidence) if judged else ""
    body = "\n".join([paper, takeaways.take_away(evidence), table])
    return (
        f'<details class="setting"><summary>{title}: the paper\'s Table {place.number}, {state}'
        f"</summary>\n{body}\n</details>"
    )


def _stood_in(place: Place) -> str:
    """What the paper prints for the data set that ours replaces."""
    assert place.stands_in is not None
    setting = preset_setting(place.preset, "bench")
    rows = paper_rows(place.number, place.stands_in, setting.paradigm).dropna(subset=["avg_gap"])
    rows = rows.sort_values("avg_gap")
    cells = [f"{row['method']} {row['avg_gap_printed']}" for _, row in rows.iterrows()]
    order = (
        f"The smallest Avg. Gap there as printed, in percentage points: {', '.join(cells[:3])}, "
        f"and the largest {cells[-1]}."
        if cells
        else "Our copy of that table has no row with an Avg. Gap for it."
    )
    return (
        f"<p>The paper prints {name(place.stands_in)}; ours is {name(setting.dataset)}, so only "
        f"the order of the methods can be compared. {order}</p>"
    )
