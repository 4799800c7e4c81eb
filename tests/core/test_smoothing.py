"""Section 3.1, Eq. (6) and Algorithm 1, lines 7–10, against loops and values by hand."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.smoothing import (
    adaptive_alpha,
    gls_labels,
    gls_loss,
    pairwise_distance,
    signed_alpha,
)

ALPHAS = (-2.0, -0.4, 0.0, 0.3, 1.0)
rates = st.floats(-5, 1)


def some_logits(n: int = 6, k: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, k, generator=generator, dtype=torch.float64)
    return logits, torch.randint(k, (n,), generator=generator)


def slow_loss(logits: Tensor, labels: Tensor, alpha: list[float]) -> list[float]:
    """Eq. (6) as it is printed: a loop over y' ∈ Y∖y."""
    k = logits.shape[1]
    losses = []
    for row, y, a in zip(logits.tolist(), labels.tolist(), alpha, strict=True):
        normaliser = math.log(math.fsum(math.exp(value) for value in row))

        def loss(label: int, row: list[float] = row, normaliser: float = normaliser) -> float:
            return normaliser - row[label]

        others = math.fsum(loss(other) for other in range(k) if other != y)
        losses.append((1 + (1 - k) / k * a) * loss(y) + a / k * others)
    return losses


@pytest.mark.parametrize("k", [2, 10])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_labels_have_the_values_of_section_3_1(alpha: float, k: int) -> None:
    smoothed = gls_labels(torch.tensor([0, k - 1]), alpha, k)
    for row, y in zip(smoothed, (0, k - 1), strict=True):
        for j in range(k):
            expected = 1 + (1 - k) / k * alpha if j == y else alpha / k
            assert float(row[j]) == pytest.approx(expected, abs=1e-6)


@given(alpha=rates, k=st.integers(2, 12))
def test_labels_sum_to_one(alpha: float, k: int) -> None:
    sums = gls_labels(torch.arange(k), alpha, k).sum(dim=1)
    torch.testing.assert_close(sums, torch.ones(k))


def test_labels_take_one_rate_for_each_sample() -> None:
    labels, alpha = torch.tensor([2, 0, 1]), torch.tensor([-0.5, 0.0, 1.0])
    expected = [gls_labels(labels[i : i + 1], float(alpha[i]), 3) for i in range(3)]
    torch.testing.assert_close(gls_labels(labels, alpha, 3), torch.cat(expected))


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("k", [2, 5])
def test_loss_is_eq_6_term_by_term(alpha: float, k: int) -> None:
    logits, labels = some_logits(k=k)
    expected = torch.tensor(slow_loss(logits, labels, [alpha] * 6), dtype=torch.float64)
    for reduction, value in [
        ("none", expected),
        ("mean", expected.mean()),
        ("sum", expected.sum()),
    ]:
        found = gls_loss(logits, labels, alpha, reduction)
        torch.testing.assert_close(found, value, rtol=1e-12, atol=1e-12)


def test_loss_takes_one_rate_for_each_sample() -> None:
    logits, labels = some_logits()
    alpha = torch.tensor([-2.0, -0.4, 0.0, 0.3, 1.0, -0.1], dtype=torch.float64)
    expected = torch.tensor(slow_loss(logits, labels, alpha.tolist()), dtype=torch.float64)
    torch.testing.assert_close(gls_loss(logits, labels, alpha, "none"), expected)


@pytest.mark.parametrize("alpha", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_loss_is_torchs_label_smoothing_where_that_is_defined(alpha: float, reduction: str) -> None:
    logits, labels = some_logits()
    expected = F.cross_entropy(logits, labels, label_smoothing=alpha, reduction=reduction)
    torch.testing.assert_close(gls_loss(logits, labels, alpha, reduction), expected)


def test_loss_at_alpha_zero_is_cross_entropy_bit_for_bit() -> None:
    logits, labels = some_logits()
    assert torch.equal(gls_loss(logits, labels, 0.0), F.cross_entropy(logits, labels))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_loss_is_cross_entropy_against_the_smoothed_labels(alpha: float) -> None:
    logits, labels = some_logits()
    expected = F.cross_entropy(logits, gls_labels(labels, alpha, 5).double())
    torch.testing.assert_close(gls_loss(logits, labels, alpha), expected, rtol=1e-6, atol=1e-6)


@given(a=rates, b=rates, seed=st.integers(0, 99))
def test_loss_is_affine_in_the_rate(a: float, b: float, seed: int) -> None:
    logits, labels = some_logits(seed=seed)
    middle = gls_loss(logits, labels, (a + b) / 2)
    ends = (gls_loss(logits, labels, a) + gls_loss(logits, labels, b)) / 2
    torch.testing.assert_close(middle, ends, rtol=1e-9, atol=1e-9)


@given(alpha=rates, shift=st.floats(-50, 50))
def test_loss_does_not_change_when_all_logits_are_shifted(alpha: float, shift: float) -> None:
    logits, labels = some_logits()
    moved = gls_loss(logits + shift, labels, alpha)
    torch.testing.assert_close(moved, gls_loss(logits, labels, alpha), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradient_is_softmax_minus_smoothed_label(alpha: float) -> None:
    logits, labels = some_logits()
    logits.requires_grad_()
    gls_loss(logits, labels, alpha, "sum").backward()
    target = gls_labels(labels, alpha, 5).double()
    expected = logits.detach().softmax(1) - target
    torch.testing.assert_close(logits.grad, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("alpha", [-0.1, -0.4, -2.0])
def test_ascent_with_nls_splits_as_in_section_3_3(alpha: float) -> None:
    """−(1−p)∇ℓ_NLS = −(1−p)[(1+|α|(K−1)/K)∇ℓ_y − (|α|/K)Σ_{y'≠y}∇ℓ_{y'}]."""
    p, k, size = 0.9, 5, abs(alpha)
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(k, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    x, y = torch.randn(1, 3, generator=generator, dtype=torch.float64), 2

    def gradient(label: int) -> Tensor:
        loss = F.cross_entropy(x @ weight.T, torch.tensor([label]))
        return torch.autograd.grad(loss, weight)[0]

    others = sum(gradient(label) for label in range(k) if label != y)
    expected = -(1 - p) * ((1 + size * (k - 1) / k) * gradient(y) - size / k * others)
    ascent = -(1 - p) * gls_loss(x @ weight.T, torch.tensor([y]), alpha)
    torch.testing.assert_close(torch.autograd.grad(ascent, weight)[0], expected)


@pytest.mark.parametrize("alpha", [1.01, math.nan, math.inf, torch.tensor([0.0, 1.5, 0.0])])
def test_alpha_outside_its_domain_is_refused(alpha: float | Tensor) -> None:
    labels = torch.tensor([0, 1, 2])
    with pytest.raises(ConfigError, match=r"alpha: should lie in \(−∞, 1\]"):
        gls_labels(labels, alpha, 3)
    with pytest.raises(ConfigError, match=r"alpha: should lie in \(−∞, 1\]"):
        gls_loss(torch.zeros(3, 3), labels, alpha)


@pytest.mark.parametrize("alpha", [-math.inf, torch.tensor([0.0, -math.inf, 0.0])])
def test_alpha_of_minus_infinity_is_refused(alpha: float | Tensor) -> None:
    with pytest.raises(ConfigError, match="alpha"):
        gls_labels(torch.tensor([0, 1, 2]), alpha, 3)


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(label: int) -> None:
    with pytest.raises(DataError, match=rf"labels should lie in 0…2; found {label}"):
        gls_labels(torch.tensor([0, label]), 0.1, 3)


@pytest.mark.parametrize("label", [-100, -1, 3])
@pytest.mark.parametrize("alpha", [0.0, -0.4])
def test_loss_refuses_labels_out_of_range(label: int, alpha: float) -> None:
    with pytest.raises(DataError, match="labels"):
        gls_loss(torch.zeros(2, 3), torch.tensor([label, label]), alpha)


@pytest.mark.parametrize(
    ("logits", "labels", "alpha"),
    [
        pytest.param((4, 3), (4,), (4, 1), id="alpha-column"),
        pytest.param((4, 3), (1,), (), id="one-label"),
        pytest.param((1, 3), (1,), (4,), id="many-rates"),
    ],
)
def test_loss_refuses_shapes_that_do_not_match(
    logits: tuple[int, ...], labels: tuple[int, ...], alpha: tuple[int, ...]
) -> None:
    with pytest.raises((ConfigError, DataError)):
        gls_loss(
            torch.zeros(logits), torch.zeros(labels, dtype=torch.long), torch.full(alpha, -0.4)
        )


def test_unknown_reduction_is_refused() -> None:
    with pytest.raises(ConfigError, match="reduction: should be 'mean', 'sum' or 'none'"):
        gls_loss(torch.zeros(1, 3), torch.tensor([0]), 0.1, "average")


# Forget features f₁ = →, f₂ = ↑ and retain features →, ↑, ←: cosine distances (1 − cos)/2 are
# f₁: 0, ½, 1 and f₂: ½, 0, ½; their median is ½; |B_f| = 2.
ARROWS_F = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
ARROWS_R = torch.tensor([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
# Points 0 and 3 on a line against 0, 4, 1: lengths over the largest (4) are
# 0, 1, ¼ and ¾, ¼, ½; their median is (¼ + ½)/2 = ⅜.
LINE_F = torch.tensor([[0.0], [3.0]])
LINE_R = torch.tensor([[0.0], [4.0], [1.0]])


def test_cosine_distances_by_hand() -> None:
    expected = torch.tensor([[0, 0.5, 1], [0.5, 0, 0.5]])
    torch.testing.assert_close(pairwise_distance(ARROWS_F, ARROWS_R), expected)


def test_euclidean_distances_by_hand() -> None:
    expected = torch.tensor([[0, 1, 0.25], [0.75, 0.25, 0.5]])
    torch.testing.assert_close(pairwise_distance(LINE_F, LINE_R, "euclidean"), expected)


@pytest.mark.parametrize(
    ("beta", "expected"),
    [
        (None, [0.5, 0.5]),  # counts 1, 1: ½ < ½ is false
        (0.5, [0.5, 0.5]),
        (0.6, [1.0, 1.5]),  # counts 2, 3 over |B_f| = 2
        (0.0, [0.0, 0.0]),
        (1.0, [1.0, 1.5]),  # 1 < 1 is false
    ],
)
def test_adaptive_rate_by_hand_cosine(beta: float | None, expected: list[float]) -> None:
    assert adaptive_alpha(ARROWS_F, ARROWS_R, beta).tolist() == expected


@pytest.mark.parametrize(
    ("beta", "expected"),
    [(None, [1.0, 0.5]), (0.5, [1.0, 0.5]), (0.75, [1.0, 1.0]), (1.0, [1.0, 1.5])],
)
def test_adaptive_rate_by_hand_euclidean(beta: float | None, expected: list[float]) -> None:
    assert adaptive_alpha(LINE_F, LINE_R, beta, "euclidean").tolist() == expected


def test_adaptive_rate_divides_by_the_forget_batch_where_it_is_larger() -> None:
    # |B_f| = 3, |B_r| = 2: distances of the forget samples →, ↑, ← to →, ↑ are 0 ½, ½ 0, 1 ½
    rate = adaptive_alpha(ARROWS_R, ARROWS_F, beta=0.6)
    torch.testing.assert_close(rate, torch.tensor([2 / 3, 2 / 3, 1 / 3]))


def test_adaptive_rate_counts_retain_samples_of_each_forget_sample() -> None:
    """Appendix D.4's listing sums over the other axis, which a square batch hides."""
    retain = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert adaptive_alpha(ARROWS_F, retain, beta=0.4).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_adaptive_rate_is_a_slow_loop(n: int, distance: str) -> None:
    generator = torch.Generator().manual_seed(n)
    forget, retain = torch.randn(n, 3, generator=generator), torch.randn(5, 3, generator=generator)
    table = [[0.0] * 5 for _ in range(n)]
    for i, f in enumerate(forget.tolist()):
        for j, r in enumerate(retain.tolist()):
            if distance == "cosine":
                dot = sum(a * b for a, b in zip(f, r, strict=True))
                table[i][j] = (1 - dot / (math.hypot(*f) * math.hypot(*r))) / 2
            else:
                table[i][j] = math.dist(f, r)
    largest = 1 if distance == "cosine" else max(map(max, table))
    flat = sorted(value / largest for row in table for value in row)
    half = len(flat) // 2
    median = flat[half] if len(flat) % 2 else (flat[half - 1] + flat[half]) / 2
    for beta in (None, 0.31):
        limit = median if beta is None else beta
        # a sample that lies on the median itself may fall on either side in float32
        low = [sum(v / largest < limit - 1e-6 for v in row) / n for row in table]
        high = [sum(v / largest < limit + 1e-6 for v in row) / n for row in table]
        found = adaptive_alpha(forget, retain, beta, distance).tolist()
        assert all(a - 1e-6 <= b <= c + 1e-6 for a, b, c in zip(low, found, high, strict=True))


@given(n=st.integers(1, 8), seed=st.integers(0, 999), beta=st.none() | st.floats(0, 1))
def test_adaptive_rates_lie_in_the_unit_interval_for_equal_batches(
    n: int, seed: int, beta: float | None
) -> None:
    generator = torch.Generator().manual_seed(seed)
    forget, retain = torch.randn(2, n, 4, generator=generator)
    for distance in ("cosine", "euclidean"):
        rate = adaptive_alpha(forget, retain, beta, distance)
        assert rate.shape == (n,)
        assert bool(((rate >= 0) & (rate <= 1)).all())


def test_adaptive_rate_does_not_depend_on_the_order_of_retain_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    forget, retain = torch.randn(2, 7, 4, generator=generator)
    order = torch.randperm(7, generator=generator)
    assert torch.equal(adaptive_alpha(forget, retain), adaptive_alpha(forget, retain[order]))


def test_identical_features_have_rate_zero_under_the_median() -> None:
    same = torch.ones(4, 3)
    for distance in ("cosine", "euclidean"):
        assert adaptive_alpha(same, same, None, distance).tolist() == [0.0] * 4


def test_features_of_zero_are_no_nan() -> None:
    zero = torch.zeros(3, 2)
    for distance in ("cosine", "euclidean"):
        assert bool(torch.isfinite(pairwise_distance(zero, zero, distance)).all())


@pytest.mark.parametrize(
    ("sign", "expected"),
    [("positive", [0.0, 0.25, 1.0]), ("negative", [0.0, -0.25, -1.0]), ("inverse", [-1, -0.75, 0])],
)
def test_signs_of_the_adaptive_rate(sign: str, expected: list[float]) -> None:
    assert signed_alpha(torch.tensor([0.0, 0.25, 1.0]), sign).tolist() == expected


@pytest.mark.parametrize("beta", [-0.01, 1.01, math.nan])
def test_beta_outside_the_unit_interval_is_refused(beta: float) -> None:
    with pytest.raises(ConfigError, match=r"beta: should lie in \[0, 1\]"):
        adaptive_alpha(ARROWS_F, ARROWS_R, beta)


def test_unknown_distance_and_sign_are_refused() -> None:
    with pytest.raises(ConfigError, match="'cosine' or 'euclidean'; found 'l1'"):
        adaptive_alpha(ARROWS_F, ARROWS_R, distance="l1")
    with pytest.raises(ConfigError, match="adaptive_sign"):
        signed_alpha(torch.zeros(2), "plus")


@pytest.mark.parametrize(("forget", "retain"), [((2,), (2, 2)), ((2, 3), (2, 2)), ((0, 2), (2, 2))])
def test_features_of_wrong_shape_are_refused(
    forget: tuple[int, ...], retain: tuple[int, ...]
) -> None:
    with pytest.raises(DataError, match="features: should be two non-empty matrices"):
        adaptive_alpha(torch.zeros(forget), torch.zeros(retain))
