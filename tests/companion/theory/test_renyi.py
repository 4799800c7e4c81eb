"""What the noise of PABI guarantees, against drifting runs and dense grids."""

import math
from typing import Any

import pytest

from companion.theory.renyi import epsilon, guarantee, renyi_rate
from ugradsl_core.methods import make_config
from ugradsl_core.methods.pabi import PABIConfig, noise_scale, noisy_steps


def test_the_defaults_have_the_epsilon_of_their_rate() -> None:
    assert guarantee(PABIConfig()) == (epsilon(1.0, 1e-5), 1e-5)


@pytest.mark.parametrize(
    "where",
    [
        (0.1, 10.0, 0.001, 50.0),  # published for CIFAR-10
        (1.0, 1.0, 0.001, 100.0),  # and for the head of CIFAR-100's
        (1.0, 1.0, 0.001, 0.0),
        (5.0, 10.0, 0.01, 0.0),
        (1.0, 10.0, 0.01, 6.0),
        (0.25, 10.0, 0.01, 1.0),
        (0.3, 1.0, 0.1, 2.0),
    ],
)
def test_the_rate_of_the_noise_is_what_it_was_made_for(
    where: tuple[float, float, float, float],
) -> None:
    """ε_R; twice as much at λ = 0, where the printed σ² is half the limit of the other one."""
    steps = noisy_steps(*where)
    for eps in (0.5, 1.0, 3.0):
        rate = renyi_rate(*where, noise_scale(*where, eps, steps), steps)
        assert rate == pytest.approx(eps if where[3] > 0 else 2 * eps)


def test_the_rate_is_that_of_two_runs_which_drift_apart_as_far_as_they_can() -> None:
    """The last of T Gaussian steps, each with a part of the shift, chosen to cost the least."""
    c0, c1, eta, lam, sigma, steps = 0.3, 2.0, 0.01, 5.0, 0.7, 6
    gap = 2 * c0
    for _ in range(steps):
        gap = (1 - eta * lam) * gap + 2 * eta * c1
    weights = [(1 - eta * lam) ** t for t in range(steps)]
    # minimise Σ s_t² subject to Σ weights·s_t = gap: s_t proportional to its weight
    cost = gap**2 / sum(w**2 for w in weights) / (2 * sigma**2)
    assert renyi_rate(c0, c1, eta, lam, sigma, steps) == pytest.approx(cost)


GRID = [math.exp(-10 + 30 * i / 60_000) for i in range(60_001)]  # α − 1


@pytest.mark.parametrize("reading", ["rate", "printed"])
@pytest.mark.parametrize("delta", [1e-5, 1e-2, 1e-9])
@pytest.mark.parametrize("eps", [0.01, 1.0, 10.0])
def test_epsilon_is_the_minimum_of_its_equation_on_a_dense_grid(
    eps: float, delta: float, reading: Any
) -> None:
    found = epsilon(eps, delta, reading=reading)

    def bound(excess: float) -> float:
        order = 1 + excess
        cost = eps * (order if reading == "rate" else 1)
        return cost - (math.log(delta) + math.log(order)) / excess + math.log(excess / order)

    least = max(min(map(bound, GRID)), 0.0)
    assert found == pytest.approx(least, rel=1e-6, abs=1e-6)
    assert found <= least + 1e-9
    if reading == "rate":  # no worse than the usual conversion, ε_R + 2√(ε_R ln(1/δ))
        assert found <= eps + 2 * math.sqrt(eps * math.log(1 / delta))
        assert found > epsilon(eps, delta, reading="printed")
    else:
        assert found == pytest.approx(max(eps - delta, 0.0), abs=0.1 * delta)  # at α = 1/δ


def test_epsilon_grows_with_the_rate_and_with_a_smaller_delta() -> None:
    rates = [epsilon(eps, 1e-5) for eps in (0.1, 0.5, 1, 5)]
    assert rates == sorted(rates)
    deltas = [epsilon(1.0, delta) for delta in (1e-2, 1e-5, 1e-8)]
    assert deltas == sorted(deltas)


def test_the_guarantee_of_a_run_without_decay_counts_its_real_rate() -> None:
    config = make_config("pabi", lam=0.0, epsilon_renyi=0.5, delta=1e-6)
    assert isinstance(config, PABIConfig)
    eps, delta = guarantee(config)
    assert (eps, delta) == (pytest.approx(epsilon(1.0, 1e-6)), 1e-6)


@pytest.mark.parametrize("lam", [1e-9, 1e-13, 1e-14, 1e-17, 1e-300, 5e-324])
def test_the_rate_of_a_vanishing_decay_is_its_limit(lam: float) -> None:
    c0, c1, eta, steps = 0.1, 10.0, 1e-3, 10
    limit = 2 * (2 * c0 + 2 * c1 * eta * steps) ** 2 / (4 * steps)
    assert renyi_rate(c0, c1, eta, lam, limit**0.5, steps) == pytest.approx(1, rel=1e-8)
