"""What the noise of PABI guarantees: its Rényi rate, and the (ε, δ) that follows from it."""

import math
from typing import Literal

from ugradsl_core.methods.pabi import PABIConfig, noise_scale, noisy_steps, shift_and_weight


def renyi_rate(c0: float, c1: float, eta: float, lam: float, sigma: float, steps: int) -> float:
    """ρ such that the Rényi divergence of every order α is at most αρ, for noise ``sigma``.

    Amplification by iteration: (shift)²/(2σ²Σ_t (1 − ηλ)^2t). It is ε_R at λ > 0, 2ε_R at λ = 0.
    """
    shift, weight = shift_and_weight(c0, c1, eta, lam, steps)
    return shift**2 / (2 * sigma**2 * weight)


def epsilon(
    epsilon_renyi: float, delta: float, *, reading: Literal["rate", "printed"] = "rate"
) -> float:
    """ε of the (ε, δ) guarantee: min over α > 1 of ε_α − (ln δ + ln α)/(α − 1) + ln((α − 1)/α).

    Args:
        epsilon_renyi: ε_R.
        delta: δ.
        reading: ``rate``: ε_α = α·ε_R, what noise of these σ gives (see :func:`renyi_rate`).
            ``printed``: ε_α = ε_R at every order, as the published formula reads; then large
            orders cost nothing and ε is never far from ε_R.
    """

    from scipy.optimize import minimize_scalar

    def bound(log_excess: float) -> float:
        order = 1 + math.exp(log_excess)
        cost = epsilon_renyi * (order if reading == "rate" else 1.0)
        return (
            cost - (math.log(delta) + math.log(order)) / (order - 1) + math.log((order - 1) / order)
        )

    found = minimize_scalar(bound, bounds=(-12.0, 25.0), method="bounded", options={"xatol": 1e-10})
    return max(float(found.fun), 0.0)


def guarantee(config: PABIConfig) -> tuple[float, float]:
    """(ε, δ) of the weights after the noisy steps; fine-tuning on D_r does not weaken it."""
    where = config.c0, config.c1, config.eta, config.lam
    steps = noisy_steps(*where)
    sigma = noise_scale(*where, config.epsilon_renyi, steps)
    return epsilon(renyi_rate(*where, sigma, steps), config.delta), config.delta
