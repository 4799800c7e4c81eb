"""Live sweeps: grids in their domains, references that run once, and epochs as moments of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benches import bench_of
from brief_runs import train_briefly
from companion.experiments.records.store import open_store
from companion.experiments.records.summary import record_label
from companion.experiments.records.sweeps import summary, varied
from companion.experiments.runs.problems import load_data
from companion.experiments.settings.seeds import stream
from companion.notebooks import live, sweeps
from companion.notebooks.parameters import Sweep, check_parameters
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import get_method
from ugradsl_core.methods.common import state_of
from ugradsl_core.training import Execution


@pytest.mark.parametrize(
    ("notebook", "values", "message"),
    [
        ("stability", {"p_values": "0.5,1.5"}, "p_values: should be less than or equal to 1; fou"),
        ("stability", {"p_values": "0.5,high"}, "p_values: should be a valid number"),
        ("stability", {"p_values": ""}, "p_values: should be a comma-separated list; found ''"),
        ("stability", {"p_values": "0.5,0.5"}, "p_values: names a value twice"),
        ("stability", {"alpha_values": "2"}, "alpha_values: should be less than or equal to 1"),
        ("stability", {"methods": "retrain,no-step"}, "methods: should name one to vary"),
        ("stability", {"methods": "retrain,ft"}, "methods: ft has no fixed p to vary"),
        ("stability", {"methods": "retrain,ugradsl:adaptive"}, "has no fixed alpha to vary"),
        ("stability", {"methods": "ugradsl"}, "methods: should name retrain"),
        ("stability", {"dataset": "words"}, "words has no preset of random forgetting"),
        ("stability", {"dataset": "digits", "scale": "bench"}, "digits has no preset of random"),
        ("adaptive_rate", {"beta_values": "2"}, "beta_values: should be less than or equal to 1"),
        ("adaptive_rate", {"distances": "cosin"}, "unknown distance 'cosin'. Did you mean 'cosine"),
        ("adaptive_rate", {"signs": "plus"}, "signs: unknown adaptive_sign 'plus'"),
        ("adaptive_rate", {"methods": "retrain,ugradsl"}, "name ugradsl:adaptive"),
        ("forget_fraction", {"fractions": "0.1,1"}, "fractions: should be less than 1; found 1"),
        ("forget_fraction", {"fractions": "0"}, "fractions: should be greater than 0; found 0"),
        ("epochs", {"epochs": "1,-1"}, "epochs: should be greater than or equal to 0; found -1"),
        ("epochs", {"epochs": "1.5"}, "epochs: should be a valid integer"),
        ("epochs", {"methods": "retrain,iu"}, "methods: iu has no fixed epochs to vary"),
    ],
)
def test_a_value_outside_the_domain_is_one_sentence(
    notebook: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameters(notebook, **values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def small(notebook: str, **values: Any) -> Sweep:
    found = check_parameters(notebook, seeds="0", **values)
    assert isinstance(found, Sweep)
    return found


def test_median_is_the_threshold_none() -> None:
    assert small("adaptive_rate", beta_values="median,0.5").grid("beta_values") == (None, 0.5)


def test_references_run_once_and_a_share_is_the_settings() -> None:
    parameters = small("stability", methods="retrain,no-step,ugradsl,ugradsl+")
    runs = sweeps.runs_of(parameters, {"p": [0.8, 0.9], "alpha": [-0.4]})
    assert [label for _, label, _ in runs].count("retrain") == 1
    assert [c.p for _, label, c in runs if label == "ugradsl"] == [0.8, 0.9]  # type: ignore[attr-defined]
    shares = sweeps.runs_of(
        small("forget_fraction", methods="retrain,ga"), {"fraction": [0.1, 0.3]}
    )
    assert [(s.fraction, label) for s, label, _ in shares] == [
        (share, label) for share in (0.1, 0.3) for label in ("retrain", "ga")
    ]


@pytest.mark.parametrize("grid", [{}, {"p": []}])
def test_an_empty_grid_is_refused(grid: dict[str, list[Any]]) -> None:
    with pytest.raises(ConfigError, match=r"^grid: should have a value for"):
        sweeps.runs_of(small("stability"), grid)


def test_metrics_of_a_run_of_two_epochs_are_those_after_the_second_of_three(
    tmp_path: Path,
) -> None:
    """Where the rate is constant, a sweep of epochs shows the metrics after each epoch."""

    parameters = small("epochs", methods="retrain,ugradsl", epochs="2,3")
    plan = live.plan_of(parameters)
    setting = plan.setting.replace(training=plan.setting.training.replace(epochs=1))
    config = plan.configs["ugradsl"].replace(schedule="constant")
    loaded, store = load_data(setting, Execution()), open_store(tmp_path)
    problem = bench_of(setting, loaded, store, Execution()).problem(0)
    seen = {}

    def heard(model: torch.nn.Module, epoch: int, _: float) -> bool:
        seen[epoch] = state_of(model)
        return False

    listened, method = replace(problem, on_epoch=heard), get_method("ugradsl")
    method(listened, config.replace(epochs=3), generator=stream(0, "unlearn"))
    short = method(problem, config.replace(epochs=2), generator=stream(0, "unlearn"))
    assert all(torch.equal(value, seen[2][name]) for name, value in short.state_dict.items())
    assert not all(torch.equal(v, seen[3][name]) for name, v in short.state_dict.items())


def test_sweeps_share_what_they_have_in_common(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train_briefly(monkeypatch)
    parameters = small("epochs", methods="retrain,ga", epochs="0,1", fraction=0.05)
    first, second = sweeps.run(parameters, {"epochs": [0, 1]}, {"epochs": [1]})
    assert [record_label(record) for record in first] == ["retrain", "ga", "ga"]
    assert second[0] == first[0]
    assert second[1] == first[2]
    table = varied(summary(first, ["epochs"]))
    assert list(table["epochs"]) == [0, 1]
    assert table["passes"].tolist() == [0.0, 2.0 * 3]
    assert "epochs = 1" in capsys.readouterr().out
