"""The claims: each rule gives each of its verdicts, and silence where there is nothing to judge."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import campaign_records as campaign
from companion.experiments.records.record import Record
from companion.experiments.records.store import write_records
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.settings.setting import digest
from companion.paper.audit import Audit, audit, audit_lines
from companion.paper.audit.lines import Line, read_lines
from companion.paper.claims import CLAIMS, counts, paper, scoreboard
from companion.paper.claims import records as records_sweeps
from companion.paper.claims.published import Published, load_published
from companion.paper.claims.rules import (
    BAD,
    GOOD,
    PARTLY,
    STRENGTHS,
    all_or_half,
    all_or_some,
    judge_epochs,
    overall,
    sweep_parts,
)
from printed import clean
from records import SETTING, record

BOOK = Path(__file__).parents[3] / "book"
NOTHING = Published({}, (), ())
OURS = (*records_sweeps.OUTCOMES.values(), "not run")
PAPERS = ("supported", "partly", "not supported", "no numbers")


def runs(
    gaps: dict[str, Sequence[float]], paradigm: str = "random", **changes: Any
) -> list[Record]:
    """Records whose Avg. Gaps, seed by seed, are those given; a gap of NaN is of a divergence."""
    setting = {**SETTING.identity(), "paradigm": paradigm}
    place = {"setting": setting, "setting_hash": digest(setting), "scale": "bench", **changes}
    made = [record("retrain", seed, *[50.0] * 4, **place) for seed in range(3)]
    for label, values in gaps.items():
        for seed, gap in enumerate(values):
            metrics = () if math.isnan(gap) else [50.0 + gap] * 4
            made.append(record(label, seed, *metrics, **place))
    return made


def published(*settings: list[Record], others: Sequence[Record] = ()) -> Published:
    return Published(
        {f"setting{number}": records for number, records in enumerate(settings)},
        tuple(r for records in settings for r in records),
        tuple(others),
    )


# ----- rules


def test_rules_over_parts() -> None:
    assert [all_or_half(x) for x in ([1, 1], [1, 1, 0], [1, 0], [0, 0])] == [GOOD, PARTLY, BAD, BAD]
    assert [all_or_some(x) for x in ([1, 1], [1, 0, 0], [0, 0])] == [GOOD, PARTLY, BAD]
    assert overall([GOOD, GOOD]) == GOOD
    assert overall([BAD, BAD]) == BAD
    assert overall([GOOD, BAD]) == overall([PARTLY, PARTLY]) == PARTLY


@pytest.mark.parametrize(
    ("gaps", "limit", "outcome"),
    [
        ({"1": 1.0, "2": 2.0}, 5.0, GOOD),
        ({"1": 1.0, "2": 2.1}, 5.0, PARTLY),
        ({"1": 1.0, "2": 5.1}, 5.0, BAD),
        ({"1": 1.0, "2": 2.1}, math.inf, BAD),
        ({"1": 0.0, "2": 2.1}, 5.0, PARTLY),
    ],
)
def test_a_sweep_is_stable_within_a_factor_of_two(
    gaps: dict[str, float], limit: float, outcome: str
) -> None:
    (found,), (text,) = sweep_parts({"UGradSL": gaps}, {"UGradSL": limit})
    assert found == outcome
    assert f"to {max(gaps.values()):.2f} at 2" in text


@pytest.mark.parametrize(
    ("ga", "plus", "gap", "outcome"),
    [
        (20.0, 90.0, 2.0, GOOD),
        (20.0, 90.0, 9.0, PARTLY),
        (80.0, 90.0, 2.0, BAD),
        (20.0, 40.0, 2.0, BAD),
    ],
)
def test_epochs(ga: float, plus: float, gap: float, outcome: str) -> None:
    accuracy = {"ga": {"5": 91.0, "10": ga}, "ugradsl+": {"5": 92.0, "10": plus}}
    gaps = {"ga": {"5": 1.0, "10": 70.0}, "ugradsl+": {"5": 1.0, "10": gap}}
    found, text = judge_epochs(accuracy, gaps, 95.0, str.upper)
    assert found == outcome
    assert f"GA {ga:.2f}" in text


# ----- our records


@pytest.mark.parametrize(
    ("better", "outcome", "strength"),
    [
        ([1, 1, 1], "reproduced", "moderate"),
        ([1, 1, 9], "tied", "moderate"),
        ([1, 1], "too few seeds", "weak"),
        ([9, 9, 9], "not reproduced", "moderate"),
        ([], "not run", "none"),
    ],
)
def test_improves(better: list[float], outcome: str, strength: str) -> None:
    judge = records_sweeps.improves((("ugradsl", "ga"),))
    found = judge(published(runs({"ga": [5, 5, 5], "ugradsl": better})))
    assert (found.outcome, found.strength) == (outcome, strength)


def test_improves_over_several_settings() -> None:
    judge = records_sweeps.improves((("ugradsl", "ga"),))
    good, bad, open_ = (
        {"ga": [5.0] * 3, "ugradsl": gaps} for gaps in ([1.0] * 3, [9.0] * 3, [1.0, 1.0, 9.0])
    )
    assert judge(published(runs(good), runs(bad))).outcome == "partly"
    assert judge(published(runs(good), runs(open_))).outcome == "partly"
    assert judge(published(runs(bad), runs(open_))).outcome == "not reproduced"
    assert judge(published(*[runs(good)] * 3)).strength == "strong"
    diverged = {"ga": [5.0] * 3, "ugradsl": [1.0, 1.0, math.nan]}
    assert judge(published(runs(diverged))).outcome == "too few seeds"
    assert judge(published(runs(diverged), runs(good))).outcome == "reproduced"
    assert judge(NOTHING).outcome == "not run"


def test_all_comparisons_of_a_claim_are_one_family() -> None:
    judge = records_sweeps.improves((("ugradsl", "ga"),))
    close = {"ga": [5.0] * 3, "ugradsl": [4.8, 4.6, 4.7]}
    assert judge(published(runs(close))).outcome == "reproduced"
    many = judge(published(*[runs(close)] * 9))
    assert many.outcome == "tied"
    assert "after correction for 9 comparisons" in many.evidence


def test_a_difference_below_the_noise_floor_is_undecided() -> None:
    judge = records_sweeps.improves((("ugradsl", "ga"),))
    gaps = {"ga": [2.0] * 3, "ugradsl": [1.0] * 3, "retrain:again": [1.5] * 3}
    found = judge(published(runs(gaps)))
    assert found.outcome == "undecided"
    assert "below the noise floor of 1.50" in found.evidence


def test_a_verdict_that_hangs_on_the_measure_is_partly() -> None:
    made = campaign.results({})
    for seed in range(3):
        made.append(campaign.run("ugradsl", seed, 5 + seed / 10, attack=25.0))
        made.append(campaign.run("ga", seed, 9 + seed / 10))
    found = records_sweeps.improves((("ugradsl", "ga"),))(published(made))
    assert found.outcome == "partly"
    assert found.evidence.startswith(
        "The verdict depends on the measure: by Avg. Gap reproduced, by Avg. Gap (5) tied. "
    )


def test_transferred_settings_add_no_strength() -> None:
    judge = records_sweeps.improves((("ugradsl", "ga"),))
    good = runs({"ga": [5.0] * 3, "ugradsl": [1.0] * 3})
    four = published(*[good] * 4)
    assert judge(four).strength == "strong"
    own = replace(four, transferred={f"setting{n}": frozenset({"ga"}) for n in (1, 2, 3)})
    assert judge(own).strength == "moderate"
    assert judge(own).evidence.count("(transferred)") == 3
    others = replace(four, transferred={f"setting{n}": frozenset({"rl"}) for n in range(4)})
    assert judge(others).strength == "strong"
    none = replace(four, transferred={f"setting{n}": frozenset({"ugradsl"}) for n in range(4)})
    assert judge(none).strength == "weak"


def test_the_title_is_judged_by_two_comparisons() -> None:
    claim = CLAIMS[0]
    assert claim.key == "smoothing"
    both = {"ugradsl+": [1.0] * 3, "neggrad+": [5.0] * 3,
            "ugradsl": [2.0] * 3, "neggrad+:forget": [6.0] * 3}  # fmt: skip
    assert claim.ours(published(runs(both))).outcome == "reproduced"
    assert claim.ours(published(runs({**both, "neggrad+": [1.0] * 3}))).outcome == "partly"
    worse = {**both, "neggrad+": [0.5] * 3, "neggrad+:forget": [2.0] * 3}
    assert claim.ours(published(runs(worse))).outcome == "not reproduced"
    one = {label: both[label] for label in ("ugradsl+", "neggrad+")}
    assert claim.ours(published(runs(one))).outcome == "reproduced"


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [
        ((1.2, 1.2), "reproduced"),
        ((2, 1, 1), "partly"),
        ((4, 4), "not reproduced"),
        ((0.79, 1.2), "undecided"),
    ],
)
def test_costs(seconds: tuple[float, ...], outcome: str) -> None:
    judge = records_sweeps.costs((("ugradsl", "ga"),), records_sweeps.seconds_per_sample, "Ratio")
    settings = []
    for value in seconds:
        made = runs({"ga": [5] * 3, "ugradsl": [1] * 3})
        settings.append([replace(r, seconds=value if r.method == "ugradsl" else 1.0) for r in made])
    found = judge(published(*settings))
    assert found.outcome == outcome
    assert f"{seconds[0]:.2f}" in found.evidence
    assert judge(NOTHING).outcome == "not run"


def test_cost_is_that_of_an_epoch_and_at_equal_gap() -> None:
    judge = records_sweeps.marginal((("ugradsl", "ga"),))

    def made(epoch: int, *, tried: dict[str, list[tuple[float, int]]]) -> Published:
        records = [
            replace(r, forward_samples=epoch * r.config["epochs"] if r.method == "ugradsl"
                    else 100 * r.config.get("epochs", 1), backward_samples=0)
            for r in runs({"ga": [5] * 3, "ugradsl": [1] * 3})
        ]  # fmt: skip
        trials = campaign.references() + [
            replace(
                campaign.run(label, 1000, gap, kind="trial"),
                forward_samples=passed, backward_samples=0,
            )
            for label, own in tried.items()
            for gap, passed in own
        ]  # fmt: skip
        return replace(published(records), trials={"setting0": trials})

    # GA reaches 4 at best, with 900 samples; UGradSL does so with 500 already, and 1 with 3000
    tried = {"ga": [(4.0, 900), (9.0, 100)], "ugradsl": [(1.0, 3000), (3.9, 500), (5.0, 10)]}
    assert judge(made(110, tried=tried)).outcome == "reproduced"
    found = judge(made(200, tried=tried))
    assert found.outcome == "not reproduced"  # one of two is not more than half
    assert (
        "UGradSL / GA 2.00 in an epoch and 0.56 at an equal validation gap of 4.00"
        in found.evidence
    )
    dear = {**tried, "ugradsl": [(1.0, 3000)]}
    assert "3.33 at an equal validation gap of 4.00" in judge(made(200, tried=dear)).evidence
    assert judge(made(100, tried={})).outcome == "reproduced"
    assert judge(NOTHING).outcome == "not run"


def test_seconds_are_reckoned_for_each_sample() -> None:
    made = record("ga", 0, 1, 1, 1, 1, seconds=6.0, forward_samples=2, backward_samples=1)
    assert records_sweeps.seconds_per_sample(made) == 2.0


def test_best_and_among_best() -> None:
    others = {label: [5, 5.1, 5.2] for label in records_sweeps.COMPARED}
    gaps = {**others, "ft": [3.0, 3.1, 3.2], "ga": [4.0, 4.1, 4.2], "ugradsl": [2.0, 2.1, 2.2],
            "ugradsl+": [1.0, 1.1, 1.2]}  # fmt: skip
    best, top = records_sweeps.best(("ugradsl+",)), records_sweeps.among_best("ugradsl+")
    assert best(published(runs(gaps))).outcome == top(published(runs(gaps))).outcome == "reproduced"
    second = published(runs({**gaps, "ugradsl": [0.5, 0.6, 0.7]}))
    assert best(second).outcome == "not reproduced"
    assert "UGradSL is the best of" in best(second).evidence
    assert "rank 2 of" in top(second).evidence
    assert (
        records_sweeps.best(records_sweeps.PROPOSED)(second).outcome
        == top(second).outcome
        == "reproduced"
    )
    last = published(runs({**gaps, "ugradsl+": [9.0, 9.1, 9.2]}))
    assert top(last).outcome == "not reproduced"
    lost = {**gaps, "ga": [0.0, 0.1, 0.2]}
    assert best(published(runs(gaps), runs(gaps), runs(lost))).outcome == "partly"
    few = published(runs({label: gaps[label] for label in ("ft", "ga", "ugradsl", "ugradsl+")}))
    assert best(few).outcome == top(few).outcome == "partly"
    assert f"{len(others) - 4} of the paper's methods not run yet" in best(few).evidence
    assert best(NOTHING).outcome == top(NOTHING).outcome == "not run"
    assert best(published(runs({"ugradsl+": [1], "ugradsl": [2]}))).outcome == "not run"


def test_a_first_place_by_chance_is_tied() -> None:
    gaps = {"ft": [3.0, 4.1, 3.2], "ga": [9.0, 9.1, 9.2], "rl": [9.0, 9.1, 9.2],
            "ugradsl": [9.0, 9.1, 9.2], "ugradsl+": [2.9, 3.9, 3.4]}  # fmt: skip
    made = published(runs(gaps))
    found = records_sweeps.best(("ugradsl+",))(made)
    assert found.outcome == "tied"
    assert "UGradSL+ and FT cannot be told from the best of 5" in found.evidence
    assert (
        records_sweeps.among_best("ugradsl+")(made).outcome == "partly"
    )  # rank 1 to 2; others not run


def test_accuracy_is_kept_or_not() -> None:
    def with_ta(ugradsl: float, paradigm: str = "class-wise") -> list[Record]:
        made = runs({m: [1] * 3 for m in ("ga", "ft", "ugradsl", "ugradsl+")}, paradigm)
        return [
            replace(r, metrics={**r.metrics, "TA": ugradsl}) if r.method == "ugradsl" else r
            for r in made
        ]

    judge = records_sweeps.accuracy_kept
    assert judge(published(with_ta(50.5))).outcome == "reproduced"
    assert judge(published(with_ta(49.5), with_ta(51.5))).outcome == "partly"
    assert judge(published(with_ta(49.5))).outcome == "partly"  # RA does not fall, TA does
    assert "TA −1.50" in judge(published(with_ta(49.5))).evidence
    assert judge(published(with_ta(50.5, "random"))).outcome == "not run"


def test_accuracy_that_noise_leaves_open_is_tied() -> None:
    made = runs({m: [1] * 3 for m in ("ga", "ugradsl")}, "class-wise")
    far = {0: (49.0, 52.0), 1: (52.0, 49.0), 2: (50.0, 50.0)}
    made = [
        replace(r, metrics={**r.metrics, "RA": far[r.seed][0], "TA": far[r.seed][1]})
        if r.method == "ugradsl"
        else r
        for r in made
    ]
    assert records_sweeps.accuracy_kept(published(made)).outcome == "tied"


def test_plus_is_nearer_and_dearer() -> None:
    def made(gap: float, samples: int) -> Published:
        records = runs({"ugradsl": [2] * 3, "ugradsl+": [gap] * 3})
        return published(
            [replace(r, forward_samples=samples) if r.method == "ugradsl+" else r for r in records]
        )

    assert records_sweeps.plus(made(1, 900)).outcome == "reproduced"
    assert (
        records_sweeps.plus(made(1, 1)).outcome
        == records_sweeps.plus(made(3, 900)).outcome
        == "partly"
    )
    assert records_sweeps.plus(made(3, 1)).outcome == "not reproduced"
    assert records_sweeps.plus(NOTHING).outcome == "not run"


def test_conspicuous_or_not() -> None:
    def made(paradigm: str = "random", **attack: float) -> Published:
        records = runs({"ugradsl": [1] * 3, "ugradsl+": [1] * 3}, paradigm)
        return published(
            [
                replace(r, metrics={**r.metrics, "add_MIA": attack.get(r.method.strip("+"), 50.0)})
                if r.method != "ugradsl+"
                else replace(r, metrics={**r.metrics, "add_MIA": attack["plus"]})
                for r in records
            ]
        )

    judge = records_sweeps.not_conspicuous
    assert judge(made(ugradsl=51.9, plus=45.0)).outcome == "reproduced"
    assert judge(made(ugradsl=52.1, plus=45.0)).outcome == "partly"
    assert judge(made(ugradsl=52.1, plus=53.0)).outcome == "not reproduced"
    assert "+2.10" in judge(made(ugradsl=52.1, plus=53.0)).evidence
    assert judge(made("class-wise", ugradsl=99.0, plus=99.0)).outcome == "not run"
    assert judge(published(runs({"ugradsl": [1]}))).outcome == "not run"


def swept(method: str, field: str, gaps: dict[float, float], **metrics: float) -> list[Record]:
    """A sweep of three seeds, with the Retrain it needs."""
    made = []
    for value, gap in gaps.items():
        made += [
            replace(
                r,
                config={**r.config, field: value},
                metrics={**r.metrics, **metrics},
            )
            for r in runs({method: [gap] * 3})
            if r.method == method
        ]
    return made


def test_sweeps_are_found_by_what_differs() -> None:
    judge = records_sweeps.stable("p")
    base = runs({"ga": [5] * 3, "ft": [5] * 3})

    def found(largest: float, **changes: float) -> str:
        sweep = swept("ugradsl", "p", {0.8: 1.0, 0.9: 1.5, 0.95: largest})
        sweep = [replace(r, config={**r.config, **changes}) for r in sweep]
        return judge(Published({"base": base}, tuple(base + sweep), ())).outcome

    assert found(2.0) == "reproduced"
    assert found(2.1) == "partly"
    assert found(5.1) == "not reproduced"
    two = swept("ugradsl", "p", {0.8: 1.0, 0.9: 1.5})
    assert judge(Published({"base": base}, tuple(base + two), ())).outcome == "not run"
    mixed = [replace(r, config={**r.config, "lr": r.config["p"]}) for r in two] + two
    assert judge(Published({"base": base}, tuple(base + mixed), ())).outcome == "not run"
    without_retrain = tuple(swept("ugradsl", "p", {0.8: 1.0, 0.9: 1.5, 0.95: 1.0}))
    assert judge(Published({}, without_retrain, ())).outcome == "not run"


def test_adaptive_rates_are_no_part_of_a_sweep_over_alpha() -> None:
    base = runs({})
    sweep = swept("ugradsl", "alpha", {-0.2: 1.0, -0.4: 1.0})
    adaptive = [r for r in runs({"ugradsl:adaptive": [9] * 3}) if r.method == "ugradsl"]
    judge = records_sweeps.stable("alpha")
    assert judge(Published({}, tuple(base + sweep + adaptive), ())).outcome == "not run"
    more = swept("ugradsl", "alpha", {-0.6: 1.0})
    assert judge(Published({}, tuple(base + sweep + adaptive + more), ())).outcome == "reproduced"


def test_epochs_of_ga_and_of_ugradsl_plus() -> None:
    def made(ga: float, plus: float) -> Published:
        sweeps = swept("ga", "epochs", {5: 30.0, 10: 31.0, 15: 32.0}, TA=ga)
        sweeps += swept("ugradsl+", "epochs", {5: 1.0, 10: 1.0, 15: plus}, TA=49.0)
        return Published({}, tuple(runs({}) + sweeps), ())

    judge = records_sweeps.epochs
    assert judge(made(10.0, 1.5)).outcome == "reproduced"
    assert judge(made(10.0, 90.0)).outcome == "partly"
    assert judge(made(45.0, 1.5)).outcome == "not reproduced"
    assert judge(NOTHING).outcome == "not run"


def test_sizes_of_the_forget_set() -> None:
    def made(gaps: dict[float, dict[str, float]]) -> Published:
        settings = []
        for size, found in gaps.items():
            setting = {**SETTING.identity(), "fraction": size}
            records = runs({label: [gap] * 3 for label, gap in found.items()})
            settings.append(
                [replace(r, setting=setting, setting_hash=digest(setting)) for r in records]
            )
        return published(*settings)

    steady = {"ga": 5.0, "ugradsl": 2.0, "ugradsl+": 1.0}
    judge = records_sweeps.sizes
    assert judge(made(dict.fromkeys((0.1, 0.2, 0.3), steady))).outcome == "reproduced"
    lost = {0.1: steady, 0.2: steady, 0.3: {**steady, "ga": 0.5}}
    assert judge(made(lost)).outcome == "partly"
    bad = {0.1: steady, 0.2: steady, 0.3: {"ga": 3.0, "ugradsl": 9.0, "ugradsl+": 9.0}}
    assert judge(made(bad)).outcome == "not reproduced"
    assert judge(made(dict.fromkeys((0.1, 0.2), steady))).outcome == "not run"


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([-1.0, 0.0, -2.0], "reproduced"),
        ([-1.0] * 19 + [1.0], "partly"),
        ([-1.0, 1.0], "not reproduced"),
        ([], "not run"),
    ],
)
def test_the_condition_of_theorem_2(values: list[float], outcome: str) -> None:
    found = records_sweeps.condition(published(others=measured(values)))
    assert found.outcome == outcome
    assert not values or "linear (δ = 0.01)" in found.evidence


def measured(products: Sequence[float], name: str = "linear") -> list[Record]:
    """Figure 6's records: without damping one set has no inverse, with most damping all hold."""
    return [
        replace(
            record("retrain", number, 1, 1, 1, 1),
            kind="directions",
            config={"name": name},
            metrics={
                "by_damping": [
                    {"damping": 0.0, "status": "ok" if number else "no inverse", "product": 9.0},
                    {"damping": 1.0, "status": "ok", "product": -9.0},
                    {"damping": 0.01, "status": "ok", "product": product},
                    {"damping": None, "status": "ok", "product": 9.0},
                ]
            },
        )
        for number, product in enumerate(products)
    ]


def test_the_condition_is_judged_over_all_models() -> None:
    both = [*measured([-1.0] * 9), *measured([1.0], "mlp")]
    found = records_sweeps.condition(published(others=both))
    assert found.outcome == "not reproduced"
    assert "linear (δ = 0.01) 9 of 9, mlp (δ = 0.01) 0 of 1" in found.evidence


def test_records_are_read_by_protocol_scale_and_kind(tmp_path: Path) -> None:
    main = campaign.results({"ga": [5] * 3, "ugradsl": [1] * 3})
    trials = campaign.search("ugradsl", 16) + campaign.references()
    campaign.write(tmp_path, [*main, *trials])
    borrowed = "transferred from cifar10-random10"
    moved = campaign.results({"ga": [5] * 3}, "cifar10-class", note=borrowed)
    campaign.write(tmp_path, moved, "cifar10-class")
    folder = tmp_path / PROTOCOL / "cifar10-random10-bench"
    sweep = [
        campaign.run("ugradsl", seed, 1.0, config={"p": p})
        for p in (0.8, 0.9, 0.95)
        for seed in range(3)
    ]
    write_records(folder / "sweep-ugradsl-p.jsonl", sweep)
    write_records(tmp_path / "cifar10-class-bench.jsonl", runs({"ga": [5] * 3}))  # no protocol
    write_records(tmp_path / "plane.jsonl", [replace(main[0], kind="landscape")])
    found = load_published(root=tmp_path)
    assert set(found.settings) == {"CIFAR-10, random 10 %", "CIFAR-10, class-wise"}
    assert len(found.results) == len(main) + len(moved) + len(sweep)
    assert [r.kind for r in found.others] == ["landscape"]
    assert len(found.trials["CIFAR-10, random 10 %"]) == len(trials)
    assert found.transferred["CIFAR-10, class-wise"] == {"retrain", "ga"}
    assert not found.transferred["CIFAR-10, random 10 %"]
    assert records_sweeps.stable("p")(found).outcome == "reproduced"
    assert load_published("paper", tmp_path) == NOTHING


# ----- the paper's numbers


def near(lines: Sequence[Line], **gaps: float) -> list[Line]:
    """The lines with some methods moved to a distance of Retrain in every metric."""
    reference = next(line for line in lines if line.method == "retrain")
    wanted = {method.replace("_plus", "+"): gap for method, gap in gaps.items()}
    return [
        replace(
            line,
            mean={
                **{m: round(value - wanted[line.method], 2) for m, value in reference.mean.items()},
                "avg_gap": wanted[line.method],
            },
        )
        if line.method in wanted
        else line
        for line in lines
    ]


def best_is(method: str, seed: int = 0, **place: str) -> list[Line]:
    """A block in which a method has the smallest gap."""
    return near(clean(seed, **place), **{method.replace("+", "_plus"): 0.25})


def timed(lines: Sequence[Line], **minutes: float) -> list[Line]:
    return [
        replace(line, mean={**line.mean, "RTE": minutes[line.method.replace("+", "_plus")]})
        if line.method.replace("+", "_plus") in minutes
        else line
        for line in lines
    ]


EMPTY = audit_lines([])
SIZES = [{"parameter": "forget_fraction", "parameter_value": f"{n}0%"} for n in (1, 2, 3)]


def three(*methods: str) -> Audit:
    """Three settings, in each of which another method is best."""
    places = ({"dataset": "cifar10"}, {"dataset": "cifar100"}, {"dataset": "svhn"})
    return audit_lines(
        [
            line
            for number, (method, place) in enumerate(zip(methods, places, strict=True))
            for line in best_is(method, number, **place)
        ]
    )


def test_improvements_in_print() -> None:
    judge = paper.improves("ugradsl", "ga")
    assert judge(three("ugradsl", "ugradsl", "ugradsl")).outcome == "supported"
    some = judge(three("ugradsl", "ugradsl", "ga"))
    assert (some.outcome, some.strength) == ("partly", "moderate")
    assert "Not in Table 10 (SVHN, random)" in some.evidence
    assert judge(three("ga", "ga", "ugradsl")).outcome == "not supported"
    assert judge(EMPTY).outcome == "no numbers"


def test_the_best_in_print() -> None:
    judge, top = paper.best(("ugradsl+",)), paper.among_best("ugradsl+")
    assert judge(three("ugradsl+", "ugradsl+", "ugradsl+")).outcome == "supported"
    assert judge(three("ugradsl+", "ugradsl+", "ft")).outcome == "partly"
    assert judge(three("ugradsl+", "ga", "ft")).outcome == "not supported"
    assert top(three("ugradsl+", "ugradsl+", "ugradsl+")).outcome == "supported"
    assert judge(EMPTY).outcome == top(EMPTY).outcome == "no numbers"


def test_costs_in_print() -> None:
    judge = paper.costs((("ugradsl", "ga"),))

    def found(*minutes: float) -> str:
        lines = [
            line
            for place, value in zip(SIZES, minutes, strict=False)
            for line in timed(clean(**place), ga=1.0, ugradsl=value)
        ]
        return judge(audit_lines(lines)).outcome

    assert found(1.2, 1.0) == "supported"
    assert found(1.2, 1.0, 2.0) == "partly"
    assert found(2.0) == "not supported"
    assert found() == "no numbers"


def test_sizes_in_print() -> None:
    def found(*plus: float, ga: float = 9.0) -> str:
        lines = [
            line
            for place, gap in zip(SIZES, plus, strict=True)
            for line in near(clean(**place), ugradsl=0.5, ugradsl_plus=gap)
        ]
        if ga < 1:
            lines = [*lines[: -len(clean())], *near(lines[-len(clean()) :], ga=ga)]
        return paper.sizes(audit_lines(lines)).outcome

    assert found(0.3, 0.4, 0.55) == "supported"
    assert found(0.3, 0.4, 0.7) == "partly"
    assert found(0.3, 0.4, 0.55, ga=0.1) == "partly"
    assert paper.sizes(audit_lines(clean())).outcome == "no numbers"


def test_privacy_follows_the_formula_only() -> None:
    found = paper.more_negative_is_more_private(EMPTY)
    assert (found.outcome, found.strength) == ("partly", "exact")
    assert "on 50 % (2 classes) to 99 % (100 classes)" in found.evidence  # (K − 1)/K


def test_claims_without_numbers_say_so() -> None:
    for claim in CLAIMS:
        judged = claim.paper(EMPTY)
        assert judged.outcome == "no numbers" or claim.key == "ldp"
        assert claim.ours(NOTHING).outcome == "not run"
        assert claim.ours(NOTHING).strength == "none"


# ----- the scoreboard


def test_the_scoreboard_of_the_paper() -> None:
    whole = audit()
    scored = scoreboard(whole, NOTHING)
    assert [row.claim.key for row in scored] == [claim.key for claim in CLAIMS]
    assert len({claim.key for claim in CLAIMS}) == len(CLAIMS) >= 12
    for row in scored:
        assert row.paper.outcome in PAPERS
        assert row.ours.outcome == "not run"
        assert row.paper.strength in STRENGTHS
        assert row.paper.evidence.endswith(".")
        assert all((row.claim.place, row.claim.words, row.claim.measure, row.claim.rule))
        assert row.claim.pages
    by_key = {row.claim.key: row for row in scored}
    assert by_key["ga"].paper.outcome == "partly"
    assert "Table 1 (CIFAR-100, class-wise)" in by_key["ga"].paper.evidence
    assert "SalUn with 1.11" in by_key["size"].paper.evidence
    assert by_key["adaptive"].paper.outcome == "supported"
    assert by_key["condition"].paper.outcome == "no numbers"
    assert sum(counts(scored)["paper"].values()) == len(CLAIMS)
    assert json.loads(json.dumps([row.as_json() for row in scored]))[0]["key"] == "smoothing"


def test_the_scoreboard_of_the_book_reads_its_records() -> None:
    for row in scoreboard(root=BOOK):
        assert row.ours.outcome in OURS
        assert row.ours.strength in STRENGTHS
        assert row.ours.evidence.endswith(".")


def test_the_tables_that_claims_rest_on_are_the_papers() -> None:
    whole = audit()
    found = paper.stable("p")(whole)
    lines = read_lines([14])
    printed = next(x for x in lines if x.parameter_value == "0.80").mean["avg_gap"]
    assert f"to {printed:.2f} at 0.80" in found.evidence
