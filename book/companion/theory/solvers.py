"""Solvers of (H + δI)x = v from products with H: the recursions behind ``inverse_hvp``."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from companion.theory.risks import Product
from companion.theory.spectrum import lanczos, random_start, ritz
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, UGradSLError

DENSE_LIMIT = 4096
NEEDS = "its inverse is needed in Eqs. (3), (4), (11) and (34)"


class CurvatureError(UGradSLError, ArithmeticError):
    """A Hessian has no inverse, or lacks the sign that a solver needs."""


class SolverConfig(Config):
    """The way to solve a system (H + δI)x = v.

    Attributes:
        solver: ``dense`` makes the whole matrix: an oracle for small models, O(P²) memory.
            ``cg``: conjugate gradients; H + δI has to be positive definite. ``neumann``: the
            series x = (1/s)·Σₖ(I − H/s)ᵏv. ``lissa``: the same with the Hessian of one random
            batch in each term, and the mean of the second half of its partial sums. All but
            ``dense`` need O(P) memory.
        damping: δ, added to the diagonal; the paper has none.
        tolerance: of the relative residual ‖(H + δI)x − v‖/‖v‖.
        max_iterations: steps, or terms of a series.
        scale: s; a series converges where all eigenvalues lie in (0, 2s). By default the largest
            one, by Lanczos.
    """

    solver: Literal["dense", "cg", "neumann", "lissa"] = "cg"
    damping: float = Field(0.0, ge=0, description="δ")
    tolerance: float = Field(1e-10, gt=0, lt=1)
    max_iterations: int = Field(2000, ge=1)
    scale: float | None = Field(None, gt=0, description="s of a series")


def dense_matrix(product: Product, like: Tensor) -> Tensor:
    """The whole of H, (P, P), for P entries of ``like``; O(P²) memory.

    Raises:
        ConfigError: P > 4096.
    """
    if len(like) > DENSE_LIMIT:
        raise ConfigError(
            f"solver: 'dense' is for at most {DENSE_LIMIT} parameters; found {len(like)}"
        )
    unit = torch.eye(len(like), dtype=like.dtype, device=like.device)
    columns = torch.cat([product(block) for block in torch.split(unit, 64, dim=1)], dim=1)
    return (columns + columns.T) / 2


Solved = tuple[Tensor, list[float]]


def _dense(product: Product, vector: Tensor, _: SolverConfig, __: Product) -> Solved:
    matrix = dense_matrix(product, vector)
    values = torch.linalg.eigvalsh(matrix)
    least, largest = float(values.abs().min()), float(values.abs().max())
    if not least > len(vector) * torch.finfo(vector.dtype).eps * largest:
        raise CurvatureError(
            f"hessian: is singular (|eigenvalues| from {least:.1e} to {largest:.1e}), but {NEEDS}; "
            "add a ridge l2 to the risk, or damping"
        )
    return torch.linalg.solve(matrix, vector), []


def _cg(product: Product, vector: Tensor, config: SolverConfig, _: Product) -> Solved:
    x, r, p = torch.zeros_like(vector), vector.clone(), vector.clone()
    smallest = len(vector) * torch.finfo(vector.dtype).eps
    square, largest = float(r @ r), 0.0
    history: list[float] = []
    while square**0.5 > config.tolerance / 2 and len(history) < config.max_iterations:
        image = product(p)
        curvature = float(p @ image / (p @ p))
        largest = max(largest, abs(curvature))
        if not curvature > smallest * largest:
            raise _not_definite(f"curvature {curvature:.1e} in a direction that cg takes")
        step = square / float(p @ image)
        x, r = x + step * p, r - step * image
        if float(x.norm()) * smallest * largest > 1:  # ‖x‖ ≤ ‖v‖/λ_min bounds λ_min, and ‖v‖ = 1
            raise _not_definite(f"an eigenvalue below {1 / float(x.norm()):.1e}")
        square, before = float(r @ r), square
        p = r + (square / before) * p
        history.append(square**0.5)
    return x, history


def _not_definite(why: str) -> CurvatureError:
    return CurvatureError(
        f"hessian: is not positive definite ({why}), but {NEEDS}; add a ridge l2 to the risk, or "
        "damping above the size of its most negative eigenvalue"
    )


def _scale(product: Product, vector: Tensor, config: SolverConfig) -> float:
    return config.scale or spectral_norm(product, vector)


def _neumann(product: Product, vector: Tensor, config: SolverConfig, _: Product) -> Solved:
    scale = _scale(product, vector, config)
    x, r = torch.zeros_like(vector), vector.clone()
    history = [1.0]
    while config.tolerance / 2 < history[-1] < 1e6 and len(history) <= config.max_iterations:
        x = x + r / scale  # with r = v − Hx this adds the next term (1/s)(I − H/s)ᵏv
        r = vector - product(x)
        history.append(float(r.norm()))
    return x, history[1:]


def _lissa(product: Product, vector: Tensor, config: SolverConfig, sampled: Product) -> Solved:
    scale = _scale(product, vector, config)
    x, total, counted = torch.zeros_like(vector), torch.zeros_like(vector), 0
    history: list[float] = []
    for term in range(config.max_iterations):
        r = vector - sampled(x)
        x = x + r / scale
        history.append(float(r.norm()))
        if not history[-1] < 1e6:
            return x, history
        if 2 * term >= config.max_iterations - 1:
            total, counted = total + x, counted + 1
    return total / counted, history


SOLVERS: dict[str, Callable[[Product, Tensor, SolverConfig, Product], Solved]] = {
    "dense": _dense,
    "cg": _cg,
    "neumann": _neumann,
    "lissa": _lissa,
}


def spectral_norm(product: Product, like: Tensor, steps: int = 30) -> float:
    """‖H‖₂ of a symmetric H by Lanczos from a fixed random start; rounded up by its residual."""
    start = random_start(len(like), torch.Generator().manual_seed(0), like.dtype).to(like.device)
    found = ritz(lanczos(product, start, min(steps, len(like))))
    top = int(found.values.abs().argmax())
    return float(found.values[top].abs() + found.residuals[top])
