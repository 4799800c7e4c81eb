"""Fisher forgetting (FF): noise where the weights do not matter to D_r (Golatkar et al., 2020)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from ugradsl_core.config import Config
from ugradsl_core.errors import DivergenceError
from ugradsl_core.models import find_head
from ugradsl_core.types import Problem, Samples, UnlearnResult
from ugradsl_core.unlearning.common import evaluation_model, state_of, stopwatch, trainable


class FFConfig(Config):
    """The paper searches α greedily in [1e-9, 1e-6].

    Attributes:
        alpha: α, scale of the variance of the noise.
        samples: retain samples in the Fisher, drawn at random; None is all of D_r.
        variant: ``exact``: the classification layer is found by its place. ``upstream``: by its
            shape, whatever parameter has K rows; and where D_f is one class, that class's row is
            set to noise around zero, which makes UA 100 whatever the Fisher says.
    """

    alpha: float = Field(1e-7, ge=0, description="α, scale of the noise's variance")
    samples: int | None = Field(None, ge=1, description="retain samples in the Fisher; None is all")
    batch_size: int = Field(256, ge=1, description="samples that are read at a time")
    variant: Literal["exact", "upstream"] = "exact"


MAX_PRECISION, MAX_HEAD_PRECISION = 1e3, 1e2
BOOST = 10.0
ROW_VARIANCE = 1e-4


def fisher_diagonal(
    model: nn.Module, parameters: list[nn.Parameter], samples: Samples, rows: Tensor, batch: int
) -> list[Tensor]:
    """F = (1/N) Σ_x Σ_y p_y(x) (∂CE(f(x), y))², sample by sample.

    Args:
        model: in evaluation mode.
        parameters: those that derivatives are taken for.
        samples: D_r.
        rows: the N samples that are read.
        batch: samples that are read at a time.

    Returns:
        A tensor for each parameter. Costs N forward and K·N backward passes of one sample.
    """
    total = [torch.zeros_like(p) for p in parameters]
    for inputs, _ in samples.batches(torch.split(rows, batch)):
        for sample in torch.split(inputs, 1):
            log_p = model(sample)[0].log_softmax(0)
            num_classes = len(log_p)
            gradients = torch.autograd.grad(
                log_p,
                parameters,
                torch.eye(num_classes, device=log_p.device, dtype=log_p.dtype),
                is_grads_batched=True,
                allow_unused=True,
            )
            p = log_p.detach().exp()
            for accumulated, g in zip(total, gradients, strict=True):
                if g is not None:
                    accumulated.add_(torch.einsum("k...,k->...", g.square(), p))
    return [t / len(rows) for t in total]


def noise_variance(fisher: Tensor, alpha: float, *, many_outputs: bool, boosted: bool) -> Tensor:
    """v = α·min(1/(F + 1e-8), 1e3), averaged over the second axis, times 10 where ``boosted``.

    Args:
        fisher: F of one parameter.
        alpha: α.
        many_outputs: whether 1/F is clamped at 1e2 instead, as for parameters with K rows.
        boosted: the classification layer and parameters with one axis.
    """
    limit = MAX_HEAD_PRECISION if many_outputs else MAX_PRECISION
    variance = alpha * (1 / (fisher + 1e-8)).clamp(max=limit)
    if variance.ndim > 1:
        variance = variance.mean(dim=1, keepdim=True).expand_as(fisher)
    return variance * BOOST if boosted else variance


def ff(problem: Problem, config: FFConfig, *, generator: Generator) -> UnlearnResult:
    """θ₀ + √v·N(0, I) with the variances of :func:`noise_variance`; D_f is not read.

    Raises:
        DivergenceError: a weight is NaN or infinite.
        ModelError: no classification layer was found.
    """
    retain, num_classes = problem.retain, problem.retain.num_classes
    upstream = config.variant == "upstream"
    model = evaluation_model(problem)
    head = find_head(model, num_classes, problem.head)
    last = {id(p) for p in head.parameters()}
    parameters = list(trainable(model).values())
    n = len(retain) if config.samples is None else min(config.samples, len(retain))
    rows = torch.randperm(len(retain), generator=generator)[:n]
    forgotten = torch.unique(problem.forget.labels)
    with stopwatch(problem.execution.resolve()) as seconds:
        fisher = fisher_diagonal(model, parameters, retain, rows, config.batch_size)
        with torch.no_grad():
            for p, f in zip(parameters, fisher, strict=True):
                is_head = p.shape[:1] == (num_classes,) if upstream else id(p) in last
                variance = noise_variance(
                    f, config.alpha, many_outputs=is_head, boosted=is_head or p.ndim == 1
                )
                if upstream and is_head and len(forgotten) == 1:
                    variance = variance.clone()
                    variance[forgotten] = BOOST * ROW_VARIANCE
                    p[forgotten] = 0
                noise = torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device)
                p.add_(variance.sqrt() * noise)
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise DivergenceError("ff diverged: the weights are no longer finite")
    return UnlearnResult(state_of(model), 1, n, n * num_classes, seconds[0])
