"""Measures, drawings, parameters and the status of the chapters on measures and theorems."""

from pathlib import Path

import pytest
import torch

from ugradsl_core import figures, figures_influence, metrics, pages_theory, theory, theory_measures
from ugradsl_core.errors import ConfigError
from ugradsl_core.figures_influence import Point
from ugradsl_core.parameters import check_parameters

RESULTS = Path(__file__).parents[2] / "book" / "results"


@pytest.fixture(scope="module")
def network() -> theory.Worked:
    return theory.worked("mlp", 60, 1.0, hidden=3)


@pytest.fixture(scope="module")
def removal(network: theory.Worked) -> theory.Removal:
    return theory.remove(network, torch.arange(6))


def test_measures_are_those_of_the_metrics(network: theory.Worked, removal: theory.Removal) -> None:
    found = theory_measures.outputs(network, removal, removal.theta)
    assert [len(part) for part in (found.retain, found.forget, found.test)] == [54, 6, 449]
    values = theory_measures.measures(network, removal, found)
    labels = network.train[0][1]
    assert values["UA"] == pytest.approx(metrics.unlearning_accuracy(found.forget, labels[:6]))
    assert values["RA"] == pytest.approx(metrics.accuracy(found.retain, labels[6:]))
    assert values["TA"] == pytest.approx(metrics.accuracy(found.test, network.test[0][1]))


def test_permuted_units_are_the_same_function_at_another_place(
    network: theory.Worked, removal: theory.Removal
) -> None:
    moved = theory_measures.permuted(network.theta, 64, torch.tensor([2, 0, 1]))
    before, after = (
        theory_measures.outputs(network, removal, theta).test for theta in (network.theta, moved)
    )
    torch.testing.assert_close(before, after)
    assert theory_measures.output_distance(before, after) == pytest.approx(0, abs=1e-9)
    assert float((moved - network.theta).norm()) > 1


def test_the_output_distance_of_disjoint_predictions_is_a_hundred() -> None:
    logits = 50 * torch.eye(3, dtype=torch.float64)
    assert theory_measures.output_distance(logits, logits.roll(1, 0)) == pytest.approx(100)
    assert theory_measures.output_distance(logits, logits) == 0


def test_a_list_answers_with_unseen_samples_of_the_same_class() -> None:
    own = torch.zeros(3, 2)
    other = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found = theory_measures.looked_up(own, torch.tensor([1, 0, 1]), other, torch.tensor([0, 1]))
    assert found.tolist() == [[3, 4], [1, 2], [0, 0]]  # no second unseen sample of class 1
    assert not own.any()


def test_drawings_draw() -> None:
    drawn = [
        figures_influence.agreement({"a": ([0.0, 1.0], [0.1, 0.8], "ga", "o")}, "true", "guess"),
        figures_influence.strips({"a": [-0.1, 0.2], "b": []}, {"a": "1/2"}, "cosine"),
        figures_influence.shares({"a": [None, 10.0], "b": [1.0, 2.0]}, ["x", "y"], "δ", "%"),
        figures_influence.places({"a": Point(0, 0, "ga"), "b": Point(1, 1, "nls")}, "x", "y"),
    ]
    assert all("</svg>" in figures.to_svg(figure) for figure in drawn)


def test_the_status_lists_every_setting_of_the_published_figure() -> None:
    text = pages_theory.status_theory(RESULTS.parent)
    for name in ("`linear`", "`mlp`", "`mlp-fresh`", "`resnet18`"):
        assert name in text
    assert "retrained from scratch" in text
    assert "Not run yet" in pages_theory.status_theory(Path("/nowhere"))


@pytest.mark.parametrize(
    ("notebook", "values", "message"),
    [
        ("theory_5_theorem_2", {"alpha": 1.2}, "alpha: should be less than or equal to 1"),
        ("theory_5_theorem_2", {"alpha": float("nan")}, "alpha: "),
        ("theory_3_theorem_1", {"l2": 0.0}, "l2: should be greater than 0; found 0.0"),
        ("theory_2_influence", {"l2": -1.0}, "l2: should be greater than 0"),
        ("theory_1_measures", {"fraction": 1.0}, "fraction: should be less than 1"),
        ("theory_2_influence", {"point": 20}, "unknown parameter 'point'. Did you mean 'points'"),
    ],
)
def test_bad_parameters_are_named(notebook: str, values: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_parameters(notebook, **values)
