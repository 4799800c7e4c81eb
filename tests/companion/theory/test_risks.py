"""Risks as functions of θ: values, gradients, Hessians and minima against closed forms."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory import minima, risks
from companion.theory.losses import SquaredLoss
from companion.theory.risks import Risk
from companion.theory.solvers import dense_matrix
from quadratics import (
    K,
    extended,
    linear,
    mlp,
    order,
    random_theta,
    ridge_minimum,
    samples,
    softmax_hessian,
)
from ugradsl_core.errors import ConfigError, DataError, DivergenceError, ModelError

DATA = samples(20)


def test_value_and_gradient_of_softmax_regression() -> None:
    risk = Risk(linear(), DATA, l2=0.3)
    theta = random_theta(risk)
    ((inputs, labels),) = DATA
    matrix = torch.empty_like(theta)
    matrix[order(4)] = theta
    x = extended(inputs)
    p = (x @ matrix.view(K, -1).T).softmax(1)
    value = float(-p[torch.arange(20), labels].log().sum() + 0.15 * theta.square().sum())
    gradient = ((p - F.one_hot(labels, K)).T @ x).flatten()[order(4)] + 0.3 * theta
    assert risks.value(risk, theta) == pytest.approx(value, abs=1e-12)
    torch.testing.assert_close(risks.gradient(risk, theta), gradient, rtol=0, atol=1e-12)


def test_the_hessian_of_softmax_regression() -> None:
    risk = Risk(linear(), DATA, l2=0.3)
    theta = random_theta(risk)
    found = dense_matrix(risks.hessian(risk, theta), theta)
    torch.testing.assert_close(found, softmax_hessian(DATA[0], theta, 0.3), rtol=0, atol=1e-12)


def test_the_hessian_of_a_network_is_that_of_autograd_in_evaluation_mode() -> None:
    risk = Risk(mlp(), DATA, l2=0.1)
    theta = random_theta(risk)
    still = mlp().eval()
    ((inputs, labels),) = DATA

    def value(vector: Tensor) -> Tensor:
        parts = torch.split(vector, [p.numel() for p in still.parameters()])
        named = {
            name: part.view(p.shape)
            for part, (name, p) in zip(parts, still.named_parameters(), strict=True)
        }
        logits = torch.func.functional_call(still, named, (inputs,))
        return F.cross_entropy(logits, labels, reduction="sum") + 0.05 * vector.square().sum()

    oracle = torch.autograd.functional.hessian(value, theta)
    found = dense_matrix(risks.hessian(risk, theta), theta)
    torch.testing.assert_close(found, oracle, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cuts", [(5, 15), (1, 2, 17), (20,)])
def test_batches_do_not_matter(cuts: tuple[int, ...]) -> None:
    ((inputs, labels),) = DATA
    parts = list(zip(inputs.split(cuts), labels.split(cuts), strict=True))
    one, many = Risk(mlp(), DATA, l2=0.1), Risk(mlp(), parts, l2=0.1)
    theta, v = random_theta(one), random_theta(one, 1)
    assert risks.value(one, theta) == pytest.approx(risks.value(many, theta), rel=1e-13)
    for compute in (risks.gradient, lambda r, t: risks.hessian(r, t)(v)):
        torch.testing.assert_close(
            compute(one, theta), compute(many, theta), rtol=1e-12, atol=1e-12
        )


def test_retain_and_forget_add_up_to_the_training_risk() -> None:
    whole = Risk(mlp(), DATA, l2=0.1)
    theta = random_theta(whole)
    index = torch.arange(20)
    retain = whole.on(risks.rows(DATA, index[6:]))
    forget = whole.on(risks.rows(DATA, index[:6]), l2=0.0)
    torch.testing.assert_close(
        risks.gradient(whole, theta), risks.gradient(retain, theta) + risks.gradient(forget, theta)
    )


def test_a_sampled_hessian_is_unbiased() -> None:
    ((inputs, labels),) = DATA
    parts = list(zip(inputs.split([3, 9, 8]), labels.split([3, 9, 8]), strict=True))
    risk = Risk(linear(), parts, l2=0.2)
    theta, v = random_theta(risk), random_theta(risk, 1)
    sampled = risks.sampled_hessian(risk, theta, torch.Generator().manual_seed(0))
    drawn = torch.stack([sampled(v) for _ in range(60)])
    different = torch.unique(drawn, dim=0)
    assert len(different) == 3  # each batch is drawn with the same probability
    torch.testing.assert_close(different.mean(0), risks.hessian(risk, theta)(v))


def test_a_risk_leaves_the_callers_model_alone() -> None:
    model = mlp()
    before = copy.deepcopy(model.state_dict())
    risk = Risk(model, DATA)
    theta = random_theta(risk)
    risks.hessian(risk, theta)(theta)
    risks.gradient(risk, theta)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    changed = risks.model_at(risk, theta)
    torch.testing.assert_close(risks.parameter_vector(changed), theta)


def test_frozen_parameters_are_no_part_of_theta() -> None:
    model = mlp()
    for p in model[0].parameters():
        p.requires_grad_(False)
    risk = Risk(model, DATA)
    assert list(risk.parameters) == ["3.weight", "3.bias"]
    theta = random_theta(risk)
    assert risks.gradient(risk, theta).shape == risks.hessian(risk, theta)(theta).shape == (18,)


def test_the_minimum_of_a_quadratic_is_that_of_the_normal_equations() -> None:
    risk = Risk(linear(), DATA, l2=0.5, loss=SquaredLoss())
    found = minima.minimise(risk, random_theta(risk), tolerance=1e-11)
    assert found.converged
    torch.testing.assert_close(found.theta, ridge_minimum(DATA[0], 0.5), rtol=0, atol=1e-11)


def test_newton_steps_go_on_where_values_agree_to_rounding() -> None:
    risk = Risk(linear(), samples(200), l2=0.1)
    found = minima.minimise(risk, random_theta(risk), tolerance=1e-11)
    assert found.converged
    assert found.newton_steps > 0
    assert float(risks.gradient(risk, found.theta).norm()) == found.gradient_norm <= 1e-11


def test_a_minimisation_that_is_cut_short_says_so() -> None:
    risk = Risk(linear(), DATA, l2=0.1)
    found = minima.minimise(risk, random_theta(risk), max_iterations=1)
    assert not found.converged
    assert found.gradient_norm > 1e-5


def test_a_risk_without_minimum_is_not_called_converged() -> None:
    """Without a ridge, separable classes push the weights to infinity; the Hessian is singular."""
    inputs = torch.eye(K, dtype=torch.float64)
    risk = Risk(nn.Linear(K, K).double(), [(inputs, torch.arange(K))])
    found = minima.minimise(risk, random_theta(risk), tolerance=1e-13)
    assert float(found.theta.norm()) > 10
    assert found.newton_steps == 0


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Risk(linear(), DATA, l2=-1.0), ConfigError, "l2: should be a finite number of at"),
        (lambda: Risk(linear(), DATA, l2=float("nan")), ConfigError, "found nan"),
        (lambda: Risk(linear(), iter(DATA)), DataError, "readable more than once"),
        (lambda: Risk(linear(), []), DataError, "at least one sample"),
        (lambda: Risk(linear(), DATA, loss=nn.CrossEntropyLoss()), ConfigError, "reduction 'sum'"),
        (lambda: Risk(nn.Flatten(), DATA), ModelError, "no trainable parameter"),
        (
            lambda: risks.gradient(Risk(linear(), DATA), torch.zeros(3)),
            ModelError,
            r"theta: should have shape \(15,\).*found \(3,\)",
        ),
        (
            lambda: risks.hessian(Risk(linear(), DATA), torch.zeros(2)),
            ModelError,
            r"theta: should have shape \(15,\)",
        ),
        (
            lambda: minima.minimise(
                Risk(linear(), [(DATA[0][0] * float("nan"), DATA[0][1])]),
                torch.zeros(15, dtype=torch.float64),
            ),
            DivergenceError,
            "no longer finite",
        ),
    ],
)
def test_bad_input_is_named(make: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()  # type: ignore[operator]
