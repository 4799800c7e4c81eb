"""Inverse-Hessian products, and the vectors Δθ_r, Δθ_f and Δθ_n of Section 3 and Appendix C."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from companion.theory.risks import Product, Risk, gradient, hessian
from companion.theory.solvers import SOLVERS, SolverConfig, dense_matrix
from ugradsl_core.errors import ConfigError


class ConvergenceWarning(UserWarning):
    """An inverse-Hessian product stopped before it reached its tolerance."""


@dataclass(frozen=True, eq=False)
class InverseProduct:
    """The result of a solver.

    Attributes:
        value: x, (P,).
        iterations: steps of ``cg``, terms of a series, 0 for ``dense``.
        residual: ‖(H + δI)x − v‖/‖v‖, computed anew from x.
        converged: whether ``residual`` is at most the tolerance.
        history: the relative residual after each iteration, as the solver itself saw it; in
            ``lissa`` that of its noisy Hessian.
    """

    value: Tensor
    iterations: int
    residual: float
    converged: bool
    history: tuple[float, ...] = ()


def inverse_hvp(
    product: Product,
    vector: Tensor,
    config: SolverConfig | None = None,
    *,
    sampled: Product | None = None,
) -> InverseProduct:
    """x = (H + δI)⁻¹v, the inverse-Hessian product of Eqs. (3), (4), (11), (17) and (34).

    Args:
        product: v ↦ Hv for a symmetric H, such as :func:`companion.theory.risks.hessian`.
        vector: v, (P,).
        config: the solver; conjugate gradients to 1e-10 by default.
        sampled: an unbiased estimate of ``product``, another one at each call, such as
            :func:`companion.theory.risks.sampled_hessian`; only ``lissa`` reads it.

    Where the tolerance is not reached ``converged`` is False, and a ``ConvergenceWarning`` says so.

    Raises:
        CurvatureError: H + δI is singular, or for ``cg`` not positive definite. ``dense`` always
            notices; ``cg`` does in the directions that it takes, and returns the shortest solution
            where H is singular but v lies in its range; a series does not converge.
        ConfigError: ``lissa`` without ``sampled``, or ``dense`` with more than 4096 parameters.
    """
    config = config or SolverConfig()
    length = float(vector.norm())
    if length == 0:
        return InverseProduct(torch.zeros_like(vector), 0, 0.0, True)
    if config.solver == "lissa" and sampled is None:
        raise ConfigError("sampled: lissa needs an estimate of the product; found None")

    def damped(v: Tensor) -> Tensor:
        return product(v) + config.damping * v

    def estimate(v: Tensor) -> Tensor:
        return (sampled or product)(v) + config.damping * v

    unit = vector / length
    value, history = SOLVERS[config.solver](damped, unit, config, estimate)
    residual = float((damped(value) - unit).norm())
    converged = residual <= config.tolerance
    if not converged:
        advice = (
            "a series needs more terms, or a scale above half the largest eigenvalue"
            if config.solver in {"neumann", "lissa"}
            else "raise max_iterations or damping"
        )
        warnings.warn(
            f"{config.solver} did not converge: relative residual {residual:.1e} after "
            f"{len(history)} iterations, tolerance {config.tolerance:.0e}; {advice}",
            ConvergenceWarning,
            stacklevel=2,
        )
    return InverseProduct(length * value, len(history), residual, converged, tuple(history))


class NonTargetLoss(nn.Module):
    """1/(K−1)·Σ_{y'≠y} ℓ(h_θ, (x, y')), summed over samples: the loss in Δθ_n, Eq. (34)."""

    reduction = "sum"

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, K), K ≥ 2, and labels (n,) to a scalar."""
        classes = logits.shape[1]
        if classes < 2:
            raise ConfigError(
                f"num_classes: should be at least 2, as Eq. (34) divides by K − 1; found {classes}"
            )
        each = [self.loss(logits, torch.full_like(labels, k)) for k in range(classes)]
        others: Tensor = torch.stack(each).sum() - self.loss(logits, labels)
        return others / (classes - 1)


@dataclass(frozen=True, eq=False)
class Directions:
    """The vectors of Eqs. (17) and (34), each (P,), and how their systems were solved.

    Attributes:
        delta_r: Δθ_r = [∇²R_tr(θ_r*)]⁻¹ ∇R_tr(θ_r*) ≈ θ_r* − θ_tr*.
        delta_f: Δθ_f = [∇²R_r(θ_tr*)]⁻¹ ∇R_f(θ_tr*) ≈ θ_f* − θ_tr*.
        delta_n: Δθ_n, as Δθ_f with the mean of the losses at the K − 1 other labels.
        solves: iterations, residual and convergence of each, by name.
    """

    delta_r: Tensor
    delta_f: Tensor
    delta_n: Tensor
    solves: Mapping[str, InverseProduct]

    @property
    def converged(self) -> bool:
        """Tell whether all three systems were solved to the tolerance."""
        return all(solve.converged for solve in self.solves.values())


def unlearning_directions(
    retain: Risk,
    forget: Risk,
    theta_tr: Tensor,
    theta_r: Tensor,
    config: SolverConfig | None = None,
) -> Directions:
    """Δθ_r, Δθ_f and Δθ_n, with R_tr = R_r + R_f.

    Signs are those of Eqs. (5) and (17): θ_tr* + Δθ_f is where one Newton step of unlearning leads.

    Args:
        retain: R_r, with the ridge if there is one.
        forget: R_f, without.
        theta_tr: θ_tr*, (P,), a minimum of R_tr; nothing here checks that it is one.
        theta_r: θ_r*, (P,), a minimum of R_r.
        config: the solver of all three systems.

    Raises:
        ConfigError: ``forget`` has a ridge, or K < 2.
        CurvatureError: a Hessian has no inverse; see :func:`inverse_hvp`.
    """
    config = config or SolverConfig()
    systems = newton_systems(retain, forget, theta_tr, theta_r)
    if config.solver == "dense":
        systems = dense_systems(systems, theta_tr)
    solves = {name: inverse_hvp(*system, config) for name, system in systems.items()}
    return Directions(**{name: solve.value for name, solve in solves.items()}, solves=solves)


System = tuple[Product, Tensor]


def newton_systems(
    retain: Risk, forget: Risk, theta_tr: Tensor, theta_r: Tensor
) -> dict[str, System]:
    """The Hessian and the right-hand side of Δθ_r, Δθ_f and Δθ_n, by name.

    Raises:
        ConfigError: as :func:`unlearning_directions`.
    """
    if forget.l2:
        raise ConfigError(f"forget: its l2 should be 0, the ridge is R_r's; found {forget.l2!r}")
    kept, forgotten = hessian(retain, theta_r), hessian(forget, theta_r)

    def at_r(v: Tensor) -> Tensor:
        return kept(v) + forgotten(v)

    at_tr = hessian(retain, theta_tr)
    others = forget.on(forget.batches, loss=NonTargetLoss(forget.loss))
    return {
        "delta_r": (at_r, gradient(retain, theta_r) + gradient(forget, theta_r)),
        "delta_f": (at_tr, gradient(forget, theta_tr)),
        "delta_n": (at_tr, gradient(others, theta_tr)),
    }


def dense_systems(systems: Mapping[str, System], like: Tensor) -> dict[str, System]:
    """The same systems with each Hessian as a matrix, made once."""
    matrices = {product: dense_matrix(product, like) for product, _ in systems.values()}
    return {name: (matrices[product].matmul, v) for name, (product, v) in systems.items()}
