"""The gradient-mixed step of Eq. (8), shared by NegGrad+, UGradSL and UGradSL+."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.methods.common import UnlearnConfig, first_input, run_training, spawn
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import FeatureTap, find_head
from ugradsl_core.samples.inputs import Inputs, cat
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.smoothing import adaptive_alpha, signed_alpha, smoothed_cross_entropy
from ugradsl_core.training.loop import EpochPlan, Passes, batch_count, cycled, shuffled
from ugradsl_core.training.processes import World
from ugradsl_core.training.steps import StepLoss


class MixedConfig(UnlearnConfig):
    """The weights of Eq. (8) and the choices that the paper leaves open.

    Attributes:
        p: weight of the retain term; 1 − p is the weight of gradient ascent on D_f.
        reduction: means over batches, or the sums that Eq. (8) prints (|B| times the rate).
        bn_mode: retain and forget batches in passes of their own, whose statistics BatchNorm layers
            follow (``train``, also called ``separate``), in one concatenated pass (``joint``), or
            with fixed BatchNorm statistics (``frozen``).
        epoch_count: run E epochs, or E − 1 as Algorithm 1 does (t_c ← 1; while t_c < E).
    """

    YOUNGER: ClassVar[Mapping[str, Any]] = {}

    p: float = Field(0.95, ge=0, le=1, description="weight of the retain term in Eq. (8)")
    reduction: Literal["mean", "sum"] = "mean"
    bn_mode: Literal["train", "joint", "frozen"] = "train"  # type: ignore[assignment]  # wider
    epoch_count: Literal["E", "E-1"] = "E"

    @field_validator("bn_mode", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return "train" if value == "separate" else value

    def key_fields(self) -> dict[str, Any]:
        """The fields of any config; ``train`` has the name by which published records know it."""
        found = super().key_fields()
        return {**found, "bn_mode": "separate"} if self.bn_mode == "train" else found

    def terms(self) -> tuple[bool, bool]:
        """Which terms of Eq. (8), retain and forget, are computed: one of weight 0 is not."""
        return self.p > 0, self.p < 1

    def mixed_passes(self, n: int) -> Passes:
        """The passes of the epochs, of which one passes ``n`` samples of each term."""
        epochs = self.epochs - (self.epoch_count == "E-1" and self.epochs > 0)
        run, terms = self.replace(epochs=epochs).epochs_over(n), sum(self.terms())
        return Passes(run.steps, terms * run.forward, terms * run.backward, terms * run.alive)

    def coupled(self) -> str:
        """The reason why a batch cannot be cut, or nothing."""
        return "reduction='sum' is no mean over the batch" if self.reduction == "sum" else ""


class SmoothedConfig(MixedConfig):
    """Eq. (8) with generalised label smoothing on D_f.

    Attributes:
        alpha: smoothing rate in (−∞, 1], negative for NLS; None is the self-adaptive version.
        beta: distance threshold of the self-adaptive version; None is the median.
        distance: ``cosine`` or ``euclidean``.
        adaptive_sign: how a density becomes a rate, see ``smoothing.signed_alpha``. Eq. (8) and
            Appendix D.1 speak of NLS, so it is negative by default; D.2 fits a positive one.
        rates: whose rate a sample of D_f has in the self-adaptive version: its ``own``, or that of
            a random sample of the same batch (``shuffled``). Shuffled rates are a control: their
            size and spread stay the same, and what they know of the single sample is gone.
    """

    YOUNGER: ClassVar[Mapping[str, Any]] = {"rates": "own"}

    p: float = Field(0.9, ge=0, le=1, description="weight of the retain term in Eq. (8)")
    alpha: float | None = Field(-0.4, le=1, description="smoothing rate; None is self-adaptive")
    beta: float | None = Field(None, ge=0, le=1, description="threshold; None is the median")
    distance: Literal["cosine", "euclidean"] = "cosine"
    adaptive_sign: Literal["positive", "negative", "inverse"] = "negative"
    rates: Literal["own", "shuffled"] = "own"

    def terms(self) -> tuple[bool, bool]:
        """As without smoothing, but a self-adaptive rate needs both sets whatever p is."""
        return self.p > 0 or self.alpha is None, self.p < 1

    def coupled(self) -> str:
        """The reason why a batch cannot be cut, or nothing."""
        if self.alpha is None:
            return "a self-adaptive rate compares the samples of a batch"
        return super().coupled()


def _plan(
    problem: Problem, config: MixedConfig, epoch_over: str, streams: tuple[Generator, Generator]
) -> tuple[EpochPlan, int]:
    """The batches of the terms that are computed, and the steps of an epoch."""
    use_retain, use_forget = config.terms()
    retain, forget = problem.retain, problem.forget
    retain_stream, forget_stream = streams
    leader = retain if epoch_over == "retain" else forget
    steps = batch_count(len(leader), config.batch_size)

    def plan(_: int) -> Iterable[tuple[Batch, ...]]:
        retain_order: Iterable[Tensor]
        forget_order: Iterable[Tensor]
        if epoch_over == "retain":
            retain_order = shuffled(len(retain), config.batch_size, retain_stream)
            forget_order = cycled(len(forget), map(len, retain_order), forget_stream)
        else:
            forget_order = shuffled(len(forget), config.batch_size, forget_stream)
            retain_order = cycled(len(retain), map(len, forget_order), retain_stream)
        sides = [(retain, retain_order, retain_stream)] if use_retain else []
        sides += [(forget, forget_order, forget_stream)] if use_forget else []
        chosen = [s.batches(rows, augment=config.augment, generator=g) for s, rows, g in sides]
        return zip(*chosen, strict=True)

    return plan, steps


def _smooth_rate(
    config: MixedConfig, own: Tensor, near: Tensor, shuffle: Generator | None
) -> float | Tensor:
    """The rate of D_f's samples; a self-adaptive one needs the features of B_f and of B_r."""
    if not isinstance(config, SmoothedConfig):
        return 0.0
    if config.alpha is not None:
        return config.alpha
    with torch.autocast(own.device.type, enabled=False):
        rate = adaptive_alpha(own.float(), near.float(), config.beta, config.distance)
    if shuffle is not None:
        rate = rate[torch.randperm(len(rate), generator=shuffle).to(rate.device)]
    return signed_alpha(rate, config.adaptive_sign)


def _loss(
    config: MixedConfig, tap: FeatureTap | None, world: World, shuffle: Generator | None
) -> StepLoss:
    p, reduction = config.p, config.reduction
    use_retain, use_forget = config.terms()

    def passed(model: nn.Module, inputs: Inputs, n: int) -> tuple[Tensor, Tensor]:
        """Logits and features of n samples: a tap sees a process, a density needs all of them."""
        logits = model(inputs)
        return logits, logits if tap is None else world.gather(tap.features, n)

    def loss(model: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
        (retain_inputs, retain_labels), (forget_inputs, forget_labels) = batches[0], batches[-1]
        if not use_forget:
            return F.cross_entropy(model(retain_inputs), retain_labels, reduction=reduction)
        n_r, n_f = len(retain_labels), len(forget_labels)
        near, retain_loss = torch.empty(0), torch.zeros(())
        if use_retain and config.bn_mode == "joint":
            logits, features = passed(model, cat([retain_inputs, forget_inputs]), n_r + n_f)
            forget_logits, near, own = logits[n_r:], features[:n_r], features[n_r:]
            retain_loss = F.cross_entropy(logits[:n_r], retain_labels, reduction=reduction)
        else:
            if use_retain:
                logits, near = passed(model, retain_inputs, n_r)
                retain_loss = F.cross_entropy(logits, retain_labels, reduction=reduction)
            forget_logits, own = passed(model, forget_inputs, n_f)
        rate = _smooth_rate(config, own, near, shuffle)
        forget_loss = smoothed_cross_entropy(forget_logits, forget_labels, rate, reduction)
        return p * retain_loss - (1 - p) * forget_loss

    return loss


def run_mixed(
    problem: Problem, config: MixedConfig, epoch_over: str, generator: Generator
) -> UnlearnResult:
    """Minimise Eq. (8) from the original weights; an epoch ends when ``epoch_over`` has.

    The other set is cycled, so that |B_f| = |B_r| in every step. At p = 1 this is FT and at
    p = 0, α = 0 it is GA, step for step; the term of weight 0 is not computed.
    """
    retain_stream, forget_stream, model_stream = spawn(generator)
    if config.epoch_count == "E-1":
        config = config.replace(epochs=max(config.epochs - 1, 0), epoch_count="E")
    plan, steps = _plan(problem, config, epoch_over, (retain_stream, forget_stream))
    model = problem.trained_model()
    tap = shuffle = None
    if isinstance(config, SmoothedConfig) and config.alpha is None and config.p < 1:
        if config.rates == "shuffled":  # drawn last, so that the batches are those of own rates
            shuffle = spawn(generator)[0]
        inputs = first_input(problem.forget)
        tap = FeatureTap(find_head(model, problem.forget.num_classes, problem.head, inputs))
    try:
        if tap is not None:
            tap.check(model, inputs)
        loss = _loss(config, tap, problem.execution.world, shuffle)
        return run_training(problem, model, plan, steps, loss, config, model_stream)
    finally:
        if tap is not None:
            tap.close()
