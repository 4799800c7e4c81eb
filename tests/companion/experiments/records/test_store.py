"""The store: round trips, damage of every kind, other versions, and a full disk."""

import errno
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from companion.experiments.records.store import (
    DamagedFileWarning,
    Store,
    all_records,
    drop_state,
    keep_checkpoint,
    load_record,
    load_state,
    open_store,
    parse_record,
    read_records,
    record_line,
    save_record,
    save_state,
    write_records,
)
from records import record
from toys import same_bits, seeded_model
from ugradsl_core.errors import StoreError
from ugradsl_core.training.files import write_text

ONE = record("ugradsl", 0, 20.0, 30.0, 99.0, 60.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def names(store: Store) -> list[str]:
    return sorted(p.name for p in store.root.rglob("*") if p.is_file())


def test_a_record_survives_its_line_and_the_store(store: Store) -> None:
    line = record_line(ONE)
    assert "\n" not in line
    assert "α ≤ 1" in line
    assert parse_record(line) == ONE
    save_record(store, "key", ONE)
    assert load_record(store, "key") == ONE
    assert load_record(store, "other") is None
    assert names(store) == ["key.json", "store.json"]


def test_numbers_survive_bit_for_bit(store: Store) -> None:
    exact = record("ga", 0, 1 / 3, 0.1 + 0.2, 1e-300, 100 - 2**-40)
    save_record(store, "key", exact)
    found = load_record(store, "key")
    assert found is not None
    assert dict(found.metrics) == dict(exact.metrics)


def test_a_metric_without_a_signal_is_null_in_the_line_and_nan_again() -> None:
    made = record("ft", 0, 10.0, math.nan, 99.0, 70.0)
    made = replace(made, metrics={**made.metrics, "mia": {"entropy": math.nan, "confidence": 1.0}})
    line = record_line(made)
    strict = json.loads(line, parse_constant=pytest.fail)  # called for NaN, which no JSON has
    assert strict["metrics"]["MIA"] is None
    read = parse_record(line)
    assert math.isnan(read.metrics["MIA"])
    assert math.isnan(read.metrics["mia"]["entropy"])
    assert read.metrics["mia"]["confidence"] == 1.0
    assert record_line(read) == line


def test_weights_survive_bit_for_bit(store: Store) -> None:
    state = seeded_model("cnn").state_dict()
    save_state(store, "model", state, {"seed": 3})
    found = load_state(store, "model")
    assert found is not None
    assert same_bits(dict(sorted(state.items())), dict(sorted(found[0].items())))
    assert found[1] == {"seed": 3}
    assert load_state(store, "other") is None


def test_weights_in_channels_last_memory_survive(store: Store) -> None:
    model = seeded_model("cnn").to(memory_format=torch.channels_last)
    save_state(store, "model", model.state_dict(), {})
    found = load_state(store, "model")
    assert found is not None
    assert all(torch.equal(value, found[0][name]) for name, value in model.state_dict().items())


def test_dropped_weights_are_gone(store: Store) -> None:
    save_state(store, "model", {"a": torch.zeros(1)}, {})
    drop_state(store, "model")
    drop_state(store, "model")
    assert names(store) == ["store.json"]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def not_utf8(path: Path) -> None:
    path.write_bytes(b"\xff\xfe\x00")


def null(path: Path) -> None:
    path.write_text("null")


def a_list(path: Path) -> None:
    path.write_text("[1]")


def change_a_number(path: Path) -> None:
    text = path.read_text()
    assert '"UA": 20.0' in text
    path.write_text(text.replace('"UA": 20.0', '"UA": 21.0'))


@pytest.mark.parametrize(
    "damage", [truncate, empty, flip_a_bit, not_utf8, null, a_list, change_a_number]
)
def test_a_damaged_record_is_set_aside_and_absent(
    store: Store, damage: Callable[[Path], None]
) -> None:
    save_record(store, "key", ONE)
    damage(store.root / "records" / "key.json")
    with pytest.warns(DamagedFileWarning, match=r"key\.json: .* set aside and is computed again"):
        assert load_record(store, "key") is None
    assert names(store) == ["key.json.damaged", "store.json"]
    assert all_records(store) == []
    save_record(store, "key", ONE)
    assert all_records(store) == [ONE]


@pytest.mark.parametrize("damage", [truncate, empty, flip_a_bit])
def test_damaged_weights_are_set_aside_and_never_used(
    store: Store, damage: Callable[[Path], None]
) -> None:
    save_state(store, "model", seeded_model("cnn").state_dict(), {})
    damage(store.root / "models" / "model.safetensors")
    with pytest.warns(DamagedFileWarning, match="does not match its checksum"):
        assert load_state(store, "model") is None
    assert load_state(store, "model") is None
    assert "model.safetensors.damaged" in names(store)


@pytest.mark.parametrize("damage", [truncate, empty, not_utf8, null, a_list])
def test_a_damaged_description_makes_weights_absent(
    store: Store, damage: Callable[[Path], None]
) -> None:
    save_state(store, "model", {"a": torch.zeros(3)}, {"seed": 3})
    damage(store.root / "models" / "model.json")
    with pytest.warns(DamagedFileWarning, match=r"model\.json: is not a valid description"):
        assert load_state(store, "model") is None


def test_a_changed_description_is_found(store: Store) -> None:
    """Retrain's seconds are read from it into records."""
    save_state(store, "model", {"a": torch.zeros(3)}, {"result": {"seconds": 20.0}})
    path = store.root / "models" / "model.json"
    path.write_text(path.read_text().replace("20.0", "21.0"))
    with pytest.warns(DamagedFileWarning):
        assert load_state(store, "model") is None


@pytest.mark.parametrize("missing", ["model.json", "model.safetensors"])
def test_half_of_a_pair_is_absent(store: Store, missing: str) -> None:
    save_state(store, "model", {"a": torch.zeros(3)}, {})
    (store.root / "models" / missing).unlink()
    assert load_state(store, "model") is None


@pytest.mark.parametrize(
    "content", ['{"format": 99}', '{"format": "1"}', "{}", "[1]", "", "{", "null"]
)
def test_a_store_of_another_version_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    (tmp_path / "store.json").write_text(content)
    with pytest.raises(StoreError, match=r"this store has format .* reads format 1; .* --store"):
        open_store(tmp_path)
    assert (tmp_path / "store.json").read_text() == content


def test_a_folder_of_something_else_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="is not empty and not a store"):
        open_store(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_store_opens_again_and_an_empty_folder_becomes_one(tmp_path: Path) -> None:
    assert open_store(tmp_path) == open_store(str(tmp_path))
    assert json.loads((tmp_path / "store.json").read_text()) == {"format": 1}


def test_a_store_whose_creation_was_killed_opens(tmp_path: Path) -> None:
    (tmp_path / ".store.json.a1b2c3d4").write_text("")
    open_store(tmp_path)


def test_leftovers_of_a_killed_write_are_no_records(store: Store) -> None:
    save_record(store, "key", ONE)
    (store.root / "records" / ".other.json.a1b2c3d4").write_text("{")
    assert all_records(store) == [ONE]


def test_a_record_of_another_version_is_not_read(store: Store) -> None:
    content = json.loads(record_line(ONE))
    del content["sha256"], content["note"]
    import hashlib

    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(StoreError, match="fields are those of another version"):
        parse_record(json.dumps(content))


def test_published_records_round_trip_and_a_damaged_line_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    both = [ONE, record("ga", 1, 1.0, 2.0, 3.0, 4.0)]
    write_records(path, both)
    assert read_records(path) == both
    path.write_text(path.read_text()[:-30])
    with pytest.raises(StoreError, match=r"results\.jsonl, line 2: record: the line is truncated"):
        read_records(path)
    path.write_text(record_line(ONE).replace("20.0", "25.0"))
    with pytest.raises(StoreError, match="line 1: record: the content does not match"):
        read_records(path)


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.write_text", "tempfile.mkstemp"])
def test_a_full_disk_leaves_the_old_record_and_nothing_half_written(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    save_record(store, "key", ONE)
    before = names(store)
    with monkeypatch.context() as patch:
        patch.setattr(call, full)
        with pytest.raises(StoreError, match=r"key\.json: cannot be written \(No space left"):
            save_record(store, "key", record("ugradsl", 0, 0.0, 0.0, 0.0, 0.0))
        with pytest.raises(StoreError, match="No space left"):
            save_record(store, "new", ONE)
    assert names(store) == before
    assert load_record(store, "key") == ONE


def test_a_full_disk_leaves_the_old_weights(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    save_state(store, "model", {"a": torch.zeros(3)}, {})
    before = names(store)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(StoreError, match="No space left"):
            save_state(store, "model", {"a": torch.ones(3)}, {})
    assert names(store) == before
    found = load_state(store, "model")
    assert found is not None
    assert torch.equal(found[0]["a"], torch.zeros(3))


def test_what_is_flushed_is_open_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows flushes no file that is open for reading alone."""
    flushed: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: flushed.append(os.write(handle, b"")))
        write_text(tmp_path / "a.txt", "whole")
    assert flushed == [0]
    assert (tmp_path / "a.txt").read_text("utf-8") == "whole"


LIMITED = """
import resource, sys, torch
from ugradsl_core.errors import StoreError
from companion.experiments.records.store import open_store, save_state
store = open_store(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
try:
    save_state(store, "model", {"a": torch.zeros(10_000)}, {})
except StoreError as error:
    print(error)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of a file")
def test_weights_that_the_system_cannot_write_are_a_store_error(tmp_path: Path) -> None:
    """A real failure of the system's write, which safetensors reports in its own way."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["store.json"]
    assert "cannot be written" in done.stdout, done.stderr


def test_a_folder_that_cannot_be_made_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        open_store(tmp_path / "file" / "store")


def test_text_is_utf8_and_readable_by_others(tmp_path: Path) -> None:
    write_text(tmp_path / "a" / "b.txt", "α ≤ 1\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "α ≤ 1\n".encode()
    assert (tmp_path / "a" / "b.txt").stat().st_mode & 0o777 == 0o644


def test_a_truncated_checkpoint_is_never_used(store: Store) -> None:
    kept = keep_checkpoint(store, "original-partial", [])
    kept.save({"epoch": torch.tensor(10.0)})
    assert kept.load() is not None
    truncate(store.root / "models" / "original-partial.safetensors")
    with pytest.warns(DamagedFileWarning, match="does not match its checksum"):
        assert kept.load() is None
