"""Inverse-Hessian products and Δθ vectors against dense, closed-form and retrained oracles."""

import math

import pytest
import torch
from scipy.sparse.linalg import cg as scipy_cg
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory import influence, minima, risks
from companion.theory.influence import ConvergenceWarning, inverse_hvp, unlearning_directions
from companion.theory.losses import SquaredLoss
from companion.theory.risks import Risk
from companion.theory.solvers import CurvatureError, SolverConfig, spectral_norm
from quadratics import (
    K,
    linear,
    mlp,
    random_theta,
    ridge_minimum,
    samples,
    softmax_hessian,
)
from ugradsl_core.errors import ConfigError

DATA = samples(40)
DENSE = SolverConfig(solver="dense")


def matrix(eigenvalues: list[float], seed: int = 0) -> Tensor:
    """A symmetric matrix with these eigenvalues."""
    generator = torch.Generator().manual_seed(seed)
    size = len(eigenvalues)
    basis, _ = torch.linalg.qr(torch.randn(size, size, dtype=torch.float64, generator=generator))
    return basis @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ basis.T


def vector(size: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, dtype=torch.float64, generator=generator)


GOOD = matrix([0.5, 1.0, 1.5, 2.0, 3.0])
V = vector(5)


@pytest.mark.parametrize("damping", [0.0, 0.7])
@pytest.mark.parametrize("solver", ["dense", "cg", "neumann"])
def test_solvers_agree_with_a_direct_solution(solver: str, damping: float) -> None:
    config = SolverConfig(solver=solver, damping=damping, tolerance=1e-11)
    found = inverse_hvp(GOOD.matmul, V, config)
    exact = torch.linalg.solve(GOOD + damping * torch.eye(5, dtype=torch.float64), V)
    torch.testing.assert_close(found.value, exact, rtol=0, atol=1e-10)
    assert found.converged
    left = GOOD @ found.value + damping * found.value - V
    assert found.residual == pytest.approx(float(left.norm() / V.norm()), abs=1e-14)
    assert len(found.history) == found.iterations


def test_conjugate_gradients_end_after_as_many_steps_as_eigenvalues() -> None:
    a = matrix([1.0, 1.0, 1.0, 4.0, 4.0, 9.0])
    found = inverse_hvp(a.matmul, vector(6), SolverConfig(tolerance=1e-12))
    assert found.iterations == 3


def test_conjugate_gradients_are_those_of_scipy() -> None:
    for steps in (1, 2, 3):
        oracle, _ = scipy_cg(GOOD.numpy(), V.numpy(), rtol=1e-14, maxiter=steps)
        with pytest.warns(ConvergenceWarning):
            found = inverse_hvp(GOOD.matmul, V, SolverConfig(max_iterations=steps))
        torch.testing.assert_close(found.value, torch.from_numpy(oracle), rtol=1e-12, atol=1e-12)


def test_the_neumann_series_is_that_of_curvlinops() -> None:
    with risks.twice_differentiable():
        from curvlinops import NeumannInverseLinearOperator
        from curvlinops._torch_base import PyTorchLinearOperator

    class Given(PyTorchLinearOperator):
        def __init__(self) -> None:
            super().__init__([(5,)], [(5,)])

        def _matmat(self, columns: list[Tensor]) -> list[Tensor]:
            return [GOOD @ columns[0]]

        device, dtype = torch.device("cpu"), torch.float64

    for terms in (1, 4, 9):
        oracle = NeumannInverseLinearOperator(Given(), num_terms=terms - 1, scale=0.25) @ V
        config = SolverConfig(solver="neumann", max_iterations=terms, scale=4.0)
        with pytest.warns(ConvergenceWarning):
            found = inverse_hvp(GOOD.matmul, V, config)
        torch.testing.assert_close(found.value, oracle, rtol=1e-12, atol=1e-12)


def test_lissa_comes_near_the_dense_solution_and_admits_what_is_left() -> None:
    ((inputs, labels),) = samples(60)
    risk = Risk(linear(), list(zip(inputs.split(20), labels.split(20), strict=True)), l2=5.0)
    theta = random_theta(risk, scale=0.1)
    product, v = risks.hessian(risk, theta), random_theta(risk, 1)
    exact = inverse_hvp(product, v, DENSE).value
    sampled = risks.sampled_hessian(risk, theta, torch.Generator().manual_seed(0))
    config = SolverConfig(solver="lissa", max_iterations=400, scale=100.0)
    with pytest.warns(ConvergenceWarning, match="lissa did not converge: relative residual"):
        found = inverse_hvp(product, v, config, sampled=sampled)
    assert not found.converged
    assert float((found.value - exact).norm() / exact.norm()) < 0.1
    assert found.residual == pytest.approx(
        float((product(found.value) - v).norm() / v.norm()), rel=1e-9
    )


def test_lissa_without_noise_is_the_mean_of_neumanns_partial_sums() -> None:
    sums = []
    for terms in range(1, 11):
        config = SolverConfig(solver="neumann", max_iterations=terms, scale=4.0)
        with pytest.warns(ConvergenceWarning):
            sums.append(inverse_hvp(GOOD.matmul, V, config).value)
    config = SolverConfig(solver="lissa", max_iterations=10, scale=4.0)
    with pytest.warns(ConvergenceWarning):
        found = inverse_hvp(GOOD.matmul, V, config, sampled=GOOD.matmul)
    torch.testing.assert_close(found.value, torch.stack(sums[5:]).mean(0))


def test_a_series_with_too_small_a_scale_diverges_and_says_so() -> None:
    config = SolverConfig(solver="neumann", scale=1.0)
    with pytest.warns(ConvergenceWarning, match="scale above half the largest eigenvalue"):
        found = inverse_hvp(GOOD.matmul, V, config)
    assert not found.converged
    assert found.residual > 1


def test_a_solver_that_runs_out_of_steps_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="cg did not converge: .* after 2 iterations"):
        found = inverse_hvp(GOOD.matmul, V, SolverConfig(max_iterations=2))
    assert (found.converged, found.iterations) == (False, 2)


def test_the_product_of_nothing_is_nothing() -> None:
    found = inverse_hvp(GOOD.matmul, torch.zeros(5, dtype=torch.float64))
    assert found.converged
    assert not found.value.any()


def test_a_million_parameters_need_no_matrix() -> None:
    """A matrix of them would take eight terabytes."""
    diagonal = torch.linspace(1, 2, 10**6, dtype=torch.float64)
    v = torch.ones_like(diagonal)
    found = inverse_hvp(lambda x: diagonal * x, v, SolverConfig(tolerance=1e-8))
    assert found.converged
    torch.testing.assert_close(found.value, v / diagonal, rtol=1e-6, atol=0)


def test_the_spectral_norm_is_the_largest_eigenvalue_in_size() -> None:
    a = matrix([-7.0, 0.1, 2.0, 5.0])
    assert spectral_norm(a.matmul, V[:4]) == pytest.approx(7, rel=1e-9)


SINGULAR = matrix([0.0, 1.0, 2.0])
INDEFINITE = matrix([-1.0, 1.0, 2.0])


@pytest.mark.parametrize(
    ("a", "solver", "message"),
    [
        (SINGULAR, "dense", r"hessian: is singular .* Eqs\. \(3\), \(4\), \(11\) and \(34\)"),
        (SINGULAR, "cg", r"is not positive definite .* Eqs\. \(3\), \(4\), \(11\) and \(34\)"),
        (INDEFINITE, "cg", r"is not positive definite \(curvature -.*damping above"),
    ],
)
def test_a_hessian_without_inverse_is_an_error(a: Tensor, solver: str, message: str) -> None:
    with pytest.raises(CurvatureError, match=message):
        inverse_hvp(a.matmul, vector(3), SolverConfig(solver=solver))


def test_damping_and_the_dense_solver_cope_with_what_cg_refuses() -> None:
    v = vector(3)
    exact = torch.linalg.solve(INDEFINITE, v)
    torch.testing.assert_close(inverse_hvp(INDEFINITE.matmul, v, DENSE).value, exact)
    for a in (SINGULAR, INDEFINITE):
        found = inverse_hvp(a.matmul, v, SolverConfig(damping=1.5))
        exact = torch.linalg.solve(a + 1.5 * torch.eye(3, dtype=torch.float64), v)
        torch.testing.assert_close(found.value, exact)


def test_softmax_regression_without_ridge_has_a_singular_hessian() -> None:
    """The same vector added to the weights of every class changes no probability."""
    risk = Risk(linear(), DATA)
    theta = random_theta(risk)
    with pytest.raises(CurvatureError, match="is singular"):
        inverse_hvp(risks.hessian(risk, theta), vector(15), DENSE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"solver": "cgg"}, "unknown solver 'cgg'. Did you mean 'cg'"),
        ({"damping": -0.1}, "damping: should be greater than or equal to 0; found -0.1"),
        ({"tolerance": 0.0}, "tolerance: should be greater than 0"),
        ({"max_iterations": 0}, "max_iterations: should be greater than or equal to 1"),
        ({"scale": 0.0}, "scale: should be greater than 0"),
    ],
)
def test_a_bad_solver_is_named(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SolverConfig(**values)


def test_lissa_and_dense_name_what_they_need() -> None:
    with pytest.raises(ConfigError, match="sampled: lissa needs an estimate"):
        inverse_hvp(GOOD.matmul, V, SolverConfig(solver="lissa"))
    with pytest.raises(ConfigError, match="at most 4096 parameters; found 5000"):
        inverse_hvp(lambda x: x, torch.ones(5000), DENSE)


def split(l2: float, loss: nn.Module | None = None, model: nn.Module | None = None) -> tuple:
    whole = Risk(model or linear(), DATA, l2=l2, **({"loss": loss} if loss else {}))
    index = torch.arange(40)
    forget = whole.on(risks.rows(DATA, index[:8]), l2=0.0)
    return whole, whole.on(risks.rows(DATA, index[8:])), forget


@pytest.mark.parametrize("solver", ["dense", "cg"])
def test_on_a_quadratic_one_newton_step_is_retraining(solver: str) -> None:
    _, retain, forget = split(0.5, SquaredLoss())
    theta_tr = ridge_minimum(DATA[0], 0.5)
    theta_r = ridge_minimum(retain.batches[0], 0.5)
    config = SolverConfig(solver=solver, tolerance=1e-13)
    found = unlearning_directions(retain, forget, theta_tr, theta_r, config)
    assert found.converged
    for delta in (found.delta_r, found.delta_f):
        torch.testing.assert_close(delta, theta_r - theta_tr, rtol=0, atol=1e-10)


def test_every_point_is_really_left_out() -> None:
    """Newton's prediction against training without the point; its sign and its size."""
    whole = Risk(linear(), DATA, l2=3.0)
    theta = minima.minimise(whole, random_theta(whole), tolerance=1e-10).theta
    index = torch.arange(40)
    for i in range(0, 40, 4):
        retain = whole.on(risks.rows(DATA, index[index != i]))
        forget = whole.on(risks.rows(DATA, index[i : i + 1]), l2=0.0)
        exact = minima.minimise(retain, theta, tolerance=1e-10).theta
        found = unlearning_directions(retain, forget, theta, exact, DENSE)
        moved = exact - theta
        for delta in (found.delta_f, found.delta_r):
            assert float((delta - moved).norm()) < 0.2 * float(moved.norm())
            assert float((delta + moved).norm()) > 1.5 * float(moved.norm())


def test_the_directions_are_what_the_equations_say() -> None:
    _, retain, forget = split(0.5)
    theta_tr, theta_r = random_theta(retain, 1, 0.3), random_theta(retain, 2, 0.3)
    found = unlearning_directions(retain, forget, theta_tr, theta_r, DENSE)
    at_r = softmax_hessian(DATA[0], theta_r, 0.5)
    at_tr = softmax_hessian(retain.batches[0], theta_tr, 0.5)
    ((inputs, labels),) = forget.batches
    others = torch.zeros_like(theta_tr)
    for k in range(K):
        for x, y in zip(inputs, labels, strict=True):
            if int(y) != k:
                one = forget.on([(x.unsqueeze(0), torch.tensor([k]))])
                others += risks.gradient(one, theta_tr) / (K - 1)
    whole = risks.gradient(retain, theta_r) + risks.gradient(forget, theta_r)
    expected = {
        "delta_r": torch.linalg.solve(at_r, whole),
        "delta_f": torch.linalg.solve(at_tr, risks.gradient(forget, theta_tr)),
        "delta_n": torch.linalg.solve(at_tr, others),
    }
    for name, value in expected.items():
        torch.testing.assert_close(getattr(found, name), value, rtol=1e-9, atol=1e-10)


def test_solvers_agree_on_the_directions_of_a_network() -> None:
    whole, retain, forget = split(1.0, model=mlp())
    theta_tr = minima.minimise(whole, risks.parameter_vector(mlp())).theta
    theta_r = minima.minimise(retain, theta_tr).theta
    dense, cg = (
        unlearning_directions(
            retain, forget, theta_tr, theta_r, SolverConfig(solver=solver, damping=10.0)
        )
        for solver in ("dense", "cg")
    )
    for name in ("delta_r", "delta_f", "delta_n"):
        torch.testing.assert_close(getattr(cg, name), getattr(dense, name), rtol=1e-7, atol=1e-9)


def test_the_non_target_loss_is_the_mean_over_the_other_labels() -> None:
    logits, labels = vector(12).view(4, 3), torch.tensor([0, 2, 1, 1])
    expected = sum(
        F.cross_entropy(logits[i : i + 1], torch.tensor([k])) / 2
        for i in range(4)
        for k in range(3)
        if k != int(labels[i])
    )
    found = influence.NonTargetLoss(nn.CrossEntropyLoss(reduction="sum"))(logits, labels)
    assert float(found) == pytest.approx(float(expected), rel=1e-12)


def test_a_forget_risk_with_a_ridge_or_one_class_is_refused() -> None:
    whole, retain, _ = split(0.5)
    theta = random_theta(whole)
    with pytest.raises(ConfigError, match="forget: its l2 should be 0"):
        unlearning_directions(retain, retain, theta, theta, DENSE)
    one = Risk(nn.Linear(4, 1).double(), [(DATA[0][0], torch.zeros(40, dtype=torch.long))], l2=1.0)
    theta = torch.zeros(5, dtype=torch.float64)
    with pytest.raises(ConfigError, match=r"at least 2, as Eq\. \(34\) divides by K − 1; found 1"):
        unlearning_directions(one, one.on(one.batches, l2=0.0), theta, theta, DENSE)


def test_the_first_order_influence_is_the_derivative_of_the_minimum() -> None:
    """Eq. (11): dθ/dε = −H⁻¹∇ℓ, against minima for small ε on both sides."""
    whole = Risk(linear(), DATA, l2=0.5)
    theta = minima.minimise(whole, random_theta(whole), tolerance=1e-11).theta
    one = whole.on(risks.rows(DATA, torch.tensor([3])), l2=0.0)

    class Weighted(nn.Module):
        reduction = "sum"

        def __init__(self, epsilon: float) -> None:
            super().__init__()
            self.weights = torch.ones(40, dtype=torch.float64)
            self.weights[3] += epsilon

        def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
            return F.cross_entropy(logits, labels, reduction="none") @ self.weights

    ends = []
    for epsilon in (-1e-4, 1e-4):
        risk = whole.on(DATA, loss=Weighted(epsilon))
        ends.append(minima.minimise(risk, theta, tolerance=1e-11).theta)
    slope = (ends[1] - ends[0]) / 2e-4
    expected = -inverse_hvp(risks.hessian(whole, theta), risks.gradient(one, theta)).value
    assert float((slope - expected).norm() / expected.norm()) < 1e-6
    assert math.isfinite(float(slope.norm()))
