"""Measures of many models against closed forms, slow oracles, invariances and chance."""

import math

import pytest
import torch
from torch import Generator, Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from companion.theory import populations
from ugradsl_core.errors import DataError


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def exact(models: int, mean: float, std: float) -> Tensor:
    """Margins (models, 1) whose sample mean and standard deviation are exactly these."""
    values = normal(models, 1)
    return mean + std * (values - values.mean()) / values.std()


def test_a_margin_is_the_log_odds_of_the_true_class() -> None:
    logits, labels = normal(50, 7), torch.arange(50) % 7
    p = F.softmax(logits, 1)[torch.arange(50), labels]
    torch.testing.assert_close(populations.margins(logits, labels), torch.log(p / (1 - p)))


def test_a_margin_does_not_saturate_where_a_probability_does() -> None:
    logits = torch.tensor([[1000.0, 0.0]])
    assert populations.margins(logits, torch.tensor([0])).item() == 1000
    assert populations.margins(logits, torch.tensor([1])).item() == -1000


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (2.0, 1.0), (0.0, 3.0), (-1.0, 0.5)])
def test_klom_is_the_divergence_of_two_normal_distributions(mean: float, std: float) -> None:
    found = populations.klom(exact(9, mean, std), exact(12, 0.5, 2.0))
    expected = kl_divergence(Normal(0.5, 2.0), Normal(mean, std))  # of retrained from unlearned
    torch.testing.assert_close(found, expected.double().reshape(1))


def test_klom_of_the_same_models_is_zero_and_of_constant_ones_finite() -> None:
    values = normal(5, 4)
    torch.testing.assert_close(
        populations.klom(values, values), torch.zeros(4, dtype=torch.float64)
    )
    same = torch.full((5, 1), 3.0)
    assert populations.klom(same, same).item() == pytest.approx(0, abs=1e-12)
    assert torch.isfinite(populations.klom(same, values[:, :1])).all()


@pytest.mark.parametrize(("unlearned", "retrained"), [(16, 16), (8, 20), (20, 6)])
def test_the_floor_of_klom_is_its_mean_under_one_law(unlearned: int, retrained: int) -> None:
    draws = 40_000  # samples are independent here, each with models of its own
    u, r = 5 + 3 * normal(unlearned, draws), 5 + 3 * normal(retrained, draws, seed=1)
    found = populations.klom(u, r)
    error = float(found.std()) / math.sqrt(draws)
    assert abs(float(found.mean()) - populations.klom_floor(unlearned, retrained)) < 3 * error


def test_the_floor_falls_to_zero() -> None:
    assert populations.klom_floor(10**6, 10**6) == pytest.approx(0, abs=1e-5)


def slow_ratios(unlearned: Tensor, retrained: Tensor) -> Tensor:
    """The same attack as a loop over models and samples that fits each normal distribution."""
    models, samples = unlearned.shape
    found = torch.zeros(2, models, samples, dtype=torch.float64)
    for i in range(models):
        rest = [j for j in range(models) if j != i]
        for x in range(samples):
            laws = [Normal(m[rest, x].mean(), m[rest, x].std()) for m in (unlearned, retrained)]
            for kind, value in enumerate((unlearned[i, x], retrained[i, x])):
                found[kind, i, x] = laws[0].log_prob(value) - laws[1].log_prob(value)
    return found


def test_u_lira_is_that_of_a_slow_loop() -> None:
    unlearned, retrained = 2 + 1.5 * normal(6, 5), normal(6, 5, seed=1)
    found = populations.lira_ratios(unlearned, retrained)
    torch.testing.assert_close(found, slow_ratios(unlearned, retrained))


def test_u_lira_tells_distant_models_apart_and_not_equal_ones() -> None:
    retrained = normal(8, 3)
    far = populations.lira_right(populations.lira_ratios(retrained + 50, retrained))
    assert far.all()
    same = populations.lira_right(populations.lira_ratios(retrained, retrained)).double()
    assert float(same.mean()) == 0.5


def test_u_lira_is_at_chance_under_one_law() -> None:
    """Without a bias: leaving out one model alone would push it below one half."""
    runs = 30_000
    u, r = normal(8, runs), normal(8, runs, seed=1)
    accuracy = populations.lira_right(populations.lira_ratios(u, r)).double().mean((0, 1))
    error = float(accuracy.std()) / math.sqrt(runs)
    assert abs(float(accuracy.mean()) - 0.5) < 3 * error


def test_u_lira_comes_near_the_best_attack_on_two_known_normal_distributions() -> None:
    """Means two standard deviations apart: no attack is right more often than Φ(1) = 0.841."""
    runs, models = 2_000, 60
    u, r = 2 + normal(models, runs), normal(models, runs, seed=1)
    found = float(populations.lira_right(populations.lira_ratios(u, r)).double().mean())
    best = float(Normal(0.0, 1.0).cdf(torch.tensor(1.0)))
    assert best - 0.02 < found < best


def test_the_p_value_is_uniform_under_one_law_and_small_far_from_it() -> None:
    own, times = generator(3), 400
    values = [
        populations.lira_p_value(normal(5, 4, seed=2 * i), normal(5, 4, seed=2 * i + 1), 9, own)
        for i in range(times)
    ]
    small = sum(p <= 0.2 for p in values) / times  # at most 0.2, less where accuracies tie
    assert 0.05 < small < 0.2 + 3 * math.sqrt(0.16 / times)
    assert populations.lira_p_value(normal(8, 4) + 9, normal(8, 4, seed=1), 99, own) < 0.05


def test_relearning_ends_at_the_first_step_at_the_level() -> None:
    assert populations.relearning_time([3.0, 2.0, 1.0, 2.0, 0.5], 1.0) == 2
    assert populations.relearning_time([0.1], 1.0) == 0
    assert populations.relearning_time([3.0, 2.0], 1.0) == math.inf
    assert populations.relearning_time([], 1.0) == math.inf


def test_cka_does_not_see_rotations_scales_and_shifts() -> None:
    x, y = normal(30, 5), normal(30, 4, seed=1)
    turn, _ = torch.linalg.qr(normal(5, 5, seed=2))
    assert populations.linear_cka(x, 3 * x @ turn + 7) == pytest.approx(1)
    assert populations.linear_cka(x @ turn, y) == pytest.approx(populations.linear_cka(x, y))
    assert populations.linear_cka(y, x) == pytest.approx(populations.linear_cka(x, y))
    skewed = x * torch.tensor([5.0, 1.0, 1.0, 1.0, 1.0])
    assert populations.linear_cka(x, skewed) < 0.9  # but it does see other linear maps


def test_cka_of_single_features_is_their_squared_correlation() -> None:
    x, y = normal(20, 1), normal(20, 1, seed=1)
    correlation = torch.corrcoef(torch.cat([x, y], 1).T)[0, 1]
    assert populations.linear_cka(x, y) == pytest.approx(float(correlation) ** 2)


def test_cka_is_that_of_the_gram_matrices() -> None:
    """The other formula, HSIC of n × n matrices with explicit centring."""
    x, y = normal(12, 3), normal(12, 6, seed=1)
    centre = torch.eye(12, dtype=torch.float64) - 1 / 12
    k, q = (centre @ (m @ m.T) @ centre for m in (x, y))
    expected = (k * q).sum() / torch.sqrt((k * k).sum() * (q * q).sum())
    assert populations.linear_cka(x, y) == pytest.approx(float(expected))


def test_cka_of_orthogonal_features_is_zero_and_of_constant_ones_unknown() -> None:
    x = torch.tensor([[1.0], [-1.0], [1.0], [-1.0]])
    y = torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    assert populations.linear_cka(x, y) == pytest.approx(0)
    assert math.isnan(populations.linear_cka(x, torch.ones(4, 2)))


def test_bad_input_is_one_sentence() -> None:
    two, three = torch.zeros(2, 4), torch.zeros(3, 4)
    with pytest.raises(DataError, match=r"needs logits \(n, K\) with K ≥ 2"):
        populations.margins(torch.zeros(3, 1), torch.zeros(3, dtype=torch.long))
    with pytest.raises(DataError, match=r"margins: the set"):
        populations.margins(torch.zeros(1, 2), torch.tensor([2]))
    with pytest.raises(DataError, match=r"3 models or more, as many .* found \(2, 4\)"):
        populations.lira_ratios(two, two)
    with pytest.raises(DataError, match="as many of either kind"):
        populations.lira_ratios(torch.zeros(4, 4), three)
    with pytest.raises(DataError, match="of the same samples, 2 models or more; found"):
        populations.klom(two, torch.zeros(2, 5))
    with pytest.raises(DataError, match="found 3 and 9"):
        populations.klom_floor(3, 9)
    with pytest.raises(DataError, match="of the same n ≥ 2 samples"):
        populations.linear_cka(two, three)
