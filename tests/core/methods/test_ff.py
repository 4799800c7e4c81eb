"""Fisher forgetting: its diagonal against loops and a closed form, its noise against its rules."""

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toys import ALL_MODELS, MODELS, SIDE, K, Spy, problem, replaced, seeded_model, unlearned
from toys import whole_batch as whole
from ugradsl_core.methods.ff import erased_row, fisher_diagonal, noise_variance
from ugradsl_core.methods.problem import Problem
from ugradsl_core.samples import Samples

ff_module = importlib.import_module("ugradsl_core.methods.ff")


def loop(model: nn.Module, samples: Samples) -> list[Tensor]:
    """Σ_y p_y (∂CE_y)² of one sample and label at a time, then the mean over samples."""
    total = [torch.zeros_like(p) for p in model.parameters()]
    for i in range(len(samples)):
        ((x, _),) = samples.batches([torch.tensor([i])])
        for y in range(K):
            model.zero_grad()
            logits = model(x)
            F.cross_entropy(logits, torch.tensor([y])).backward()
            p = float(logits.detach().softmax(1)[0, y])
            for part, parameter in zip(total, model.parameters(), strict=True):
                if parameter.grad is not None:
                    part.add_(p * parameter.grad**2)
    return [t / len(samples) for t in total]


@pytest.mark.parametrize("batch", [1, 5, 100])
@pytest.mark.parametrize("kind", ALL_MODELS)
def test_the_fisher_is_a_loop_over_samples_and_labels(kind: str, batch: int) -> None:
    samples = problem(kind, 7, 4).retain
    model = seeded_model(kind).eval()
    found = fisher_diagonal(model, list(model.parameters()), samples, torch.arange(7), batch)
    for f, expected in zip(found, loop(model, samples), strict=True):
        torch.testing.assert_close(f, expected, rtol=1e-4, atol=1e-9)
    assert max(float(f.max()) for f in found) > 1e-4


@pytest.mark.parametrize("together", [1, 2, 3])
def test_classes_in_parts_are_the_same_fisher(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples, model = problem("cnn", 7, 4).retain, seeded_model("cnn").eval()
    parameters = list(model.parameters())
    rows = torch.arange(7)
    whole = fisher_diagonal(model, parameters, samples, rows, 7)
    size = sum(4 * p.numel() for p in parameters)
    sizes: list[int] = []
    gradients = ff_module._gradients

    def spy(log_p: Tensor, parameters: Any, classes: Tensor, *, keep: bool) -> Any:
        sizes.append(len(classes))
        return gradients(log_p, parameters, classes, keep=keep)

    monkeypatch.setattr(ff_module, "GRADIENT_BYTES", together * size)
    monkeypatch.setattr(ff_module, "FEWEST", 2)
    monkeypatch.setattr(ff_module, "_gradients", spy)
    parts = fisher_diagonal(model, parameters, samples, rows, 7)
    assert max(sizes) == together
    assert sum(sizes) == 7 * K
    for a, b in zip(parts, whole, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-9)


def test_the_fisher_of_a_linear_model_in_closed_form() -> None:
    """For logits Wx + b it is the mean of p_k(1 − p_k)·x_j², and of p_k(1 − p_k)."""
    samples, model = problem("linear").retain, seeded_model("linear")
    x, _ = whole(samples)
    with torch.no_grad():
        p = model(x).softmax(1)
    spread = p * (1 - p)
    rows = torch.arange(len(samples))
    weight, bias = fisher_diagonal(model, list(model.parameters()), samples, rows, 8)
    torch.testing.assert_close(weight, spread.T @ x.flatten(1) ** 2 / len(x), rtol=1e-4, atol=1e-8)
    torch.testing.assert_close(bias, spread.mean(0), rtol=1e-4, atol=1e-8)


def test_the_fisher_reads_no_labels_and_only_the_rows_asked_for() -> None:
    samples, model = problem("mlp").retain, seeded_model("mlp").eval()
    parameters, rows = list(model.parameters()), torch.tensor([3, 1, 8])
    spy = Spy(samples)
    found = fisher_diagonal(model, parameters, spy, rows, 2)
    assert torch.cat(spy.seen).tolist() == [3, 1, 8]
    samples.all_labels[:] = 0
    again = fisher_diagonal(model, parameters, samples, rows, 2)
    assert all(torch.equal(a, b) for a, b in zip(found, again, strict=True))


def test_the_variance_of_the_noise_by_its_rules() -> None:
    def variance(values: Tensor, head: bool = False, boosted: bool = False) -> Tensor:
        return noise_variance(values, 2.0, many_outputs=head, boosted=boosted)

    flat = torch.tensor([0.5, 0.0, 1e-4, 1e-2])
    # α/(F + 1e-8), where 1/F is at most 1e3, or 1e2 for the classification layer
    torch.testing.assert_close(variance(flat), torch.tensor([4.0, 2e3, 2e3, 200.0]))
    torch.testing.assert_close(variance(flat, head=True), torch.tensor([4.0, 200, 200, 200]))
    # ten times for the classification layer and parameters of one axis, once
    torch.testing.assert_close(variance(flat, boosted=True), torch.tensor([40.0, 2e4, 2e4, 2e3]))
    torch.testing.assert_close(
        variance(flat, head=True, boosted=True), torch.tensor([40.0, 2e3, 2e3, 2e3])
    )
    # the mean over the second axis alone
    square = torch.tensor([[0.5, 0.25], [1e-3, 0.1]])
    square[1, 0] = 0  # 1/F is clamped before the mean
    torch.testing.assert_close(variance(square), torch.tensor([[6.0, 6], [1010, 1010]]))
    cube = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0)) + 0.1
    expected = (2 / cube).mean(1, keepdim=True).expand(2, 3, 4)
    torch.testing.assert_close(variance(cube), expected)


def shift(subject: Problem, seed: int, name: str, **changes: object) -> Tensor:
    result = unlearned("ff", subject, seed, **changes)
    return result.state_dict[name] - subject.trained_state[name]


def test_the_noise_has_the_variances_of_the_rules() -> None:
    subject, alpha = problem("cnn"), 1e-4
    model = seeded_model("cnn").eval()
    parameters = dict(model.named_parameters())
    fisher = loop(model, subject.retain)
    squares = {name: [] for name in parameters}
    for seed in range(40):
        state = unlearned("ff", subject, seed, alpha=alpha).state_dict
        for (name, p), f in zip(parameters.items(), fisher, strict=True):
            v = noise_variance(
                f, alpha, many_outputs="head" in name, boosted="head" in name or p.ndim == 1
            )
            squares[name].append(((state[name] - subject.trained_state[name]) ** 2 / v).flatten())
    for name, parts in squares.items():
        values = torch.cat(parts)
        error = (2 / len(values)) ** 0.5  # of the mean of z², z ~ N(0, 1)
        assert abs(float(values.mean()) - 1) < 3.5 * error, name


def test_alpha_scales_the_noise_by_its_root() -> None:
    subject = problem("mlp")
    small, large = (shift(subject, 3, "4.weight", alpha=a) for a in (1e-4, 4e-4))
    torch.testing.assert_close(large, 2 * small, rtol=1e-3, atol=1e-5)


def class_wise() -> Problem:
    """D_f is class 0."""
    subject = problem("mlp", 28, 12)
    whole_set = subject.retain.take(torch.arange(28))
    rows = [torch.nonzero(s.labels == 0)[:, 0] for s in (subject.forget, whole_set)]
    others = torch.nonzero(whole_set.labels != 0)[:, 0]
    return replaced(subject, forget=subject.forget.take(rows[0]), retain=whole_set.take(others))


def test_the_row_of_a_forgotten_class_is_wiped_by_the_upstream_variant_alone() -> None:
    subject, alpha = class_wise(), 1e-9
    assert subject.forget.labels.unique().tolist() == [0]
    before = subject.trained_state["4.weight"]
    rows = {"exact": [], "upstream": []}
    for variant, found in rows.items():
        for seed in range(60):
            state = unlearned("ff", subject, seed, alpha=alpha, variant=variant).state_dict
            torch.testing.assert_close(state["4.weight"][1:], before[1:], rtol=0, atol=0.01)
            found.append(state["4.weight"][0])
    torch.testing.assert_close(torch.stack(rows["exact"]), before[0].expand(60, -1), rtol=0,
                               atol=0.01)  # fmt: skip
    wiped = torch.stack(rows["upstream"]).flatten()  # N(0, 10·1e-4), whatever θ₀ and α are
    n = len(wiped)
    assert abs(float(wiped.mean())) < 3.5 * (1e-3 / n) ** 0.5
    assert float((wiped**2).mean()) == pytest.approx(1e-3, rel=3.5 * (2 / n) ** 0.5)


def test_a_row_is_erased_where_the_forget_set_is_as_large_as_a_class() -> None:
    labels = torch.arange(K).repeat(5)  # five samples of each class
    one_class, others = labels[labels == 1], labels[labels != 1]
    assert erased_row(others, one_class, K) == 1
    mixed, rest = labels[:5], labels[5:]  # a random share of the same size: the last row
    assert erased_row(rest, mixed, K) == K - 1
    assert erased_row(labels[4:], labels[:4], K) is None
    assert erased_row(torch.cat([others, one_class[1:]]), one_class[:1], K) is None


def test_a_random_forget_set_of_a_class_size_loses_the_last_row_upstream() -> None:
    subject = problem("mlp")  # eight of 32 samples in four classes of eight
    moved = {
        variant: shift(subject, 0, "4.weight", alpha=1e-9, variant=variant)
        for variant in ("exact", "upstream")
    }
    assert float(moved["exact"].abs().max()) < 0.01
    assert float(moved["upstream"][:-1].abs().max()) < 0.01
    assert float((subject.trained_state["4.weight"] + moved["upstream"])[-1].abs().max()) < 0.2
    assert float(moved["upstream"][-1].abs().max()) > 0.02


def test_other_forget_sets_leave_every_row_in_the_upstream_variant() -> None:
    subject = problem("mlp", 25, 7)
    for variant in ("exact", "upstream"):
        moved = shift(subject, 0, "4.weight", alpha=1e-9, variant=variant)
        assert float(moved.abs().max()) < 0.01


class Two(nn.Module):
    """A hidden layer that has K rows as well, and a parameter without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(SIDE**2, K)
        self.scale = nn.Parameter(torch.tensor(1.5))
        self.head = nn.Linear(K, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.scale * self.hidden(x.flatten(1)).relu())


def test_the_upstream_variant_takes_every_parameter_of_k_rows_for_the_head() -> None:
    torch.manual_seed(0)
    subject = replaced(problem("mlp", 25, 7), make_model=Two, trained_state=Two().state_dict())
    exact, upstream = (
        shift(subject, 0, "hidden.weight", alpha=1e-4, variant=v) for v in ("exact", "upstream")
    )
    model = Two()
    model.load_state_dict(subject.trained_state)
    fisher = loop(model, subject.retain)[
        list(dict(model.named_parameters())).index("hidden.weight")
    ]
    plain, head = ((1 / (fisher + 1e-8)).clamp(max=limit).mean(1) for limit in (1e3, 1e2))
    expected = (10 * head / plain).sqrt()[:, None]
    torch.testing.assert_close(upstream, exact * expected, rtol=1e-3, atol=1e-6)
    same = [shift(subject, 0, "head.weight", alpha=1e-4, variant=v) for v in ("exact", "upstream")]
    assert torch.equal(*same)
    for variant in ("exact", "upstream"):
        assert float(shift(subject, 0, "scale", alpha=1e-4, variant=variant)) != 0


def test_samples_limit_what_is_read_and_what_is_counted() -> None:
    subject = problem("linear")
    spy = Spy(subject.retain)
    result = unlearned("ff", replaced(subject, retain=spy), samples=5)
    assert len(set(torch.cat(spy.seen).tolist())) == 5
    assert (result.forward_samples, result.backward_samples) == (5, 5 * K)
    assert unlearned("ff", subject, samples=999).forward_samples == 24


def test_statistics_and_frozen_parameters_stay() -> None:
    def build() -> nn.Module:
        model = MODELS["cnn"]()
        model.features.requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    state = unlearned("ff", subject, alpha=1e-3).state_dict
    before = subject.trained_state
    moved = {name for name in state if not torch.equal(state[name], before[name])}
    assert moved == {"head.weight", "head.bias"}
