"""What the paper's own tables say about its claims, with every Avg. Gap recomputed."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from statistics import median

from companion.paper.audit import Audit
from companion.paper.audit.findings import listed, points
from companion.paper.audit.lines import blocks, describe, recomputed_gap, reference_of
from companion.paper.audit.ranks import PROPOSED, Ranking, place
from companion.paper.audit.values import straightened
from companion.paper.claims.rules import (
    APART,
    BAD,
    BASES,
    DROP,
    FEW_SETTINGS,
    GOOD,
    MANY_SETTINGS,
    MARGINAL,
    PARTLY,
    TOP,
    Judgement,
    all_or_half,
    all_or_some,
    judge_epochs,
    overall,
    sweep_parts,
)
from companion.paper.names import name
from companion.theory.privacy import alpha_domain, label_ldp_epsilon

OUTCOMES = {GOOD: "supported", PARTLY: "partly", BAD: "not supported"}
NO_NUMBERS = "no numbers"
ADAPTIVE = (("ugradsl (adp)", "ugradsl"), ("ugradsl+ (adp)", "ugradsl+"))

Judge = Callable[[Audit], Judgement]


def judgement(outcome: str, evidence: str, settings: int) -> Judgement:
    """In the words for the paper's numbers; strength is by the number of different settings."""
    strength = "moderate" if settings < MANY_SETTINGS else "strong"
    return Judgement(OUTCOMES[outcome], evidence, strength if settings >= FEW_SETTINGS else "weak")


def nothing(reason: str) -> Judgement:
    """No table has a number to judge by."""
    return Judgement(NO_NUMBERS, reason, "none")


def no_numbers(reason: str) -> Judge:
    """The paper shows a figure or an argument, and prints nothing to judge by."""
    return lambda audit: nothing(reason)


def settings_of(rankings: Iterable[Ranking]) -> int:
    """Different settings; one that two tables print is counted once."""
    return len({(*ranking.block[1:4], ranking.block[4] or "10%") for ranking in rankings})


def improves(better: str, worse: str) -> Judge:
    """Smaller recomputed gap, in every table that compares the two."""

    def judge(audit: Audit) -> Judgement:
        pairs = [
            (ranking, dict(ranking.recomputed), dict(ranking.printed))
            for ranking in audit.rankings
            if {better, worse} <= set(dict(ranking.recomputed))
        ]
        if not pairs:
            return nothing("No table compares the two.")
        held = [new[better] < new[worse] for _, new, _ in pairs]
        printed = sum(old[better] < old[worse] for _, _, old in pairs)
        lost = [
            f"{describe(ranking.block)}, {points(new[better])} against {points(new[worse])}"
            for (ranking, new, _), won in zip(pairs, held, strict=True)
            if not won
        ]
        text = (
            f"The recomputed gap is smaller in {sum(held)} of {len(held)} comparisons, the printed "
            f"one in {printed}."
        )
        text += f" Not in {'; '.join(lost)}." if lost else ""
        return judgement(all_or_half(held), text, settings_of(r for r, *_ in pairs))

    return judge


def costs(pairs: Sequence[tuple[str, str]]) -> Judge:
    """Printed run time over that of the method which is improved."""

    def judge(audit: Audit) -> Judgement:
        parts, held, settings = [], [], set()
        for costly, base in pairs:
            ratios = []
            for block in blocks(audit.lines).values():
                times = {x.method: x.mean["RTE"] for x in block if x.mean.get("RTE", 0) > 0}
                if {costly, base} <= set(times):
                    ratios.append(times[costly] / times[base])
                    settings.add((*block[0].block[1:4], block[0].size or "10%"))
            if ratios:
                held += [ratio <= MARGINAL for ratio in ratios]
                parts.append(
                    f"{name(costly)} takes {median(ratios):.2f} times as long as {name(base)} in "
                    f"the median of {len(ratios)} comparisons ({min(ratios):.2f} to "
                    f"{max(ratios):.2f})"
                )
        if not held:
            return nothing("No table prints both run times.")
        text = f"{'; '.join(parts)}. At most {MARGINAL:g} times in {sum(held)} of {len(held)}."
        return judgement(all_or_half(held), text, len(settings))

    return judge


def best(methods: Sequence[str]) -> Judge:
    """One of the methods has the smallest gap."""

    def judge(audit: Audit) -> Judgement:
        held = [bool(set(methods) & set(r.best_recomputed)) for r in audit.rankings]
        printed = [bool(set(methods) & set(r.best_printed)) for r in audit.rankings]
        return _places(audit.rankings, printed, held, "The smallest gap")

    return judge


def among_best(method: str) -> Judge:
    """The method is among the best three."""

    def judge(audit: Audit) -> Judgement:
        held = [(place(r.recomputed, method) or TOP + 1) <= TOP for r in audit.rankings]
        printed = [(place(r.printed, method) or TOP + 1) <= TOP for r in audit.rankings]
        return _places(audit.rankings, printed, held, "Among the three smallest gaps")

    return judge


def _places(
    ranked: Sequence[Ranking], printed: Sequence[bool], held: Sequence[bool], what: str
) -> Judgement:
    if not ranked:
        return nothing("No table compares methods.")
    lost = [
        f"{describe(ranking.block)}: {listed(map(name, ranking.best_recomputed))}"
        for ranking, won in zip(ranked, held, strict=True)
        if not won
    ]
    text = (
        f"{what} in {sum(printed)} of {len(ranked)} comparisons as printed, in {sum(held)} as "
        "recomputed."
    )
    text += f" Where not, the smallest is in {'; '.join(lost)}." if lost else ""
    return judgement(all_or_half(held), text, settings_of(ranked))


def adaptive(audit: Audit) -> Judgement:
    """Self-adaptive against fixed rates, in every comparison."""
    held, parts, settings = [], [], set()
    for ranking in audit.rankings:
        gaps = dict(ranking.recomputed)
        for new, old in ADAPTIVE:
            if {new, old} <= set(gaps):
                held.append(gaps[new] <= gaps[old])
                settings.add(ranking.block[1:])
                parts.append(
                    f"{points(gaps[new])} against {points(gaps[old])} ({name(ranking.block[1])})"
                )
    if not held:
        return nothing("No table compares the two.")
    text = f"The gap is at most that of the fixed rate in {sum(held)} of {len(held)}: "
    return judgement(all_or_half(held), f"{text}{'; '.join(parts)}.", len(settings))


def accuracy_kept(audit: Audit) -> Judgement:
    """RA and TA of each method against the one it improves, class-wise (Section 5.2.1)."""
    held, lost, settings = [], [], set()
    for block in blocks(straightened(audit.lines)).values():
        lines = {line.method: line for line in block}
        for method, base in BASES if block[0].paradigm == "class-wise" else ():
            if not {method, base} <= set(lines):
                continue
            drops = {m: lines[base].mean[m] - lines[method].mean[m] for m in ("RA", "TA")}
            held.append(max(drops.values()) <= DROP)
            settings.add(block[0].block[1:])
            if not held[-1]:
                metric = max(drops, key=drops.__getitem__)
                lost.append(
                    f"{describe(block[0].block)}, {name(method)}: {metric} {drops[metric]:.2f} "
                    f"points below {name(base)}'s"
                )
    if not held:
        return nothing("No table compares them.")
    text = f"Neither RA nor TA falls by more than {DROP:g} point in {sum(held)} of {len(held)}."
    text += f" One does in {'; '.join(lost)}." if lost else ""
    return judgement(all_or_half(held), text, len(settings))


def plus(audit: Audit) -> Judgement:
    """UGradSL+ against UGradSL: a smaller gap, and a longer run time."""
    nearer, slower, ranked = [], [], []
    for ranking in audit.rankings:
        gaps = dict(ranking.recomputed)
        if {"ugradsl", "ugradsl+"} <= set(gaps):
            nearer.append(gaps["ugradsl+"] < gaps["ugradsl"])
            ranked.append(ranking)
    for block in blocks(audit.lines).values():
        times = {line.method: line.mean["RTE"] for line in block if "RTE" in line.mean}
        if {"ugradsl", "ugradsl+"} <= set(times):
            slower.append(times["ugradsl+"] > times["ugradsl"])
    if not nearer or not slower:
        return nothing("No table compares them.")
    text = (
        f"UGradSL+ has the smaller recomputed gap in {sum(nearer)} of {len(nearer)} comparisons, "
        f"and the longer run time in {sum(slower)} of {len(slower)}."
    )
    return judgement(overall([all_or_half(nearer), all_or_half(slower)]), text, settings_of(ranked))


def not_conspicuous(audit: Audit) -> Judgement:
    """The additional MIA for random forgetting, against Retrain's."""
    held, parts = [], []
    for block in blocks(audit.lines).values():
        reference = reference_of(block)
        if reference is None or block[0].paradigm != "random" or "add_MIA" not in reference.mean:
            continue
        own = reference.mean["add_MIA"]
        for line in block:
            if line.method in PROPOSED and "add_MIA" in line.mean:
                held.append(line.mean["add_MIA"] - own <= APART)
                number = f"{line.mean['add_MIA']:.2f} with Retrain at {own:.2f}"
                parts.append(f"{name(line.method)} {number} (Table {line.table})")
    if not held:
        return nothing("No table prints the additional MIA.")
    text = f"Additional MIA in %: {'; '.join(parts)}."
    return judgement(all_or_some(held), text, 1)


RATIOS, CLASSES, STEPS = (1.1, 1.5, 2.0, 5.0), (2, 10, 100), 1000


def stable(parameter: str) -> Judge:
    """The sweeps of a parameter, against the gaps of the methods that are improved."""

    def judge(audit: Audit) -> Judgement:
        gaps: dict[str, dict[str, float]] = {}
        limits: dict[str, float] = {}
        settings = set()
        for block in blocks(audit.lines).values():
            reference = reference_of(block)
            for line in block if reference else ():
                gap = recomputed_gap(line, reference) if reference else None
                if line.parameter == parameter and gap is not None:
                    gaps.setdefault(line.method, {})[line.parameter_value] = gap
                    settings.add(block[0].block[1:4])
        for ranking in audit.rankings:
            if ranking.block[1:4] in settings and "add_MIA" not in ranking.reference.mean:
                for method, base in BASES:
                    found = dict(ranking.recomputed).get(base, math.inf)
                    limits.setdefault(name(method), found)
        if not gaps:
            return nothing("No table varies it.")
        titled = {name(method): values for method, values in gaps.items()}
        outcomes, parts = sweep_parts(titled, limits)
        return judgement(overall(outcomes), f"{'; '.join(parts)}.", len(settings))

    return judge


def sizes(audit: Audit) -> Judgement:
    """Both methods' gaps over the size of D_f, and whether one of them is best at each size."""
    gaps: dict[str, dict[str, float]] = {}
    held, lost = [], []
    for ranking in audit.rankings:
        _, dataset, _, _, size = ranking.block
        if not size:
            continue
        recomputed = dict(ranking.recomputed)
        for method, _ in BASES:
            title = f"{name(method)} on {name(dataset)}"
            gaps.setdefault(title, {})[size.replace("%", " %")] = recomputed[method]
        held.append(bool(set(PROPOSED) & set(ranking.best_recomputed)))
        if not held[-1]:
            lost.append(
                f"{describe(ranking.block)}: {listed(map(name, ranking.best_recomputed))} with "
                f"{points(ranking.recomputed[0][1])}"
            )
    if not held:
        return nothing("No table varies it.")
    outcomes, parts = sweep_parts(gaps, {})
    text = f"{'; '.join(parts)}. One of the two is best at {sum(held)} of {len(held)} sizes"
    text += f", not in {'; '.join(lost)}." if lost else "."
    whole = overall([*outcomes, GOOD if all(held) else BAD])
    return judgement(whole, text, len(held))


def epochs(audit: Audit) -> Judgement:
    """GA's TA over the epochs, and UGradSL+'s TA and gap."""
    for block in blocks(straightened(audit.lines)).values():
        reference = reference_of(block)
        accuracy: dict[str, dict[str, float]] = {}
        gaps: dict[str, dict[str, float]] = {}
        for line in block if reference else ():
            gap = recomputed_gap(line, reference) if reference else None
            if line.parameter == "epochs" and gap is not None:
                accuracy.setdefault(line.method, {})[line.parameter_value] = line.mean["TA"]
                gaps.setdefault(line.method, {})[line.parameter_value] = gap
        if reference is not None and {"ga", "ugradsl+"} <= set(gaps):
            outcome, text = judge_epochs(accuracy, gaps, reference.mean["TA"], name)
            return judgement(outcome, text, 1)
    return nothing("No table varies the epochs.")


def more_negative_is_more_private(audit: Audit) -> Judgement:
    """Theorem 3's own ε over its domain, which no table enters."""
    falling = []
    for ratio, classes in itertools.product(RATIOS, CLASSES):
        lowest, _ = alpha_domain(ratio, 1.0, classes)
        rates = [lowest * step / STEPS for step in range(1, STEPS)]
        budget = [label_ldp_epsilon(rate, ratio, 1.0, classes) for rate in rates]
        falls = [after < before for before, after in itertools.pairwise(budget)]
        falling.append(sum(falls) / len(falls))
    outcome = GOOD if min(falling) == 1 else PARTLY if max(falling) > 0 else BAD
    text = (
        f"By Theorem 3's formula ε falls with α down to α = 1 − γ₁/γ₂, on "
        f"{100 * min(falling):.0f} % (2 classes) to {100 * max(falling):.0f} % (100 classes) of "
        f"its domain, for γ₁/γ₂ from {RATIOS[0]:g} to {RATIOS[-1]:g}. Below it rises again."
    )
    return Judgement(OUTCOMES[outcome], text, "exact")
