"""The line under a figure: what can be downloaded is what was measured."""

import base64
import io
import re

import pandas as pd
import pytest

from companion.experiments.records.store import parse_record
from companion.experiments.runs.evidence import Evidence
from companion.tables.sources import (
    published_line,
    published_set,
    record_files,
    records_frame,
    source_line,
)
from records import record


def downloads(line: str) -> dict[str, str]:
    found = re.findall(r'download="([^"]+)" href="data:[^;]+;base64,([^"]+)"', line)
    return {name: base64.b64decode(data).decode() for name, data in found}


def test_records_are_downloaded_as_they_are() -> None:
    records = [record("ga", 0, 1.0, 2.0, 3.0, 4.0), record("retrain", 3, 5.0, 6.0, 7.0, 8.0)]
    line = source_line("made-up", "make campaign", records=records, cell="fig-made-up")
    files = downloads(line)
    found = [parse_record(text) for text in files["made-up-records.jsonl"].splitlines()]
    assert found == records
    table = pd.read_csv(io.StringIO(files["made-up-records.csv"]))
    ua = table[table["quantity"] == "UA"]
    assert list(ua["value"]) == [1.0, 5.0]
    assert list(ua["seed"]) == [0, 3]
    assert set(ua["unit"]) == {"percent"}
    assert set(table["scale"]) == {"smoke"}
    assert "2 records, smoke scale, seeds 0, 3" in line
    assert 'href="#fig-made-up"' in line
    assert "<code>make campaign</code>" in line


def test_a_diverged_run_has_no_number_but_a_row() -> None:
    table = records_frame([record("ga", 0)])
    assert table.loc[table["quantity"] == "UA", "value"].isna().all()
    assert set(table["status"]) == {"diverged"}


@pytest.mark.parametrize("given", [True, False])
def test_without_records_the_line_says_so_unless_there_are_other_data(given: bool) -> None:
    data = pd.DataFrame({"p": [0.9]}) if given else None
    line = source_line("made-up", "make campaign", data=data)
    assert ("no records yet" in line) != given
    assert list(downloads(line)) == ["made-up-data.csv"] * given


def test_the_line_of_published_records_points_to_the_files_of_the_book() -> None:
    results = (record("ga", 0, 1.0, 2.0, 3.0, 4.0), record("retrain", 0, 5.0, 6.0, 7.0, 8.0))
    evidence = Evidence("cifar10-random10", "bench", results, trials=())
    line = published_line(evidence, "results", "fig-made-up")
    files = record_files(*published_set(evidence, "results"))
    assert re.findall(r'download href="\.\./records/([^"]+)"', line) == list(files)
    csv, jsonl = files.values()
    assert [parse_record(text) for text in jsonl.splitlines()] == list(results)
    assert set(pd.read_csv(io.StringIO(csv))["label"]) == {"ga", "retrain"}
    assert downloads(line) == {}
    assert "2 records" in line
    assert "no records yet" in published_line(evidence, "trials", "fig-made-up")
