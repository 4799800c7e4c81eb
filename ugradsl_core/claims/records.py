"""What our published records say about the claims. A claim without records is "not run"."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from ugradsl_core.claims.published import Published, mean, seed_gaps
from ugradsl_core.claims.rules import (
    APART,
    BAD,
    DROP,
    FEW_SETTINGS,
    FEWEST_SEEDS,
    GOOD,
    MARGINAL,
    PARTLY,
    TOP,
    Judgement,
    all_or_half,
    all_or_some,
    overall,
)
from ugradsl_core.results import improves as verdict_of
from ugradsl_core.results import paired, record_label
from ugradsl_core.settings import title_of
from ugradsl_core.types import Record
from ugradsl_core.unlearning import METHODS

OUTCOMES = {GOOD: "reproduced", PARTLY: "partly", BAD: "not reproduced"}
CODES = {outcome: code for code, outcome in OUTCOMES.items()}
NOT_RUN = "not run"
BASES = (("ugradsl", "ga"), ("ugradsl+", "ft"))
ADAPTIVE = (("ugradsl:adaptive", "ugradsl"), ("ugradsl+:adaptive", "ugradsl+"))
PROPOSED = ("ugradsl", "ugradsl+", "ugradsl:adaptive", "ugradsl+:adaptive")
FEWEST_METHODS = 4
COMPARED = tuple(name for name in METHODS if name not in {"retrain", "no-step", "neggrad+"})

Judge = Callable[[Published], Judgement]


def judgement(outcome: str, evidence: str, seeds: Sequence[tuple[str, int]]) -> Judgement:
    """In the words for our records.

    Args:
        outcome: good, partly or bad.
        evidence: in sentences.
        seeds: a setting and a number of seeds, for each comparison.
    """
    strength = "weak"
    if min(count for _, count in seeds) >= FEWEST_SEEDS:
        settings = len({setting for setting, _ in seeds})
        strength = "strong" if settings >= FEW_SETTINGS else "moderate"
    return Judgement(OUTCOMES[outcome], evidence, strength)


def not_run(reason: str) -> Judgement:
    """Nothing that would decide the claim is published."""
    return Judgement(NOT_RUN, reason, "none")


def no_records(reason: str) -> Judge:
    """No kind of record that is published so far could decide it."""
    return lambda published: not_run(reason)


def improves(pairs: Sequence[tuple[str, str]]) -> Judge:
    """``results.improves`` in every setting, for every pair."""

    def judge(published: Published) -> Judgement:
        outcomes, parts, seeds = [], [], []
        for name, records in published.settings.items():
            for better, worse in pairs:
                verdict = verdict_of(records, better, worse)
                if verdict.outcome != NOT_RUN:
                    outcomes.append(CODES[verdict.outcome])
                    what = f"{name}, {title_of(better)}" if len(pairs) > 1 else name
                    parts.append(f"{what}: {verdict.evidence}")
                    seeds.append((name, len(_pairs(records, better, worse))))
        if not outcomes:
            return not_run("No published setting has records of both methods.")
        return judgement(overall(outcomes), " ".join(parts), seeds)

    return judge


def _pairs(records: Sequence[Record], *labels: str) -> set[int]:
    gaps = seed_gaps(records)
    return set.intersection(*(set(gaps.get(label, {})) for label in labels))


def costs(pairs: Sequence[tuple[str, str]], cost: Callable[[Record], float], unit: str) -> Judge:
    """A cost over that of the method which is improved, in the mean over seeds."""

    def judge(published: Published) -> Judgement:
        held, parts, seeds = [], [], []
        for name, records in published.settings.items():
            for costly, base in pairs:
                both = _pairs(records, costly, base)
                if not both:
                    continue
                spent = [
                    sum(cost(r) for r in records if _is(r, label) and r.seed in both)
                    for label in (costly, base)
                ]
                ratio = spent[0] / spent[1] if spent[1] else math.inf
                held.append(ratio <= MARGINAL)
                seeds.append((name, len(both)))
                parts.append(f"{name}: {title_of(costly)} / {title_of(base)} {ratio:.2f}")
        if not held:
            return not_run("No published setting has records of both methods.")
        text = f"{unit}: {'; '.join(parts)}."
        return judgement(all_or_half(held), text, seeds)

    return judge


def _is(record: Record, label: str) -> bool:
    return record.status == "ok" and record_label(record) == label


def samples(record: Record) -> float:
    """Samples passed forward and backward."""
    return record.forward_samples + record.backward_samples


def seconds_per_sample(record: Record) -> float:
    """Seconds of unlearning for each sample that was passed."""
    return record.seconds / max(samples(record), 1)


def _ranked(published: Published) -> Iterable[tuple[str, dict[str, float], int]]:
    for name, records in published.settings.items():
        gaps = {label: values for label, values in seed_gaps(records).items()}
        if len(gaps) >= FEWEST_METHODS and set(PROPOSED[:2]) <= set(gaps):
            fewest = min(len(values) for values in gaps.values())
            means = {label: mean(values) for label, values in gaps.items()}
            yield name, dict(sorted(means.items(), key=lambda item: item[1])), fewest


def _against_all(held: Sequence[bool], absent: int) -> str:
    """A first place among some of the paper's methods says "partly" at most."""
    outcome = all_or_half(held)
    return PARTLY if outcome == GOOD and absent else outcome


def _absent(gaps: Mapping[str, float]) -> list[str]:
    """Methods that the paper compares and that a setting has no records of."""
    return [label for label in COMPARED if label not in gaps]


def _without(absent: Sequence[str]) -> str:
    return f", without {len(absent)} of the paper's methods, not run yet" if absent else ""


def best(labels: Sequence[str]) -> Judge:
    """One of the labels has the smallest mean gap, in every setting; partly until all have run."""

    def judge(published: Published) -> Judgement:
        held, parts, seeds, absent = [], [], [], 0
        for name, gaps, count in _ranked(published):
            missing = _absent(gaps)
            absent += len(missing)
            first = next(iter(gaps))
            held.append(first in labels)
            seeds.append((name, count))
            own = min((label for label in labels if label in gaps), key=gaps.__getitem__)
            parts.append(
                f"{name}: {title_of(first)} is best of {len(gaps)} with {gaps[first]:.2f}"
                + _without(missing)
                + ("" if held[-1] else f"; {title_of(own)} has {gaps[own]:.2f}")
            )
        if not held:
            return not_run("No published setting compares enough methods.")
        return judgement(_against_all(held, absent), f"{'. '.join(parts)}.", seeds)

    return judge


def among_best(label: str) -> Judge:
    """The label is among the three smallest mean gaps, in every setting; partly until all ran."""

    def judge(published: Published) -> Judgement:
        held, parts, seeds, absent = [], [], [], 0
        for name, gaps, count in _ranked(published):
            missing = _absent(gaps)
            absent += len(missing)
            place = list(gaps).index(label) + 1
            held.append(place <= TOP)
            seeds.append((name, count))
            parts.append(
                f"{name}: {title_of(label)} is number {place} of {len(gaps)}" + _without(missing)
            )
        if not held:
            return not_run("No published setting compares enough methods.")
        return judgement(_against_all(held, absent), f"{'. '.join(parts)}.", seeds)

    return judge


def accuracy_kept(published: Published) -> Judgement:
    """RA and TA against those of the method which is improved, class-wise, by seed."""
    held, parts, seeds = [], [], []
    for name, records in _of_paradigm(published, "class-wise"):
        for method, base in BASES:
            drops = _differences(records, base, method, ("RA", "TA"))
            if drops:
                held.append(max(drops.values()) <= DROP)
                seeds.append((name, len(_pairs(records, method, base))))
                falls = ", ".join(f"{metric} {-drop:+.2f}" for metric, drop in drops.items())
                parts.append(f"{name}, {title_of(method)} against {title_of(base)}: {falls}")
    if not held:
        return not_run("No class-wise setting is published.")
    return judgement(all_or_half(held), f"In points: {'; '.join(parts)}.", seeds)


def _of_paradigm(published: Published, paradigm: str) -> Iterable[tuple[str, Sequence[Record]]]:
    for name, records in published.settings.items():
        if records[0].setting["paradigm"] == paradigm:
            yield name, records


def _differences(
    records: Sequence[Record], first: str, second: str, metrics: Sequence[str]
) -> dict[str, float]:
    """Mean over common seeds of first − second."""
    runs = {
        label: {r.seed: r.metrics for r in records if _is(r, label)} for label in (first, second)
    }
    common = set(runs[first]) & set(runs[second])
    found = {}
    for metric in metrics:
        values = [
            runs[first][seed][metric] - runs[second][seed][metric]
            for seed in common
            if metric in runs[first][seed] and metric in runs[second][seed]
        ]
        values = [value for value in values if not math.isnan(value)]  # an attack without a signal
        if values:
            found[metric] = sum(values) / len(values)
    return found


def plus(published: Published) -> Judgement:
    """UGradSL+ has a smaller gap than UGradSL in every seed, and passes more samples."""
    outcomes, parts, seeds = [], [], []
    for name, records in published.settings.items():
        both = _pairs(records, "ugradsl", "ugradsl+")
        if both:
            verdict = verdict_of(records, "ugradsl+", "ugradsl")
            passed = {
                label: sum(samples(r) for r in records if _is(r, label) and r.seed in both)
                for label in ("ugradsl", "ugradsl+")
            }
            slower = passed["ugradsl+"] > passed["ugradsl"]
            outcomes += [CODES[verdict.outcome], GOOD if slower else BAD]
            seeds.append((name, len(both)))
            ratio = passed["ugradsl+"] / max(passed["ugradsl"], 1)
            parts.append(f"{name}: {verdict.evidence} It passes {ratio:.1f} times as many samples.")
    if not outcomes:
        return not_run("No published setting has records of both methods.")
    return judgement(overall(outcomes), " ".join(parts), seeds)


def not_conspicuous(published: Published) -> Judgement:
    """The additional attack's accuracy for random forgetting, above Retrain's, by seed."""
    held, parts, seeds = [], [], []
    for name, records in _of_paradigm(published, "random"):
        for label in PROPOSED:
            apart = _differences(records, label, "retrain", ("add_MIA",))
            if apart:
                held.append(apart["add_MIA"] <= APART)
                seeds.append((name, len(paired(records, label)[0])))
                parts.append(f"{name}, {title_of(label)} {apart['add_MIA']:+.2f}")
    if not held:
        return not_run("No published setting has the additional attack.")
    text = f"Accuracy of the additional attack, in points above Retrain's: {'; '.join(parts)}."
    return judgement(all_or_some(held), text, seeds)
