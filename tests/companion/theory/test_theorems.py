"""Theorem 1's error bound and Theorem 2's geometry against closed forms and real minima."""

import math
from dataclasses import replace

import pytest
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn

from companion.theory import minima, risks, theorems
from companion.theory.influence import Directions, unlearning_directions
from companion.theory.losses import SmoothedLoss, SquaredLoss
from companion.theory.risks import Risk
from companion.theory.solvers import SolverConfig, dense_matrix
from companion.theory.theorems import TaylorBound
from quadratics import Cube, K, linear, random_theta, samples
from ugradsl_core.errors import ConfigError

DATA = samples(40)
INDEX = torch.arange(40)
DENSE = SolverConfig(solver="dense")


def problem(l2: float = 1.0) -> tuple[Risk, Risk, Tensor, Tensor]:
    """R_r, R_f and the minima of R_tr and R_r."""
    whole = Risk(linear(), DATA, l2=l2)
    retain = whole.on(risks.rows(DATA, INDEX[8:]))
    forget = whole.on(risks.rows(DATA, INDEX[:8]), l2=0.0)
    theta_tr = minima.minimise(whole, random_theta(whole), tolerance=1e-11).theta
    theta_r = minima.minimise(retain, theta_tr, tolerance=1e-11).theta
    return retain, forget, theta_tr, theta_r


def directions(r: list[float], f: list[float], n: list[float]) -> Directions:
    vectors = [torch.tensor(v, dtype=torch.float64) for v in (r, f, n)]
    return Directions(*vectors, solves={})


@pytest.mark.parametrize("alpha", [-2.0, -0.4, 0.0, 0.3, 1.0])
def test_the_smoothed_gap_is_a_newton_step_on_the_smoothed_loss(alpha: float) -> None:
    """Eq. (33) against Δθ_r − H_r⁻¹∇R_f^{GLS,α}, which knows nothing of Δθ_n."""
    retain, forget, theta_tr, theta_r = problem()
    found = unlearning_directions(retain, forget, theta_tr, theta_r, DENSE)
    smoothed = forget.on(forget.batches, loss=SmoothedLoss(alpha))
    at_tr = dense_matrix(risks.hessian(retain, theta_tr), theta_tr)
    step = torch.linalg.solve(at_tr, risks.gradient(smoothed, theta_tr))
    gap = theorems.smoothed_gap(found, alpha, K)
    torch.testing.assert_close(gap, found.delta_r - step, rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha", [-2.0, 0.5])
def test_smoothing_does_not_change_the_hessian_of_a_linear_model(alpha: float) -> None:
    _, forget, theta_tr, _ = problem()
    smoothed = forget.on(forget.batches, loss=SmoothedLoss(alpha))
    plain, changed = (
        dense_matrix(risks.hessian(risk, theta_tr), theta_tr) for risk in (forget, smoothed)
    )
    torch.testing.assert_close(plain, changed, rtol=0, atol=1e-12)


def test_the_minimum_with_a_weight_of_minus_one_is_retraining() -> None:
    """θ_f* of Eq. (2) with ε = −1 minimises R_tr − R_f = R_r."""
    retain, forget, _, theta_r = problem()
    whole = retain.on(DATA)
    slope = risks.gradient(whole, theta_r) - risks.gradient(forget, theta_r)
    assert float(slope.norm()) < 1e-10


def test_best_alpha_minimises_the_distance() -> None:
    retain, forget, theta_tr, theta_r = problem()
    found = unlearning_directions(retain, forget, theta_tr, theta_r, DENSE)

    def distance(alpha: float) -> float:
        return float(theorems.smoothed_gap(found, alpha, K).norm())

    oracle = minimize_scalar(distance, bounds=(-5, 1), method="bounded", options={"xatol": 1e-10})
    best = theorems.best_alpha(found, K)
    assert best == pytest.approx(oracle.x, abs=1e-6)
    assert distance(best) <= min(distance(a / 100) for a in range(-500, 101))


@pytest.mark.parametrize(("towards", "sign"), [(1.0, -1), (-1.0, 1)])
def test_theorem_2(towards: float, sign: int) -> None:
    """A negative inner product is what lets some α < 0 help, and only then."""
    found = directions([towards, 2.0], [0.0, 2.0], [-1.0, 2.0])
    product = theorems.theorem2_product(found)
    best = theorems.best_alpha(found, 10)
    assert product == sign
    assert best == pytest.approx(sign * 10 / 9 if sign < 0 else 1.0)
    plain = float(theorems.smoothed_gap(found, 0.0, 10).norm())
    helped = [float(theorems.smoothed_gap(found, -a / 10, 10).norm()) < plain for a in range(1, 11)]
    assert all(helped) if sign < 0 else not any(helped)


def test_theorem_2_needs_a_strict_inequality() -> None:
    """Where the inner product is zero, no α ≠ 0 comes closer to Retrain."""
    found = directions([1.0, 0.0], [0.0, 0.0], [0.0, 3.0])
    assert theorems.theorem2_product(found) == theorems.best_alpha(found, 10) == 0
    for alpha in (-1.0, -1e-3, 1e-3, 1.0):
        assert float(theorems.smoothed_gap(found, alpha, 10).norm()) > 1


def test_smoothing_in_no_direction_has_no_best_rate() -> None:
    assert theorems.best_alpha(directions([1.0], [2.0], [2.0]), 10) == 0


def test_a_hessian_that_grows_evenly_has_its_lipschitz_constant() -> None:
    """R = θ³Σx³/6 has the Hessian θΣx³."""
    x = torch.tensor([[1.0], [2.0], [-0.5]], dtype=torch.float64)
    risk = Risk(nn.Linear(1, 1, bias=False).double(), [(x, torch.zeros(3))], loss=Cube())
    start, end = (torch.tensor([v], dtype=torch.float64) for v in (0.3, 2.0))
    expected = abs(float(x.pow(3).sum()))
    assert theorems.hessian_lipschitz(risk, start, end) == pytest.approx(expected, rel=1e-9)
    assert theorems.hessian_lipschitz(risk, start, start) == 0


def test_the_softmax_constant_is_reached_by_one_sample_of_two_classes() -> None:
    """Along (1, −1)⊗x̃ the loss is log(1 + e^{−t}); its third derivative is at most 1/(6√3)."""
    x = torch.tensor([[2.0]], dtype=torch.float64)
    risk = Risk(nn.Linear(1, 2).double(), [(x, torch.tensor([0]))])
    along = torch.tensor([2.0, -2.0, 1.0, -1.0], dtype=torch.float64)
    along /= along.norm()
    constant = theorems.softmax_regression_lipschitz(x)
    steepest = math.log(2 + math.sqrt(3)) / math.sqrt(10)  # σ = 1/2 + 1/(2√3); t is √10 on along
    grid = [*torch.linspace(-2, 2, 41, dtype=torch.float64).tolist(), steepest, -steepest]
    slopes = [theorems.hessian_lipschitz(risk, t * along, (t + 1e-4) * along, 1) for t in grid]
    assert constant * 0.999 < max(slopes) <= constant * (1 + 1e-6)
    assert max(slopes) == max(slopes[-2:])


@pytest.mark.parametrize("l2", [0.3, 3.0])
def test_the_bound_of_eq_31_holds(l2: float) -> None:
    retain, forget, theta_tr, theta_r = problem(l2)
    whole = retain.on(DATA)
    found = unlearning_directions(retain, forget, theta_tr, theta_r, DENSE)
    error = float((found.delta_r - found.delta_f).norm())  # as θ_f* = θ_r*
    distance = float((theta_r - theta_tr).norm())
    inverses = [
        theorems.inverse_norm(risks.hessian(risk, theta), theta)
        for risk, theta in ((whole, theta_r), (retain, theta_tr))
    ]
    assert inverses == pytest.approx([1 / l2, 1 / l2], rel=1e-9)
    estimated = [
        theorems.hessian_lipschitz(whole, theta_r, theta_tr),
        theorems.hessian_lipschitz(retain, theta_tr, theta_r),
    ]
    anywhere = [theorems.softmax_regression_lipschitz(r.batches[0][0]) for r in (whole, retain)]
    assert estimated[0] < anywhere[0]
    assert estimated[1] < anywhere[1]
    for constants in (estimated, anywhere):
        assert 0 < error <= TaylorBound(*constants, *inverses, distance, distance).bound


def test_the_bound_is_put_together_as_printed() -> None:
    bound = TaylorBound(2.0, 3.0, 5.0, 7.0, 0.1, 0.2)
    assert bound.bound_r == pytest.approx(2 / 2 * 5 * 0.01)
    assert bound.bound_f == pytest.approx(3 / 2 * 7 * 0.04)
    assert bound.bound == bound.bound_r + bound.bound_f


def test_eq_18_holds_with_a_plus_on_a_quadratic_and_not_with_theorem_1s_minus() -> None:
    whole = Risk(linear(), DATA, l2=0.5, loss=SquaredLoss())
    retain = whole.on(risks.rows(DATA, INDEX[8:]))
    forget = whole.on(risks.rows(DATA, INDEX[:8]), l2=0.0)
    theta_tr = minima.minimise(whole, random_theta(whole), tolerance=1e-12).theta
    theta_r = minima.minimise(retain, theta_tr, tolerance=1e-12).theta
    left = risks.gradient(forget, theta_r)
    h_tr, h_r = (
        dense_matrix(risks.hessian(risk, theta), theta)
        for risk, theta in ((whole, theta_r), (retain, theta_tr))
    )
    right = h_tr @ torch.linalg.solve(h_r, risks.gradient(forget, theta_tr))
    torch.testing.assert_close(left, right, rtol=0, atol=1e-10)
    assert float((left + right).norm()) > float(left.norm())


def test_the_exact_gap_of_a_newton_step() -> None:
    retain, forget, theta_tr, theta_r = problem()
    found = unlearning_directions(retain, forget, theta_tr, theta_r, DENSE)
    exact = replace(found, delta_r=theta_r - theta_tr)
    gap = theorems.smoothed_gap(exact, 0.0, K)
    torch.testing.assert_close(gap, theta_r - (theta_tr + found.delta_f))


ONE = directions([1.0], [0.0], [2.0])


@pytest.mark.parametrize(
    ("alpha", "classes", "message"),
    [
        (1.1, 10, r"alpha: should lie in \(−∞, 1\] \(Section 3.1\); found 1.1"),
        (float("nan"), 10, "found nan"),
        (float("-inf"), 10, "found -inf"),
        (-0.1, 1, r"num_classes: should be at least 2, as Eq. \(34\) divides by K − 1; found 1"),
    ],
)
def test_rates_and_classes_outside_their_domain(alpha: float, classes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        theorems.smoothed_gap(ONE, alpha, classes)
    if classes < 2:
        with pytest.raises(ConfigError, match=message):
            theorems.best_alpha(ONE, classes)
