"""Tables from records made by hand."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

import campaign_records as campaign
from companion.cli.printing import print_summary
from companion.experiments.records.statistics import signed_gaps
from companion.experiments.records.store import write_records
from companion.experiments.records.summary import (
    campaign_records,
    frame,
    natural_order,
    one_setting,
    paired,
    published,
    published_settings,
    summary,
)
from companion.experiments.settings.labels import LABELS
from companion.tables.results import results_table
from records import record
from ugradsl_core.errors import DataError

RETRAIN = [record("retrain", seed, 30.0, 50.0, 100.0, 70.0) for seed in range(3)]


def gaps(label: str, *sizes: float) -> list:
    """Runs whose Avg. Gap to RETRAIN is as given: UA is off by four times as much."""
    return [record(label, s, 30.0 + 4 * size, 50.0, 100.0, 70.0) for s, size in enumerate(sizes)]


def test_summary_by_hand() -> None:
    runs = [*RETRAIN, *gaps("ugradsl", 1, -1, 3), record("ga", 0), *gaps("ugradsl:adaptive", 2)]
    table = summary(runs).set_index("label")
    assert list(table.index) == ["retrain", "ga", "ugradsl", "ugradsl:adaptive"]
    row = table.loc["ugradsl"]
    assert (row["n"], row["diverged"], row["method"]) == (3, 0, "UGradSL")
    assert row["UA"] == pytest.approx(34)
    assert row["UA_std"] == pytest.approx(8)  # 34, 26, 42; n − 1
    assert row["gap_of_means"] == pytest.approx(1)
    assert row["mean_of_gaps"] == pytest.approx(5 / 3)
    assert row["mean_of_gaps_std"] == pytest.approx(math.sqrt(4 / 3))
    assert (row["RTE"], row["forward"], row["backward"]) == (1.5, 20, 10)
    assert math.isnan(row["mean_of_gaps_add_MIA"])  # these records have no additional MIA
    assert math.isnan(table.loc["retrain", "mean_of_gaps"])
    assert (table.loc["ga", "n"], table.loc["ga", "diverged"]) == (0, 1)
    assert math.isnan(table.loc["ga", "UA"])
    assert table.loc["ugradsl:adaptive", "method"] == "UGradSL (adaptive)"
    assert math.isnan(table.loc["ugradsl:adaptive", "UA_std"])


def test_the_gap_of_table_4_takes_the_additional_mia_in() -> None:
    runs = []
    for label, shifts in (("retrain", (0, 0)), ("ga", (10, -10))):
        for seed, shift in enumerate(shifts):
            made = record(label, seed, 30.0, 50.0, 100.0, 70.0)
            runs.append(replace(made, metrics={**made.metrics, "add_MIA": 50.0 + shift}))
    row = summary(runs).set_index("label").loc["ga"]
    assert row["mean_of_gaps"] == 0
    assert row["mean_of_gaps_add_MIA"] == pytest.approx(2)  # (0 + 0 + 0 + 0 + 10) / 5
    assert row["mean_of_gaps_std_add_MIA"] == pytest.approx(0)
    assert row["gap_of_means_add_MIA"] == pytest.approx(0)  # +10 and −10 cancel


def test_an_attack_without_a_signal_is_named_and_never_rewarded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    blind = [record("ga", seed, 30.0, math.nan, 100.0, 70.0) for seed in range(2)]
    mixed = [record("ft", 0, 30.0, math.nan, 100.0, 70.0), record("ft", 1, 30.0, 48.0, 100.0, 70.0)]
    runs = [*RETRAIN[:2], *blind, *mixed]
    table = summary(runs).set_index("label")
    assert list(table["MIA_no_signal"]) == [0, 1, 2]  # retrain, ft, ga
    assert math.isnan(table.loc["ga", "MIA"])
    assert table.loc["ft", "MIA"] == 48
    assert table.loc["ga", "mean_of_gaps"] == table.loc["ga", "gap_of_means"] == 25
    assert table.loc["ft", "mean_of_gaps"] == pytest.approx((25 + 0.5) / 2)
    print_summary(runs)
    shown = capsys.readouterr().out
    assert "no signal" in shown
    assert "48.00 (1 without signal)" in shown
    assert "counts as a gap of 100 points" in shown
    print_summary(RETRAIN)
    assert "signal" not in capsys.readouterr().out
    html = results_table(runs, "made.csv")
    assert "no signal" in html
    assert "Avg. Gap (5)" in html
    assert set(signed_gaps(runs).query("label == 'ga'")["metric"]) == {"UA", "RA", "TA"}


def test_variants_follow_their_method() -> None:
    shuffled = ["ugradsl+", "ugradsl:adaptive-positive", "ugradsl:adaptive", "ugradsl", "retrain"]
    assert natural_order(shuffled) == shuffled[::-1]
    assert natural_order(LABELS[::-1]) == list(LABELS)


def test_runs_are_paired_with_retrain_of_their_own_seed() -> None:
    runs = [record("retrain", 2, 9.0, 9.0, 9.0, 9.0), *gaps("ft", 1, 1, 1), record("ft", 3)]
    found, references = paired(runs, "ft")
    assert len(found) == 1
    assert references[0]["UA"] == 9.0
    assert paired(gaps("ft", 1), "ft") == ([], [])


def test_a_frame_has_a_row_for_each_record_even_of_none() -> None:
    assert list(frame([*RETRAIN, record("ga", 0)])["status"]) == ["ok"] * 3 + ["diverged"]
    assert list(frame([]).columns) == list(frame(RETRAIN).columns)


def test_tables_do_not_mix_settings_or_scales() -> None:
    assert one_setting(RETRAIN) is RETRAIN[0]
    with pytest.raises(DataError, match="there are none"):
        one_setting([])
    for change in ({"scale": "bench"}, {"setting_hash": "other"}):
        with pytest.raises(DataError, match="several settings"):
            one_setting([*RETRAIN, record("ga", 0, **change)])


def test_records_of_two_protocols_never_meet_in_a_table() -> None:
    mixed = [replace(RETRAIN[0], protocol="passes-1"), *RETRAIN[1:]]
    with pytest.raises(DataError, match=r"several protocols \(none, passes-1\); a table shows one"):
        one_setting(mixed)


def test_the_protocols_records_come_before_others(tmp_path: Path) -> None:
    write_records(tmp_path / "cifar10-random10-bench.jsonl", RETRAIN)
    assert published("cifar10-random10", "bench", tmp_path) == RETRAIN
    trials = campaign.references()
    campaign.write(tmp_path, trials)
    assert published("cifar10-random10", "bench", tmp_path) == RETRAIN  # there are trials alone
    made = campaign.results({"ugradsl:adaptive": [1.0] * 3, "ga": [2.0] * 3})
    campaign.write(tmp_path, [*trials, *made])
    found = published("cifar10-random10", "bench", tmp_path)
    assert sorted(found, key=repr) == sorted(made, key=repr)
    every = campaign_records("cifar10-random10", "bench", tmp_path)
    assert len(every) == len(made) + len(trials)
    assert campaign_records("cifar10-class", "bench", tmp_path) == []


def test_a_file_of_the_campaign_holds_one_method_by_the_protocol(tmp_path: Path) -> None:
    folder = tmp_path / "passes-1" / "cifar10-random10-bench"
    two = [campaign.run("ga", 0, 1.0), campaign.run("ft", 0, 1.0)]
    write_records(folder / "ga.jsonl", two)
    with pytest.raises(DataError, match=r"ga\.jsonl: should hold one method; found ft, ga"):
        campaign_records("cifar10-random10", "bench", tmp_path)
    write_records(folder / "ga.jsonl", [replace(two[0], protocol="")])
    with pytest.raises(DataError, match=r"records of protocol passes-1; found one of none"):
        campaign_records("cifar10-random10", "bench", tmp_path)


def test_settings_with_records_are_found_in_order_with_name_and_scale(tmp_path: Path) -> None:
    assert published_settings(tmp_path) == []
    folder = tmp_path / "passes-1"
    for place in ("svhn-class-bench", "cifar10-random10-smoke"):
        write_records(folder / place / "ga.jsonl", [campaign.run("ga", 0, 1.0)])
    (folder / "notes-of-a-run").write_text("no folder", "utf-8")
    assert published_settings(tmp_path) == [
        ("cifar10-random10", "smoke", folder / "cifar10-random10-smoke"),
        ("svhn-class", "bench", folder / "svhn-class-bench"),
    ]


def test_published_records_are_found_by_name_and_scale(tmp_path: Path) -> None:
    write_records(tmp_path / "digits-random10-smoke.jsonl", RETRAIN)
    assert published("digits-random10", "smoke", tmp_path) == RETRAIN
    assert published("digits-random10", "bench", tmp_path) == []
