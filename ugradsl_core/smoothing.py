"""Generalised label smoothing and self-adaptive smoothing rates: the paper's own mathematics."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError, DataError, check_labels

Reduction = Literal["mean", "sum", "none"]
Distance = Literal["cosine", "euclidean"]
AdaptiveSign = Literal["positive", "negative", "inverse"]


def _check_alpha(alpha: float | Tensor, size: int) -> None:
    """One finite rate of at most 1, or one for each of ``size`` samples."""
    rates = torch.as_tensor(alpha)
    if rates.ndim and rates.shape != (size,):
        raise ConfigError(
            f"alpha: should be one rate or one for each of the {size} samples; "
            f"found shape {tuple(rates.shape)}"
        )
    wrong = rates[~(torch.isfinite(rates) & (rates <= 1))]
    if len(wrong.flatten()):
        raise ConfigError(
            f"alpha: should lie in (−∞, 1] (Section 3.1); found {wrong.flatten()[0].item()!r}"
        )


def gls_labels(labels: Tensor, alpha: float | Tensor, num_classes: int) -> Tensor:
    """Generalised smoothed labels y^{GLS,α} = (1 − α)·y + (α/K)·1 (Section 3.1).

    Args:
        labels: int64, (N,), values 0…K−1.
        alpha: the smoothing rate in (−∞, 1], one for all samples or a tensor (N,). Negative values
            are negative label smoothing (NLS), 0 is the one-hot label.
        num_classes: K.

    Returns:
        (N, K), rows summing to 1: 1 + (1−K)/K·α at the true label, α/K elsewhere.

    Raises:
        ConfigError: α above 1, not finite or of the wrong shape.
        DataError: a label outside 0…K−1.
    """
    _check_alpha(alpha, len(labels))
    check_labels(labels, num_classes)
    dtype = alpha.dtype if isinstance(alpha, Tensor) else torch.get_default_dtype()
    rate = torch.as_tensor(alpha, dtype=dtype, device=labels.device).reshape(-1, 1)
    return (1 - rate) * F.one_hot(labels, num_classes).to(dtype) + rate / num_classes


def gls_loss(
    logits: Tensor, labels: Tensor, alpha: float | Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Cross-entropy against generalised smoothed labels, Eq. (6).

    (1 + (1−K)/K·α)·ℓ(y) + (α/K)·Σ_{y'≠y} ℓ(y'), with ℓ(y) = −log softmax(logits)_y.

    Args:
        logits: (N, K).
        labels: int64, (N,).
        alpha: smoothing rate in (−∞, 1], one for all samples or a tensor (N,).
        reduction: ``"mean"`` over samples, ``"sum"`` as in Eq. (8), or ``"none"``.

    Raises:
        ConfigError: α above 1, not finite or of the wrong shape, or an unknown reduction.
        DataError: shapes that do not fit, or a label outside 0…K−1.
    """
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise DataError(
            "gls_loss: needs logits (N, K) and labels (N,); "
            f"found {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    _check_alpha(alpha, len(labels))
    check_labels(labels, logits.shape[1])
    if reduction not in {"mean", "sum", "none"}:
        raise ConfigError(f"reduction: should be 'mean', 'sum' or 'none'; found {reduction!r}")
    return smoothed_cross_entropy(logits, labels, alpha, reduction)


def smoothed_cross_entropy(
    logits: Tensor, labels: Tensor, alpha: float | Tensor, reduction: Reduction
) -> Tensor:
    """:func:`gls_loss` without its checks, which would make a GPU wait in every step."""
    if not isinstance(alpha, Tensor) and alpha == 0:
        return F.cross_entropy(logits, labels, reduction=reduction)
    log_p = F.log_softmax(logits, dim=1)
    true = log_p.gather(1, labels.unsqueeze(1)).squeeze(1)
    losses = -(1 - alpha) * true - alpha * log_p.mean(dim=1)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def pairwise_distance(
    forget_features: Tensor, retain_features: Tensor, distance: Distance = "cosine"
) -> Tensor:
    """Distances in [0, 1] of every (forget, retain) pair, (n_f, n_r) (Appendix D.4, D.5).

    ``"cosine"`` is (1 − cos)/2. ``"euclidean"`` is divided by the largest distance in the batch,
    since the paper asks for [0, 1] and does not say how the Euclidean distance gets there.

    Raises:
        ConfigError: unknown distance.
    """
    if distance == "cosine":
        forget_unit = F.normalize(forget_features, dim=1)
        retain_unit = F.normalize(retain_features, dim=1)
        return ((1 - forget_unit @ retain_unit.T) / 2).clamp(0, 1)
    if distance == "euclidean":
        lengths = torch.cdist(forget_features, retain_features)
        return lengths / lengths.max().clamp_min(torch.finfo(lengths.dtype).tiny)
    raise ConfigError(f"distance: should be 'cosine' or 'euclidean'; found {distance!r}")


def _median(values: Tensor) -> Tensor:
    """The mean of the two middle values; ``torch.median`` returns the lower one."""
    flat = values.flatten()
    upper = flat.kthvalue(flat.numel() // 2 + 1).values
    if flat.numel() % 2:
        return upper
    return (flat.kthvalue(flat.numel() // 2).values + upper) / 2


def adaptive_alpha(
    forget_features: Tensor,
    retain_features: Tensor,
    beta: float | None = None,
    distance: Distance = "cosine",
) -> Tensor:
    """Self-adaptive smoothing rates α_j = c_j / |B_f| (Algorithm 1, lines 7–10; Appendix D).

    c_j counts the retained samples closer than β to forgotten sample j. The listing of Appendix
    D.4 sums over the other axis, which counts forgotten samples for each retained sample;
    Algorithm 1 is followed here.

    Args:
        forget_features: (n_f, d), features of B_f.
        retain_features: (n_r, d), features of B_r.
        beta: distance threshold in [0, 1]; None is the median of all pairwise distances (D.5).
        distance: ``"cosine"`` or ``"euclidean"``, see :func:`pairwise_distance`.

    Returns:
        (n_f,), not negative. At most 1 where n_r ≤ n_f; the algorithm has n_r = n_f.

    Raises:
        ConfigError: β outside [0, 1] or an unknown distance.
        DataError: features that are not two matrices of equal width, or an empty one.
    """
    if beta is not None and not 0 <= beta <= 1:
        raise ConfigError(f"beta: should lie in [0, 1], or be None for the median; found {beta!r}")
    shapes = forget_features.shape, retain_features.shape
    if any(len(s) != 2 or 0 in s for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise DataError(
            "features: should be two non-empty matrices (n_f, d) and (n_r, d); "
            f"found {tuple(shapes[0])} and {tuple(shapes[1])}"
        )
    distances = pairwise_distance(forget_features, retain_features, distance)
    threshold = _median(distances) if beta is None else beta
    close = distances < threshold
    return close.sum(dim=1).to(forget_features.dtype) / len(forget_features)


def signed_alpha(rate: Tensor, sign: AdaptiveSign) -> Tensor:
    """The smoothing rate of a density c_j/|B_f| in [0, 1], in three readings.

    ``"negative"``: −α_j, the NLS that Eq. (8) prints and D.1 describes. ``"positive"``: α_j as
    Algorithm 1 prints it, which D.2 calls more conservative; on a sample that the model knows,
    ascent then reinforces the label.
    ``"inverse"``: −(1 − α_j), smaller in size in a dense neighbourhood (Section 4).

    Raises:
        ConfigError: unknown sign.
    """
    if sign == "positive":
        return rate
    if sign == "negative":
        return -rate
    if sign == "inverse":
        return rate - 1
    raise ConfigError(
        f"adaptive_sign: should be 'positive', 'negative' or 'inverse'; found {sign!r}"
    )
