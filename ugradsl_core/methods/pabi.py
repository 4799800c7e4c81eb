"""PABI: privacy amplification by iteration, as noisy clipped fine-tuning (Koloskova et al., 2025).

The paper gives only the name; this is the closest public method, the gradient clipping of
"Certified Unlearning for Neural Networks" (arXiv 2506.06985).
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import cycle, islice
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, nn
from torch.nn import functional as F

from ugradsl_core.methods.common import (
    UnlearnConfig,
    batchnorm_needs_two,
    cross_entropy,
    one_set_plan,
    run_training,
    spawn,
    stopwatch,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import seeded
from ugradsl_core.models.modes import STATISTICS, is_frozen, modes, trainable
from ugradsl_core.samples.inputs import send
from ugradsl_core.samples.protocol import Augmentation, Batch, Samples
from ugradsl_core.training.loop import Passes, batch_sizes, shuffled

MOST_STEPS = 10_000_000


class PABIConfig(UnlearnConfig):
    """The published settings for CIFAR-10; ``epochs`` of fine-tuning follow the noisy steps.

    Attributes:
        c0: C₀, norm that the original weights are projected to.
        c1: C₁, norm that gradients are clipped to.
        eta: η, learning rate of the noisy steps.
        lam: λ, weight decay of the noisy steps.
        epsilon_renyi: ε_R that the noise is made for.
        delta: δ of the guarantee.
        bn_mode: BatchNorm's running statistics are made anew from D_r (``train``), or those of the
            original model are used and kept (``frozen``), which voids the guarantee.
    """

    c0: float = Field(0.1, gt=0, description="C₀, norm of the projected weights")
    c1: float = Field(10.0, gt=0, description="C₁, norm of a clipped gradient")
    eta: float = Field(1e-3, gt=0, description="η, learning rate of the noisy steps")
    lam: float = Field(50.0, ge=0, description="λ, weight decay of the noisy steps; ηλ < 1")
    epsilon_renyi: float = Field(1.0, gt=0, description="ε_R")
    delta: float = Field(1e-5, gt=0, lt=1, description="δ")
    lr: float = Field(0.1, gt=0, description="learning rate of fine-tuning; the peak")
    epochs: int = Field(50, ge=0, description="E, epochs of fine-tuning")
    schedule: Literal["constant", "one-cycle", "cosine"] = "one-cycle"

    @model_validator(mode="after")
    def _contracts(self) -> Self:
        if self.eta * self.lam >= 1:
            raise ValueError(f"eta: η·λ should be below 1; found {self.eta * self.lam:g}")
        try:
            steps: float = noisy_steps(self.c0, self.c1, self.eta, self.lam)
        except (OverflowError, ZeroDivisionError):
            steps = math.inf
        if steps > MOST_STEPS:
            raise ValueError(
                f"c0: C₀/(C₁η), the number of noisy steps, should be at most {MOST_STEPS:,}; "
                f"found {steps:,.0f}"
            )
        return self

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """T batches of D_r, and E epochs over it."""
        noisy = noisy_steps(self.c0, self.c1, self.eta, self.lam)
        passed = sum(islice(cycle(batch_sizes(n_r, self.batch_size)), noisy))
        tuned = self.epochs_over(n_r)
        return Passes(
            noisy + tuned.steps, passed + tuned.forward, passed + tuned.backward, tuned.alive
        )

    def coupled(self) -> str:
        """The reason why a batch cannot be cut."""
        return "its noisy steps clip the gradient of a whole batch"


def noisy_steps(c0: float, c1: float, eta: float, lam: float) -> int:
    """T = ⌈C₀/(C₁η)⌉, or ⌈ln(2λC₀/C₁)/(ηλ)⌉ where that is positive and smaller."""
    steps = math.ceil(_rounded(c0 / (c1 * eta)))
    if lam > 0:
        decayed = math.ceil(_rounded(math.log(2 * lam * c0 / c1) / (eta * lam)))
        if 0 < decayed < steps:
            return decayed
    return steps


def _rounded(value: float) -> float:
    """Drop the last digits, so that 0.1/(10·0.001) is 10 and not a little more."""
    return float(f"{value:.12g}")


def shift_and_weight(
    c0: float, c1: float, eta: float, lam: float, steps: int
) -> tuple[float, float]:
    """The drift between two runs at most, and Σ_t (1 − ηλ)^2t, over which noise is spread."""
    if eta * lam == 0:
        return 2 * c0 + 2 * c1 * eta * steps, float(steps)
    log_a = steps * math.log1p(-eta * lam)  # a = (1 − ηλ)^T; near 1, 1 − a has no digits left
    shift = 2 * c0 * math.exp(log_a) - 2 * c1 / lam * math.expm1(log_a)
    return shift, -math.expm1(2 * log_a) / (eta * lam * (2 - eta * lam))


def noise_scale(
    c0: float, c1: float, eta: float, lam: float, epsilon_renyi: float, steps: int
) -> float:
    """σ of each noisy step.

    σ² = [2C₀a + (2C₁/λ)(1 − a)]²·ηλ(2 − ηλ)/(2ε_R(1 − a²)) with a = (1 − ηλ)^T, and
    σ² = (2C₀ + 2C₁ηT)²/(4ε_R T) at λ = 0. The second is half the limit of the first as λ → 0.
    """
    shift, weight = shift_and_weight(c0, c1, eta, lam, steps)
    return math.sqrt(shift**2 / ((2 if lam else 4) * epsilon_renyi * weight))


def _endless(
    samples: Samples, size: int, augment: Augmentation, generator: Generator
) -> Iterable[Batch]:
    while True:
        order = shuffled(len(samples), size, generator)
        yield from samples.batches(order, augment=augment, generator=generator)


def certify(
    model: nn.Module, problem: Problem, config: PABIConfig, generator: Generator, noise: Generator
) -> tuple[int, tuple[float, ...]]:
    """Project the weights to ‖θ‖ ≤ C₀ and take T noisy clipped steps on D_r, in place.

    The model is on the execution device and in training mode; batches follow ``generator``.

    Returns:
        The samples that passed, and the loss of each step.
    """
    parameters = list(trainable(model).values())
    steps = noisy_steps(config.c0, config.c1, config.eta, config.lam)
    sigma = noise_scale(config.c0, config.c1, config.eta, config.lam, config.epsilon_renyi, steps)
    with torch.no_grad():
        project(parameters, config.c0)
    passed, losses = 0, []
    batches = _endless(problem.retain, config.batch_size, config.augment, generator)
    for inputs, labels in problem.execution.progress.over(
        "noisy steps", islice(batches, steps), steps
    ):
        value = F.cross_entropy(model(inputs), labels)
        gradients = list(torch.autograd.grad(value, parameters, materialize_grads=True))
        passed += len(labels)
        losses.append(value.detach())
        with torch.no_grad():
            project(gradients, config.c1)
            for p, g in zip(parameters, gradients, strict=True):
                p.mul_(1 - config.eta * config.lam).sub_(g, alpha=config.eta)
                drawn = send(torch.randn(p.shape, generator=noise), p.device)
                p.add_(drawn.to(p), alpha=sigma)
    return passed, tuple(torch.stack(losses).tolist())


def project(tensors: Sequence[torch.Tensor], radius: float) -> None:
    """Scale ``tensors`` in place so that their joint 2-norm is at most ``radius``."""
    norm = torch.linalg.vector_norm(torch.stack([t.norm() for t in tensors]))
    factor = torch.clamp(radius / norm.clamp(min=torch.finfo(norm.dtype).tiny), max=1.0)
    for tensor in tensors:
        tensor.mul_(factor)


def pabi(problem: Problem, config: PABIConfig, *, generator: Generator) -> UnlearnResult:
    """Projection, T noisy clipped steps on D_r, then ordinary fine-tuning on D_r.

    Running statistics of BatchNorm layers are not covered by the guarantee unless they are made
    anew, so they are reset before the noisy steps. Frozen layers, or all statistics where
    ``bn_mode`` is ``frozen``, keep what they know of D_f, and so void the guarantee.
    """
    retain_stream, noise_stream, model_stream = spawn(generator)
    model = problem.trained_model()
    frozen = config.bn_mode == "frozen"
    for module in model.modules():
        if isinstance(module, STATISTICS) and not (frozen or is_frozen(module)):
            module.reset_running_stats()
    with (
        stopwatch(problem.execution.resolve()) as seconds,
        batchnorm_needs_two(),
        seeded(model_stream),
        modes(model, training=True, frozen_statistics=frozen),
    ):
        passed, losses = certify(model, problem, config, retain_stream, noise_stream)
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    result = run_training(problem, model, plan, steps, cross_entropy, config, model_stream)
    result = replace(result, steps=len(losses) + result.steps, losses=losses + result.losses)
    return result.after(passed, passed, seconds[0])


METHOD = Method(
    "PABI", pabi, PABIConfig, "D_r", "noisy clipped steps on D_r, then fine-tuning",
    "n_r, and T batches once", guarantee="(ε, δ), if no parameter is frozen",
)  # fmt: skip
