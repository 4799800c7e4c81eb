"""Minimisation against closed forms, and what it says when it cannot converge."""

import torch
from torch import nn
from torch.nn import functional as F

from ugradsl_core.minimise import minimise


def test_a_quadratic_is_solved_to_1e_10() -> None:
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(8, 8, generator=generator, dtype=torch.float64)
    matrix = half @ half.T + torch.eye(8)
    b = torch.randn(8, generator=generator, dtype=torch.float64)
    x = torch.zeros(8, dtype=torch.float64, requires_grad=True)
    end = minimise(lambda: x @ matrix @ x / 2 - b @ x, [x], tolerance=1e-12)
    assert end.converged
    torch.testing.assert_close(x.detach(), torch.linalg.solve(matrix, b), rtol=0, atol=1e-10)


def test_logistic_regression_agrees_with_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(60, 4, generator=generator, dtype=torch.float64)
    y = (x[:, 0] + torch.randn(60, generator=generator, dtype=torch.float64) > 0).long()
    model = nn.Linear(4, 1, bias=False).double()

    def loss() -> torch.Tensor:
        logit = model(x).squeeze(1)
        total = F.binary_cross_entropy_with_logits(logit, y.double(), reduction="sum")
        return total + model.weight.square().sum() / 2

    end = minimise(loss, list(model.parameters()))
    assert end.converged
    oracle = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000).fit(x, y)
    expected = torch.from_numpy(oracle.coef_)
    torch.testing.assert_close(model.weight.detach(), expected, rtol=0, atol=1e-6)


def test_a_function_without_a_minimum_does_not_converge() -> None:
    x = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    end = minimise(lambda: torch.exp(-x).sum(), [x], tolerance=0, max_evaluations=20)
    assert not end.converged
    assert end.gradient > 0


def test_the_start_may_be_the_minimum() -> None:
    x = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    end = minimise(lambda: x.square().sum(), [x])
    assert end.converged
    assert end.gradient == 0
    assert x.tolist() == [0, 0]


def test_several_tensors_are_moved_together() -> None:
    a = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    b = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    end = minimise(lambda: (a - 1).pow(4).sum() + (a.sum() - b).square().sum(), [a, b])
    assert end.converged
    torch.testing.assert_close(b.detach(), a.detach().sum().expand(3), rtol=0, atol=1e-7)
