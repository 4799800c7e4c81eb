"""What to take away from a setting's records, in plain words, whatever it turns out to be."""

import math
from collections.abc import Sequence, Sized

from companion.experiments.records import ties
from companion.experiments.records.record import Record
from companion.experiments.records.summary import natural_order
from companion.experiments.records.ties import NO_STEP, OUTSIDE, Ranking
from companion.experiments.runs.evidence import Evidence
from companion.experiments.settings.labels import title_of
from companion.paper.claims.records import SMOOTHING, at_equal_gap, per_epoch, ratio
from companion.paper.claims.rules import BASES
from companion.tables.findings import (
    DRAWS,
    by_luck,
    code,
    coverage,
    listed,
    luck_curves,
    not_yet,
    rankings,
)

IN_WORDS = {  # of a comparison of a method with what it is compared with
    ties.BETTER: "comes nearer to Retrain than",
    ties.WORSE: "is further from Retrain than",
    ties.TIED: "cannot be told from",
    ties.UNDECIDED: "is undecided, given the noise floor or diverged runs, against",
}


def answer(evidence: Evidence) -> str:
    """The answer to the title's claim and the methods that come nearest, as a paragraph.

    The page says what NegGrad+ is.
    """
    if not ties.seed_gaps(evidence.results):
        return not_yet(evidence, "the results")
    texts = [*_smoothing(evidence.results, lead=""), *_best(evidence.results)]
    return f"<p>{code(' '.join(texts))}</p>"


def take_away(evidence: Evidence) -> str:
    """What the records say, whatever it is, as a list in plain words."""
    records = evidence.results
    if not ties.seed_gaps(records):
        return not_yet(evidence, "the results")
    items = [
        *_smoothing(records),
        *_best(records),
        *_floor(records),
        *_no_step(records),
        *_tuning(evidence),
        *_cost(evidence),
    ]
    body = "".join(f"<li>{code(text)}</li>\n" for text in items)
    return f'{coverage(evidence)}\n<ul class="take-away">\n{body}</ul>\n'


LEAD = "Does the smoothing itself help? NegGrad+ is UGradSL+ at α = 0, and over D_f it is UGradSL. "


def _smoothing(records: Sequence[Record], lead: str = LEAD) -> list[str]:
    """The title's claim, tested with all pairs of the page."""
    clauses: dict[str, list[tuple[str, str]]] = {}
    for measure in ties.measures_of(records):
        table = ties.gap_table(records, measure)
        for pair in ties.compare([(table, *pair) for pair in ties.PAIRS]):
            if (pair.first, pair.second) in SMOOTHING and pair.outcome in IN_WORDS:
                text = (
                    f"{title_of(pair.first)} {IN_WORDS[pair.outcome]} {title_of(pair.second)} "
                    f"({pair.means[0]:.1f} against {pair.means[1]:.1f} points)"
                )
                clauses.setdefault(measure, []).append((pair.outcome, text))
    if not clauses:
        return ["Whether the smoothing itself helps is open: the rows at α = 0 are not run yet."]
    if _agree([[outcome for outcome, _ in found] for found in clauses.values()]):
        found = next(iter(clauses.values()))
        return [f"{lead}{listed([text for _, text in found])}{_both(clauses)}."]
    return [
        lead + " ".join(f"By {m}, {listed([text for _, text in x])}." for m, x in clauses.items())
    ]


def _agree(outcomes: Sequence[object]) -> bool:
    """Whether all measures say the same."""
    return all(outcome == outcomes[0] for outcome in outcomes)


def _both(measures: Sized) -> str:
    """What to add where they do, and there are several."""
    return ", by either measure of the gap" if len(measures) > 1 else ""


def _best(records: Sequence[Record]) -> list[str]:
    """Which methods cannot be told from the best, by each measure."""
    found = {measure: each for measure, each in rankings(records).items() if each.labels}
    if not found:
        return []
    if _agree([each.best for each in found.values()]):
        text = _tied(next(iter(found.values())))
        return [f"{text[0].upper()}{text[1:]}{_both(found)}."]
    return [" ".join(f"By {measure}, {_tied(each)}." for measure, each in found.items())]


def _tied(found: Ranking) -> str:
    tied = [title_of(label) for label in found.labels if label in found.best]
    others = len(found.labels) - len(tied)
    if len(tied) == 1:
        rest = f"than all {others} others" if others > 1 else "than the one other method"
        return f"{tied[0]} is nearer to Retrain {rest}" if others else f"{tied[0]} is alone so far"
    return (
        f"{len(tied)} of {len(found.labels)} methods cannot be told from the best: {listed(tied)}"
    )


def _floor(records: Sequence[Record]) -> list[str]:
    """How far two retrained models are apart, and which methods come as near."""
    table = ties.gap_table(records)
    if math.isnan(table.floor):
        return ["The noise floor is not known yet: no second Retrain has been run."]
    near = [
        title_of(label)
        for label in natural_order(table.gaps)
        if label not in OUTSIDE
        and sum(table.gaps[label].values()) / len(table.gaps[label]) <= table.floor
    ]
    text = (
        f"Two models retrained on the same data are {table.floor:.1f} points apart, so smaller "
        "differences decide nothing. "
    )
    return [text + (f"As near to Retrain: {listed(near)}." if near else "No method is as near.")]


def _no_step(records: Sequence[Record]) -> list[str]:
    """Which methods are better than leaving the weights alone."""
    table = ties.gap_table(records)
    if NO_STEP not in table.gaps:
        return []
    pairs = [(x, NO_STEP) for x in natural_order(table.gaps) if x not in OUTSIDE]
    found = [c for c in ties.compare([(table, *p) for p in pairs]) if c.outcome in IN_WORDS]
    if not found:
        return []
    gap = sum(table.gaps[NO_STEP].values()) / len(table.gaps[NO_STEP])
    lost = [title_of(c.first) for c in found if c.outcome != ties.BETTER]
    text = f"Leaving the weights as they are has a gap of {gap:.1f} points. "
    if not lost:
        if len(found) == 1:
            return [f"{text}{title_of(found[0].first)} comes nearer to Retrain than that."]
        return [f"{text}All {len(found)} methods come nearer to Retrain than that."]
    return [f"{text}Not shown to come nearer: {listed(lost)} (of {len(found)} methods)."]


def _tuning(evidence: Evidence) -> list[str]:
    """Which method is the easiest to tune, and which the hardest."""
    order = by_luck(luck_curves(evidence))
    order = {label: gap for label, gap in order.items() if label not in OUTSIDE}
    if len(order) < 2:
        return []
    labels = list(order)
    ours = [x for x in ("ugradsl", "ugradsl+") if x in order and x not in (labels[0], labels[-1])]
    parts = [
        f"{order[x]:.1f} with {title_of(x)} (number {labels.index(x) + 1} of {len(labels)})"
        for x in ours
    ]
    return [
        f"How hard is tuning? {DRAWS[1]} trials can be expected to reach a validation gap of "
        f"{order[labels[0]]:.1f} points with {title_of(labels[0])}, the smallest, and of "
        f"{order[labels[-1]]:.1f} with {title_of(labels[-1])}, the largest"
        + (f"; {listed(parts)}." if parts else ".")
    ]


def _cost(evidence: Evidence) -> list[str]:
    """What the paper's methods cost beside those that they improve."""
    parts = []
    for costly, base in BASES:
        found = ratio(evidence.results, costly, base, per_epoch)
        if found is None:
            continue
        text = f"{title_of(costly)} passes {found[0]:.1f} times as many samples as {title_of(base)}"
        text += " in an epoch"
        equal = at_equal_gap(evidence.trials, costly, base)
        if equal is not None:
            text += f", and {equal[1]:.1f} times as many to come within {equal[0]:.1f} points"
        parts.append(text)
    return [f"{'; '.join(parts)}."] if parts else []
