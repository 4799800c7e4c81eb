"""The membership attack: a support vector machine with an RBF kernel, solved at low rank.

The field's reference attack is scikit-learn's ``SVC(C=3, gamma="auto", kernel="rbf")``, which
takes minutes on 20,000 samples. The kernels that arise here have a numerical rank of a few dozen,
so the same convex problem is solved by Newton's method on the explicit features of a pivoted
Cholesky factorisation: O(n·r²) for rank r.
"""

from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ugradsl_core.errors import ConfigError

Array = NDArray[np.float64]
Solver = Literal["newton", "svc"]
Decision = Callable[[Array], Array]

PENALTY = 3.0
_BINS = 4096
_WIDEST = 1 / 64  # of a bin; the kernel's width is 1
_RANK = 256
_THIN = 8
_TOLERANCE = (1e-8, 1e-4)  # of the kernel's diagonal: for scalars, for vectors
_SMOOTHING = (1.0, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3)


def _rbf(a: Array, b: Array, gamma: float) -> Array:
    squared = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.exp(-gamma * np.maximum(squared, 0)))


def _pivots(x: Array, gamma: float, tolerance: float, limit: int) -> tuple[Array, bool]:
    """Points whose kernel columns span the kernel of ``x`` up to ``tolerance`` on its diagonal.

    At most ``limit``, and whether they are enough.
    """
    residual = np.ones(len(x))
    factor = np.empty((min(limit, len(x)), len(x)))  # transposed: a step reads whole rows
    squared = (x**2).sum(1)
    chosen: list[int] = []
    for rank in range(len(factor)):
        pivot = int(residual.argmax())
        if residual[pivot] < tolerance:
            break
        distance = squared + squared[pivot] - 2 * x @ x[pivot]
        column = np.exp(-gamma * np.maximum(distance, 0)) - factor[:rank, pivot] @ factor[:rank]
        factor[rank] = column / np.sqrt(residual[pivot])
        residual = np.maximum(residual - factor[rank] ** 2, 0)
        chosen.append(pivot)
    return x[chosen], bool(residual.max() < tolerance)


def _hinge(margin: Array, width: float) -> Array:
    """max(0, 1 − m), rounded off over ``width`` each side of 1."""
    gap = np.maximum(1 + width - margin, 0)
    inside = np.minimum(gap, 2 * width)
    return np.asarray(inside**2 / (4 * width) + (gap - inside))


def _hinge_slopes(margin: Array, width: float) -> tuple[Array, Array]:
    """Slope and curvature of :func:`_hinge`."""
    slope = -np.clip(1 + width - margin, 0, 2 * width) / (2 * width)
    return slope, (np.abs(1 - margin) <= width) / (2 * width)


def _solve(features: Array, sign: Array, weight: Array) -> Array:
    """Minimise ½‖w‖² + Σ weight·hinge(sign·(features·w + b)); the last entry is b.

    The hinge is rounded off less and less. A large problem starts from the solution of a part of
    it, every ``_THIN``-th sample.
    """
    design = np.hstack([features, np.ones((len(features), 1))]) * sign[:, None]
    solution = np.zeros(design.shape[1])
    widths: tuple[float, ...] = _SMOOTHING
    if len(design) > 500 * _THIN:
        part = slice(None, None, _THIN)
        solution = _descend(design[part], _THIN * weight[part], solution, widths)
        widths = widths[-3:]
    solution = _descend(design, weight, solution, widths)
    solution[-1] = _intercept(features @ solution[:-1], sign, weight)
    return solution


def _descend(design: Array, weight: Array, solution: Array, widths: tuple[float, ...]) -> Array:
    """Newton's method with a line search, for each width of the rounded hinge in turn."""
    ridge = np.ones(design.shape[1])
    ridge[-1] = 1e-8

    def objective(w: Array, margin: Array, width: float) -> float:
        return float(0.5 * (ridge * w**2).sum() + weight @ _hinge(margin, width))

    margin = design @ solution
    for width in widths:
        tolerance = 1e-9 if width == widths[-1] else 1e-5
        start = objective(solution, margin, width)
        for _ in range(50):
            slope, curvature = _hinge_slopes(margin, width)
            gradient = ridge * solution + design.T @ (weight * slope)
            active = curvature > 0
            rows = design[active]
            hessian = np.diag(ridge) + rows.T @ (rows * (weight * curvature)[active, None])
            step = np.linalg.solve(hessian, gradient)
            change = design @ step
            # Where no sample lies in the rounded part the Hessian is almost singular: no step may
            # change a decision value by more than 1.
            bound = max(1.0, float(np.abs(change).max()))
            step, change = step / bound, change / bound
            decrement = float(gradient @ step)
            if decrement < tolerance * max(start, 1.0):
                break
            length = 1.0
            while True:
                tried, moved = solution - length * step, margin - length * change
                value = objective(tried, moved, width)
                if value <= start - 0.25 * length * decrement or length < 1e-8:
                    break
                length /= 2
            solution, margin, start = tried, moved, value
    return solution


def _intercept(scores: Array, sign: Array, weight: Array) -> float:
    """The b that minimises Σ weight·hinge(sign·(scores + b)); the middle where it is an interval.

    The loss is piecewise linear in b with a kink at each sign − score, where its slope rises by
    the sample's weight. LIBSVM resolves the tie in the same way.
    """
    kinks = sign - scores
    order = kinks.argsort(kind="stable")
    slope = weight[order].cumsum() - weight[sign > 0].sum()
    tolerance = 1e-9 * weight.sum()
    first = int((slope >= -tolerance).argmax())
    last = min(first + 1, len(kinks) - 1) if abs(slope[first]) <= tolerance else first
    return float(kinks[order[first]] + kinks[order[last]]) / 2


def _sorted(x: Array, sign: Array, weight: Array) -> tuple[Array, Array, Array]:
    """The samples in an order that does not depend on the one they came in."""
    order = np.lexsort((sign, *x.T))
    return x[order], sign[order], weight[order]


def _merged(x: Array, sign: Array, weight: Array) -> tuple[Array, Array, Array]:
    """Scalars of one class that share a bin become one sample at their mean.

    There are ``_BINS`` bins, and more where the span is wide: none is wider than ``_WIDEST``, and
    the kernel's width is 1.
    """
    span = max(float(np.ptp(x)), np.finfo(np.float64).tiny)
    bins = max(_BINS, span / _WIDEST)
    place = np.minimum(np.floor((x[:, 0] - x.min()) / span * bins), bins - 1)
    if bins > _BINS:  # they may be more than an integer holds
        _, place = np.unique(place, return_inverse=True)
    group = 2 * place.astype(np.intp) + (sign > 0)
    total = np.bincount(group, weight)
    full = total > 0
    mean = np.bincount(group, weight * x[:, 0])[full] / total[full]
    signs = np.where(np.flatnonzero(full) % 2, 1.0, -1.0)
    return mean[:, None], signs, np.asarray(total[full])


def _machine(x: Array, sign: Array, weight: Array, gamma: float) -> Decision:
    """scikit-learn's SVC, whose penalty is each sample's weight."""
    from sklearn.svm import SVC

    machine = SVC(C=1.0, gamma=gamma, kernel="rbf").fit(x, sign, sample_weight=weight)
    return lambda new: np.asarray(machine.decision_function(new), dtype=np.float64)


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()


def fit_attack(
    members: Array, nonmembers: Array, *, solver: Solver = "newton", balanced: bool = False
) -> Decision:
    """Fit the attack and return its decision function, positive for members.

    Scalars that lie so far apart that ``_RANK`` features do not span their kernel, as the modified
    entropy of a model that has diverged, are left to the SVC, whichever solver is asked for.

    Args:
        members: (n, d), d = 1 for a scalar of each sample.
        nonmembers: (m, d).
        solver: ``"newton"``, or ``"svc"`` for scikit-learn's SVC itself.
        balanced: give both classes the same total weight.

    Raises:
        ConfigError: unknown solver.
    """
    from scipy.linalg import solve_triangular

    if solver not in {"newton", "svc"}:
        raise ConfigError(f"solver: should be 'newton' or 'svc'; found {solver!r}")
    x = np.concatenate([members, nonmembers]).astype(np.float64)
    sign = np.concatenate([np.ones(len(members)), -np.ones(len(nonmembers))])
    weight = np.full(len(x), PENALTY)
    if balanced:
        weight *= np.where(sign > 0, len(x) / (2 * len(members)), len(x) / (2 * len(nonmembers)))
    gamma = 1.0 / x.shape[1]
    if solver == "svc":
        return _machine(x, sign, weight, gamma)
    scalars = x.shape[1] == 1
    x, sign, weight = _merged(x, sign, weight) if scalars else _sorted(x, sign, weight)
    with _libraries().limit(limits=1, user_api="blas"):  # threads cost more than these sizes gain
        pivots, enough = _pivots(x, gamma, _TOLERANCE[not scalars], limit=_RANK)
        if scalars and not enough:
            return _machine(x, sign, weight, gamma)
        lower = np.linalg.cholesky(_rbf(pivots, pivots, gamma) + 1e-12 * np.eye(len(pivots)))

        def features(new: Array) -> Array:
            return np.asarray(solve_triangular(lower, _rbf(pivots, new, gamma), lower=True)).T

        solution = _solve(features(x), sign, weight)
    return lambda new: features(new) @ solution[:-1] + solution[-1]
