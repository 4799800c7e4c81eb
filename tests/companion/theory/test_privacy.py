"""Definition 1 and Theorem 3: symbols, closed forms, limits, and minimisation of the risk."""

import math

import pytest
import sympy
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory.privacy import (
    UnlearningLoss,
    alpha_domain,
    best_alpha,
    best_prediction,
    effective_rate,
    label_ldp_epsilon,
    largest_log_ratio,
    measured_epsilon,
    predictions_by_label,
)
from companion.theory.risks import Risk
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.smoothing import gls_labels

ratios = st.floats(1.05, 50)
shares = st.floats(0.01, 0.99)  # of the way from 0 down to the domain's lower end
classes = st.integers(2, 200)


# The derivation of Appendix C.4, in symbols ---------------------------------------------------

K, a, g1, g2 = sympy.symbols("K alpha gamma1 gamma2", real=True)
TRUE = g1 - g2 * (1 + (1 - K) / K * a)  # weight of ℓ(y) in the risk of one forget sample
OTHER = -a / K * g2  # weight of each ℓ(y'), y' ≠ y
PRINTED = K / a * (1 - g1 / g2) + 1 - K  # inside Theorem 3's logarithm
BEST = 1 - g1 / g2


def is_zero(expression: sympy.Expr) -> bool:
    return sympy.simplify(expression) == 0


def test_symbols_the_weights_sum_to_the_difference_of_the_gammas() -> None:
    assert is_zero(TRUE + (K - 1) * OTHER - (g1 - g2))


def test_symbols_the_quotient_of_theorem_3() -> None:
    assert is_zero(TRUE / OTHER - PRINTED)


def test_symbols_the_optimum_of_weighted_log_losses_is_proportional_to_the_weights() -> None:
    """argmin of −w·log p − (K−1)·v·log((1−p)/(K−1)) over p, by its stationary point."""
    p, w, v = sympy.symbols("p w v", positive=True)
    risk = -w * sympy.log(p) - (K - 1) * v * sympy.log((1 - p) / (K - 1))
    (found,) = sympy.solve(sympy.diff(risk, p), p)
    assert is_zero(found - w / (w + (K - 1) * v))
    curvature = sympy.simplify(sympy.diff(risk, p, 2).subs({K: 10}))
    assert curvature.subs({w: 1, v: 2, p: 0.3}) > 0


def test_symbols_the_risk_is_a_smoothed_loss_of_another_rate() -> None:
    rate = a / BEST
    assert is_zero(TRUE - (g1 - g2) * (1 + (1 - K) / K * rate))
    assert is_zero(OTHER - (g1 - g2) * rate / K)


def test_symbols_epsilon_is_zero_at_the_minimiser_and_monotone_on_either_side() -> None:
    assert is_zero(PRINTED.subs(a, BEST) - 1)
    assert is_zero(PRINTED.subs(a, K / (K - 1) * BEST))  # the domain's lower end
    # the quotient falls strictly as α does: its derivative is K(γ₁/γ₂ − 1)/α² > 0
    assert is_zero(sympy.diff(PRINTED, a) - K * (g1 / g2 - 1) / a**2)


# Values ----------------------------------------------------------------------------------------


def printed(alpha: float, gamma1: float, gamma2: float, k: int) -> float:
    return abs(math.log(k / alpha * (1 - gamma1 / gamma2) + 1 - k))


def test_epsilon_by_hand() -> None:
    # 10/(−0.4)·(1 − 2) + 1 − 10 = 25 − 9 = 16
    assert label_ldp_epsilon(-0.4, 2, 1, 10) == pytest.approx(math.log(16), abs=1e-12)
    # beyond the minimiser −1: 2/(−1.5)·(1 − 2) + 1 − 2 = 1/3
    assert label_ldp_epsilon(-1.5, 2, 1, 2) == pytest.approx(math.log(3), abs=1e-12)


@given(ratio=ratios, share=shares, k=classes, scale=st.floats(0.01, 100))
def test_epsilon_is_the_printed_formula(ratio: float, share: float, k: int, scale: float) -> None:
    alpha = share * alpha_domain(ratio, 1, k)[0]
    found = label_ldp_epsilon(alpha, ratio * scale, scale, k)
    assert found == pytest.approx(printed(alpha, ratio, 1, k), rel=1e-6, abs=1e-9)


@given(ratio=ratios, k=classes)
def test_epsilon_is_zero_at_the_minimiser(ratio: float, k: int) -> None:
    alpha = best_alpha(ratio, 1)
    lowest, highest = alpha_domain(ratio, 1, k)
    assert lowest < alpha < highest
    assert label_ldp_epsilon(alpha, ratio, 1, k) == pytest.approx(0, abs=1e-12)


@given(ratio=ratios, k=classes, shares=st.tuples(shares, shares))
def test_more_negative_is_more_private_down_to_the_minimiser_only(
    ratio: float, k: int, shares: tuple[float, float]
) -> None:
    small, large = sorted(shares)
    if large - small < 1e-3:
        return
    best, (lowest, _) = best_alpha(ratio, 1), alpha_domain(ratio, 1, k)

    def eps(alpha: float) -> float:
        return label_ldp_epsilon(alpha, ratio, 1, k)

    assert eps(large * best) < eps(small * best)
    assert eps(best + large * (lowest - best)) > eps(best + small * (lowest - best))


def test_epsilon_grows_without_bound_towards_both_ends() -> None:
    lowest, _ = alpha_domain(3, 1, 10)
    assert label_ldp_epsilon(-1e-12, 3, 1, 10) > 20
    assert label_ldp_epsilon(lowest * (1 - 1e-12), 3, 1, 10) > 20


@given(ratio=ratios, share=shares, k=st.integers(2, 30))
def test_best_prediction_is_the_fraction_of_appendix_c4(ratio: float, share: float, k: int) -> None:
    alpha = share * alpha_domain(ratio, 1, k)[0]
    true = ratio - (1 + (1 - k) / k * alpha)
    other = -alpha / k
    total = true - (k - 1) / k * alpha
    expected = torch.full((k, k), other / total, dtype=torch.float64)
    expected.fill_diagonal_(true / total)
    torch.testing.assert_close(best_prediction(alpha, ratio, 1, k), expected, atol=1e-9, rtol=1e-6)


@given(ratio=ratios, share=shares, k=st.integers(2, 30))
def test_epsilon_is_the_largest_log_ratio_of_the_best_prediction(
    ratio: float, share: float, k: int
) -> None:
    alpha = share * alpha_domain(ratio, 1, k)[0]
    expected = label_ldp_epsilon(alpha, ratio, 1, k)
    found = largest_log_ratio(best_prediction(alpha, ratio, 1, k))
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_best_prediction_is_the_label_smoothed_with_the_effective_rate() -> None:
    rate = effective_rate(-1.5, 4, 1, 10)
    assert rate == pytest.approx(0.5)
    expected = gls_labels(torch.arange(10), rate, 10).double()
    torch.testing.assert_close(best_prediction(-1.5, 4, 1, 10), expected, rtol=1e-6, atol=1e-7)


def test_epsilon_of_randomised_response() -> None:
    """K-ary randomised response keeps the label with probability e^ε/(e^ε + K − 1)."""
    eps, k = 1.7, 10
    keep = math.exp(eps) / (math.exp(eps) + k - 1)
    rate = (1 - keep) * k / (k - 1)
    assert label_ldp_epsilon(rate * best_alpha(5, 1), 5, 1, k) == pytest.approx(eps)


def test_largest_log_ratio_is_a_slow_loop() -> None:
    generator = torch.Generator().manual_seed(0)
    p = torch.rand(4, 5, generator=generator, dtype=torch.float64) + 0.01
    slow = max(math.log(x / z) for i in range(5) for x in p[:, i] for z in p[:, i])
    assert largest_log_ratio(p) == pytest.approx(slow, abs=1e-12)
    assert largest_log_ratio(p[:1].expand(3, 5)) == 0


# Minimising the risk ---------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 10])
@pytest.mark.parametrize("ratio", [1.2, 2.0, 19.0])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.97])
def test_the_measured_ratio_of_free_logits_is_epsilon(k: int, ratio: float, share: float) -> None:
    alpha = share * alpha_domain(ratio, 1, k)[0]
    found, end = measured_epsilon(alpha, ratio, 1, k)
    assert end.converged
    assert found == pytest.approx(label_ldp_epsilon(alpha, ratio, 1, k), abs=1e-8)


def test_outside_the_domain_the_risk_has_no_minimum() -> None:
    """Below the domain's end the weight of ℓ(y) is negative: z_y → −∞ lowers the risk for ever."""
    labels, forget = torch.tensor([0]), torch.tensor([True])
    lowest, _ = alpha_domain(2, 1, 4)

    def risk(depth: float, alpha: float) -> float:
        logits = torch.tensor([[-depth, 0, 0, 0]], dtype=torch.float64)
        return float(UnlearningLoss(forget, alpha, 2, 1)(logits, labels))

    outside = [risk(depth, lowest * 1.05) for depth in (1, 10, 100, 1000)]
    assert outside == sorted(outside, reverse=True)
    assert outside[-1] < -10
    inside = [risk(depth, lowest * 0.95) for depth in (10, 100, 1000)]
    assert inside == sorted(inside)


def test_the_unlearning_loss_is_the_sum_of_appendix_c4() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 4, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    forget = torch.tensor([True, False, True, False, False, False])
    alpha, gamma1, gamma2 = -0.7, 3.0, 1.3
    losses = [
        [float(F.cross_entropy(z[None], torch.tensor([k]))) for k in range(4)] for z in logits
    ]
    expected = 0.0
    for row, y, forgotten in zip(losses, labels.tolist(), forget.tolist(), strict=True):
        expected += gamma1 * row[y]
        if forgotten:
            others = sum(loss for k, loss in enumerate(row) if k != y)
            expected -= gamma2 * ((1 + (1 - 4) / 4 * alpha) * row[y] + alpha / 4 * others)
    found = UnlearningLoss(forget, alpha, gamma1, gamma2)(logits, labels)
    assert float(found) == pytest.approx(expected, abs=1e-10)


def test_predictions_by_label_of_a_separate_logit_are_those_of_the_theorem() -> None:
    """With one-hot inputs every sample has logits of its own, as the proof assumes."""
    batch = torch.eye(5, dtype=torch.float64)[:2], torch.tensor([0, 1])
    model = nn.Linear(5, 3, bias=False).double()
    before = model.weight.detach().clone()
    loss = UnlearningLoss(torch.tensor([True, True]), -1.2, 2.5, 1)
    found, ends = predictions_by_label(Risk(model, [batch], loss=loss), 1)
    assert all(end.converged for end in ends)
    torch.testing.assert_close(found, best_prediction(-1.2, 2.5, 1, 3), rtol=0, atol=1e-7)
    assert torch.equal(model.weight, before)


class OfRetained(nn.Module):
    """What Retrain minimises: the loss of D_r alone."""

    reduction = "sum"

    def __init__(self, forget: Tensor) -> None:
        super().__init__()
        self.forget = forget

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits[~self.forget], labels[~self.forget], reduction="sum")


def test_retrain_never_sees_the_label_and_so_has_epsilon_zero() -> None:
    generator = torch.Generator().manual_seed(1)
    inputs = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    loss = OfRetained(torch.arange(12) < 4)
    batch = inputs, torch.arange(12) % 3
    found, ends = predictions_by_label(
        Risk(nn.Linear(3, 3).double(), [batch], l2=0.1, loss=loss), 0
    )
    assert all(end.converged for end in ends)
    assert largest_log_ratio(found) == 0


def test_retained_neighbours_of_every_label_lower_the_ratio() -> None:
    """Weights shared with one retained sample of each class: the best prediction is a mixture."""
    gamma1, gamma2, alpha, k = 3.0, 1.0, -0.5, 3
    batch = torch.ones(4, 1, dtype=torch.float64), torch.tensor([0, 0, 1, 2])
    loss = UnlearningLoss(torch.tensor([True, False, False, False]), alpha, gamma1, gamma2)
    model = nn.Linear(1, k, bias=False).double()
    found, ends = predictions_by_label(Risk(model, [batch], loss=loss), 0)
    assert all(end.converged for end in ends)
    alone = best_prediction(alpha, gamma1, gamma2, k)
    weight = gamma1 - gamma2
    expected = (gamma1 + weight * alone) / (k * gamma1 + weight)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-8)
    assert largest_log_ratio(found) < label_ldp_epsilon(alpha, gamma1, gamma2, k) / 2


def test_predictions_by_label_need_one_batch() -> None:
    batch = torch.ones(2, 1, dtype=torch.float64), torch.tensor([0, 1])
    risk = Risk(nn.Linear(1, 2).double(), [batch, batch])
    with pytest.raises(DataError, match="batches: should be one, with all of D_tr; found 2"):
        predictions_by_label(risk, 0)


# Bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 0, -3, 2.5])
def test_fewer_than_two_classes_are_refused(k: float) -> None:
    with pytest.raises(ValueError, match=r"num_classes: .*at least 2 \(Definition 1\); found"):
        label_ldp_epsilon(-0.4, 2, 1, k)


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_weights_that_are_not_positive_are_refused(bad: float) -> None:
    with pytest.raises(ConfigError, match=r"gamma2: should be a positive number \(Theorem 3\)"):
        label_ldp_epsilon(-0.4, 2, bad, 10)
    with pytest.raises(ConfigError, match=r"gamma1: should be a positive number \(Theorem 3\)"):
        best_alpha(bad, 1)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0, 1.5, math.nan, math.inf])
def test_rates_that_are_not_negative_are_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match=r"alpha: should be negative \(Theorem 3\); found"):
        label_ldp_epsilon(alpha, 2, 1, 10)


@pytest.mark.parametrize("alpha", [-10 / 9, -1.2, -1e9, -math.inf])
@pytest.mark.parametrize("function", [label_ldp_epsilon, effective_rate, best_prediction])
def test_rates_below_the_domain_are_refused(alpha: float, function) -> None:
    message = r"alpha: should lie in \(-1\.111, 0\), where Theorem 3's condition γ₁ − γ₂\("
    with pytest.raises(ConfigError, match=message):
        function(alpha, 2, 1, 10)


@pytest.mark.parametrize(("gamma1", "gamma2"), [(1, 1), (0.5, 1)])
@pytest.mark.parametrize("function", [label_ldp_epsilon, measured_epsilon])
def test_less_learning_than_unlearning_is_refused(gamma1: float, gamma2: float, function) -> None:
    with pytest.raises(ConfigError, match=r"gamma1: should be larger than gamma2, as no α < 0"):
        function(-0.1, gamma1, gamma2, 10)
    with pytest.raises(ConfigError, match="gamma1: should be larger than gamma2"):
        alpha_domain(gamma1, gamma2, 10)


def test_log_ratios_need_two_rows_of_positive_probabilities() -> None:
    for bad in (torch.ones(1, 3), torch.tensor([[0.0, 1.0], [0.5, 0.5]]), torch.ones(3)):
        with pytest.raises(DataError, match="predictions: should be two or more rows"):
            largest_log_ratio(bad)
