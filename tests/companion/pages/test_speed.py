"""Pages show measured ratios, and say so where nothing was measured."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from companion.experiments.records.store import write_records
from companion.experiments.settings.preset import load_presets
from companion.pages import measurements, presets
from companion.pages.markdown import NOT_RUN_YET
from records import record
from ugradsl_core.errors import StoreError

BOOK = Path(__file__).parents[3] / "book"


def line(name: str, ours: list[float], **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "ratio": min(ours) / 0.5,
        "limit": 1.1,
        "ours": ours,
        "bare": [0.5, 0.6],
        "device": "cpu",
        "threads": 1,
        "torch": "9.9",
        "processor": "a processor",
        "commit": "0123456789abcdef",
        "created": "2000-01-02T03:04:05+00:00",
        **changes,
    }


@pytest.fixture
def book(tmp_path: Path) -> Path:
    lines = [
        line("method ft", [9.0, 8.0]),  # measured again below
        line("method ft", [0.51, 0.515]),
        line("evaluation", [0.6, 0.55], threads=2),
    ]
    path = tmp_path / measurements.SPEED
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return tmp_path


def test_the_last_measurement_counts(book: Path) -> None:
    table = measurements.methods(book)
    for shown in ("FT", "1.02", "510", "500"):
        assert shown in table
    for hidden in ("16.00", "evaluation"):
        assert hidden not in table
    assert measurements.sentence("ft", book).startswith("Wall time: 1.02 times")
    assert "1 thread)" in measurements.sentence("ft", book)


def test_other_parts_have_their_own_table(book: Path) -> None:
    table = measurements.parts(book)
    for shown in ("evaluation", "1.10", "2 threads"):
        assert shown in table
    assert "FT" not in table


def test_nothing_measured_is_said(tmp_path: Path) -> None:
    assert measurements.methods(tmp_path) == measurements.parts(tmp_path) == NOT_RUN_YET
    assert measurements.sentence("ft", tmp_path) == ""


def test_a_damaged_line_stops_the_build(book: Path) -> None:
    with (book / measurements.SPEED).open("a") as file:
        file.write("{")
    with pytest.raises(StoreError, match="line 4: is damaged"):
        measurements.methods(book)


def test_published_ratios_keep_their_limits() -> None:
    lines = measurements.ratios(BOOK)
    assert {x["name"] for x in lines} >= {"method ugradsl", "training epoch / bare loop"}
    for each in lines:
        assert each["ratio"] == pytest.approx(min(each["ours"]) / min(each["bare"]))
        assert each["ratio"] <= each["limit"], each["name"]


def test_what_a_seed_takes_is_reckoned_and_measured(tmp_path: Path) -> None:
    assert presets.bench_time(tmp_path) == NOT_RUN_YET
    one = line("t", [1.0], preset="cifar10-class", minutes=12.34, parts={"iu": 3.21, "ft": 9.13})
    path = tmp_path / presets.TIMES
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(one) + "\n")
    records = [
        dataclasses.replace(record(method, seed, 1, 2, 3, 4), seconds=60.0 * (seed + 1))
        for method in ("retrain", "ft")
        for seed in (0, 1)
    ]
    (tmp_path / "results").mkdir()
    write_records(tmp_path / "results" / "cifar10-class-bench.jsonl", records)
    text = presets.bench_time(tmp_path)
    cells = [row.split() for row in text.split("* - ")[1:]]
    rows = {cell[0].strip("`"): " ".join(cell[1:]) for cell in cells}
    assert rows["cifar10-class"] == "- 9.1 - 3.2 - 3.0"  # (2·1 + 2·2)/2 minutes
    assert rows["cifar20-subclass"] == "- not estimated - – - –"
    assert set(load_presets("bench")) <= set(rows)
    assert "2000-01-02" in text
