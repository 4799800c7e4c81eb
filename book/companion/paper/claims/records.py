"""What our records say about the claims, by the rules of :mod:`companion.experiments.records.ties`.

All comparisons of one claim, over settings and pairs of methods, are one family for Holm's
correction, for each measure of the gap. A claim without records is "not run".
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise as neighbours

from companion.experiments.records.record import Record
from companion.experiments.records.summary import record_label
from companion.experiments.records.ties import (
    BETTER,
    NO_STEP,
    NOT_RUN,
    OUTSIDE,
    WORSE,
    Comparison,
    Ranking,
    compare,
    decide,
    gap_table,
    measures_of,
    rank,
    seed_gaps,
    sentence,
    signed,
)
from companion.experiments.records.ties import FEW as FEW_SEEDS
from companion.experiments.records.ties import TIED as TIED_OUTCOME
from companion.experiments.runs.evidence import passed, trial_gaps
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.experiments.settings.labels import title_of
from companion.experiments.theory import label_ldp
from companion.paper.claims.published import Published, by_size, mean, sweeps
from companion.paper.claims.rules import (
    ALWAYS,
    APART,
    BAD,
    BASES,
    DROP,
    FEW,
    FEW_SETTINGS,
    FEWEST_SEEDS,
    FEWEST_VALUES,
    GOOD,
    MARGINAL,
    PARTLY,
    TIED,
    TOP,
    UNDECIDED,
    Judgement,
    all_or_half,
    combined,
    judge_epochs,
    overall,
    sweep_parts,
)
from ugradsl_core.methods import METHODS

OUTCOMES = {
    GOOD: "reproduced",
    PARTLY: "partly",
    BAD: "not reproduced",
    TIED: "tied",
    UNDECIDED: "undecided",
    FEW: FEW_SEEDS,
}
OF_COMPARISON = {BETTER: GOOD, WORSE: BAD, TIED_OUTCOME: TIED, FEW_SEEDS: FEW}
SMOOTHING = (("ugradsl+", "neggrad+"), ("ugradsl", "neggrad+:forget"))
ADAPTIVE = (("ugradsl:adaptive", "ugradsl"), ("ugradsl+:adaptive", "ugradsl+"))
PROPOSED = ("ugradsl", "ugradsl+", "ugradsl:adaptive", "ugradsl+:adaptive")
COMPARED = tuple(name for name in METHODS if name not in {*OUTSIDE, NO_STEP, "neggrad+"})
FEWEST_METHODS = 4

Judge = Callable[[Published], Judgement]
Seeds = Sequence[tuple[str, int]]


def judgement(
    outcome: str, evidence: str, seeds: Seeds, transferred: Iterable[str] = ()
) -> Judgement:
    """In the words for our records.

    Args:
        outcome: a code of ``OUTCOMES``.
        evidence: in sentences.
        seeds: a setting and a number of seeds, for each comparison.
        transferred: settings whose configurations come from another one's search; they add
            evidence, and no strength.
    """
    strength = "weak"
    own = {setting for setting, _ in seeds} - set(transferred)
    if min(count for _, count in seeds) >= FEWEST_SEEDS and own:
        strength = "strong" if len(own) >= FEW_SETTINGS else "moderate"
    return Judgement(OUTCOMES[outcome], evidence, strength)


def not_run(reason: str) -> Judgement:
    """Nothing that would decide the claim is published."""
    return Judgement(NOT_RUN, reason, "none")


def borrowed(published: Published, labels: Iterable[str]) -> set[str]:
    """Settings in which one of the labels has no search of its own."""
    asked = set(labels)
    return {name for name, found in published.transferred.items() if asked & found}


def marked(published: Published, name: str, *labels: str) -> str:
    """The name of a setting, with a mark where a label's configurations are transferred."""
    return f"{name} (transferred)" if name in borrowed(published, labels) else name


def measures_in(published: Published) -> list[str]:
    """The measures that any setting allows."""
    found = [measures_of(records) for records in published.settings.values()]
    return max(found, key=len, default=[])


def pairwise(
    published: Published, pairs: Sequence[tuple[str, str]], measure: str
) -> list[tuple[str, Comparison]]:
    """Every pair in every setting that has records of both, as one family."""
    asked, names = [], []
    for name, records in published.settings.items():
        if measure in measures_of(records):
            table = gap_table(records, measure)
            asked += [(table, *pair) for pair in pairs]
            names += [name] * len(pairs)
    found = zip(names, compare(asked), strict=True)
    return [(name, pair) for name, pair in found if pair.outcome != NOT_RUN]


def code(found: Comparison) -> str:
    """The code of a comparison's outcome."""
    return OF_COMPARISON.get(found.outcome, UNDECIDED)


def by_measure(outcomes: Mapping[str, str]) -> tuple[str, str]:
    """One code from those of the measures, and a sentence where they differ."""
    if len(set(outcomes.values())) == 1:
        return next(iter(outcomes.values())), ""
    parts = [f"by {measure} {OUTCOMES[outcome]}" for measure, outcome in outcomes.items()]
    return combined(
        list(outcomes.values())
    ), f"The verdict depends on the measure: {', '.join(parts)}. "


def improves(pairs: Sequence[tuple[str, str]]) -> Judge:
    """The first of each pair is nearer to Retrain, in every setting and by both measures."""

    def judge(published: Published) -> Judgement:
        outcomes, parts, seeds = {}, [], []
        for measure in measures_in(published):
            found = pairwise(published, pairs, measure)
            if not found:
                continue
            outcomes[measure] = combined([code(pair) for _, pair in found])
            for name, pair in found:
                title = (
                    f"{marked(published, name, pair.first, pair.second)}, {title_of(pair.first)}"
                )
                parts.append(f"{title}: {pair.outcome}. {sentence(measure, pair)}")
                seeds.append((name, pair.decision.n))
        if not outcomes:
            return not_run("No published setting has records of both methods.")
        outcome, differ = by_measure(outcomes)
        labels = [label for pair in pairs for label in pair]
        return judgement(outcome, differ + " ".join(parts), seeds, borrowed(published, labels))

    return judge


def _pairs(records: Sequence[Record], *labels: str) -> set[int]:
    gaps = seed_gaps(records)
    return set.intersection(*(set(gaps.get(label, {})) for label in labels))


def _is(record: Record, label: str) -> bool:
    return record.status == "ok" and record_label(record) == label


def per_epoch(record: Record) -> float:
    """Samples passed forward and backward, for each epoch of the method's config."""
    return passed(record) / max(float(record.config.get("epochs", 1)), 1.0)


def seconds_per_sample(record: Record) -> float:
    """Seconds of unlearning for each sample that was passed."""
    return record.seconds / max(passed(record), 1)


def ratio(
    records: Sequence[Record], costly: str, base: str, cost: Callable[[Record], float]
) -> tuple[float, int] | None:
    """The cost of one method over another's, averaged over the seeds that both have."""
    both = _pairs(records, costly, base)
    if not both:
        return None
    spent = [
        sum(cost(r) for r in records if _is(r, label) and r.seed in both)
        for label in (costly, base)
    ]
    return (spent[0] / spent[1] if spent[1] else math.inf), len(both)


def costs(pairs: Sequence[tuple[str, str]], cost: Callable[[Record], float], unit: str) -> Judge:
    """A cost over that of the method which is improved, averaged over seeds."""

    def judge(published: Published) -> Judgement:
        held, parts, seeds = [], [], []
        for name, records in published.settings.items():
            for costly, base in pairs:
                found = ratio(records, costly, base, cost)
                if found is not None:
                    held.append(found[0] <= MARGINAL)
                    seeds.append((name, found[1]))
                    parts.append(f"{name}: {title_of(costly)} / {title_of(base)} {found[0]:.2f}")
        if not held:
            return not_run("No published setting has records of both methods.")
        return judgement(all_or_half(held), f"{unit}: {'; '.join(parts)}.", seeds)

    return judge


def cheapest(trials: Sequence[Record], label: str, gap: float) -> float:
    """Samples that a method's cheapest trial passes among those with at most that gap; or inf."""
    found = [
        passed(record)
        for record, own in trial_gaps(trials).get(label, ())
        if own <= gap and record.seed == SEARCH_SEEDS[0]
    ]
    return min(found, default=math.inf)


def at_equal_gap(trials: Sequence[Record], costly: str, base: str) -> tuple[float, float] | None:
    """The gap that both searches reach, and the ratio of what it takes each to come as near.

    The gap is the larger one of the two methods' best trials. Each method's cost is that of its
    cheapest trial which comes at least as near.
    """
    gaps = {
        label: [gap for record, gap in own if record.seed == SEARCH_SEEDS[0]]
        for label, own in trial_gaps(trials).items()
    }
    if not gaps.get(costly) or not gaps.get(base):
        return None
    gap = max(min(gaps[costly]), min(gaps[base]))
    return gap, cheapest(trials, costly, gap) / max(cheapest(trials, base, gap), 1)


def marginal(pairs: Sequence[tuple[str, str]]) -> Judge:
    """Samples passed in an epoch, and at equal gap: never by numbers of epochs that we chose."""

    def judge(published: Published) -> Judgement:
        held, parts, seeds = [], [], []
        for name, records in published.settings.items():
            for costly, base in pairs:
                found = ratio(records, costly, base, per_epoch)
                if found is None:
                    continue
                held.append(found[0] <= MARGINAL)
                seeds.append((name, found[1]))
                text = f"{name}: {title_of(costly)} / {title_of(base)} {found[0]:.2f} in an epoch"
                equal = at_equal_gap(published.trials.get(name, ()), costly, base)
                if equal is not None:
                    held.append(equal[1] <= MARGINAL)
                    text += f" and {equal[1]:.2f} at an equal validation gap of {equal[0]:.2f}"
                parts.append(text)
        if not held:
            return not_run("No published setting has records of both methods.")
        labels = [label for pair in pairs for label in pair]
        text = f"Ratio of samples passed: {'; '.join(parts)}."
        return judgement(all_or_half(held), text, seeds, borrowed(published, labels))

    return judge


def ranked(published: Published, measure: str) -> Iterable[tuple[str, Ranking, list[str], int]]:
    """Settings that rank at least four methods, the paper's two among them.

    Yields name, ranking, the paper's methods that are missing, and the fewest seeds of a method.
    """
    for name, records in published.settings.items():
        if measure in measures_of(records):
            table = gap_table(records, measure)
            found = rank(table)
            if len(found.labels) >= FEWEST_METHODS and set(PROPOSED[:2]) <= set(found.labels):
                absent = [label for label in COMPARED if label not in table.gaps]
                yield name, found, absent, min(len(table.gaps[x]) for x in found.labels)


def place(found: Ranking, labels: Sequence[str]) -> str:
    """Good where every method that cannot be told from the best is one of the labels."""
    if not found.labels:
        return FEW
    if found.best <= set(labels):
        return GOOD
    return TIED if found.best & set(labels) else BAD


def among(found: Ranking, label: str) -> str:
    """Good where the last rank that a label may have is one of the best three, bad below them."""
    low, high = found.ranks[label]
    if high <= TOP:
        return GOOD
    return BAD if low > TOP else TIED


def _of_rankings(
    rule: Callable[[Ranking], str], words: Callable[[Ranking], str], labels: Sequence[str]
) -> Judge:
    def judge(published: Published) -> Judgement:
        outcomes: dict[str, str] = {}
        parts, seeds = [], []
        for measure in measures_in(published):
            codes, missing = [], 0
            for name, found, absent, count in ranked(published, measure):
                codes.append(rule(found))
                missing += len(absent)
                seeds.append((name, count))
                without = f", {len(absent)} of the paper's methods not run yet" if absent else ""
                where = marked(published, name, *labels)
                parts.append(f"{where}, {measure}: {words(found)}{without}.")
            if codes:
                outcome = combined(codes)
                outcomes[measure] = PARTLY if outcome == GOOD and missing else outcome
        if not outcomes:
            return not_run("No published setting compares enough methods.")
        outcome, differ = by_measure(outcomes)
        return judgement(outcome, differ + " ".join(parts), seeds, borrowed(published, labels))

    return judge


def best(labels: Sequence[str]) -> Judge:
    """Only the labels can be best, in every setting; partly until all methods have run."""

    def words(found: Ranking) -> str:
        tied = [title_of(label) for label in found.labels if label in found.best]
        if len(tied) == 1:
            text = f"{tied[0]} is the best"
        else:
            text = f"{', '.join(tied[:-1])} and {tied[-1]} cannot be told from the best"
        return f"{text} of {len(found.labels)}, after correction for {found.family} comparisons"

    return _of_rankings(lambda found: place(found, labels), words, labels)


def among_best(label: str) -> Judge:
    """The label is among the best three, whichever of its possible ranks is the true one."""

    def words(found: Ranking) -> str:
        low, high = found.ranks[label]
        where = f"rank {low}" if low == high else f"rank {low} to {high}"
        return f"{title_of(label)} has {where} of {len(found.labels)}"

    return _of_rankings(lambda found: among(found, label), words, [label])


def within(margins: Sequence[Sequence[float]]) -> list[str]:
    """For each sample of differences beyond a margin: good below it, bad above, tied otherwise."""
    signs = {-1: GOOD, 1: BAD, 0: TIED}
    return [FEW if found.n < FEWEST_SEEDS else signs[found.sign] for found in decide(margins)]


def accuracy_kept(published: Published) -> Judgement:
    """RA and TA against those of the method which is improved, class-wise, by seed."""
    samples, parts, seeds = [], [], []
    for name, records in _of_paradigm(published, "class-wise"):
        for method, base in BASES:
            for metric in ("RA", "TA"):
                falls = _differences(records, base, method, metric)
                if falls:
                    samples.append([fall - DROP for fall in falls])
                    seeds.append((name, len(falls)))
                    parts.append(
                        f"{marked(published, name, method, base)}, {title_of(method)} against "
                        f"{title_of(base)}: {metric} {signed(-sum(falls) / len(falls))}"
                    )
    if not samples:
        return not_run("No class-wise setting is published.")
    labels = [label for pair in BASES for label in pair]
    text = f"In points: {'; '.join(parts)}."
    return judgement(combined(within(samples)), text, seeds, borrowed(published, labels))


def _of_paradigm(published: Published, paradigm: str) -> Iterable[tuple[str, Sequence[Record]]]:
    for name, records in published.settings.items():
        if records[0].setting["paradigm"] == paradigm:
            yield name, records


def _differences(records: Sequence[Record], first: str, second: str, metric: str) -> list[float]:
    """first − second in the seeds that both have."""
    runs = {
        label: {r.seed: r.metrics for r in records if _is(r, label) and metric in r.metrics}
        for label in (first, second)
    }
    common = sorted(set(runs[first]) & set(runs[second]))
    found = [runs[first][seed][metric] - runs[second][seed][metric] for seed in common]
    return [value for value in found if not math.isnan(value)]


def plus(published: Published) -> Judgement:
    """UGradSL+ is nearer to Retrain than UGradSL, and passes more samples in an epoch."""
    nearer = improves((("ugradsl+", "ugradsl"),))(published)
    if nearer.outcome == NOT_RUN:
        return nearer
    dearer, parts, seeds = [], [], []
    for name, records in published.settings.items():
        found = ratio(records, "ugradsl+", "ugradsl", per_epoch)
        if found is not None:
            dearer.append(GOOD if found[0] > 1 else BAD)
            seeds.append((name, found[1]))
            parts.append(f"{name} {found[0]:.1f}")
    if not dearer:
        return nearer
    codes = {word: key for key, word in OUTCOMES.items()}
    text = f"{nearer.evidence} Ratio of samples passed in an epoch: {', '.join(parts)}."
    outcome = combined([codes[nearer.outcome], *dearer])
    return judgement(outcome, text, seeds, borrowed(published, ("ugradsl", "ugradsl+")))


def not_conspicuous(published: Published) -> Judgement:
    """The additional MIA for random forgetting, above Retrain's, by seed."""
    samples, parts, seeds = [], [], []
    for name, records in _of_paradigm(published, "random"):
        for label in PROPOSED:
            apart = _differences(records, label, "retrain", "add_MIA")
            if apart:
                samples.append([value - APART for value in apart])
                seeds.append((name, len(apart)))
                where = marked(published, name, label)
                parts.append(f"{where}, {title_of(label)} {signed(sum(apart) / len(apart))}")
    if not samples:
        return not_run("No published setting has the additional MIA.")
    text = f"Additional MIA, in points above Retrain's: {'; '.join(parts)}."
    return judgement(combined(within(samples)), text, seeds, borrowed(published, PROPOSED))


DIRECTIONS = "directions"  # the kind of a record of Figure 6


def stable(parameter: str) -> Judge:
    """Every sweep of a parameter, against the mean gap of the method which is improved."""

    def judge(published: Published) -> Judgement:
        outcomes, parts, seeds = [], [], []
        for method, base in BASES:
            for sweep in sweeps(published, method, parameter):
                values = {f"{value:g}": mean(gaps) for value, gaps in sweep.gaps.items()}
                limits = {title_of(method): _base_gap(published, sweep.setting, base)}
                found, text = sweep_parts({title_of(method): values}, limits)
                outcomes += found
                parts += text
                seeds.append((sweep.setting, min(map(len, sweep.gaps.values()))))
        if not outcomes:
            return not_run("No sweep of it is published.")
        return judgement(overall(outcomes), f"{'; '.join(parts)}.", seeds)

    return judge


def _base_gap(published: Published, setting: str, base: str) -> float:
    for records in published.settings.values():
        if records[0].setting_hash == setting and base in seed_gaps(records):
            return mean(seed_gaps(records)[base])
    return math.inf


def epochs(published: Published) -> Judgement:
    """Sweeps over the epochs of GA and of UGradSL+ in one setting."""
    outcomes, parts, seeds = [], [], []
    for plus_sweep in sweeps(published, "ugradsl+", "epochs"):
        for other in sweeps(published, "ga", "epochs"):
            if other.setting != plus_sweep.setting:
                continue
            both = {"ga": other, "ugradsl+": plus_sweep}
            accuracy, gaps = (
                {label: _means(getattr(sweep, what)) for label, sweep in both.items()}
                for what in ("accuracy", "gaps")
            )
            outcome, text = judge_epochs(accuracy, gaps, mean(other.reference), title_of)
            outcomes.append(outcome)
            parts.append(text)
            fewest = min(len(g) for sweep in both.values() for g in sweep.gaps.values())
            seeds.append((other.setting, fewest))
    if not outcomes:
        return not_run("No sweep over the epochs of GA and UGradSL+ is published.")
    return judgement(overall(outcomes), " ".join(parts), seeds)


def _means(values: Mapping[float, Mapping[int, float]]) -> dict[str, float]:
    return {f"{value:g}": mean(seeds) for value, seeds in values.items()}


def sizes(published: Published) -> Judgement:
    """Settings that differ in the size of D_f, at least three of them."""
    outcomes, parts, seeds = [], [], []
    for number, group in enumerate(by_size(published)):
        of_size = {size: seed_gaps(records) for size, records in group.items()}
        for label in ("ugradsl", "ugradsl+"):
            known = {size: gaps[label] for size, gaps in of_size.items() if label in gaps}
            values = {f"{100 * size:g} %": mean(gaps) for size, gaps in known.items()}
            if len(values) >= FEWEST_VALUES:
                found, text = sweep_parts({title_of(label): values}, {})
                outcomes += found
                parts += text
                seeds += [(f"{number} {size}", len(gaps)) for size, gaps in known.items()]
        places = [place(rank(gap_table(records)), PROPOSED) for records in group.values()]
        outcomes.append(GOOD if set(places) == {GOOD} else BAD if BAD in places else TIED)
        parts.append(
            f"at {places.count(GOOD)} of {len(group)} sizes only the paper's methods can be the "
            f"best, at {places.count(BAD)} none of them can"
        )
    if not seeds:
        return not_run("Fewer than three sizes of D_f are published.")
    return judgement(combined(outcomes), f"{'; '.join(parts)}.", seeds)


def condition(published: Published) -> Judgement:
    """⟨Δθ_r − Δθ_f, Δθ_n − Δθ_f⟩ ≤ 0 for every forget set of every model.

    Hessians of networks are damped before they are inverted. Of a model's dampings the smallest
    one counts for which all its forget sets were solved: it is nearest to the theorem.
    """
    models: dict[str, list[Record]] = {}
    for record in published.others:
        if record.kind == DIRECTIONS:
            models.setdefault(str(record.config["name"]), []).append(record)
    held, parts, sets = [], [], []
    for model, records in models.items():
        damping, products = _least_damped(records)
        if products:
            valid = [product <= 0 for product in products]
            held += valid
            sets.append((model, len(valid)))
            parts.append(f"{model} (δ = {damping:g}) {sum(valid)} of {len(valid)}")
    if not held:
        return not_run("No record measures the inner product.")
    outcome = GOOD if all(held) else PARTLY if sum(held) >= ALWAYS * len(held) else BAD
    text = f"The inner product is at most 0 in forget sets of {', '.join(parts)}."
    return judgement(outcome, text, sets)


def more_negative_is_more_private(published: Published) -> Judgement:
    """Whether the measured ε of Definition 1 falls at every step of the grid of α towards its end.

    Models differ in their number of features; each is judged by its means over seeds.
    """
    own = [record for record in published.others if record.kind == label_ldp.KIND]
    held, parts, seeds = [], [], []
    for model, grid in label_ldp.means(own).items():
        (first, begin), *_, (last, end) = grid.items()
        steps = [after < before for before, after in neighbours(grid.values())]
        least = min(grid, key=lambda alpha: grid[alpha])
        held += steps
        seeds.append((model, sum(record.config["name"] == model for record in own)))
        parts.append(
            f"{model}, from α = {signed(first)} to {signed(last)}: ε falls in {sum(steps)} of "
            f"{len(steps)} steps, from {begin:.2f} to {grid[least]:.2f} at {signed(least)}, and "
            f"ends at {end:.2f}"
        )
    if not held:
        return not_run("No published record measures ε.")
    return judgement(all_or_half(held), f"{'; '.join(parts)}.", seeds)


def _least_damped(records: Sequence[Record]) -> tuple[float, list[float]]:
    """The smallest damping with which every record was solved, and its inner products."""
    solved: dict[float, list[float]] = {}
    for record in records:
        for entry in record.metrics["by_damping"]:
            if entry["damping"] is not None and entry["status"] == "ok":
                solved.setdefault(float(entry["damping"]), []).append(float(entry["product"]))
    whole = [damping for damping, values in solved.items() if len(values) == len(records)]
    return (min(whole), solved[min(whole)]) if whole else (math.inf, [])
