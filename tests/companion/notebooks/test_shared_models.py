"""Notebooks of one build share what they train."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from brief_runs import train_briefly
from companion.experiments.runs import problems
from companion.notebooks import live
from companion.notebooks.parameters import Experiment, check_parameters
from ugradsl_core.errors import StoreError

METRICS = ("UA", "MIA", "RA", "TA")


def small(**values: Any) -> Experiment:
    found = check_parameters("random_forgetting", seeds="0", **values)
    assert isinstance(found, Experiment)
    return found


@pytest.fixture(autouse=True)
def _soon_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    train_briefly(monkeypatch)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A mark for each original model that is trained."""
    marks: list[str] = []
    train: Callable[..., Any] = problems.train

    def counted(*arguments: Any, **options: Any) -> Any:
        marks.append("original")
        return train(*arguments, **options)

    monkeypatch.setattr(problems, "train", counted)
    return marks


def test_an_original_is_trained_once_for_all_notebooks(
    trained: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(live.SHARED, str(tmp_path / "models"))
    first, _ = live.run(small(methods="retrain,ga"), verbose=False)
    _, second = live.run(small(methods="retrain,no-step", fraction=0.2), verbose=False)
    assert trained == ["original"]
    monkeypatch.delenv(live.SHARED)
    _, alone = live.run(small(methods="retrain,no-step", fraction=0.2), verbose=False)
    assert trained == ["original"] * 2
    assert [second.metrics[n] for n in METRICS] == [alone.metrics[n] for n in METRICS]
    assert first.setting_hash != second.setting_hash


def test_outputs_are_taken_though_others_had_the_run(
    trained: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(live.SHARED, str(tmp_path / "models"))
    parameters = small(methods="retrain,no-step")
    record = live.run(parameters, verbose=False)[0]
    found = live.run_outputs(parameters)
    assert set(found) == {("original", 0), ("retrain", 0), ("no-step", 0)}
    assert trained == ["original"]
    judged = found["retrain", 0].sets["test"]
    right = (judged.labels == judged.predictions).mean()
    assert 100 * right == pytest.approx(record.metrics["TA"], abs=1e-3)


def test_a_named_store_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(live.SHARED, str(tmp_path / "shared"))
    with live.store_folder(str(tmp_path / "named")) as folder:
        assert folder == tmp_path / "named"
    with live.store_folder() as folder:
        assert folder == tmp_path / "shared"
    monkeypatch.delenv(live.SHARED)
    with live.store_folder() as folder:
        assert folder.is_dir()
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        live.run(small(store=str(tmp_path / "file")))
