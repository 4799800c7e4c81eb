"""The command on consoles and pipes that are not UTF-8: nothing is lost but a few signs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ugradsl_core.store import read_records
from ugradsl_core.unlearning import METHODS

ENCODINGS = ("cp1252", "ascii")


def command(encoding: str, folder: Path, *words: str) -> bytes:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    call = [sys.executable, "-m", "ugradsl_core", *words]
    done = subprocess.run(call, check=False, cwd=folder, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr.decode(encoding, "replace")
    return done.stdout


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "words", ["methods", "audit", "claims", "table cifar10-random10", "presets", "datasets"]
)
def test_what_cannot_be_shown_is_a_question_mark(encoding: str, words: str, tmp_path: Path) -> None:
    assert command(encoding, tmp_path, *words.split()).decode(encoding).strip()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_loses_nothing(encoding: str, tmp_path: Path) -> None:
    found = json.loads(command(encoding, tmp_path, "methods", "--json"))
    assert {name: row["title"] for name, row in found.items()} == {
        name: method.title for name, method in METHODS.items()
    }
    assert "ℓ" in found["l1-sparse"]["title"]


def test_records_are_published_before_the_table_is_printed(tmp_path: Path) -> None:
    words = "experiment digits-random10 --methods retrain,l1-sparse -p training.epochs 1"
    printed = command("ascii", tmp_path, *words.split(), "--publish", "out.jsonl").decode("ascii")
    assert len(read_records(tmp_path / "out.jsonl")) == 2
    assert "?1-sparse" in printed
    assert "2 records written to out.jsonl" in printed
