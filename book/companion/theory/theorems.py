"""Theorem 1's error bound and Theorem 2's geometry, computed (Appendices C.2 and C.3)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from companion.theory.influence import Directions
from companion.theory.risks import Product, Risk, hessian
from companion.theory.solvers import dense_matrix, spectral_norm
from ugradsl_core.errors import ConfigError


def smoothed_gap(directions: Directions, alpha: float, num_classes: int) -> Tensor:
    """θ_r* − θ_{f,LS}* ≈ Δθ_r − Δθ_f + (1−K)/K·α·(Δθ_n − Δθ_f), Eqs. (7) and (33), (P,).

    Args:
        directions: for the exact distance of the Newton step θ_tr* + Δθ_f, give
            ``replace(directions, delta_r=theta_r - theta_tr)``.
        alpha: α in (−∞, 1]; 0 is plain gradient ascent.
        num_classes: K ≥ 2.

    Raises:
        ConfigError: α above 1 or not finite, or K < 2.
    """
    if not (math.isfinite(alpha) and alpha <= 1):
        raise ConfigError(f"alpha: should lie in (−∞, 1] (Section 3.1); found {alpha!r}")
    shrink = (1 - _checked_classes(num_classes)) / num_classes
    along = directions.delta_n - directions.delta_f
    return directions.delta_r - directions.delta_f + shrink * alpha * along


def _checked_classes(num_classes: int) -> int:
    if num_classes < 2:
        raise ConfigError(
            f"num_classes: should be at least 2, as Eq. (34) divides by K − 1; found {num_classes}"
        )
    return num_classes


def theorem2_product(directions: Directions) -> float:
    """⟨Δθ_r − Δθ_f, Δθ_n − Δθ_f⟩ of Eq. (35); negative where some α < 0 helps."""
    gap, along = directions.delta_r - directions.delta_f, directions.delta_n - directions.delta_f
    return float(gap @ along)


def best_alpha(directions: Directions, num_classes: int) -> float:
    """The α that minimises ‖:func:`smoothed_gap`‖: K/(K−1)·⟨Δθ_r−Δθ_f, Δθ_n−Δθ_f⟩/‖Δθ_n−Δθ_f‖².

    It has the sign of :func:`theorem2_product`, and is cut at 1, where the domain of α ends.

    Raises:
        ConfigError: K < 2.
    """
    square = float((directions.delta_n - directions.delta_f).square().sum())
    if square == 0:
        return 0.0
    stretch = _checked_classes(num_classes) / (num_classes - 1)
    return min(1.0, stretch * theorem2_product(directions) / square)


def hessian_lipschitz(risk: Risk, start: Tensor, end: Tensor, points: int = 4) -> float:
    """An estimate of the constants of Eqs. (25) and (26), from below: O(P) memory.

    The largest ‖∇²R(θ_t) − ∇²R(θ_0)‖₂/‖θ_t − θ_0‖ at ``points`` places of the segment from
    θ_0 = ``start`` to ``end``. The Taylor remainder at ``end`` needs no more than the segment.
    """
    length = float((end - start).norm())
    if length == 0:
        return 0.0
    base = hessian(risk, start)
    ratios = []
    for share in (k / points for k in range(1, points + 1)):
        there = hessian(risk, start + share * (end - start))

        def change(v: Tensor, there: Product = there) -> Tensor:
            return there(v) - base(v)

        ratios.append(spectral_norm(change, start) / (share * length))
    return max(ratios)


def softmax_regression_lipschitz(inputs: Tensor) -> float:
    """A constant of Eqs. (25) and (26) that holds everywhere, for a linear model and cross-entropy.

    Σ‖x̃‖³·√2/(3√3) with x̃ = (x, 1). The third derivative of log-sum-exp along a unit vector u is
    the third central moment of the entries of u, whose range is at most √2; a range of R allows
    at most R³/(6√3), reached by two values.

    Args:
        inputs: (n, …), flattened to the features x.
    """
    squares = 1 + inputs.flatten(1).square().sum(dim=1)
    return float(squares.pow(1.5).sum()) * math.sqrt(2) / (3 * math.sqrt(3))


@dataclass(frozen=True)
class TaylorBound:
    """The two terms of Eq. (31), ½L‖H⁻¹‖‖θ − θ₀‖², and what they are made of.

    Attributes:
        lipschitz_q: L_q of ∇²R_tr.
        lipschitz_p: L_p of ∇²R_r.
        inverse_r: ‖H_r⁻¹‖₂, with H_r = ∇²R_tr(θ_r*).
        inverse_f: ‖H_f⁻¹‖₂, with H_f = ∇²R_r(θ_tr*).
        distance_r: ‖θ_r* − θ_tr*‖.
        distance_f: ‖θ_f* − θ_tr*‖.
    """

    lipschitz_q: float
    lipschitz_p: float
    inverse_r: float
    inverse_f: float
    distance_r: float
    distance_f: float

    @property
    def bound_r(self) -> float:
        """The bound on ‖e_r‖, Eq. (29)."""
        return self.lipschitz_q / 2 * self.inverse_r * self.distance_r**2

    @property
    def bound_f(self) -> float:
        """The bound on ‖e_f‖, Eq. (30)."""
        return self.lipschitz_p / 2 * self.inverse_f * self.distance_f**2

    @property
    def bound(self) -> float:
        """The right-hand side of Eq. (31)."""
        return self.bound_r + self.bound_f


def inverse_norm(product: Product, like: Tensor) -> float:
    """‖H⁻¹‖₂ = 1/min|eigenvalue|, from the dense matrix."""
    return 1 / float(torch.linalg.eigvalsh(dense_matrix(product, like)).abs().min())
