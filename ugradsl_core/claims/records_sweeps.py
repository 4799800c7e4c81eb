"""What published sweeps and measurements of the theory say about the claims."""

import math
from collections.abc import Mapping, Sequence

from ugradsl_core.claims.published import Published, by_size, mean, sweeps
from ugradsl_core.claims.records import BASES, PROPOSED, Judge, judgement, not_run, place
from ugradsl_core.claims.rules import (
    ALWAYS,
    BAD,
    FEWEST_VALUES,
    GOOD,
    PARTLY,
    TIED,
    Judgement,
    combined,
    judge_epochs,
    overall,
    sweep_parts,
)
from ugradsl_core.settings import title_of
from ugradsl_core.ties import gap_table, rank, seed_gaps
from ugradsl_core.types import Record

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


def _least_damped(records: Sequence[Record]) -> tuple[float, list[float]]:
    """The smallest damping with which every record was solved, and its inner products."""
    solved: dict[float, list[float]] = {}
    for record in records:
        for entry in record.metrics["by_damping"]:
            if entry["damping"] is not None and entry["status"] == "ok":
                solved.setdefault(float(entry["damping"]), []).append(float(entry["product"]))
    whole = [damping for damping, values in solved.items() if len(values) == len(records)]
    return (min(whole), solved[min(whole)]) if whole else (math.inf, [])
