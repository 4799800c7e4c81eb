"""Label-LDP of gradient ascent with negative label smoothing: Theorem 3, and its measurement.

On one forget sample the risk of Theorem 3 is

    γ₁ℓ(y) − γ₂ℓ^{GLS,α} = [γ₁ − γ₂(1 + (1−K)/K·α)]·ℓ(y) − (α/K)γ₂·Σ_{y'≠y}ℓ(y')
                         = (γ₁ − γ₂)·ℓ^{GLS,α'},   α' = α/(1 − γ₁/γ₂),

which has a minimum where both weights of the first line are positive: in :func:`alpha_domain`.
There the best prediction is the smoothed label of rate α'.
"""

import copy
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.minimise import Descent, minimise
from ugradsl_core.smoothing import gls_loss

CONDITION = "γ₁ − γ₂(1 + (1−K)/K·α) > 0"


def _check_weights(gamma1: float, gamma2: float, num_classes: int) -> None:
    for name, value in (("gamma1", gamma1), ("gamma2", gamma2)):
        if not (math.isfinite(value) and value > 0):
            raise ConfigError(f"{name}: should be a positive number (Theorem 3); found {value!r}")
    if num_classes != int(num_classes) or num_classes < 2:
        raise ConfigError(
            f"num_classes: should be a whole number of at least 2 (Definition 1); "
            f"found {num_classes!r}"
        )
    if gamma1 <= gamma2:
        raise ConfigError(
            f"gamma1: should be larger than gamma2, as no α < 0 fulfils Theorem 3's condition "
            f"{CONDITION} otherwise; found γ₁ = {gamma1!r}, γ₂ = {gamma2!r}"
        )


def best_alpha(gamma1: float, gamma2: float) -> float:
    """The minimiser α = 1 − γ₁/γ₂ of Theorem 3's ε, where ε = 0 for every K.

    Raises:
        ConfigError: a weight that is not positive, or γ₁ ≤ γ₂, where no α < 0 is in the domain.
    """
    _check_weights(gamma1, gamma2, 2)
    return 1 - gamma1 / gamma2


def alpha_domain(gamma1: float, gamma2: float, num_classes: int) -> tuple[float, float]:
    """The open interval (−K/(K−1)·(γ₁/γ₂ − 1), 0) of rates for which Theorem 3 holds.

    Going down from 0, ε falls from ∞ to 0 at :func:`best_alpha`; from there to the interval's
    lower end it rises to ∞ again. "More negative is more private" holds in the first part only.

    Raises:
        ConfigError: K < 2, a weight that is not positive, or γ₁ ≤ γ₂, where the interval is empty.
    """
    _check_weights(gamma1, gamma2, num_classes)
    return num_classes / (num_classes - 1) * best_alpha(gamma1, gamma2), 0.0


def label_ldp_epsilon(alpha: float, gamma1: float, gamma2: float, num_classes: int) -> float:
    """ε = |log((K/α)(1 − γ₁/γ₂) + 1 − K)| of Theorem 3, in nats.

    Args:
        alpha: the smooth rate α < 0.
        gamma1: γ₁ > 0, the weight of learning on D_tr.
        gamma2: γ₂ > 0, the weight of unlearning on D_f.
        num_classes: K ≥ 2.

    Raises:
        ConfigError: a ``ValueError``; α outside :func:`alpha_domain`, or the domain is empty.
    """
    lowest, _ = alpha_domain(gamma1, gamma2, num_classes)
    if not alpha < 0:
        raise ConfigError(f"alpha: should be negative (Theorem 3); found {alpha!r}")
    best = best_alpha(gamma1, gamma2)
    surplus = gamma1 - gamma2 * (1 + (1 - num_classes) / num_classes * alpha)
    quotient_minus_one = num_classes * (best - alpha) / alpha  # exact where ε is near 0
    if not (surplus > 0 and quotient_minus_one > -1):
        raise ConfigError(
            f"alpha: should lie in ({lowest:.4g}, 0), where Theorem 3's condition {CONDITION} "
            f"holds for γ₁ = {gamma1:g}, γ₂ = {gamma2:g} and K = {num_classes}; found {alpha!r}"
        )
    return abs(math.log1p(quotient_minus_one))


def effective_rate(alpha: float, gamma1: float, gamma2: float, num_classes: int) -> float:
    """α' = α/(1 − γ₁/γ₂): on D_f the risk is (γ₁ − γ₂) times the loss smoothed with this rate.

    In Theorem 3's domain it lies in (0, K/(K−1)); 1 is the uniform label.

    Raises:
        ConfigError: α outside :func:`alpha_domain`.
    """
    label_ldp_epsilon(alpha, gamma1, gamma2, num_classes)
    return alpha / best_alpha(gamma1, gamma2)


def best_prediction(alpha: float, gamma1: float, gamma2: float, num_classes: int) -> Tensor:
    """P(M(y) = y^pred), row y, that minimises a forget sample's risk (Appendix C.4).

    Returns:
        float64, (K, K), rows summing to 1.

    Raises:
        ConfigError: α outside :func:`alpha_domain`.
    """
    rate = effective_rate(alpha, gamma1, gamma2, num_classes)
    one_hot = torch.eye(num_classes, dtype=torch.float64)
    return (1 - rate) * one_hot + rate / num_classes


def largest_log_ratio(predictions: Tensor) -> float:
    """The smallest ε of Definition 1: max of log P(M(y)=k) − log P(M(y')=k) over y, y' and k.

    Args:
        predictions: (L, K), row y the prediction when the label is y.

    Raises:
        DataError: fewer than two rows, or an entry that is not positive.
    """
    if predictions.ndim != 2 or len(predictions) < 2 or not bool((predictions > 0).all()):
        raise DataError(
            "predictions: should be two or more rows of positive probabilities (Definition 1); "
            f"found shape {tuple(predictions.shape)}"
        )
    logs = predictions.log()
    return float((logs.amax(0) - logs.amin(0)).max())


def unlearning_risk(
    logits: Tensor, labels: Tensor, forget: Tensor, alpha: float, gamma1: float, gamma2: float
) -> Tensor:
    """γ₁·R_tr − γ₂·R_f^{NLS} of Section 3.4, sums over samples; D_f is part of D_tr.

    Args:
        logits: (n, K) on D_tr.
        labels: int64, (n,).
        forget: bool, (n,), which samples are D_f.
        alpha: α.
        gamma1: γ₁.
        gamma2: γ₂.
    """
    learning = F.cross_entropy(logits, labels, reduction="sum")
    unlearning = gls_loss(logits[forget], labels[forget], alpha, "sum")
    return gamma1 * learning - gamma2 * unlearning


LabelledRisk = Callable[[Tensor, Tensor], Tensor]


def predictions_by_label(
    model: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    sample: int,
    risk: LabelledRisk,
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-9,
    max_evaluations: int = 20_000,
) -> tuple[Tensor, list[Descent]]:
    """What the mechanism predicts for one sample, for each label that it could have had.

    For every y the sample's label becomes y, ``risk`` is minimised from the same start, and the
    prediction for the sample is read: Definition 1 without any symmetry assumed.

    Args:
        model: the start, float64; it is left as it was.
        inputs: (n, …), float64.
        labels: int64, (n,).
        sample: which of the n.
        risk: of logits (n, K) and labels (n,).
        ridge: λ of an added λ/2·‖θ‖².
        tolerance: of :func:`minimise`.
        max_evaluations: of :func:`minimise`.

    Returns:
        (K, K), row y the prediction for label y; and how each minimisation ended.
    """
    with torch.no_grad():
        num_classes = model(inputs[:1]).shape[1]
    rows, ends = [], []
    for y in range(num_classes):
        fitted = copy.deepcopy(model)
        parameters = [p for p in fitted.parameters() if p.requires_grad]
        changed = labels.clone()
        changed[sample] = y

        def value(
            fitted: nn.Module = fitted,
            changed: Tensor = changed,
            parameters: list[nn.Parameter] = parameters,
        ) -> Tensor:
            size = torch.stack([p.square().sum() for p in parameters]).sum()
            return risk(fitted(inputs), changed) + ridge / 2 * size

        ends.append(
            minimise(value, parameters, tolerance=tolerance, max_evaluations=max_evaluations)
        )
        with torch.no_grad():
            rows.append(fitted(inputs[sample : sample + 1]).softmax(1)[0])
    return torch.stack(rows), ends


def measured_epsilon(
    alpha: float, gamma1: float, gamma2: float, num_classes: int
) -> tuple[float, Descent]:
    """The largest log-ratio after minimising the risk numerically, to compare with ε.

    The model is a table: one row of free logits for each label, as Theorem 3's proof has it.

    Raises:
        ConfigError: α outside :func:`alpha_domain`; the risk has no minimum there.
    """
    label_ldp_epsilon(alpha, gamma1, gamma2, num_classes)
    logits = torch.zeros(num_classes, num_classes, dtype=torch.float64, requires_grad=True)
    labels, forget = torch.arange(num_classes), torch.ones(num_classes, dtype=torch.bool)
    end = minimise(
        lambda: unlearning_risk(logits, labels, forget, alpha, gamma1, gamma2),
        [logits],
        tolerance=1e-10 * (gamma1 - gamma2),  # the risk is that multiple of a cross-entropy
    )
    return largest_log_ratio(logits.detach().softmax(1)), end
