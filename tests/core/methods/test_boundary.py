"""Boundary shrinking against slow loops, boundary expanding by its outputs and its steps."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from companion.experiments.runs.run import evaluate_state
from toys import (
    CNN,
    SIDE,
    SMALL,
    K,
    Pairs,
    generator,
    images,
    problem,
    replaced,
    same_bits,
    seeded_model,
    sentences,
    small_config,
    taken,
    unlearned,
)
from ugradsl_core import evaluate, unlearn
from ugradsl_core.errors import ModelError
from ugradsl_core.methods.boundary import nearest_labels
from ugradsl_core.methods.common import spawn
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import find_head, load_weights, seeded, widen_head
from ugradsl_core.training import shuffled


def in_pixels(model: nn.Module, samples: Any, step: float) -> tuple[Tensor, Tensor]:
    """y' and x' of one sample at a time, moved and clipped as pixels in [0, 1]."""
    mean, std = samples.transform.mean[0], samples.transform.std[0]
    found, moved = [], []
    for i in range(len(samples)):
        row = torch.tensor([i]) if samples.index is None else samples.index[i : i + 1]
        pixels = (samples.inputs[row].float() / 255).permute(0, 3, 1, 2).requires_grad_()
        F.cross_entropy(model((pixels - mean) / std), samples.all_labels[row]).backward()
        with torch.no_grad():
            pixels = (pixels + step * pixels.grad.sign()).clamp(0, 1)
            found.append(model((pixels - mean) / std).argmax(1))
        moved.append(pixels)
    return torch.cat(found), torch.cat(moved)


@pytest.mark.parametrize("step", [0.02, 0.1, 1.0])
@pytest.mark.parametrize("kind", ["cnn", "mlp", "linear", "vit"])
def test_nearest_labels_are_those_of_a_loop_over_pixels(kind: str, step: float) -> None:
    model, samples = seeded_model(kind).eval(), images(40, seed=2)
    expected, _ = in_pixels(model, samples, step)
    for batch_size in (1, 7, 64):
        assert torch.equal(nearest_labels(model, samples, step, batch_size), expected)
    if step == 1.0:
        assert not torch.equal(expected, samples.labels)


def test_a_step_beyond_the_range_is_clipped_to_it() -> None:
    """With black and white pixels half of the steps lead out of the range."""
    samples, model = images(24), seeded_model("linear")
    samples.inputs.copy_((samples.inputs > 60) * 255)
    low, high = samples.input_range
    assert low.shape == high.shape == (1, 1, 1)
    assert float(low) == pytest.approx(-0.3 / 0.2)
    assert float(high) == pytest.approx(0.7 / 0.2)
    expected, moved = in_pixels(model, samples, 0.5)
    assert float(moved.min()) == 0
    assert float(moved.max()) == 1
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    found = nearest_labels(model, samples, 0.5, 24)
    torch.testing.assert_close(seen[1], (moved - 0.3) / 0.2)
    assert torch.equal(found, expected)


class Bare:
    """Samples that do not know the range of their inputs."""

    def __init__(self, samples: Any) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def batches(self, *args: Any, **options: Any) -> Any:
        return self.samples.batches(*args, **options)


def test_without_a_range_the_step_is_in_the_unit_of_the_input_and_nothing_is_clipped() -> None:
    samples, model = images(24), seeded_model("linear")
    ((x, y),) = samples.batches([torch.arange(24)])
    with torch.no_grad():  # the gradient of a linear model in closed form
        p = model(x).softmax(1) - F.one_hot(y, K)
        moved = x.flatten(1) + 0.7 * (p @ model[1].weight).sign()
        expected = model(moved.view_as(x)).argmax(1)
    found = nearest_labels(model, Bare(samples), 0.7, 24)  # type: ignore[arg-type]
    assert torch.equal(found, expected)
    assert not torch.equal(nearest_labels(model, samples, 0.7, 24), expected)


def by_hand(subject: Problem, config: Any, seed: int) -> nn.Module:
    """BS with labels found anew in every step, from the frozen original, in plain PyTorch."""
    _, stream, _ = spawn(generator(seed))
    original, model = subject.trained_model().eval(), subject.trained_model().train()
    low, high = subject.forget.input_range  # type: ignore[attr-defined]
    optimiser = torch.optim.SGD(
        model.parameters(), lr=config.lr, momentum=config.momentum, weight_decay=5e-4
    )
    for _ in range(config.epochs):
        order = shuffled(len(subject.forget), config.batch_size, stream)
        for x, y in subject.forget.batches(order):
            x_ = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(F.cross_entropy(original(x_), y), x_)
            with torch.no_grad():
                moved = (x + config.step * (high - low) * gradient.sign()).clamp(low, high)
                label = original(moved).argmax(1)
            optimiser.zero_grad()
            F.cross_entropy(model(x), label).backward()
            optimiser.step()
    return model


@pytest.mark.parametrize("kind", ["cnn", "linear"])
def test_labels_found_once_are_those_found_in_every_step(kind: str) -> None:
    subject, config = problem(kind, 4, 22), small_config("bs", epochs=3, step=0.3, lr=0.05)
    found = unlearned("bs", subject, 5, epochs=3, step=0.3, lr=0.05).state_dict
    for name, value in by_hand(subject, config, 5).state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def embedded(model: nn.Module, samples: Any, step: float) -> Tensor:
    """y' of tokens, one sample at a time, through the model's own ``inputs_embeds``."""
    inner, found = model.inner, []
    for i in range(len(samples)):
        ((x, y),) = samples.batches([torch.tensor([i])])
        words = inner.get_input_embeddings()(x).detach().requires_grad_()
        mask = (x != 0).long()
        F.cross_entropy(inner(inputs_embeds=words, attention_mask=mask).logits, y).backward()
        with torch.no_grad():
            moved = words + step * words.grad.sign()
            found.append(inner(inputs_embeds=moved, attention_mask=mask).logits.argmax(1))
    return torch.cat(found)


@pytest.mark.parametrize("step", [0.01, 0.1])
def test_tokens_stay_and_their_embeddings_move(step: float) -> None:
    model, samples = seeded_model("bert").eval(), sentences(30)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    expected = embedded(model, samples, step)
    model.zero_grad(set_to_none=True)
    for batch_size in (1, 11, 30):
        assert torch.equal(nearest_labels(model, samples, step, batch_size), expected)
    assert same_bits(before, model.state_dict())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with torch.no_grad():
        plain = torch.cat([model(x).argmax(1) for x, _ in samples.batches([torch.arange(30)])])
    assert not torch.equal(plain, expected)


def test_hooks_are_gone_after_an_error_as_well() -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(20, 4)

        def forward(self, x: Tensor) -> Tensor:
            self.words(x)
            raise RuntimeError("broken")

    model = Broken()
    with pytest.raises(RuntimeError, match="broken"):
        nearest_labels(model, sentences(4), 0.1, 4)
    assert not model.words._forward_hooks


def test_whole_numbers_without_an_embedding_are_refused() -> None:
    class Floating(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(7, K)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(x.float())

    with pytest.raises(ModelError, match=r"these are whole numbers and the model has no nn\.Embed"):
        nearest_labels(Floating(), sentences(4), 0.1, 4)


# boundary expanding

HARD: dict[str, Any] = {"lr": 0.5, "epochs": 20, "momentum": 0.0}


def kept_and_dropped(kind: str, **changes: Any) -> tuple[UnlearnResult, UnlearnResult]:
    subject = problem(kind)
    kept, dropped = (unlearned("be", subject, variant=v, **changes) for v in ("kept", "dropped"))
    return kept, dropped


@pytest.mark.parametrize(
    ("kind", "head"),
    [("cnn", "head"), ("mlp", "4"), ("vit", "inner.classifier"), ("bert", "inner.classifier")],
)
def test_the_extra_output_is_gone_in_the_end_and_stays_in_the_kept_variant(
    kind: str, head: str
) -> None:
    kept, dropped = kept_and_dropped(kind)
    start = problem(kind).trained_state
    assert {name: v.shape for name, v in dropped.state_dict.items()} == {
        name: v.shape for name, v in start.items()
    }
    assert list(kept.state_dict) == list(start)
    for name, value in dropped.state_dict.items():
        rows = kept.state_dict[name]
        if name in {f"{head}.weight", f"{head}.bias"}:
            assert len(rows) == K + 1
            rows = rows[:K]
        assert torch.equal(value, rows), name
    assert not torch.equal(dropped.state_dict[f"{head}.weight"], start[f"{head}.weight"])
    assert kept.losses == dropped.losses


def test_a_step_of_boundary_expanding_by_hand() -> None:
    subject = problem("cnn", 4, 8)
    start = unlearned("be", subject, variant="kept", epochs=0).state_dict
    assert torch.equal(start["head.weight"][:K], subject.trained_state["head.weight"])
    model = CNN()
    widen_head(model, "head", K + 1)
    model.load_state_dict(start)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    ((x, _),) = subject.forget.batches([torch.arange(8)])
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(model.train()(x), torch.full((8,), K)).backward()
        optimiser.step()
    found = unlearned("be", subject, variant="kept", epochs=3, lr=0.05).state_dict
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_the_kept_output_inflates_ua_and_is_evaluated_as_one_of_k_plus_1() -> None:
    subject = problem("mlp")
    test = images(16, seed=3)
    model = seeded_model("mlp").eval()
    reports = []
    for result in kept_and_dropped("mlp", **HARD):
        reports.append(evaluate_state(subject, result.state_dict, test))
        wide = load_weights(model, result.state_dict)
        with torch.no_grad():
            answers = [
                wide.eval()(next(iter(s.batches([torch.arange(len(s))])))[0]).argmax(1)
                for s in (subject.forget, subject.retain, test)
            ]
        ua, ra, ta = (
            100 * float((a == s.labels).float().mean())
            for a, s in zip(answers, (subject.forget, subject.retain, test), strict=True)
        )
        assert pytest.approx((100 - ua, ra, ta)) == (reports[-1].UA, reports[-1].RA, reports[-1].TA)
    kept, dropped = reports
    assert kept.UA == 100
    assert bool((answers[0] < K).all())
    assert dropped.UA < 100


def test_users_get_a_model_of_k_plus_1_outputs_from_the_kept_variant_alone() -> None:
    retain, forget, test = Pairs(24, 0), Pairs(8, 1), Pairs(16, 2)
    for variant, outputs in [("dropped", K), ("kept", K + 1)]:
        network = CNN()
        small = {**SMALL, "variant": variant}
        model = unlearn("be", network, retain=retain, forget=forget, **small).model
        assert not model.training
        assert model(torch.zeros(2, 1, SIDE, SIDE)).shape == (2, outputs)
        assert network.head.out_features == K
        report = evaluate(model, retain=retain, forget=forget, test=test)
        assert 0 <= report.UA <= 100


def test_the_new_row_follows_the_generator_and_the_old_ones_stay() -> None:
    model = CNN()
    rows = []
    for seed in (0, 0, 1):
        wide = load_weights(model, model.state_dict())
        wide = replace_head(wide, seed)
        rows.append(wide.head.weight.detach())
        assert torch.equal(rows[-1][:K], model.head.weight)
        assert torch.equal(wide.head.bias[:K], model.head.bias)
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def replace_head(model: nn.Module, seed: int) -> nn.Module:
    wide = copy.deepcopy(model)
    with seeded(generator(seed)):
        widen_head(wide, "head", K + 1)
    return wide


def test_widening_keeps_what_the_layer_was() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(9, K, bias=False, dtype=torch.float64))
    model[1].weight.requires_grad_(False)
    widen_head(model, "1", K + 1)
    head = find_head(model, K + 1)
    assert head.bias is None
    assert head.weight.dtype == torch.float64
    assert not head.weight.requires_grad


class Cosine(nn.Linear):
    """A linear layer by class, not by what it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.normalize(x), F.normalize(self.weight))


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(36, K))), "1"),
        (nn.Sequential(nn.Flatten(), Cosine(36, K)), "1"),
        (nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(36, K))), "1"),
        (nn.Linear(36, K), ""),
    ],
    ids=["a block", "another forward pass", "weight norm", "the model itself"],
)
def test_heads_that_cannot_be_widened_are_refused(model: nn.Module, name: str) -> None:
    with pytest.raises(ModelError, match="needs a linear classification layer inside it to give"):
        widen_head(model, name, K + 1)


def test_forgetting_another_part_uses_its_own_labels() -> None:
    """The labels of D_f follow its rows in every order of batches."""
    subject = problem("linear", 4, 20)
    order = torch.randperm(20, generator=generator(7))
    moved = replaced(subject, forget=taken(subject.forget, order))
    model = subject.trained_model().eval()
    a, b = (nearest_labels(model, s.forget, 0.5, 6) for s in (subject, moved))
    assert torch.equal(a[order], b)
