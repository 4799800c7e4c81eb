"""The command on consoles and pipes that are not UTF-8: nothing is lost but a few signs."""

import io
import json
import sys
from pathlib import Path

import pytest

from companion.cli.main import main
from companion.experiments.records.store import read_records
from companion.files import RESULTS
from ugradsl_core.methods import METHODS

ENCODINGS = ("cp1252", "latin-1", "ascii")


@pytest.fixture
def console(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Console":
    monkeypatch.chdir(tmp_path)
    return Console(monkeypatch)


class Console:
    """Runs the command in this process on streams of an encoding."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.monkeypatch = monkeypatch

    def __call__(self, encoding: str, *words: str) -> str:
        out, errors = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        self.monkeypatch.setattr(sys, "argv", ["ugradsl", *words])
        self.monkeypatch.setattr(sys, "stdout", out)
        self.monkeypatch.setattr(sys, "stderr", errors)
        with pytest.raises(SystemExit) as caught:
            main()
        assert not caught.value.code
        out.flush()
        return out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


TABLE = f"table cifar10-random10 --records {RESULTS / 'before' / 'cifar10-random10-bench.jsonl'}"


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("words", ["methods", "audit", "claims", TABLE, "presets", "datasets"])
def test_what_cannot_be_shown_is_a_question_mark(
    encoding: str, words: str, console: Console
) -> None:
    assert console(encoding, *words.split()).strip()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_loses_nothing(encoding: str, console: Console) -> None:
    found = json.loads(console(encoding, "methods", "--json"))
    assert {name: row["title"] for name, row in found.items()} == {
        name: method.title for name, method in METHODS.items()
    }
    assert "ℓ" in found["l1-sparse"]["title"]


def test_records_are_published_before_the_table_is_printed(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "experiment digits-random10 --methods retrain,l1-sparse -p training.epochs 1"
    printed = console("ascii", *words.split(), "--publish", "out.jsonl")
    assert len(read_records(Path("out.jsonl"))) == 2
    assert "?1-sparse" in printed
    assert "2 records written to out.jsonl" in printed

    def fail(_: object) -> None:
        raise OSError("the console has gone")

    monkeypatch.setattr("companion.cli.experiments.print_summary", fail)
    with pytest.raises(OSError, match="has gone"):
        console("ascii", *words.split(), "--publish", "again.jsonl")
    assert len(read_records(Path("again.jsonl"))) == 2
