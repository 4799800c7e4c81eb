"""What the paper's ablations, Table 19 and Theorem 3 say about its claims."""

import itertools
import math

from ugradsl_core.audit import Audit
from ugradsl_core.audit.findings import listed, points
from ugradsl_core.audit.lines import blocks, describe, recomputed_gap, reference_of
from ugradsl_core.audit.ranks import PROPOSED
from ugradsl_core.audit.values import straightened
from ugradsl_core.claims.paper import BASES, OUTCOMES, Judge, judgement, nothing
from ugradsl_core.claims.rules import (
    BAD,
    GOOD,
    PARTLY,
    Judgement,
    judge_epochs,
    overall,
    sweep_parts,
)
from ugradsl_core.pages_markdown import name
from ugradsl_core.privacy import alpha_domain, label_ldp_epsilon

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
