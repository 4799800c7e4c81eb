"""The notebooks of experiments run by papermill with parameters other than their own."""

import os
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

from companion.files import NOTEBOOK_FOLDER

SMALL: dict[str, Any] = {"seeds": "3", "fraction": 0.2}  # all have seed 3 or 2: two originals
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "stability",
        {"methods": "retrain,ugradsl+", "seeds": "2", "p_values": "0.5,1", "alpha_values": "1"},
        ["UGradSL+"],
    ),
    (
        "stability",
        {**SMALL, "methods": "retrain,no-step,ugradsl", "p_values": "0.7", "alpha_values": "-3,0"},
        ["UGradSL"],
    ),
    (
        "adaptive_rate",
        {**SMALL, "methods": "retrain,ugradsl:adaptive", "beta_values": "0.2", "signs": "inverse"},
        ["UGradSL (adaptive, inverse)"],
    ),
    (
        "adaptive_rate",
        {
            "methods": "retrain,ugradsl:adaptive",
            "seeds": "2",
            "beta_values": "0,1",
            "distances": "cosine",
        },
        ["UGradSL (adaptive)", "UGradSL (adaptive, positive)"],
    ),
    (
        "forget_fraction",
        {"seeds": "3", "methods": "retrain,ga", "fractions": "0.15"},
        ["GA"],
    ),
    (
        "forget_fraction",
        {"seeds": "2", "methods": "retrain,no-step,scrub,neggrad+", "fractions": "0.3,0.6"},
        ["SCRUB", "NegGrad+"],
    ),
    ("epochs", {**SMALL, "methods": "retrain,ga,bs", "epochs": "0,4"}, ["GA", "BS"]),
    ("epochs", {"seeds": "2", "methods": "retrain,no-step,rl", "epochs": "2"}, ["RL"]),
    (
        "class_wise_forgetting",
        {"dataset": "words", "methods": "retrain,ft", "forgotten_class": 1, "seeds": "3"},
        ["FT"],
    ),
    (
        "class_wise_forgetting",
        {"methods": "retrain,no-step,ugradsl+", "forgotten_class": 7, "seeds": "3"},
        ["No step", "UGradSL+"],
    ),
    ("random_forgetting", {**SMALL, "methods": "retrain,neggrad+"}, ["NegGrad+"]),
    (
        "random_forgetting",
        {"seeds": "2", "methods": "retrain,retrain:again,ugradsl+:adaptive", "p": 0.8},
        ["Retrain again", "UGradSL+ (adaptive)"],
    ),
    (
        "group_forgetting",
        {"seeds": "3", "methods": "retrain,ga", "forgotten_group": "7"},
        ["GA"],
    ),
    (
        "group_forgetting",
        {"seeds": "2", "methods": "retrain,no-step,ugradsl", "alpha": -0.1},
        ["No step", "UGradSL"],
    ),
    ("forgotten", {**SMALL, "methods": "retrain,scrub"}, ["SCRUB"]),
    ("forgotten", {"seeds": "2", "methods": "retrain,ugradsl"}, ["UGradSL"]),
    (
        "sharper_questions",
        {"train_size": 200, "hidden": 8, "models": 4, "methods": "ga", "fraction": 0.2},
        ["GA"],
    ),
    (
        "sharper_questions",
        {"train_size": 100, "hidden": 16, "models": 4, "methods": "ugradsl+,ft", "seed": 5},
        ["UGradSL+", "FT"],
    ),
    ("algorithm_1", {"alpha": -0.2, "p": 0.7, "epochs": 3}, []),
    ("algorithm_1", {"distance": "euclidean", "adaptive_sign": "positive", "seed": 4}, []),
]


@pytest.fixture(autouse=True)
def _one_thread_and_shared_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Threads of two kernels on two cores would wait for each other; all train a model once."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = tmp_path_factory.getbasetemp()
    run = run.parent if "PYTEST_XDIST_WORKER" in os.environ else run  # of all its processes
    monkeypatch.setenv("UGRADSL_MODELS", str(run / "models"))


@pytest.mark.parametrize(("notebook", "parameters", "titles"), CASES)
def test_a_notebook_runs_with_other_parameters(
    notebook: str, parameters: dict[str, Any], titles: list[str], tmp_path: Path
) -> None:
    target = tmp_path / f"{notebook}.ipynb"
    papermill.execute_notebook(
        NOTEBOOK_FOLDER / f"{notebook}.ipynb", target, parameters, cwd=tmp_path, progress_bar=False
    )
    cells = [c for c in nbformat.read(target, as_version=4).cells if c.cell_type == "code"]
    assert all(cell.execution_count is not None for cell in cells)
    live = [c for c in cells if "nbval-ignore-output" in c.metadata.get("tags", [])]
    text = "".join(
        str(output.get("data", {}).get("text/html", "")) for c in live for output in c.outputs
    )
    for title in titles:
        assert title in text
