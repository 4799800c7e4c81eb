"""Influence unlearning (IU): one step along an inverse Fisher (Izzo et al., 2021)."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ugradsl_core.config import Config
from ugradsl_core.errors import DivergenceError, ModelError
from ugradsl_core.methods.common import evaluation_model, gradient_sum, shaped, state_of, stopwatch
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models.modes import trainable
from ugradsl_core.samples.protocol import Batch, Samples
from ugradsl_core.training.loop import Passes
from ugradsl_core.training.progress import SILENT, Progress


class IUConfig(Config):
    """The published range of s is [1, 20]; users find that s < 1 is needed.

    Attributes:
        alpha: s, the length of the step (``alpha`` in the public code).
        samples: N, single retained samples whose gradients make up the Fisher.
        damping: λ of the Fisher's start λI; the public code has 1.
        tolerance: of the relative residual of conjugate gradients, for ``exact``.
        max_iterations: of conjugate gradients.
        variant: ``exact``: H⁻¹v with H = λI + (1/N)Σ g·gᵀ, to ``tolerance``. ``upstream``: the
            single-vector recursion of the public code, which is not Sherman–Morrison.
    """

    alpha: float = Field(1.0, ge=0, description="s, length of the step")
    samples: int = Field(1000, ge=1, description="N, retained samples in the Fisher")
    damping: float = Field(1.0, gt=0, description="λ of the Fisher's start λI")
    batch_size: int = Field(256, ge=1, description="samples in a batch")
    tolerance: float = Field(1e-3, gt=0, lt=1)
    max_iterations: int = Field(200, ge=1)
    variant: Literal["exact", "upstream"] = "exact"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """Both sets once, and the samples of the Fisher in each of its products."""
        n, size = n_r + n_f, min(self.samples, n_r)
        alive = min(self.batch_size, max(n_r, n_f))
        if self.variant == "upstream":
            return Passes(1, n + size, n + size, alive, copies=5, optimiser=False)
        product = self.max_iterations * size
        return Passes(
            1, n + 2 * product, n + product, alive,
            dual=product, copies=7, optimiser=False, at_most=True,
        )  # fmt: skip


def removal_gradient(
    forget: list[Tensor], retain: list[Tensor], n_f: int, n_r: int
) -> list[Tensor]:
    """v = (1/n)Σ_{D_f}∇ℓ − (n_f/(n·n_r))Σ_{D_r}∇ℓ, from sums of gradients.

    At the minimum of the training loss v = −∇L(D_r), so that H⁻¹v is Newton's step to Retrain.
    """
    n = n_f + n_r
    return [f / n - r * (n_f / (n * n_r)) for f, r in zip(forget, retain, strict=True)]


@dataclass(frozen=True)
class FewSamples:
    """Batches of chosen samples, read anew each time."""

    samples: Samples
    rows: Tensor
    batch_size: int

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.samples.batches(torch.split(self.rows, self.batch_size)))


@contextmanager
def _forward_mode(model: nn.Module) -> Iterator[None]:
    """Forward-mode derivatives, with kernels that have them.

    The fast path of attention and oneDNN's LSTM have none. PyTorch compiles functions with
    TorchScript when it first differentiates so; its own note that TorchScript is deprecated is not
    for our users, nor is its note on TF32 when oneDNN's switches are put back.
    """
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    fast = torch.backends.mha.get_fastpath_enabled()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        warnings.filterwarnings("ignore", message="TF32 acceleration", category=UserWarning)
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with (
                torch.backends.mkldnn.flags(enabled=False) if recurrent else nullcontext(),
                torch.no_grad(),
                sdpa_kernel(SDPBackend.MATH),
                forward_ad.dual_level(),
            ):
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def fisher_product(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    batches: FewSamples,
    vector: list[Tensor],
    loss: nn.Module,
) -> list[Tensor]:
    """(1/N)Σ g·(gᵀv) without any g: gᵀv by forward mode, then one weighted gradient.

    Args:
        model: in evaluation mode.
        parameters: by name, those that g, the gradient of one sample's loss, is taken for.
        batches: the N samples, which pass forward twice and backward once.
        vector: v, one tensor for each parameter.
        loss: with reduction "mean".

    Raises:
        ModelError: a layer has no forward-mode derivative.
    """
    total = [torch.zeros_like(v) for v in vector]
    for inputs, labels in batches:
        try:
            with _forward_mode(model):
                moved = {
                    name: forward_ad.make_dual(p.detach(), v)  # type: ignore[no-untyped-call]
                    for (name, p), v in zip(parameters.items(), vector, strict=True)
                }
                dual = functional_call(model, moved, (inputs,))
                outputs, change = forward_ad.unpack_dual(dual)  # type: ignore[no-untyped-call]
        except NotImplementedError as error:
            raise ModelError(
                "model: iu needs forward-mode derivatives, which one of its layers lacks "
                f"({str(error).splitlines()[0]}); use variant='upstream'"
            ) from error
        if change is None:  # nothing that is trained reaches the outputs
            continue
        outputs = outputs.detach().requires_grad_()
        (slope,) = torch.autograd.grad(loss(outputs, labels), outputs)
        slope = slope * len(labels)
        weights = slope * (slope * change).sum(1, keepdim=True)
        value = (model(inputs) * weights).sum() / len(batches.rows)
        parts = torch.autograd.grad(value, list(parameters.values()), materialize_grads=True)
        torch._foreach_add_(total, parts)
    return total


def inverse_fisher_product(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    batches: FewSamples,
    vector: list[Tensor],
    *,
    damping: float,
    tolerance: float,
    max_iterations: int,
    loss: nn.Module | None = None,
    progress: Progress = SILENT,
) -> tuple[list[Tensor], int, bool]:
    """H⁻¹v for H = λI + (1/N)Σ g·gᵀ by conjugate gradients; O(parameters) memory.

    Model, parameters, the N samples and v are those of :func:`fisher_product`, λ is ``damping``.
    ``tolerance`` is that of ‖Hx − v‖/‖v‖; after ``max_iterations`` products the search stops with a
    warning. The loss, with reduction "mean", is cross-entropy by default.

    Returns:
        The product, the number of products with the Fisher, and whether it has converged.
    """
    from scipy.sparse.linalg import LinearOperator, cg

    target = torch.cat([v.flatten() for v in vector])
    products = 0

    def apply(array: np.ndarray) -> np.ndarray:
        nonlocal products
        products += 1
        advance()
        point = torch.from_numpy(array).to(target)
        parts = fisher_product(
            model, parameters, batches, shaped(point, vector), loss or nn.CrossEntropyLoss()
        )
        found = torch.cat([part.flatten() for part in parts]).add_(point, alpha=damping)
        return found.to(precision).cpu().numpy()

    precision = torch.promote_types(target.dtype, torch.float32)  # NumPy has no bfloat16
    right = target.to(precision).cpu().numpy()
    operator = LinearOperator((right.size, right.size), matvec=apply, dtype=right.dtype)
    with progress.bar("products with the Fisher", max_iterations, "product") as advance:
        solution, stopped = cg(operator, right, rtol=tolerance, maxiter=max_iterations)
    if stopped:
        warnings.warn(
            f"iu: conjugate gradients did not reach the relative residual {tolerance:g} in "
            f"{products} products; raise max_iterations or damping",
            stacklevel=2,
        )
    return shaped(torch.from_numpy(solution).to(target), vector), products, not stopped


def upstream_recursion(gradients: Iterator[Tensor], vector: Tensor, total: int) -> Tensor:
    """The single-vector recursion of the public code, with N = ``total`` gradients.

    k = v, o = g₁; for each further g: t = o·g, k ← k − ((k·g)/(N + t))·o,
    o ← o − (t/(N + t))·o. Sherman–Morrison would need o of every gradient, not of the first, and
    use g₁ itself: with one gradient k is still v.
    """
    k, o = vector.clone(), next(gradients).clone()
    for g in gradients:
        t = o @ g
        k = k - ((k @ g) / (total + t)) * o
        o = o - (t / (total + t)) * o
    return k


def _single_gradients(
    model: nn.Module, parameters: list[nn.Parameter], samples: Samples, rows: Tensor
) -> Iterator[Tensor]:
    for inputs, labels in samples.batches(torch.split(rows, 1)):
        value = F.cross_entropy(model(inputs), labels)
        parts = torch.autograd.grad(value, parameters, materialize_grads=True)
        yield torch.cat([p.flatten() for p in parts])


def iu(problem: Problem, config: IUConfig, *, generator: Generator) -> UnlearnResult:
    """θ₀ + s·H⁻¹v in evaluation mode; see :func:`removal_gradient` and ``IUConfig.variant``.

    A product with the Fisher takes two forward passes of its N samples, one of which carries the
    derivative along the vector, and one backward pass.

    Raises:
        DivergenceError: a weight is NaN or infinite.
    """
    retain, forget = problem.retain, problem.forget
    n_r, n_f = len(retain), len(forget)
    size = min(config.samples, n_r)
    rows = torch.randperm(n_r, generator=generator)[:size]
    model = evaluation_model(problem)
    named = trainable(model)
    parameters = list(named.values())
    with stopwatch(problem.execution.resolve()) as seconds:
        sums = [gradient_sum(model, parameters, s, config.batch_size) for s in (forget, retain)]
        vector = removal_gradient(sums[0], sums[1], n_f, n_r)
        if config.variant == "upstream":
            flat = torch.cat([v.flatten() for v in vector])
            gradients = _single_gradients(model, parameters, retain, rows)
            step = shaped(upstream_recursion(gradients, flat, size), vector)
            forward = backward = size
        else:
            step, products, _ = inverse_fisher_product(
                model,
                named,
                FewSamples(retain, rows, config.batch_size),
                vector,
                damping=config.damping,
                tolerance=config.tolerance,
                max_iterations=config.max_iterations,
                progress=problem.execution.progress,
            )
            forward, backward = 2 * products * size, products * size
        with torch.no_grad():
            for p, change in zip(parameters, step, strict=True):
                p.add_(config.alpha * change)
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise DivergenceError("iu diverged: the weights are no longer finite")
    n = n_r + n_f
    return UnlearnResult(state_of(model), 1, n + forward, n + backward, seconds[0])


METHOD = Method(
    "IU", iu, IUConfig, "D_r, D_f", "one step along the inverse Fisher",
    "n, and 2N forward and N backward for each Fisher product, in all",
    memory="a few: vectors of conjugate gradients",
    alone="its conjugate gradients run outside the training loop",
)  # fmt: skip
