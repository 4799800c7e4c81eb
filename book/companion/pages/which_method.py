"""Which method when: for each situation the methods that our records cannot tell from the best."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from companion.experiments.records import ties
from companion.experiments.records.record import Record
from companion.experiments.records.summary import by_label, natural_order
from companion.experiments.records.ties import OUTSIDE, GapTable
from companion.experiments.runs.evidence import COMMAND, Evidence, passed
from companion.experiments.settings.labels import split_label, title_of
from companion.pages.markdown import list_table, mathematics, slug
from companion.paper.claims.published import load_published
from companion.tables.findings import DRAWS, by_luck, listed, luck_curves
from ugradsl_core.methods import METHODS, Method

SCALE = "bench"
TWO = 2


@dataclass(frozen=True)
class Situation:
    """What somebody has, and which methods that allows."""

    words: str
    allows: Callable[[Method], bool]


SITUATIONS = (
    Situation("You have both $D_r$ and $D_f$", lambda method: True),
    Situation("You have $D_f$ alone", lambda method: method.reads == "D_f"),
    Situation("You have $D_r$ alone", lambda method: method.reads == "D_r"),
    Situation("You have no memory for a second model", lambda method: method.memory == "none"),
)


def which_method(book: Path) -> str:
    """A table for each setting that the protocol has results of."""
    published = load_published(SCALE, book / "results")
    parts = []
    for name, records in published.settings.items():
        trials = tuple(published.trials.get(name, ()))
        parts.append(f"## {name}\n\n{setting(Evidence(name, SCALE, tuple(records), trials))}")
    return "\n\n".join(parts) or f"Not run yet: there are no results; `{COMMAND}` makes them."


def setting(evidence: Evidence) -> str:
    """The situations in one setting; a sentence where no method has been run in it."""
    table = ties.gap_table(evidence.results)
    if not set(table.gaps) - set(OUTSIDE):
        return (
            "Not run yet: there are only the references that methods are measured against. "
            f"`{COMMAND}` runs the methods."
        )
    rows = [
        [situation.words, *answer(table, situation, evidence.results)] for situation in SITUATIONS
    ]
    header = ("Situation", "Nearest to Retrain", "Fewest passes among them", "Compared")
    tail = [_waiting(table), *_tuning(evidence)]
    return "\n\n".join([list_table(header, rows, kind="records"), " ".join(filter(None, tail))])


def answer(table: GapTable, situation: Situation, records: Sequence[Record]) -> list[str]:
    """The nearest methods that a situation allows, the cheapest of them, and how many there are.

    All pairs of the methods that are allowed are one family of the protocol's test.
    """
    allowed = {
        label for label in {**table.gaps, **table.lost} if situation.allows(method_of(label))
    }
    part = replace(
        table,
        gaps={label: gaps for label, gaps in table.gaps.items() if label in allowed},
        lost={label: runs for label, runs in table.lost.items() if label in allowed},
    )
    found = ties.rank(part)
    if not found.labels:
        return ["no method with three seeds yet", "–", "0"]
    best = [label for label in found.labels if label in found.best]
    gaps = {x: sum(table.gaps[x].values()) / len(table.gaps[x]) for x in best}
    near = ", ".join(f"{card(label)} {gaps[label]:.1f}" for label in best)
    cheap, amount = cheapest(best, records)
    return [near, f"{card(cheap)}, {amount / 1000:,.0f} thousand samples", str(len(found.labels))]


def cheapest(labels: Sequence[str], records: Sequence[Record]) -> tuple[str, float]:
    """The label that passes the fewest samples, forward and backward, on average over seeds."""
    runs = by_label(records)
    means = {x: sum(map(passed, runs[x].values())) / len(runs[x]) for x in labels}
    return min(means.items(), key=lambda item: item[1])


def method_of(label: str) -> Method:
    """The method of a label."""
    return METHODS[split_label(label)[0]]


def card(label: str) -> str:
    """The title of a label, with a link to its method's card."""
    return f"[{title_of(label)}](methods/{slug(split_label(label)[0])}.md)"


def _waiting(table: GapTable) -> str:
    known = {split_label(label)[0] for label in {**table.gaps, **table.lost}}
    waiting = [title_of(x) for x in natural_order(METHODS) if x not in known and x not in OUTSIDE]
    if not waiting:
        return ""
    return f"Not run yet: {listed(waiting)}. They can change any row; `{COMMAND}` goes on."


def _tuning(evidence: Evidence) -> list[str]:
    """Who is easiest to tune, by the expected best of a few trials."""
    order = by_luck(luck_curves(evidence))
    order = {label: gap for label, gap in order.items() if label not in OUTSIDE}
    if len(order) < TWO:
        return []
    first, *_, last = order
    return [
        f"With {DRAWS[1]} trials, the easiest to tune is {card(first)} (expected validation gap "
        f"{order[first]:.1f} points), the hardest {card(last)} ({order[last]:.1f})."
    ]


def guarantees(_: Path) -> str:
    """The methods of which something is proven."""
    rows = [
        (card(label), method.guarantee, mathematics(method.passes))
        for label, method in METHODS.items()
        if method.guarantee != "none"
    ]
    header = ("Method", "Proven of its result", "Passes in an epoch")
    return list_table(header, rows, kind="records")


def glossary(_: Path) -> str:
    """An entry for each method that the prose above does not explain, from its registry entry."""
    entries = []
    for label, method in METHODS.items():
        if label not in EXPLAINED:
            entries.append(f"{method.title}\n  {_entry(label, method)}")
    return ":::{glossary}\n" + "\n\n".join(entries) + "\n:::"


EXPLAINED = {"retrain", "ft", "no-step", "ga", "neggrad+", "ugradsl", "ugradsl+"}  # by hand
READS: Mapping[str, str] = {"D_r": "$D_r$", "D_f": "$D_f$", "D_r, D_f": "$D_r$ and $D_f$"}


def _entry(label: str, method: Method) -> str:
    text = mathematics(method.summary).replace("'s", "’s")
    text = text[0].upper() + text[1:]
    return f"{text}. It reads {READS[method.reads]}. [Card](methods/{slug(label)}.md). `{label}`"


FRAGMENTS = {
    "which-method.md": which_method,
    "guarantees.md": guarantees,
    "glossary-methods.md": glossary,
}
