"""SCRUB: a student that disobeys its teacher on D_f (Kurmanji et al., 2023)."""

from collections.abc import Iterable
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.methods.common import UnlearnConfig, evaluation_model, run_training, spawn
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.samples.inputs import Inputs, cat, size
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.loop import Passes, batch_count, batch_sizes, cycled, shuffled


class SCRUBConfig(UnlearnConfig):
    """The paper's γ 0.99 and α 0.001; T 4, msteps 2, three epochs, lr 5e-4 as published.

    Attributes:
        variant: ``alternating``: while t ≤ msteps, a pass over D_f that maximises d, then always a
            pass over D_r, as the authors run it. ``joint``: both terms in one step, D_f cycled
            while t ≤ msteps, which is the objective before it is split.
        bn_mode: BatchNorm layers normalise by the batch and their running statistics follow
            (``train``), or they use and keep those of the original model (``frozen``). ``joint``:
            the two batches of a step pass in one; for variant ``joint``, where they meet.
    """

    lr: float = Field(5e-4, gt=0, description="learning rate")
    epochs: int = Field(3, ge=0, description="E")
    batch_size: int = Field(128, ge=1, description="retained samples in a batch")
    forget_batch_size: int = Field(32, ge=1, description="forgotten samples in a batch")
    gamma: float = Field(0.99, ge=0, description="γ, weight of the cross-entropy of D_r")
    alpha: float = Field(0.001, ge=0, description="α, weight of d on D_r")
    temperature: float = Field(4.0, gt=0, description="T of the softmax in d")
    msteps: int = Field(2, ge=0, description="epochs with a pass that maximises d on D_f")
    variant: Literal["alternating", "joint"] = "alternating"
    bn_mode: Literal["train", "joint", "frozen"] = "train"  # type: ignore[assignment]  # wider

    @model_validator(mode="after")
    def _two_batches_meet(self) -> Self:
        if self.bn_mode == "joint" and self.variant != "joint":
            raise ValueError(
                "bn_mode: joint needs variant joint, in which two batches meet in a step; found "
                f"variant {self.variant}"
            )
        return self

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over D_r, and the first msteps of them over D_f; the teacher passes forward."""
        disobeying = min(self.msteps, self.epochs)
        retain, size = batch_sizes(n_r, self.batch_size), self.forget_batch_size
        steps, alive = self.epochs * len(retain), max(retain)
        if self.variant == "joint":
            forgotten, alive = disobeying * size * len(retain), alive + size * (disobeying > 0)
        else:
            forget = batch_sizes(n_f, size)
            forgotten, steps = disobeying * n_f, steps + disobeying * len(forget)
            alive = max(alive, max(forget) if disobeying else 0)
        passed = self.epochs * n_r + forgotten
        taught = forgotten + (self.epochs * n_r if self.alpha else 0)
        return Passes(steps, passed + taught, passed, alive, copies=1)

    def coupled(self) -> str:
        """The reason why a batch cannot be cut, or nothing."""
        if self.variant == "joint":
            return "variant='joint' has retain and forget batches of different sizes"
        return ""


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T²·KL(teacher ‖ student) of softmaxes of logits (n, K) at temperature T, a mean."""
    log_p = F.log_softmax(student / temperature, dim=1)
    log_q = F.log_softmax(teacher / temperature, dim=1)
    return F.kl_div(log_p, log_q, reduction="batchmean", log_target=True) * temperature**2


def scrub(problem: Problem, config: SCRUBConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise γ·CE + α·d on D_r and, in the first epochs, −d on D_f.

    The teacher is the original in evaluation mode and never changes. One optimiser makes all
    steps, so that momentum crosses from pass to pass. With γ = 1, α = 0 and msteps = 0 this is FT.
    """
    retain_stream, forget_stream, model_stream = spawn(generator)
    retain, forget = problem.retain, problem.forget
    teacher = evaluation_model(problem)
    taught = 0
    nothing: Batch = (torch.empty(0), torch.empty(0, dtype=torch.long))

    def plan(epoch: int) -> Iterable[tuple[Batch, ...]]:
        """Pairs of a retain and a forget batch, of which one may be empty."""
        disobey = epoch < config.msteps
        if disobey and config.variant == "alternating":
            order = shuffled(len(forget), config.forget_batch_size, forget_stream)
            for batch in forget.batches(order, augment=config.augment, generator=forget_stream):
                yield nothing, batch
        order = shuffled(len(retain), config.batch_size, retain_stream)
        kept = retain.batches(order, augment=config.augment, generator=retain_stream)
        if disobey and config.variant == "joint":
            rows = cycled(len(forget), [config.forget_batch_size] * len(order), forget_stream)
            others = forget.batches(rows, augment=config.augment, generator=forget_stream)
            yield from zip(kept, others, strict=True)
        else:
            yield from ((batch, nothing) for batch in kept)

    def distance(logits: Tensor, inputs: Inputs) -> Tensor:
        nonlocal taught
        taught += size(inputs)
        with torch.no_grad():
            target = teacher(inputs)
        return divergence(logits, target, config.temperature)

    def loss(student: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
        (inputs, labels), (forgotten, others) = batches
        terms = []
        joint = config.bn_mode == "joint" and len(labels) > 0 and len(others) > 0
        if joint:
            both = student(cat([inputs, forgotten]))
            logits, forgotten_logits = both.split([len(labels), len(others)])
        if len(labels):
            logits = logits if joint else student(inputs)
            terms.append(config.gamma * F.cross_entropy(logits, labels))
            if config.alpha:
                terms.append(config.alpha * distance(logits, inputs))
        if len(others):
            forgotten_logits = forgotten_logits if joint else student(forgotten)
            terms.append(-distance(forgotten_logits, forgotten))
        return torch.stack(terms).sum() if len(terms) > 1 else terms[0]

    steps = [batch_count(len(retain), config.batch_size)] * config.epochs
    if config.variant == "alternating":
        more = batch_count(len(forget), config.forget_batch_size)
        steps = [n + more * (epoch < config.msteps) for epoch, n in enumerate(steps)]
    result = run_training(problem, problem.trained_model(), plan, steps, loss, config, model_stream)
    return result.after(taught)


METHOD = Method(
    "SCRUB", scrub, SCRUBConfig, "D_r, D_f", "a student that disobeys its teacher on D_f",
    "n_r, and n_f while t ≤ msteps; forward twice", memory="1: the teacher",
)  # fmt: skip
