"""Eigenvalues and spectral density of a symmetric matrix by Lanczos; memory O(steps · size)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Krylov:
    """A Krylov space of a symmetric matrix A and what A is inside it, a tridiagonal matrix.

    Attributes:
        basis: (m, P), orthonormal rows.
        diagonal: (m,), float64.
        offdiagonal: (m,), float64; the last entry is the norm of what is left over.
    """

    basis: Tensor
    diagonal: Tensor
    offdiagonal: Tensor

    @property
    def steps(self) -> int:
        """m, the number of products with A."""
        return len(self.diagonal)


@dataclass(frozen=True, eq=False)
class Ritz:
    """Approximate eigenvalues, ascending.

    Attributes:
        values: (m,), float64.
        residuals: (m,), ‖Av − λv‖ of each; an eigenvalue of A lies at most that far away.
        weights: (m,), summing to 1: how much of the spectrum each value stands for, as seen from
            the random start (Gauss quadrature).
        coefficients: (m, m), columns: the vectors in terms of the basis.
    """

    values: Tensor
    residuals: Tensor
    weights: Tensor
    coefficients: Tensor


def random_start(size: int, generator: Generator, dtype: torch.dtype = torch.float32) -> Tensor:
    """A random unit vector, uniform on the sphere."""
    start = torch.randn(size, generator=generator, dtype=torch.float64)
    return F.normalize(start, dim=0).to(dtype)


def lanczos(
    product: Product,
    start: Tensor,
    steps: int,
    *,
    known: Krylov | None = None,
    on_step: Callable[[Krylov], None] | None = None,
) -> Krylov:
    """The Krylov space of ``start`` after ``steps`` products, orthogonalised in full.

    It ends earlier where the space is complete. Without the full orthogonalisation rounding would
    make copies of large eigenvalues, and their quadrature weights would be wrong.

    Args:
        product: v → Av for a symmetric A.
        start: (P,), of unit length.
        steps: at most this many products.
        known: the result of fewer steps from the same start, to go on from.
        on_step: called with the space after each step.

    Raises:
        ConfigError: fewer than one step.
    """
    if steps < 1:
        raise ConfigError(f"steps: Lanczos should take at least 1; found {steps!r}")
    basis = [start] if known is None else [row.clone() for row in known.basis]
    diagonal: list[float] = [] if known is None else known.diagonal.tolist()
    offdiagonal: list[float] = [] if known is None else known.offdiagonal.tolist()
    left = start.new_zeros(len(start))
    if known is not None and len(diagonal) < steps:  # the vector that was left over, again
        left = _remainder(product(basis[-1]), torch.stack(basis))
    while len(diagonal) < steps:
        if diagonal:
            if offdiagonal[-1] <= _precision(start) * max(map(abs, diagonal)):
                break
            basis.append(left / left.norm())
        rows = torch.stack(basis)
        image = product(basis[-1])
        diagonal.append(float(image @ basis[-1]))
        left = _remainder(image, rows)
        offdiagonal.append(float(left.norm()))
        if on_step is not None:
            on_step(_krylov(rows, diagonal, offdiagonal))
    return _krylov(torch.stack(basis[: len(diagonal)]), diagonal, offdiagonal)


def _krylov(basis: Tensor, diagonal: Sequence[float], offdiagonal: Sequence[float]) -> Krylov:
    entries = [torch.tensor(values, dtype=torch.float64) for values in (diagonal, offdiagonal)]
    return Krylov(basis, *entries)


def _precision(like: Tensor) -> float:
    return 10 * torch.finfo(like.dtype).eps


def _remainder(vector: Tensor, rows: Tensor) -> Tensor:
    """The part of ``vector`` orthogonal to all rows; twice, as once is not enough in floats."""
    for _ in range(2):
        vector = vector - rows.T @ (rows @ vector)
    return vector


def ritz(space: Krylov) -> Ritz:
    """Eigenvalues of the tridiagonal matrix, with the residuals that they have as A's."""
    inner = space.offdiagonal[:-1]
    matrix = torch.diag(space.diagonal) + torch.diag(inner, 1) + torch.diag(inner, -1)
    values, vectors = torch.linalg.eigh(matrix)
    return Ritz(values, space.offdiagonal[-1] * vectors[-1].abs(), vectors[0].square(), vectors)


def ritz_vector(space: Krylov, found: Ritz, which: int) -> Tensor:
    """The approximate eigenvector number ``which`` (−1 is that of the largest eigenvalue)."""
    return space.basis.T @ found.coefficients[:, which].to(space.basis.dtype)


def share_below(found: Sequence[Ritz], threshold: float) -> tuple[float, float]:
    """Estimated share of eigenvalues below ``threshold``: mean and error over random starts.

    Stochastic Lanczos quadrature. The error is the standard error, NaN for a single start.
    """
    shares = torch.stack([one.weights[one.values < threshold].sum() for one in found])
    if len(shares) < 2:
        return float(shares.mean()), float("nan")
    return float(shares.mean()), float(shares.std() / len(shares) ** 0.5)


def mean_eigenvalue(found: Sequence[Ritz]) -> float:
    """Estimated trace/P, which is also the expected curvature along a random direction."""
    return float(torch.stack([(one.weights * one.values).sum() for one in found]).mean())
