"""Minima of a risk: θ_tr*, θ_r* and θ_f* of Section 3.2, to a gradient that is stated."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from companion.theory.influence import inverse_hvp
from companion.theory.risks import Risk, gradient, hessian, value_and_gradient
from companion.theory.solvers import CurvatureError, SolverConfig
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


def minimise(
    risk: Risk, start: Tensor, *, tolerance: float = 1e-5, max_iterations: int = 5000
) -> Minimum:
    """A minimum of R near ``start``: L-BFGS, then Newton steps while they shrink the gradient.

    L-BFGS compares values of R, and so stalls where they agree to rounding; Newton's steps, by
    conjugate gradients, go on from there. They end where ∇²R is not positive definite.

    Raises:
        DivergenceError: R or its gradient is not finite.
    """
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
        options={
            "maxiter": max_iterations,
            "maxfun": 2 * max_iterations,
            "maxcor": 30,
            "gtol": 0.1 * tolerance / len(start) ** 0.5,
            "ftol": 0.0,
        },
    )
    theta, steps = torch.from_numpy(found.x).to(start), 0
    slope = gradient(risk, theta)
    while float(slope.norm()) > tolerance and found.nit < max_iterations:
        try:
            config = SolverConfig(tolerance=1e-4, max_iterations=1000)
            step = inverse_hvp(hessian(risk, theta), slope, config)
        except CurvatureError:
            break
        after = gradient(risk, theta - step.value)
        if not float(after.norm()) < 0.5 * float(slope.norm()):
            break
        theta, slope, steps = theta - step.value, after, steps + 1
    norm = float(slope.norm())
    return Minimum(theta, norm, int(found.nit), steps, norm <= tolerance)
