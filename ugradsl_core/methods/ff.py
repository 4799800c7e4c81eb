"""Fisher forgetting (FF): noise where the weights do not matter to D_r (Golatkar et al., 2020)."""

from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from ugradsl_core.config import Config
from ugradsl_core.errors import DivergenceError
from ugradsl_core.methods.common import evaluation_model, first_input, state_of, stopwatch
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import find_head
from ugradsl_core.models.modes import trainable
from ugradsl_core.samples.inputs import Inputs, take
from ugradsl_core.samples.protocol import Samples
from ugradsl_core.training.loop import Passes
from ugradsl_core.training.progress import SILENT, Progress


class FFConfig(Config):
    """The paper searches α greedily in [1e-9, 1e-6].

    Attributes:
        alpha: α, scale of the variance of the noise.
        samples: retained samples in the Fisher, drawn at random; None is all of D_r.
        variant: ``exact``: the classification layer is found by its place. ``upstream``: by its
            shape, whatever parameter has K rows; and where D_f is as large as a class of D_tr, a
            row is set to noise around zero, see :func:`erased_row`.
    """

    alpha: float = Field(1e-7, ge=0, description="α, scale of the noise's variance")
    samples: int | None = Field(None, ge=1, description="retained samples to read; None is all")
    batch_size: int = Field(256, ge=1, description="samples that are read at a time")
    variant: Literal["exact", "upstream"] = "exact"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """The samples of the Fisher one by one, backward once for each class."""
        n = n_r if self.samples is None else min(self.samples, n_r)
        return Passes(1, n, n * num_classes, 1, copies=2, optimiser=False, single=True)


MAX_PRECISION, MAX_HEAD_PRECISION = 1e3, 1e2
BOOST = 10.0
ROW_VARIANCE = 1e-4
GRADIENT_BYTES = 2**23  # of the classes whose gradients are taken in one pass,
FEWEST = 8  # which for fewer classes is slower than one after the other


def fisher_diagonal(
    model: nn.Module,
    parameters: list[nn.Parameter],
    samples: Samples,
    rows: Tensor,
    batch: int,
    progress: Progress = SILENT,
) -> list[Tensor]:
    """F = (1/N) Σ_x Σ_y p_y(x) (∂CE(f(x), y))² over the N samples ``rows``, one by one.

    The model is in evaluation mode; ``batch`` samples are read at a time. Costs N forward and K·N
    backward passes of one sample; of a small model the gradients of several classes are taken
    together, within 8 MiB.

    Returns:
        A tensor for each parameter.
    """
    total = [torch.zeros_like(p) for p in parameters]
    with progress.bar("Fisher", len(rows), "sample") as advance:
        for inputs, labels in samples.batches(torch.split(rows, batch)):
            for i in range(len(labels)):
                add_fisher(total, model, parameters, take(inputs, slice(i, i + 1)))
                advance()
    return [t / len(rows) for t in total]


def add_fisher(
    total: list[Tensor],
    model: nn.Module,
    parameters: list[nn.Parameter],
    sample: Inputs,
    most: int | None = None,
) -> int:
    """Add Σ_y p_y(x) (∂CE(f(x), y))² of one sample, a batch of one, to ``total``.

    Only over the first ``most`` classes where that is given; returns the number of classes.
    """
    log_p = model(sample)[0].log_softmax(0)
    p = log_p.detach().exp()
    together = GRADIENT_BYTES // sum(q.numel() * q.element_size() for q in parameters)
    wanted = torch.arange(len(p))[:most]
    for classes in torch.split(wanted, together if together >= FEWEST else 1):
        gradients = _gradients(log_p, parameters, classes, keep=bool(classes[-1] < wanted[-1]))
        weights = p[int(classes[0]) : int(classes[-1]) + 1]  # a slice: the host need not wait
        for accumulated, g in zip(total, gradients, strict=True):
            if g is not None and len(g) == 1:
                accumulated.addcmul_(g[0], weights * g[0])
            elif g is not None:
                accumulated.add_(torch.einsum("k...,k->...", g.square(), weights))
    return len(wanted)


def _gradients(
    log_p: Tensor, parameters: list[nn.Parameter], classes: Tensor, *, keep: bool
) -> list[Tensor | None]:
    """∂ log p_y for each class, stacked; one class is cheaper without a batch of gradients."""
    grad = partial(torch.autograd.grad, inputs=parameters, retain_graph=keep, allow_unused=True)
    if len(classes) == 1:
        return [None if g is None else g[None] for g in grad(log_p[int(classes)])]
    directions = torch.eye(len(log_p), device=log_p.device, dtype=log_p.dtype)
    directions = directions[int(classes[0]) : int(classes[-1]) + 1]
    return list(grad(log_p, grad_outputs=directions, is_grads_batched=True))


def noise_variance(fisher: Tensor, alpha: float, *, many_outputs: bool, boosted: bool) -> Tensor:
    """v = α·min(1/(F + 1e-8), 1e3), averaged over the second axis, times 10 where ``boosted``.

    ``many_outputs``, for parameters with K rows, clamps 1/F at 1e2; ``boosted`` are the
    classification layer and parameters with one axis.
    """
    limit = MAX_HEAD_PRECISION if many_outputs else MAX_PRECISION
    variance = alpha * (1 / (fisher + 1e-8)).clamp(max=limit)
    if variance.ndim > 1:
        variance = variance.mean(dim=1, keepdim=True).expand_as(fisher)
    return variance * BOOST if boosted else variance


def erased_row(retain_labels: Tensor, forget_labels: Tensor, num_classes: int) -> int | None:
    """The row that public code sets to noise around zero, or None.

    It does so whenever D_f has as many samples as a class of D_tr: to the forgotten class, or
    where D_f is not one class to the last row, whose index −1 stands there for "no class".
    """
    sizes = torch.bincount(torch.cat([retain_labels, forget_labels]), minlength=num_classes)
    if len(forget_labels) not in sizes.tolist():
        return None
    forgotten = set(forget_labels.tolist())
    return int(forgotten.pop()) if len(forgotten) == 1 else num_classes - 1


def ff(problem: Problem, config: FFConfig, *, generator: Generator) -> UnlearnResult:
    """θ₀ + √v·N(0, I) with the variances of :func:`noise_variance`; no sample of D_f is read.

    Raises:
        DivergenceError: a weight is NaN or infinite.
        ModelError: no classification layer was found.
    """
    retain, num_classes = problem.retain, problem.retain.num_classes
    upstream = config.variant == "upstream"
    model = evaluation_model(problem)
    parameters = list(trainable(model).values())
    n = len(retain) if config.samples is None else min(config.samples, len(retain))
    rows = torch.randperm(len(retain), generator=generator)[:n]
    head = find_head(model, num_classes, problem.head, first_input(retain, rows))
    last = {id(p) for p in head.parameters()}
    row = erased_row(retain.labels, problem.forget.labels, num_classes) if upstream else None
    with stopwatch(problem.execution.resolve()) as seconds:
        fisher = fisher_diagonal(
            model, parameters, retain, rows, config.batch_size, problem.execution.progress
        )
        with torch.no_grad():
            for p, f in zip(parameters, fisher, strict=True):
                is_head = p.shape[:1] == (num_classes,) if upstream else id(p) in last
                variance = noise_variance(
                    f, config.alpha, many_outputs=is_head, boosted=is_head or p.ndim == 1
                )
                if row is not None and is_head:
                    variance = variance.clone()
                    variance[row] = BOOST * ROW_VARIANCE
                    p[row] = 0
                noise = torch.randn(p.shape, generator=generator, dtype=p.dtype).to(p.device)
                p.add_(variance.sqrt() * noise)
    if not all(bool(torch.isfinite(p).all()) for p in parameters):
        raise DivergenceError("ff diverged: the weights are no longer finite")
    return UnlearnResult(state_of(model), 1, n, n * num_classes, seconds[0])


METHOD = Method(
    "FF", ff, FFConfig, "D_r", "noise along the flat directions of D_r's loss",
    "n_r forward, K·n_r backward, in all",
    memory="1: the Fisher's diagonal, and gradients of single classes",
    alone="its Fisher is made of single samples",
)  # fmt: skip
