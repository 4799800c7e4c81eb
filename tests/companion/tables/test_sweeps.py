"""Sweeps on pages: the paper's numbers, made-up records of ours, and what is said of them."""

import math
from pathlib import Path

import pandas as pd
import pytest

import campaign_records as made
from companion.experiments.grid.grid import file_stem
from companion.experiments.records.record import Record
from companion.experiments.records.store import write_records
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.records.sweeps import summary
from companion.figures import interactive
from companion.figures import sweeps as figures
from companion.paper.numbers import load_table
from companion.tables import sweeps as tables
from ugradsl_core.errors import DataError

SETTING = "cifar10-random10"


def publish(root: Path, label: str, name: str, gaps: dict[object, list[float]]) -> list[Record]:
    """Publish a made-up sweep, and references of its seeds, as the campaign does."""
    own = [
        made.run(label, seed, gap, config={name: value})
        for value, found in gaps.items()
        for seed, gap in enumerate(found)
    ]
    seeds = range(max(map(len, gaps.values())))
    levels = {"retrain": 0.0, "retrain:again": 0.5, "no-step": 5.0}
    made.write(root, [made.run(x, seed, gap) for x, gap in levels.items() for seed in seeds])
    folder = root / PROTOCOL / f"{SETTING}-bench"
    write_records(folder / f"sweep-{file_stem(label)}-{name}.jsonl", own)
    return own


def test_what_the_paper_prints_is_in_the_table_as_printed() -> None:
    found = tables.printed([13, 14])
    source = load_table(14)
    cell = source[
        (source["parameter_value"].astype(str) == "0.91") & (source["metric"] == "avg_gap")
    ]
    row = found[(found["label"] == "ugradsl+") & (found["p"] == 0.91)]
    assert float(row["gap"].iloc[0]) == float(cell["mean"].iloc[0])
    assert set(found["label"]) == {"retrain", "ugradsl", "ugradsl+"}
    assert len(found) == 1 + 2 * 20
    shares = tables.printed([17])
    assert sorted(set(shares["fraction"])) == [0.1, 0.2, 0.3, 0.4, 0.5]
    adaptive = tables.printed([6, 7])
    assert None in set(adaptive["beta"])
    assert set(adaptive["distance"].dropna()) == {"cosine", "euclidean"}
    assert len(tables.printed([19]).query("label == 'retrain'")) == 1


def test_without_a_sweep_there_is_a_sentence_with_the_command(tmp_path: Path) -> None:
    assert tables.published(SETTING, ["ugradsl"], ["p"], root=tmp_path) == []
    text = tables.take_away([], tables.printed([13]), ["p"], "the sweep of p")
    assert "Not run yet: the sweep of p." in text
    assert "<code>make campaign</code>" in text
    assert "from 1.94 at p = 0.86" in text
    assert "Not run yet" in tables.control([])


def test_a_page_fills_in_by_itself_when_records_come(tmp_path: Path) -> None:
    publish(tmp_path, "ugradsl", "p", {0.8: [9.0] * 3, 0.9: [1.0, 1.2, 0.8], 0.95: [3.0] * 3})
    records = tables.published(SETTING, ["ugradsl", "ugradsl+"], ["p"], root=tmp_path)
    text = tables.take_away(records, tables.printed([13]), ["p"], "the sweep of p")
    assert "Not run yet" not in text
    assert "from 1.0 points at p = 0.9 to 9.0 at p = 0.8" in text
    assert "2 of 3 have a smaller mean gap than leaving the weights as they are (5.0)" in text
    assert "more than 2 times the smallest (9.0)" in text
    assert "0.5 points apart" in text
    panels = {"Ours": summary(records, ["p"])}
    words = tables.spoken(panels, ["p"])
    assert "UGradSL is nearest at p = 0.9 (1.0) and farthest at p = 0.8 (9.0)" in words
    assert "no step 5.0; noise floor 0.5" in words
    assert figures.curves(panels, "p", "p").axes
    assert '"values": [0.8, 0.9, 0.95]' in interactive.sweep(panels, "p", "p", 0.9)


def test_a_contradiction_comes_first_and_only_where_there_is_one(tmp_path: Path) -> None:
    values = [0.8, 0.85, 0.9]
    steady = publish(tmp_path, "ugradsl+", "p", {value: [2.0] * 3 for value in values})
    records = tables.published(SETTING, ["ugradsl+"], ["p"], root=tmp_path)
    assert len(records) == len(steady) + 9
    paper = tables.printed([14])
    text = tables.take_away(records, paper, ["p"], "the sweep of p")
    assert text.startswith("<p><strong>Our records contradict the paper on p: UGradSL+ varies 1.0")
    gaps = tables.gaps_of(paper, "ugradsl+", ["p"])
    ratio = max(gaps.values()) / min(gaps.values())
    assert f"{ratio:.1f}-fold in the paper" in text
    publish(tmp_path, "ugradsl+", "p", {0.8: [9.0] * 3, 0.85: [4.0] * 3, 0.9: [2.0] * 3})
    records = tables.published(SETTING, ["ugradsl+"], ["p"], root=tmp_path)
    assert "contradict" not in tables.take_away(records, paper, ["p"], "the sweep of p")


@pytest.mark.parametrize(
    ("own", "shuffled", "words"),
    [
        ([1.0, 1.1, 0.9], [6.0, 6.2, 5.9], "come nearer to Retrain than the same rates shuffled"),
        ([6.0, 6.1, 5.9], [1.0, 1.2, 0.9], "are further from Retrain"),
        ([1.0, 3.0, 2.0], [2.0, 1.0, 3.0], "cannot be told from"),
    ],
)
def test_the_control_is_judged_by_the_protocol(
    own: list[float], shuffled: list[float], words: str, tmp_path: Path
) -> None:
    publish(tmp_path, "ugradsl:adaptive", "rates", {"own": own, "shuffled": shuffled})
    records = tables.published(SETTING, ["ugradsl:adaptive"], ["rates"], root=tmp_path)
    assert words in tables.control(records)


def test_smoke_records_of_the_control_bear_no_verdict() -> None:
    records = [made.run("retrain", 0, 0.0, scale="smoke")]
    with pytest.raises(DataError, match="smoke scale, which supports no verdict"):
        tables.control(records)


def test_shares_are_read_where_there_is_a_retrain(tmp_path: Path) -> None:
    for share in (10, 20):
        preset = f"cifar10-random{share}"
        gaps = {"ga": [9.0, 9.1, 9.2], "ugradsl+": [1.0, 1.1, 1.2]}
        made.write(tmp_path, made.results(gaps, preset), preset)
    made.write(tmp_path, [made.run("ga", 0, 1.0, "cifar10-random30")], "cifar10-random30")
    records = tables.published_fractions("cifar10", ["ga", "ugradsl+"], root=tmp_path)
    assert sorted({record.setting["fraction"] for record in records}) == [0.1, 0.2]
    text = tables.best_by(records, "fraction")
    assert text.count("UGradSL+, of 2 methods, cannot be told from the best") == 2


def table_of(rows: list[tuple[str, float, float]]) -> pd.DataFrame:
    columns = ["label", "passes", "gap"]
    return pd.DataFrame(rows, columns=columns).assign(method="", epochs=1)


def test_the_front_is_what_no_other_run_beats_in_both() -> None:
    table = table_of(
        [
            ("no-step", 1, 0.1), ("ga", 10, 8.0), ("ft", 20, 9.0), ("ga", 20, 8.0),
            ("ugradsl", 30, 3.0), ("ft", 30, 2.0), ("ft", 90, 2.5), ("ugradsl+", 99, math.nan),
        ]
    )  # fmt: skip
    found = figures.front(table)[["label", "passes"]].to_records(index=False).tolist()
    slow = [
        (a.label, a.passes)
        for a in table.itertuples()
        if a.label != "no-step"
        and not math.isnan(a.gap)
        and not any(
            b.label != "no-step"
            and b.passes <= a.passes
            and b.gap <= a.gap
            and (b.passes, b.gap) != (a.passes, a.gap)
            for b in table.itertuples()
        )
    ]
    assert found == slow == [("ga", 10), ("ft", 30)]
