"""The Newton solver against scikit-learn's SVC: objective, weights, ties."""

from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC

from ugradsl_core.metrics import attack
from ugradsl_core.metrics.attack import Array, fit_attack


def problem(kind: str, n: int = 200) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    if kind == "overlap":
        return rng.normal(0.3, 1, (n, 1)), rng.normal(0, 1, (n, 1))
    if kind == "confidence":
        return rng.beta(9, 0.5, (n, 1)), rng.beta(1.5, 0.8, (n, 1))
    if kind == "binary":
        return (rng.random((n, 1)) < 0.98) * 1.0, (rng.random((n, 1)) < 0.6) * 1.0
    if kind == "separable":
        return rng.uniform(0.9, 1, (n, 1)), rng.uniform(0, 0.1, (n, 1))
    return rng.dirichlet(np.full(10, 0.05), n), rng.dirichlet(np.full(10, 0.3), n)


KINDS = ["overlap", "confidence", "binary", "separable", "softmax"]


@pytest.mark.parametrize("kind", KINDS)
def test_newton_reaches_the_objective_of_the_svc(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    members, nonmembers = problem(kind)
    solved: dict[str, Any] = {}
    solve = attack._solve

    def spy(features: Array, sign: Array, weight: Array) -> Array:
        solution = solve(features, sign, weight)
        hinge = np.maximum(0, 1 - sign * (features @ solution[:-1] + solution[-1]))
        solved["objective"] = 0.5 * (solution[:-1] ** 2).sum() + weight @ hinge
        return solution

    monkeypatch.setattr(attack, "_solve", spy)
    fit_attack(members, nonmembers)

    x = np.concatenate([members, nonmembers])
    sign = np.repeat([1.0, -1.0], len(members))
    machine = SVC(C=3, gamma="auto", kernel="rbf").fit(x, sign)
    dual, vectors = machine.dual_coef_[0], machine.support_vectors_
    squared = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    norm = dual @ np.exp(-squared / x.shape[1]) @ dual
    hinge = np.maximum(0, 1 - sign * machine.decision_function(x))
    assert solved["objective"] <= (0.5 * norm + 3 * hinge.sum()) * (1 + 1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_svc_option_is_the_fields_svc(kind: str) -> None:
    members, nonmembers = problem(kind)
    x = np.concatenate([members, nonmembers])
    machine = SVC(C=3, gamma="auto", kernel="rbf").fit(x, np.repeat([1.0, -1.0], len(members)))
    found = fit_attack(members, nonmembers, solver="svc")(x)
    np.testing.assert_allclose(found, machine.decision_function(x), atol=1e-6)


@pytest.mark.parametrize("solver", ["newton", "svc"])
def test_balanced_weights_are_those_of_scikit_learn(solver: str) -> None:
    members, nonmembers = problem("confidence")
    members = members[:40]
    x = np.concatenate([members, nonmembers])
    sign = np.repeat([1.0, -1.0], [40, 200])
    machine = SVC(C=3, gamma="auto", kernel="rbf", class_weight="balanced").fit(x, sign)
    found = fit_attack(members, nonmembers, solver=solver, balanced=True)(x)
    expected = machine.decision_function(x)
    assert np.mean((found > 0) != (expected > 0)) <= 0.005
    np.testing.assert_allclose(found, expected, atol=0.1)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (60, 40), (40, 60)])
def test_identical_scores_follow_the_majority_and_ties_are_nonmembers(n: int, m: int) -> None:
    same = np.full((1, 1), 0.7)
    decisions = {
        solver: fit_attack(np.repeat(same, n, 0), np.repeat(same, m, 0), solver=solver)(same)[0]
        for solver in ("newton", "svc")
    }
    assert (decisions["newton"] > 1e-6) == (decisions["svc"] > 1e-6) == (n > m)
    assert decisions["newton"] == pytest.approx(decisions["svc"], abs=1e-3)


@pytest.mark.parametrize(("right", "wrong"), [(100, 60), (98, 65), (60, 60), (20, 80)])
def test_two_distinct_scores(right: int, wrong: int) -> None:
    """Correctness has two values only: members right of 100, non-members wrong of 100."""
    members = np.repeat([[1.0], [0.0]], [right, 100 - right], axis=0)
    nonmembers = np.repeat([[1.0], [0.0]], [100 - wrong, wrong], axis=0)
    both = np.array([[0.0], [1.0]])
    fast = fit_attack(members, nonmembers)(both)
    slow = fit_attack(members, nonmembers, solver="svc")(both)
    assert ((fast > 0) == (slow > 0)).all()
    np.testing.assert_allclose(fast, slow, atol=2e-2)


def test_the_decision_does_not_depend_on_the_order_of_samples() -> None:
    members, nonmembers = problem("softmax")
    rng = np.random.default_rng(1)
    first = fit_attack(members, nonmembers)(members)
    moved = fit_attack(rng.permutation(members), rng.permutation(nonmembers))(members)
    np.testing.assert_allclose(first, moved, atol=1e-9)


@pytest.mark.parametrize("spread", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize("kind", ["cauchy", "uniform"])
def test_scalars_without_a_bound_are_attacked_as_the_svc_does(kind: str, spread: float) -> None:
    """Bins as wide as a share of the span would be wider than the kernel here."""
    rng = np.random.default_rng(3)
    draw = rng.standard_cauchy if kind == "cauchy" else rng.random
    members, nonmembers = spread * draw((300, 1)), spread * (draw((300, 1)) + 0.3)
    new = spread * (draw((400, 1)) + 0.2)
    fast = fit_attack(members, nonmembers)(new) <= 0
    slow = fit_attack(members, nonmembers, solver="svc")(new) <= 0
    assert (fast != slow).mean() <= 0.01


def test_bins_are_narrow_whatever_the_span() -> None:
    x = np.concatenate([np.linspace(0, 1, 50), [1e6]])[:, None]
    merged, sign, weight = attack._merged(x, np.ones(51), np.full(51, 3.0))
    assert len(merged) == len(x)
    assert (sign == 1).all()
    assert weight.sum() == pytest.approx(153)
    far = np.array([[0.0], [1e-3], [1e300]])
    assert attack._merged(far, np.ones(3), np.ones(3))[0].tolist() == [[5e-4], [1e300]]
