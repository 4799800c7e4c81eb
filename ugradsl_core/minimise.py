"""Minimise a smooth function to the last digits: L-BFGS first, then Newton steps by CG."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

POLISHING_STEPS = 20


@dataclass(frozen=True)
class Descent:
    """How a minimisation ended.

    Attributes:
        gradient: largest entry of the last gradient.
        evaluations: of the gradient, and of products with the Hessian.
        converged: whether ``gradient`` is at most the tolerance.
    """

    gradient: float
    evaluations: int
    converged: bool


def minimise(
    function: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    *,
    tolerance: float = 1e-9,
    max_evaluations: int = 20_000,
) -> Descent:
    """Minimise ``function`` over ``parameters``, in place, by L-BFGS and then by Newton's method.

    Near the minimum a line search no longer sees the function fall, long before the gradient is as
    small as float64 allows; Newton steps, whose systems conjugate gradients solve, take over.

    Args:
        function: twice differentiable; float64 for a tight tolerance.
        parameters: leaf tensors that require gradients.
        tolerance: of the gradient's largest entry.
        max_evaluations: about how many there may be.

    Returns:
        How it ended; a caller has to look at ``converged``.
    """
    evaluations = _lbfgs(function, parameters, tolerance, max_evaluations)
    size, spent = _newton(function, parameters, tolerance, max_evaluations - evaluations)
    return Descent(size, evaluations + spent, size <= tolerance)


def _lbfgs(
    function: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    tolerance: float,
    max_evaluations: int,
) -> int:
    optimiser = torch.optim.LBFGS(
        parameters,
        max_iter=100,
        history_size=30,
        tolerance_grad=tolerance,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    evaluations, lowest = 0, math.inf

    def closure() -> Tensor:
        nonlocal evaluations
        evaluations += 1
        optimiser.zero_grad()
        value = function()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    while evaluations < max_evaluations:
        value = float(optimiser.step(closure).detach())  # type: ignore[no-untyped-call]
        if not value < lowest:
            break
        lowest = value
    return evaluations


def _flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _newton(
    function: Callable[[], Tensor],
    parameters: Sequence[Tensor],
    tolerance: float,
    max_evaluations: int,
) -> tuple[float, int]:
    """Steps that lessen the gradient; its largest entry in the end, and evaluations."""
    from scipy.sparse.linalg import LinearOperator, cg

    shapes = [p.numel() for p in parameters]
    evaluations = 1
    gradients = torch.autograd.grad(function(), parameters, create_graph=True)
    size = float(_flat(gradients).detach().abs().max())
    for _ in range(POLISHING_STEPS):
        if size <= tolerance or evaluations >= max_evaluations:
            break
        flat = _flat(gradients)

        def product(vector: Any, flat: Tensor = flat) -> Any:
            nonlocal evaluations
            evaluations += 1
            v = torch.as_tensor(vector, dtype=flat.dtype)
            parts = torch.autograd.grad(flat @ v, parameters, retain_graph=True)
            return _flat(parts).numpy()

        n, right = flat.numel(), -flat.detach().numpy()
        step, _ = cg(LinearOperator((n, n), product, dtype=right.dtype), right, rtol=1e-6)
        moves = torch.split(torch.from_numpy(step), shapes)
        before = [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p, move in zip(parameters, moves, strict=True):
                p.add_(move.view_as(p))
        evaluations += 1
        gradients = torch.autograd.grad(function(), parameters, create_graph=True)
        found = float(_flat(gradients).detach().abs().max())
        if not found < size:
            with torch.no_grad():
                for p, old in zip(parameters, before, strict=True):
                    p.copy_(old)
            break
        size = found
    return size, evaluations
