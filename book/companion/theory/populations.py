"""Sharper measures, of many models at once: U-LiRA, the KL divergence of margins, linear CKA.

Avg. Gap compares one unlearned model with one retrained model by four averages over samples. The
measures here ask whether the *distribution* of unlearned models, over everything random in training
and unlearning, is that of retrained models, sample by sample. Models in, as margins or features;
nothing is trained here.
"""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from ugradsl_core.errors import DataError, check_labels

SMALLEST_STD = 1e-6  # of margins, so that models which all answer the same have a density


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """Margin of each sample, z_y − log Σ_{k≠y} exp z_k, which is log p_y / (1 − p_y).

    LiRA (Carlini et al., 2022) calls it the scaled logit; over many models it is close to normal,
    which probabilities are not. KLoM is about the same number.

    Args:
        logits: (n, K), K ≥ 2.
        labels: int64, (n,).

    Returns:
        (n,), float64, without bounds.

    Raises:
        DataError: shapes that do not fit, or a label outside 0…K−1.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or logits.shape[1] < 2:
        raise DataError(
            "margins: needs logits (n, K) with K ≥ 2 and labels (n,); "
            f"found {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    check_labels(labels, logits.shape[1], "margins: the set")
    values, column = logits.to(torch.float64), labels.unsqueeze(1)
    others = values.scatter(1, column, -torch.inf).logsumexp(1)
    return values.gather(1, column).squeeze(1) - others


def _checked(unlearned: Tensor, retrained: Tensor, least: int, paired: bool) -> None:
    """Raise DataError unless both are (models, samples) of the same samples, with enough models."""
    shapes = tuple(unlearned.shape), tuple(retrained.shape)
    fit = all(len(s) == 2 for s in shapes) and shapes[0][-1:] == shapes[1][-1:]
    if not fit or min(s[0] for s in shapes) < least or (paired and shapes[0] != shapes[1]):
        raise DataError(
            f"margins: should be (models, samples) of the same samples, {least} models or more"
            f"{', as many of either kind' if paired else ''}; found {shapes[0]} and {shapes[1]}"
        )


def klom(unlearned: Tensor, retrained: Tensor) -> Tensor:
    """KL divergence of margins, KL(retrained ‖ unlearned), of each sample (Georgiev et al., 2024).

    Each of the two distributions of margins over models is taken to be normal. The authors count
    margins of a hundred models in twenty bins; with fewer models most bins would be empty.
    Two samples of the same law are not at zero but, on average, at :func:`klom_floor`.

    Args:
        unlearned: margins (N, n) of N ≥ 2 unlearned models.
        retrained: margins (M, n) of M ≥ 2 retrained models, on the same samples.

    Returns:
        (n,), not negative, in nats. Standard deviations below ``SMALLEST_STD`` count as that.

    Raises:
        DataError: shapes that do not fit.
    """
    _checked(unlearned, retrained, 2, paired=False)
    std_u, std_r = (m.double().std(0).clamp_min(SMALLEST_STD) for m in (unlearned, retrained))
    shift = retrained.double().mean(0) - unlearned.double().mean(0)
    return torch.log(std_u / std_r) + (std_r**2 + shift**2) / (2 * std_u**2) - 0.5


def klom_floor(unlearned: int, retrained: int) -> float:
    """The mean of :func:`klom`, in nats, where both distributions are the same normal one.

    From E log s² = log σ² + ψ(ν/2) − log(ν/2) and E 1/s² = ν/((ν − 2) σ²) for a sample variance
    with ν degrees of freedom; it falls to 0 as the numbers of models grow.

    Args:
        unlearned: number of unlearned models, at least 4; with fewer there is no mean.
        retrained: number of retrained models, at least 2.

    Raises:
        DataError: fewer models.
    """
    if unlearned < 4 or retrained < 2:
        raise DataError(
            "klom_floor: needs 4 unlearned and 2 retrained models or more; "
            f"found {unlearned} and {retrained}"
        )
    log_u, log_r = (
        float(torch.digamma(torch.tensor(nu / 2, dtype=torch.float64))) - math.log(nu / 2)
        for nu in (unlearned - 1, retrained - 1)
    )
    ratio = (unlearned - 1) / (unlearned - 3) * (1 + 1 / unlearned + 1 / retrained)
    return (log_u - log_r + ratio - 1) / 2


def _log_density_without_itself(own: Tensor, other: Tensor) -> Tensor:
    """log N(own_i; mean and variance of ``other`` without its row i), (N, n)."""
    count = len(other)
    mean = (other.sum(0) - other) / (count - 1)
    # leaving row i out takes count/(count − 1)·(x_i − x̄)² away from the sum of squares
    centred = other - other.mean(0)
    squares = (centred**2).sum(0) - centred**2 * count / (count - 1)
    variance = (squares / (count - 2)).clamp_min(SMALLEST_STD**2)
    return -0.5 * (torch.log(2 * math.pi * variance) + (own - mean) ** 2 / variance)


def lira_ratios(unlearned: Tensor, retrained: Tensor) -> Tensor:
    """U-LiRA's log-likelihood ratio of each model and sample (Hayes et al., 2024).

    For each sample and each pair (i, i) of an unlearned and a retrained model, a normal
    distribution is fitted to the margins of the other unlearned models and one to those of the
    other retrained models; the two held-out models are then judged by log p_u − log p_r. Leaving
    out one of *either* kind keeps the attack fair: if both kinds have the same law, what it gains
    on the one it loses on the other, and on average it is right half of the time.

    Args:
        unlearned: margins (N, n) of N ≥ 3 unlearned models.
        retrained: margins (N, n) of as many retrained models, on the same samples.

    Returns:
        (2, N, n): ratios of the unlearned models, then of the retrained ones, in nats. A positive
        one says "unlearned".

    Raises:
        DataError: shapes that do not fit.
    """
    _checked(unlearned, retrained, 3, paired=True)
    u, r = unlearned.double(), retrained.double()
    return torch.stack(
        [_log_density_without_itself(x, u) - _log_density_without_itself(x, r) for x in (u, r)]
    )


def lira_right(ratios: Tensor) -> Tensor:
    """Which decisions of :func:`lira_ratios` are right: bool, of the same shape.

    The mean is the attack's accuracy: 0.5 is chance. A ratio of zero is called "retrained".
    """
    return torch.stack([ratios[0] > 0, ratios[1] <= 0])


def lira_p_value(
    unlearned: Tensor, retrained: Tensor, permutations: int, generator: Generator
) -> float:
    """Probability of an accuracy like U-LiRA's, or a higher one, if both kinds had the same law.

    A permutation test: the names "unlearned" and "retrained" are swapped at random within pairs of
    models, and the attack is fitted anew. It assumes nothing about how decisions depend on one
    another, which those of one model on many samples do.

    Args:
        unlearned: as in :func:`lira_ratios`.
        retrained: as in :func:`lira_ratios`.
        permutations: how many, at least 1; p is at least 1 / (permutations + 1).
        generator: of the swaps.

    Raises:
        DataError: shapes that do not fit.
    """
    seen = lira_right(lira_ratios(unlearned, retrained)).sum()
    as_high = 1
    for _ in range(permutations):
        swap = torch.randint(2, (len(unlearned), 1), generator=generator, dtype=torch.bool)
        pair = torch.where(swap, retrained, unlearned), torch.where(swap, unlearned, retrained)
        as_high += int(lira_right(lira_ratios(*pair)).sum() >= seen)
    return as_high / (permutations + 1)


def relearning_time(losses: Sequence[float], level: float) -> float:
    """Steps of training on D_f until its loss is at ``level``; infinite where it never is.

    ``losses`` are mean losses on D_f before each step. A model that has only hidden D_f learns it
    again faster than one that never saw it (Golatkar et al., 2020). Faster than Retrain and slower
    than Retrain both tell the models apart.
    """
    return next((float(step) for step, loss in enumerate(losses) if loss <= level), math.inf)


def linear_cka(first: Tensor, second: Tensor) -> float:
    """Linear CKA of two sets of features of the same samples (Kornblith et al., 2019, Eq. 3).

    ‖Yᵀ X‖² / (‖Xᵀ X‖ ‖Yᵀ Y‖) in Frobenius norms, columns centred. It is 1 for features that are
    the same up to a rotation, a scale and a shift. With fewer samples than features it is far
    above 0 even for unrelated ones: read it beside that of shuffled samples.

    Args:
        first: (n, d₁), n ≥ 2.
        second: (n, d₂).

    Returns:
        A number in [0, 1]; NaN where one set is the same for all samples.

    Raises:
        DataError: shapes that do not fit.
    """
    shapes = tuple(first.shape), tuple(second.shape)
    if any(len(s) != 2 for s in shapes) or shapes[0][0] != shapes[1][0] or shapes[0][0] < 2:
        raise DataError(
            "linear_cka: needs features (n, d₁) and (n, d₂) of the same n ≥ 2 samples; "
            f"found {shapes[0]} and {shapes[1]}"
        )
    x, y = (features.double() - features.double().mean(0) for features in (first, second))
    a, b = x @ x.T, y @ y.T  # n × n: ‖Yᵀ X‖² is ⟨X Xᵀ, Y Yᵀ⟩, and the features may be many
    own = float(torch.linalg.norm(a) * torch.linalg.norm(b))
    return float((a * b).sum()) / own if own > 0 else math.nan
