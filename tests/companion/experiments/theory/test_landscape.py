"""The record of a landscape: what it holds, that it resumes, and its command."""

import dataclasses
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benches import bench_of
from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    Store,
    open_store,
    parse_record,
    read_records,
    record_line,
)
from companion.experiments.runs.problems import Data, load_data
from companion.experiments.settings.setting import Setting
from companion.experiments.theory.landscape import LandscapeConfig, landscape_record, spectra_of
from companion.theory.spectrum import mean_eigenvalue
from toys import CPU
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import make_config

Cli = Callable[..., tuple[int, str, str]]

SETTING = Setting(
    train_size=80,
    model={"width": 2},
    training={"lr": 0.1, "epochs": 3, "batch_size": 16, "schedule": "one-cycle"},
)
RETRAIN = make_config("retrain", **SETTING.training.model_dump())
SMALL = LandscapeConfig(points=5, samples=20, steps=7, starts=2, slice_radius=0.1, batch_size=20)


@pytest.fixture(scope="module")
def loaded() -> Data:
    return load_data(SETTING, CPU)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("landscape") / "store")


def make(loaded: Data, store: Store, **options: Any) -> Record:
    config = options.pop("config", SMALL)
    bench = replace(bench_of(SETTING, loaded, store), **options)
    return landscape_record(bench, RETRAIN, config, 0)


@pytest.fixture(scope="module")
def record(loaded: Data, store: Store) -> Record:
    return make(loaded, store)


def test_the_middle_of_plane_and_slices_is_the_loss(record: Record) -> None:
    found = record.metrics
    assert found["plane"][2][2] == pytest.approx(found["loss"], rel=1e-5)
    for name in ("largest", "smallest", "random"):
        assert found["slices"][name][20] == pytest.approx(found["loss"], rel=1e-5)


def test_slices_are_steepest_along_the_largest_eigenvalue(record: Record) -> None:
    """At a distance only: within a cell of ReLU's kinks the loss bends as the eigenvalue says."""
    slices = record.metrics["slices"]
    rise = {
        name: slices[name][0] + slices[name][-1] - 2 * record.metrics["loss"]
        for name in ("largest", "smallest", "random")
    }
    assert rise["largest"] > 3 * abs(rise["random"])
    assert rise["largest"] > 3 * rise["smallest"]
    assert len(slices["coordinates"]) == len(slices["largest"]) == 41


def test_the_random_direction_bends_about_as_the_mean_eigenvalue(record: Record) -> None:
    mean = mean_eigenvalue(spectra_of(record))
    for curvature in record.metrics["direction_curvatures"]:
        assert abs(curvature) < record.metrics["spectra"][0]["values"][-1] / 3
        assert abs(curvature - mean) < 30 * abs(mean)


def test_every_start_gives_the_same_ends(record: Record) -> None:
    first, second = spectra_of(record)
    top = float(first.values[-1])
    assert float(second.values[-1]) == pytest.approx(top, rel=0.05)
    assert first.values.tolist() != second.values.tolist()
    assert float(first.weights.sum()) == pytest.approx(1, abs=1e-5)


def test_it_is_a_record_like_any_other(record: Record) -> None:
    assert parse_record(record_line(record)) == record
    assert record.kind == "landscape"
    assert record.method == "retrain"


def test_a_second_call_computes_nothing(record: Record, loaded: Data, store: Store) -> None:
    told: list[str] = []
    assert make(loaded, store, progress=told.append) == record
    assert told == []
    kept = [path.stem for path in (store.root / "models").glob("*.json")]
    assert not [name for name in kept if name.startswith("landscape")]


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", ["Lanczos: product 6/", "plane: row 3/"])
def test_an_interrupted_run_ends_with_the_same_numbers(
    moment: str, record: Record, loaded: Data, tmp_path: Path
) -> None:
    fresh = open_store(tmp_path / "store")

    def interrupt(text: str) -> None:
        if text.startswith(moment):
            raise Killed

    with pytest.raises(Killed):
        make(loaded, fresh, progress=interrupt)
    told: list[str] = []
    again = make(loaded, fresh, progress=told.append)
    assert again.metrics == record.metrics
    parts = [text for text in told if text.startswith(("Lanczos", "plane"))]
    assert len(parts) < 2 * SMALL.steps + SMALL.points


def test_all_samples_and_another_seed_are_other_records(
    record: Record, loaded: Data, store: Store
) -> None:
    config = SMALL.replace(samples=None, points=3, steps=2, starts=1)
    found = make(loaded, store, config=config)
    assert found.metrics["samples"] == 72
    assert found.config_hash != record.config_hash


@pytest.mark.parametrize(
    ("field", "value"),
    [("points", 4), ("points", 1), ("radius", 0), ("samples", 0), ("steps", 0), ("starts", 0)],
)
def test_bad_values_are_refused(field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        LandscapeConfig(**{field: value})


def test_the_command_publishes_a_record(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from companion.experiments.settings import preset

    monkeypatch.setattr(preset, "preset_setting", lambda *_: SETTING)
    monkeypatch.setattr(preset, "preset_config", lambda *_: RETRAIN)
    target = tmp_path / "landscape.jsonl"
    changes = [f"{name}={getattr(SMALL, name)}" for name in ("points", "steps", "samples")]
    given = [part for change in changes for part in ("-p", change)]
    code, out, _ = cli(
        "landscape", "digits-random10", *given, "--store", tmp_path / "s", "--publish", target
    )
    assert code == 0
    assert "eigenvalues from" in out
    (found,) = read_records(target)
    assert found.metrics["samples"] == 20
    assert dataclasses.asdict(found)["status"] == "ok"


def test_the_command_refuses_an_even_number_of_points(cli: Cli, tmp_path: Path) -> None:
    code, _, err = cli("landscape", "digits-random10", "-p", "points=4", "--store", tmp_path / "s")
    assert code == 2
    assert "points: should be odd" in err
