"""Worked examples for the chapters on theory: small models, trained to a minimum."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from companion.backbones import resnet18
from companion.experiments import data
from companion.experiments.settings import forget_sets
from companion.theory.losses import WeightedLoss
from companion.theory.minima import Minimum, minimise
from companion.theory.risks import Risk, gradient, one_tensor, parameter_vector, rows, whole
from ugradsl_core.errors import ConfigError, DataError, unknown_name
from ugradsl_core.methods.common import cross_entropy
from ugradsl_core.models import STATISTICS, seeded
from ugradsl_core.samples import Batch
from ugradsl_core.training import Execution, SGDConfig, batch_count, shuffled, train

Kind = Literal["linear", "mlp", "resnet18"]
MODELS = ("linear", "mlp", "resnet18")
SETTLING = SGDConfig(lr=0.05, epochs=15, batch_size=64)


def make_model(kind: Kind, hidden: int, example: Tensor, generator: Generator) -> nn.Module:
    """A float64 classifier of ten classes with fresh weights.

    Args:
        kind: softmax regression, one hidden layer of tanh, or the paper's ResNet-18.
        hidden: units of the hidden layer, or the width of the ResNet.
        example: inputs (n, C, H, W).
        generator: of the weights.

    Raises:
        ConfigError: unknown kind, or ``hidden`` below 1.
    """
    if kind not in MODELS:
        raise unknown_name("model", kind, MODELS)
    if hidden < 1:
        raise ConfigError(f"hidden: should be at least 1; found {hidden!r}")
    features = example[0].numel()
    with seeded(generator):
        if kind == "linear":
            return nn.Sequential(nn.Flatten(), nn.Linear(features, 10)).double()
        if kind == "mlp":
            layers = nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 10)
            return nn.Sequential(nn.Flatten(), *layers).double()
        return resnet18(10, example.shape[1], hidden).double()


def _settle(model: nn.Module, batches: list[Batch], generator: Generator) -> None:
    """A short training by SGD, after which BatchNorm's statistics are taken as given."""
    size = len(batches[0][1])

    def plan(_: int) -> Iterable[tuple[Batch, ...]]:
        for chosen in shuffled(size, SETTLING.batch_size, generator):
            yield tuple(rows(batches, chosen))

    steps = batch_count(size, SETTLING.batch_size)
    train(model, plan, steps, cross_entropy, SETTLING, Execution(device="cpu"))


@dataclass(frozen=True, eq=False)
class TrainedExample:
    """A model at a minimum of R_tr.

    Attributes:
        risk: R_tr, a sum over D_tr plus the ridge.
        start: the parameters that training began with.
        minimum: θ_tr* and the size of the gradient there.
        train: D_tr, one batch.
        test: D_te, one batch.
        checksum: of the data set.
    """

    risk: Risk
    start: Tensor
    minimum: Minimum
    train: list[Batch]
    test: list[Batch]
    checksum: str = ""

    @property
    def theta(self) -> Tensor:
        """θ_tr*, (P,)."""
        return self.minimum.theta


@dataclass(frozen=True, eq=False)
class RetrainedExample:
    """A forget set and the model retrained without it.

    Attributes:
        index: which samples of D_tr are D_f.
        retain: R_r, with the ridge.
        forget: R_f, without.
        minimum: θ_r*.
    """

    index: Tensor
    retain: Risk
    forget: Risk
    minimum: Minimum

    @property
    def theta(self) -> Tensor:
        """θ_r*, (P,)."""
        return self.minimum.theta


def worked(
    kind: Kind,
    train_size: int,
    l2: float,
    *,
    hidden: int = 8,
    seed: int = 0,
    dataset: str = "digits",
    data_root: str | None = None,
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
) -> TrainedExample:
    """Train a model on a stratified part of a data set until ‖∇R_tr‖ ≤ ``tolerance``.

    A network with BatchNorm is first trained by a few epochs of SGD; from then on, also where it
    is retrained, it uses the statistics of that training, so that R is a function of θ alone.

    Args:
        kind: ``"linear"``, for which R_tr is convex, ``"mlp"`` or ``"resnet18"``.
        train_size: |D_tr|.
        l2: λ > 0 of the ridge.
        hidden: see :func:`make_model`.
        seed: of the choice of D_tr and of the initial weights.
        dataset: a data set of ten classes.
        data_root: where it is.
        tolerance: of :func:`companion.theory.minima.minimise`.
        max_iterations: likewise.

    Raises:
        ConfigError: λ ≤ 0 (a softmax model without a ridge has a singular Hessian), or as in
            :func:`make_model`.
        DataError: more training samples than there are.
    """
    if not l2 > 0:
        raise ConfigError(
            f"l2: should be positive, as ∇²R_tr is singular without a ridge, and Eqs. (3) and (4) "
            f"need its inverse; found {l2!r}"
        )
    bundle = data.load(dataset, data_root)
    if not 2 <= train_size <= len(bundle.train):
        raise DataError(
            f"train_size: should lie in 2…{len(bundle.train)}, the training samples of {dataset}; "
            f"found {train_size}"
        )
    generator = torch.Generator().manual_seed(seed)
    chosen = forget_sets.stratified_sample(bundle.train.labels, train_size, generator)
    batches = whole(bundle.train.take(chosen))
    model = make_model(kind, hidden, one_tensor(batches[0][0]), generator)
    start = parameter_vector(model)
    if any(isinstance(module, STATISTICS) for module in model.modules()):
        _settle(model, batches, generator)
    risk = Risk(model, batches, l2=l2)
    begin = parameter_vector(model)
    minimum = minimise(risk, begin, tolerance=tolerance, max_iterations=max_iterations)
    return TrainedExample(risk, start, minimum, batches, whole(bundle.test), bundle.train.checksum)


def remove(
    original: TrainedExample,
    index: Tensor,
    *,
    fresh: bool = False,
    tolerance: float = 1e-6,
    max_iterations: int = 5000,
) -> RetrainedExample:
    """Retrain without the samples ``index`` of D_tr.

    Args:
        original: the trained model.
        index: D_f, int64; at least one sample, and not all.
        fresh: start from the initial weights, as Retrain does, rather than from θ_tr*. For a
            convex risk the end is the same.
        tolerance: of the gradient.
        max_iterations: of :func:`companion.theory.minima.minimise`.

    Raises:
        DataError: D_f is empty or all of D_tr.
    """
    labels = original.train[0][1]
    kept = torch.ones(len(labels), dtype=torch.bool)
    kept[index] = False
    if len(index) == 0 or not bool(kept.any()):
        raise DataError(
            f"forget set: should have 1…{len(labels) - 1} samples; found {int((~kept).sum())}"
        )
    retain = original.risk.on(rows(original.train, kept.nonzero().flatten()))
    forget = original.risk.on(rows(original.train, index), l2=0.0)
    begin = original.start if fresh else original.theta
    minimum = minimise(retain, begin, tolerance=tolerance, max_iterations=max_iterations)
    return RetrainedExample(index, retain, forget, minimum)


def reweigh(original: TrainedExample, index: Tensor, epsilon: float) -> Risk:
    """R_tr + ε·R_f: Eq. (2)'s risk for any ε; ε = −1 is R_r."""
    weights = torch.ones(len(original.train[0][1]), dtype=original.theta.dtype)
    weights[index] += epsilon
    return original.risk.on(original.train, loss=WeightedLoss(weights))


def random_rows(original: TrainedExample, size: int, generator: Generator) -> Tensor:
    """``size`` samples of D_tr, drawn without regard to class."""
    return torch.randperm(len(original.train[0][1]), generator=generator)[:size]


def class_rows(original: TrainedExample, label: int) -> Tensor:
    """All samples of one class in D_tr."""
    return (original.train[0][1] == label).nonzero().flatten()


def ascend(risk: Risk, theta: Tensor, lr: float, steps: int) -> list[Tensor]:
    """The path of plain gradient ascent on R_f: θ, θ + η∇R_f(θ), …; steps + 1 points."""
    path = [theta]
    for _ in range(steps):
        path.append(path[-1] + lr * gradient(risk, path[-1]))
    return path
