"""Methods against ``erasus``, an independent public implementation, where both define the same.

Its momentum is 0 and it has no weight decay. Skipped where it is not installed.
"""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from toys import K, generator, problem, replaced, seeded_model, unlearned
from ugradsl_core.methods import make_config
from ugradsl_core.methods.common import one_set_plan, spawn
from ugradsl_core.methods.problem import Problem
from ugradsl_core.methods.salun import saliency_mask
from ugradsl_core.methods.scrub import divergence
from ugradsl_core.samples import Batch, Samples

pytest.importorskip("erasus")
PLAIN = {"momentum": 0.0, "weight_decay": 0.0, "lr": 0.05, "epochs": 3}
models = pytest.mark.parametrize("kind", ["cnn", "linear", "vit"])


class Loader:
    """The batches that ours sees, epoch by epoch."""

    def __init__(self, samples: Samples, stream: torch.Generator) -> None:
        config = make_config("ft", batch_size=8)
        self.plan, _ = one_set_plan(samples, config, stream)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Batch]:
        return (batch for (batch,) in self.plan(0))


def without_dropout(kind: str) -> Problem:
    subject = problem(kind)

    def build() -> nn.Module:
        model = subject.make_model()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        return model

    return replaced(subject, make_model=build)


def assert_same(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    for name, value in model.state_dict().items():
        torch.testing.assert_close(state[name], value, rtol=1e-4, atol=1e-5, msg=name)


@models
def test_ga_is_negative_gradient(kind: str) -> None:
    from erasus.strategies.gradient_methods.negative_gradient import NegativeGradientStrategy

    subject = without_dropout(kind)
    _, stream, _ = spawn(generator(2))
    theirs = subject.trained_model()
    strategy = NegativeGradientStrategy(lr=0.05)
    _, losses, _ = strategy.unlearn(theirs, Loader(subject.forget, stream), epochs=3)
    ours = unlearned("ga", subject, 2, **PLAIN)
    assert_same(theirs, ours.state_dict)
    assert [-loss for loss in ours.losses] == pytest.approx(losses, rel=1e-4)


@models
def test_ft_is_the_healing_of_amnesiac_unlearning(kind: str) -> None:
    from erasus.strategies.data_methods.amnesiac import AmnesiacUnlearningStrategy

    subject = without_dropout(kind)
    stream, _, _ = spawn(generator(2))
    theirs = subject.trained_model()
    strategy = AmnesiacUnlearningStrategy(heal_lr=0.05, healing_epochs=3)
    strategy.unlearn(theirs, [], Loader(subject.retain, stream), epochs=0)
    assert_same(theirs, unlearned("ft", subject, 2, **PLAIN).state_dict)


def test_cf_k_is_layer_freezing_without_ascent() -> None:
    """Of a network without BatchNorm, whose statistics they do not freeze."""
    from erasus.strategies.parameter_methods.layer_freezing import LayerFreezingStrategy

    subject = without_dropout("mlp")
    stream, _, _ = spawn(generator(2))
    theirs = subject.trained_model()
    strategy = LayerFreezingStrategy(lr=0.05, freeze_ratio=0.5, freeze_method="last_n")
    strategy.unlearn(theirs, [], Loader(subject.retain, stream), epochs=3)
    assert_same(theirs, unlearned("cf-k", subject, 2, **PLAIN).state_dict)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_the_mask_of_salun_is_their_saliency_mask(ratio: float) -> None:
    """Of one batch, since they take absolute values before they sum over batches."""
    from erasus.strategies.gradient_methods.saliency_unlearning import SaliencyUnlearningStrategy

    subject = problem("linear")
    model = seeded_model("linear")
    assert sum(p.numel() for p in model.parameters()) % 4 == 0
    strategy = SaliencyUnlearningStrategy(saliency_threshold=ratio)
    batches = list(subject.forget.batches([torch.arange(8)]))
    theirs = strategy._create_saliency_mask(strategy._compute_saliency(model, batches))
    ours = saliency_mask(subject.trained_model().eval(), subject.forget, ratio, 8)
    assert {name: mask.bool().tolist() for name, mask in theirs.items()} == {
        name: mask.tolist() for name, mask in ours.items()
    }


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_divergence_of_scrub_is_their_distillation_loss(temperature: float) -> None:
    from erasus.losses.kl_divergence import KLDivergenceLoss

    student, teacher = torch.randn(2, 6, K, generator=generator())
    theirs = KLDivergenceLoss(temperature)(student, teacher)
    torch.testing.assert_close(divergence(student, teacher, temperature), theirs)
