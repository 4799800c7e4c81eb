"""Records of a sweep: gaps by hand, what does not belong together, and ranks of values."""

import math
from dataclasses import replace
from typing import Any

import pytest

from campaign_records import run
from companion.experiments.records import sweeps
from companion.experiments.records.record import Record
from companion.experiments.records.ties import gap_table, rank
from companion.experiments.settings.preset import preset_setting
from companion.experiments.settings.setting import digest
from ugradsl_core.errors import DataError


def swept(gaps: dict[float, list[float]], label: str = "ugradsl", name: str = "p") -> list[Record]:
    """Runs with the gaps given, by value and seed, and their Retrains."""
    found = [run("retrain", seed, 0.0) for seed in range(max(map(len, gaps.values())))]
    for value, own in gaps.items():
        found += [run(label, seed, gap, config={name: value}) for seed, gap in enumerate(own)]
    return found


def test_gaps_are_means_over_seeds_of_the_distance_to_the_retrain_of_the_seed() -> None:
    records = swept({0.8: [1.0, 3.0], 0.9: [2.0, 4.0]})
    records[1] = replace(records[1], metrics=dict.fromkeys(records[1].metrics, 51.0))
    table = sweeps.varied(sweeps.summary(records, ["p"])).set_index("p")
    # Seed 1 has a Retrain at 51, so its runs at 53 and 54 are 2 and 3 points away.
    assert table["gap"].to_dict() == {0.8: 1.5, 0.9: 2.5}
    assert table["n"].to_dict() == {0.8: 2, 0.9: 2}
    assert table["UA"].to_dict() == {0.8: 52.0, 0.9: 53.0}
    assert list(sweeps.frame(records, ["p"])["gap"].dropna()) == [1.0, 2.0, 2.0, 3.0]


def test_a_reader_can_ask_for_another_gap() -> None:
    records = swept({0.8: [1.0], 0.9: [-2.0]})
    table = sweeps.summary(records, ["p"], lambda run, retrain: run["UA"] - retrain["UA"])
    assert list(sweeps.varied(table)["gap"]) == [1.0, -2.0]


def test_references_have_no_value_even_of_a_field_of_their_own() -> None:
    records = swept({1: [1.0], 5: [2.0]}, "ga", "epochs")
    table = sweeps.summary(records, ["epochs"])
    assert table.set_index("label")["epochs"].to_dict()["retrain"] is None
    assert math.isnan(sweeps.level(table, "no-step"))
    assert sweeps.level(table, "retrain", "UA") == 50.0
    assert list(sweeps.varied(table)["epochs"]) == [1, 5]


def test_a_diverged_run_is_counted_and_not_averaged() -> None:
    table = sweeps.varied(sweeps.summary(swept({0.8: [1.0, math.nan]}), ["p"]))
    assert table[["n", "diverged", "gap"]].iloc[0].tolist() == [1, 1, 1.0]


def test_a_share_forgotten_is_the_settings() -> None:
    records = []
    for fraction, gap in ((0.1, 2.0), (0.2, 3.0)):
        setting = preset_setting("cifar10-random10", "bench").replace(fraction=fraction).identity()
        own = {"setting": setting, "setting_hash": digest(setting)}
        records += [run("retrain", 0, 0.0, **own), run("ga", 0, gap, **own)]
    table = sweeps.summary(records, ["fraction"])
    assert sweeps.varied(table).set_index("fraction")["gap"].to_dict() == {0.1: 2.0, 0.2: 3.0}
    with pytest.raises(DataError, match="settings that differ in more than p"):
        sweeps.summary(records, ["p"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "before"}, r"several protocols \(before, passes-1\); a table shows one"),
        ({"kind": "trial"}, "are trials of a search"),
        ({"scale": "smoke"}, "are of settings that differ in more than p"),
        ({}, "hold several of one method, p and seed"),
    ],
)
def test_records_that_do_not_belong_together(changes: dict[str, Any], message: str) -> None:
    records = swept({0.8: [1.0]})
    with pytest.raises(DataError, match=message) as caught:
        sweeps.summary([*records, replace(records[-1], **changes)], ["p"])
    assert "\n" not in str(caught.value)


def test_a_method_without_the_parameter_is_named() -> None:
    with pytest.raises(DataError, match="GA has no p to be swept"):
        sweeps.summary([run("retrain", 0, 0.0), run("ga", 0, 1.0)], ["p"])


def test_values_are_ranked_as_the_protocol_ranks_methods() -> None:
    gaps = {"ft": [1.0, 1.1, 0.9, 1.0], "ga": [9.0, 9.2, 8.9, 9.1], "rl": [1.1, 0.9, 1.2, 1.0]}
    records = swept(dict(zip((0.8, 0.9, 0.95), gaps.values(), strict=True)))
    found = sweeps.ranking(records, ["p"], "ugradsl")
    retrained = [run("retrain", seed, 0.0) for seed in range(4)]
    methods = [run(x, seed, gap) for x, own in gaps.items() for seed, gap in enumerate(own)]
    expected = rank(gap_table([*retrained, *methods]))
    assert list(found.ranks.values()) == list(expected.ranks.values())
    assert found.best == {"ugradsl: p = 0.8", "ugradsl: p = 0.95"}
    assert expected.best == {"ft", "rl"}


def test_values_in_words() -> None:
    assert sweeps.text_of([None, "cosine"], ["beta", "distance"]) == "β = median, distance = cosine"
    assert sweeps.text_of([-0.4], ["alpha"]) == "α = −0.4"
