"""RL's labels, orders and limits; SalUn's mask, and the weights outside it bit by bit."""

import itertools
from typing import Any

import pytest
import torch
from scipy.stats import chi2_contingency, chisquare
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import TensorDataset

from toys import CPU, MODELS, K, generator, problem, replaced, same_bits, seeded_model, unlearned
from ugradsl_core.api.data import UserSamples
from ugradsl_core.methods.common import evaluation_model
from ugradsl_core.methods.problem import Problem
from ugradsl_core.methods.rl import RLConfig, random_label_plan
from ugradsl_core.methods.salun import saliency_mask
from ugradsl_core.samples.reading import Source

ORDERS = ["sequential", "shuffled"]
RARE = 1e-4  # the level of each of ten tests
both_orders = pytest.mark.parametrize("order", ORDERS)


def numbered(n: int, first: int) -> UserSamples:
    """Samples whose only input is their own number."""
    labels = torch.arange(n) % K
    inputs = torch.arange(first, first + n).float()[:, None]
    return UserSamples(
        Source("samples", TensorDataset(inputs, labels)), labels, K, torch.device("cpu")
    )


def numbers(n_r: int, n_f: int) -> Problem:
    """D_f has the numbers 0…n_f − 1, and D_r those from 1000."""
    return Problem(nn.Identity, {}, numbered(n_r, 1000), numbered(n_f, 0), CPU)


def epochs(
    subject: Problem, order: Any, count: int, size: int = 8, seed: int = 0
) -> list[list[tuple[Tensor, Tensor]]]:
    """The batches of each epoch: numbers and labels."""
    streams = generator(seed), generator(seed + 1)
    config = RLConfig(batch_size=size)
    plan, steps = random_label_plan(subject, config, order, *streams)
    found = [[(x[:, 0].long(), y) for ((x, y),) in plan(epoch)] for epoch in range(count)]
    assert all(len(epoch) == steps for epoch in found)
    return found


def flat(epoch: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Numbers and labels of an epoch, by number."""
    x, y = (torch.cat(parts) for parts in zip(*epoch, strict=True))
    order = x.argsort()
    return x[order], y[order]


@both_orders
@pytest.mark.parametrize(("n_r", "n_f", "size"), [(24, 8, 8), (23, 9, 4), (5, 17, 8), (9, 3, 64)])
def test_every_sample_is_visited_once_an_epoch(order: str, n_r: int, n_f: int, size: int) -> None:
    for epoch in epochs(numbers(n_r, n_f), order, 3, size):
        x, y = flat(epoch)
        assert x.tolist() == [*range(n_f), *range(1000, 1000 + n_r)]
        assert torch.equal(y[n_f:], torch.arange(n_r) % K)  # true labels on D_r
        assert all(len(x) > 1 for x, _ in epoch)


def test_a_pass_over_the_forget_set_comes_first_or_both_are_mixed() -> None:
    for order in ORDERS:
        firsts = [[bool((x < 1000).any()) for x, _ in e] for e in epochs(numbers(24, 16), order, 4)]
        mixed = [
            any(bool((x < 1000).any()) and bool((x >= 1000).any()) for x, _ in epoch)
            for epoch in epochs(numbers(24, 16), order, 4)
        ]
        if order == "sequential":
            assert firsts == [[True] * 2 + [False] * 3] * 4
            assert not any(mixed)
        else:
            assert all(mixed)


@both_orders
def test_the_order_of_samples_changes_from_epoch_to_epoch(order: str) -> None:
    first, second = (torch.cat([x for x, _ in e]) for e in epochs(numbers(24, 16), order, 2))
    assert not torch.equal(first, second)
    forget = [x[x < 1000] for x in (first, second)]
    assert not torch.equal(*forget)


@both_orders
def test_labels_are_uniform_and_redrawn_in_each_epoch(order: str) -> None:
    n_f, count = 40, 150
    drawn = torch.stack([flat(e)[1][:n_f] for e in epochs(numbers(10, n_f), order, count, 16)])
    assert drawn.shape == (count, n_f)
    assert set(drawn.unique().tolist()) == set(range(K))
    # uniform over the K labels, the true one allowed
    assert chisquare(torch.bincount(drawn.flatten()).numpy()).pvalue > RARE

    def independent(a: Tensor, b: Tensor) -> float:
        table = torch.bincount(K * a.flatten() + b.flatten(), minlength=K * K).view(K, K)
        return float(chi2_contingency(table.numpy()).pvalue)

    truth = (torch.arange(n_f) % K).expand(count, n_f)
    assert independent(drawn, truth) > RARE
    # each epoch's labels say nothing of the next one's, nor a sample's of its neighbour's
    assert independent(drawn[:-1], drawn[1:]) > RARE
    assert independent(drawn[:, :-1], drawn[:, 1:]) > RARE
    assert all(not torch.equal(a, b) for a, b in itertools.pairwise(drawn))


def test_the_chi_squared_tests_would_notice_labels_that_are_kept() -> None:
    kept = torch.randint(K, (40,), generator=generator()).expand(150, 40)
    table = torch.bincount(K * kept[:-1].flatten() + kept[1:].flatten(), minlength=K * K)
    assert chi2_contingency(table.view(K, K).numpy() + 1e-9).pvalue < 1e-6


@both_orders
def test_a_run_of_rl_by_hand(order: str) -> None:
    """One batch for each set, so that the steps do not depend on the order within a batch."""
    subject, size = problem("cnn", 8, 8), 16
    streams = [torch.Generator().manual_seed(s) for s in torch.randint(
        2**62, (3,), generator=generator(3)).tolist()]  # fmt: skip
    config = RLConfig(batch_size=size)
    plan, steps = random_label_plan(subject, config, order, *streams[:2])  # type: ignore[arg-type]
    assert steps == (2 if order == "sequential" else 1)
    model = subject.trained_model().train()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    for epoch in range(3):
        for ((x, y),) in plan(epoch):
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
    found = unlearned("rl", subject, 3, lr=0.05, epochs=3, batch_size=size, variant=order)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-4, atol=1e-5, msg=name)


# SalUn


def mask_of(subject: Problem, ratio: float, batch_size: int) -> dict[str, Tensor]:
    return saliency_mask(evaluation_model(subject), subject.forget, ratio, batch_size)


def scores(subject: Problem) -> Tensor:
    """abs(Σ ∇CE) over D_f, one sample at a time in evaluation mode, for all parameters in a row."""
    model = subject.trained_model().eval()
    total: Tensor | float = 0.0
    for i in range(len(subject.forget)):
        ((x, y),) = subject.forget.batches([torch.tensor([i])])
        model.zero_grad()
        F.cross_entropy(model(x), y).backward()
        total = total + torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).flatten()
             for p in model.parameters() if p.requires_grad]
        )  # fmt: skip
    return total.abs()  # type: ignore[union-attr]


@pytest.mark.parametrize("ratio", [0.001, 0.1, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("kind", ["cnn", "mlp", "vit", "bert"])
def test_the_mask_is_the_top_share_of_all_parameters_together(kind: str, ratio: float) -> None:
    subject = problem(kind)
    mask = mask_of(subject, ratio, 3)
    model = seeded_model(kind)
    assert {n: m.shape for n, m in mask.items()} == {
        n: p.shape for n, p in model.named_parameters()
    }
    chosen = torch.cat([m.flatten() for m in mask.values()])
    score = scores(subject)
    assert chosen.dtype == torch.bool
    assert int(chosen.sum()) == max(round(ratio * len(score)), 1)
    if not chosen.all():
        assert float(score[chosen].min()) >= float(score[~chosen].max()) - 1e-6 * float(score.max())
    shares = {float(m.float().mean()) for m in mask.values()}
    assert ratio == 1 or len(shares) > 1  # not the same share of each layer


def test_the_absolute_value_comes_after_the_sum() -> None:
    """Two samples that pull a weight in opposite directions make it irrelevant."""
    x = torch.tensor([[1.0, 1.0], [-1.0, 1.0]])
    labels = torch.zeros(2, dtype=torch.long)
    samples = UserSamples(
        Source("samples", TensorDataset(x, labels)), labels, 2, torch.device("cpu")
    )

    def build() -> nn.Module:
        model = nn.Sequential(nn.Linear(2, 2, bias=False))
        nn.init.zeros_(model[0].weight)
        return model

    subject = Problem(build, build().state_dict(), samples, samples, CPU)
    expected = torch.tensor([[False, True], [False, True]])
    for batch_size in (1, 2):
        assert torch.equal(mask_of(subject, 0.5, batch_size)["0.weight"], expected)


def test_frozen_parameters_have_no_part_in_the_mask() -> None:
    def build() -> nn.Module:
        model = MODELS["cnn"]()
        model.features.requires_grad_(False)
        return model

    mask = mask_of(replaced(problem("cnn"), make_model=build), 0.5, 8)
    assert list(mask) == ["head.weight", "head.bias"]
    assert sum(int(m.sum()) for m in mask.values()) == round(0.5 * (16 * K + K))


STRONG: dict[str, Any] = {"momentum": 0.9, "weight_decay": 0.1, "lr": 0.05, "epochs": 3}


@both_orders
@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["cnn", "mlp", "vit", "bert"])
def test_weights_outside_the_mask_stay_bit_identical(kind: str, ratio: float, order: str) -> None:
    subject = problem(kind)
    mask = mask_of(subject, ratio, 8)
    found = unlearned("salun", subject, mask_ratio=ratio, order=order, **STRONG).state_dict
    moved = []
    for name, free in mask.items():
        before, after = subject.trained_state[name], found[name]
        assert torch.equal(after[~free], before[~free]), name
        moved.append((after != before)[free])
    assert float(torch.cat(moved).float().mean()) > 0.95


def test_statistics_of_batchnorm_follow() -> None:
    subject = problem("cnn")
    found = unlearned("salun", subject, mask_ratio=0.05, **STRONG).state_dict
    name = "features.1.running_mean"
    assert not torch.equal(found[name], subject.trained_state[name])


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_masked_gradients_alone_let_weight_decay_move_the_others(kind: str) -> None:
    subject = problem(kind)
    mask = mask_of(subject, 0.5, 8)
    result = unlearned("salun", subject, mask_ratio=0.5, variant="gradient", **STRONG)
    for name, free in mask.items():
        before, after = subject.trained_state[name][~free], result.state_dict[name][~free]
        velocity, expected = torch.zeros_like(before), before
        for _ in range(result.steps):  # decay and momentum without a gradient, by hand
            velocity = 0.9 * velocity + 0.1 * expected
            expected = expected - 0.05 * velocity
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=1e-7)
        assert bool((after != before)[before != 0].all())


@both_orders
@pytest.mark.parametrize("kind", ["cnn", "mlp", "bert"])
def test_without_decay_masked_gradients_are_enough(kind: str, order: str) -> None:
    results = [
        unlearned("salun", problem(kind), mask_ratio=0.3, order=order, variant=v, weight_decay=0.0)
        for v in ("exact", "gradient")
    ]
    assert same_bits(results[0].state_dict, results[1].state_dict)
    assert results[0].losses == results[1].losses


@both_orders
@pytest.mark.parametrize("variant", ["exact", "gradient"])
@pytest.mark.parametrize("kind", MODELS)
def test_a_mask_of_all_weights_is_rl(kind: str, variant: str, order: str) -> None:
    subject = problem(kind)
    salun = unlearned("salun", subject, mask_ratio=1.0, variant=variant, order=order)
    rl = unlearned("rl", subject, variant=order)
    assert same_bits(salun.state_dict, rl.state_dict)
    assert salun.losses == rl.losses
    assert salun.forward_samples == rl.forward_samples + len(subject.forget)
