"""Minima of a risk: θ_tr*, θ_r* and θ_f* of Section 3.2, to a gradient that is stated."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from companion.theory.influence import inverse_hvp
from companion.theory.risks import Risk, gradient, hessian, value_and_gradient
from companion.theory.solvers import CurvatureError, SolverConfig, dense_matrix
from ugradsl_core.errors import DivergenceError


@dataclass(frozen=True, eq=False)
class Minimum:
    """The end of a minimisation.

    Attributes:
        theta: (P,).
        gradient_norm: ‖∇R(θ)‖.
        iterations: of L-BFGS.
        newton_steps: taken after it.
        converged: whether ``gradient_norm`` is at most the tolerance.
    """

    theta: Tensor
    gradient_norm: float
    iterations: int
    newton_steps: int
    converged: bool


SMALL = 1024  # parameters up to which the whole Hessian is made for a Newton step
NEAR = 1e-3  # size of the gradient from which a small model takes Newton steps


def minimise(
    risk: Risk, start: Tensor, *, tolerance: float = 1e-5, max_iterations: int = 5000
) -> Minimum:
    """A minimum of R near ``start``: L-BFGS, then Newton steps while they shrink the gradient.

    L-BFGS compares values of R, and so stalls where they agree to rounding; Newton's steps go on
    from there. They end where ∇²R is not positive definite. A small model takes them as soon as
    its gradient is small, where two of them replace hundreds of iterations, and goes back to
    L-BFGS if they fail.

    Raises:
        DivergenceError: R or its gradient is not finite.
    """
    theta, iterations, steps = start, 0, 0
    for size in (NEAR, 0.1 * tolerance) if len(start) <= SMALL else (0.1 * tolerance,):
        goal = max(size, 0.1 * tolerance) / len(start) ** 0.5
        theta, taken = _descend(risk, theta, goal, max_iterations - iterations)
        iterations += taken
        slope = gradient(risk, theta)
        if iterations < max_iterations:
            theta, slope, more = _newton(risk, theta, slope, tolerance, last=size != NEAR)
            steps += more
        norm = float(slope.norm())
        if norm <= tolerance or iterations >= max_iterations:
            break
    return Minimum(theta, norm, iterations, steps, norm <= tolerance)


def _descend(risk: Risk, start: Tensor, goal: float, most: int) -> tuple[Tensor, int]:
    """L-BFGS until each entry of the gradient is at most ``goal``, and its iterations."""
    from scipy.optimize import minimize

    def both(theta: "np.ndarray") -> tuple[float, "np.ndarray"]:
        value, slope = value_and_gradient(risk, torch.from_numpy(theta).to(start))
        if not np.isfinite(value):
            raise DivergenceError("minimise: the risk is no longer finite")
        return value, slope.double().cpu().numpy()

    found = minimize(
        both,
        start.double().cpu().numpy(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": most, "maxfun": 2 * most, "maxcor": 30, "gtol": goal, "ftol": 0.0},
    )
    return torch.from_numpy(found.x).to(start), int(found.nit)


def _newton(
    risk: Risk, theta: Tensor, slope: Tensor, tolerance: float, *, last: bool
) -> tuple[Tensor, Tensor, int]:
    """Newton steps while each halves the gradient: θ, the gradient there, and their number."""
    steps = 0
    while float(slope.norm()) > tolerance:
        step = _newton_step(risk, theta, slope, last=last)
        if step is None:
            break
        after = gradient(risk, theta - step)
        if not float(after.norm()) < 0.5 * float(slope.norm()):
            break
        theta, slope, steps = theta - step, after, steps + 1
    return theta, slope, steps


def _newton_step(risk: Risk, theta: Tensor, slope: Tensor, *, last: bool) -> Tensor | None:
    """(∇²R)⁻¹∇R, or None where ∇²R is not positive definite.

    A singular ∇²R whose range holds ∇R, as that of free logits, is left to conjugate gradients, and
    only when L-BFGS can do no more (``last``).
    """
    product = hessian(risk, theta)
    if len(theta) <= SMALL:
        factor, failed = torch.linalg.cholesky_ex(dense_matrix(product, theta))
        pivots = factor.diagonal().square()
        rounding = len(theta) * torch.finfo(theta.dtype).eps * float(pivots.max())
        if not failed and float(pivots.min()) > rounding:
            return torch.cholesky_solve(slope[:, None], factor)[:, 0]
        if not last:
            return None
    try:
        return inverse_hvp(product, slope, SolverConfig(tolerance=1e-4, max_iterations=1000)).value
    except CurvatureError:
        return None
