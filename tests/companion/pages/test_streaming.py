"""The page on streaming shows what was measured, and says so where nothing was."""

import json
from pathlib import Path
from typing import Any

import pytest

from companion.pages import measurements
from companion.pages.markdown import NOT_RUN_YET
from ugradsl_core.errors import StoreError

BOOK = Path(__file__).parents[3] / "book"
WHERE = {
    "created": "2000-01-02T03:04:05+00:00",
    "processor": "a processor",
    "torch": "9.9",
    "commit": "0123456789abcdef",
}


def memory(how: str, images: int, peak: float, **changes: Any) -> dict[str, Any]:
    options = {"image_size": 64, "batch": 128, "workers": 2, "prefetch": 2, "imported_mib": 300.0}
    line = {"name": measurements.MEMORY, "how": how, "images": images, "peak_mib": peak}
    return {**line, **options, **WHERE, **changes}


def epoch(files: str, count: int, both: list[float]) -> dict[str, Any]:
    return {
        "name": measurements.EPOCH,
        "files": files,
        "images": 640,
        "model": "a model",
        "image_size": 32,
        "batch": 128,
        "decoding_threads": count,
        "computing_threads": count,
        "decode": [2.0, 1.0],
        "compute": [1.5, 1.25],
        "both": both,
        "ratio": min(both) / 1.25,
        "share_of_sum": min(both) / 2.25,
        **WHERE,
    }


def written(tmp_path: Path, lines: list[dict[str, Any]]) -> Path:
    path = tmp_path / measurements.STREAMING
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.fixture
def book(tmp_path: Path) -> Path:
    peaks = {"stream": (400.0, 404.0, 406.0), "memory": (450.0, 600.0, 900.0)}
    lines = [memory("stream", 100, 999.0)]  # measured again below
    for how, values in peaks.items():
        lines += [memory(how, n, p) for n, p in zip((100, 400, 800), values, strict=True)]
    lines += [epoch("9×9", 2, [3.0, 2.8]), epoch("9×9", 1, [1.4, 1.3])]
    rates = {"one_thread": 1234.5, "two_threads": 2400.0, "two_processes": 2300.0}
    lines.append(
        {
            "name": measurements.DECODING,
            "files": "9×9",
            "images_per_second": rates,
            "one_thread": [1.0, 2.0, 3.0],
            **WHERE,
        }
    )
    return written(tmp_path, lines)


def test_growth_is_computed_from_the_first_and_the_last_point(book: Path) -> None:
    text = measurements.memory(book)
    assert "From 100 to 800 images" in text
    assert "streamed by +6.0 MiB (+1.5\u00a0%); in memory by +450.0 MiB (+100.0\u00a0%)" in text
    assert "epoch's peak differs by +1.0\u00a0%" in text
    assert "2000-01-02, a processor, torch 9.9, commit `0123456789`" in text


def test_the_figure_has_a_line_for_each_way(book: Path) -> None:
    first, again = (measurements.memory_figure(book) for _ in range(2))
    assert first == again
    assert "</svg>" in first
    series = measurements._series(measurements.streaming_lines(book, measurements.MEMORY))
    assert series["streamed"] == [(100, 400.0), (400, 404.0), (800, 406.0)]
    assert list(series) == ["streamed", "in memory"]


def test_tables_show_the_fastest_runs_and_both_ratios(book: Path) -> None:
    rows = measurements.epochs(book).split("* - 9×9\n")
    assert len(rows) == 3
    assert "  - 1\n  - 1.00\n  - 1.25\n  - 1.30\n  - 1.04\n  - 0.58" in rows[1]
    assert "  - 2\n  - 1.00\n  - 1.25\n  - 2.80\n  - 2.24\n  - 1.24" in rows[2]
    assert "the fastest of 2 runs" in rows[2]
    text = measurements.decoding(book)
    assert "* - 9×9\n  - 1,234\n  - 2,400\n  - 2,300" in text
    assert "the fastest of 3 runs" in text


def test_without_measurements_the_page_says_so(tmp_path: Path) -> None:
    for name, fragment in measurements.FRAGMENTS.items():
        assert fragment(tmp_path) == ("" if name.endswith("svg") else NOT_RUN_YET)


@pytest.mark.parametrize("line", ["{", '{"images": 3}', '{"name": "decoding"}', "[]"])
def test_a_damaged_line_stops_the_build(book: Path, line: str) -> None:
    path = book / measurements.STREAMING
    path.write_text("\n".join([line, *path.read_text().splitlines()]) + "\n")
    with pytest.raises(StoreError, match=r"streaming\.jsonl, line 1: is damaged"):
        measurements.decoding(book)


def test_the_page_includes_every_fragment() -> None:
    page = (BOOK / "streaming.md").read_text("utf-8")
    own = [name for name in measurements.FRAGMENTS if name.startswith("streaming-")]
    assert own
    assert [name for name in own if f"_generated/{name}" in page] == [
        name for name in own if name.endswith("md")
    ]
