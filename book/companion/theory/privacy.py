"""Label-LDP of gradient ascent with negative label smoothing: Theorem 3, and its measurement.

On one forgotten sample the risk of Theorem 3 is

    γ₁ℓ(y) − γ₂ℓ^{GLS,α} = [γ₁ − γ₂(1 + (1−K)/K·α)]·ℓ(y) − (α/K)γ₂·Σ_{y'≠y}ℓ(y')
                         = (γ₁ − γ₂)·ℓ^{GLS,α'},   α' = α/(1 − γ₁/γ₂),

which has a minimum where both weights of the first line are positive: in :func:`alpha_domain`.
There the best prediction is the smoothed label of rate α'.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory.minima import Minimum, minimise
from companion.theory.risks import Risk, model_at, one_tensor, parameter_vector
from ugradsl_core.errors import ConfigError, DataError
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
        alpha: the smoothing rate α < 0.
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
    """P(M(y) = y^pred), row y, that minimises a forgotten sample's risk (Appendix C.4).

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


class UnlearningLoss(nn.Module):
    """γ₁·R_tr − γ₂·R_f^{NLS} of Section 3.4 as a loss of all samples of D_tr; D_f is among them.

    Args:
        forget: bool, (n,), which samples are D_f.
        alpha: α.
        gamma1: γ₁.
        gamma2: γ₂.
    """

    reduction = "sum"

    def __init__(self, forget: Tensor, alpha: float, gamma1: float, gamma2: float) -> None:
        super().__init__()
        self.forget, self.alpha, self.gamma1, self.gamma2 = forget, alpha, gamma1, gamma2

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The risk of logits (n, K) and labels (n,)."""
        learning = F.cross_entropy(logits, labels, reduction="sum")
        forgotten = gls_loss(logits[self.forget], labels[self.forget], self.alpha, "sum")
        return self.gamma1 * learning - self.gamma2 * forgotten


def predictions_by_label(
    risk: Risk, sample: int, *, tolerance: float = 1e-7, start: Tensor | None = None
) -> tuple[Tensor, list[Minimum]]:
    """The mechanism's predictions for one sample, for each label that it could have had.

    For every y the sample's label becomes y, the risk is minimised from the same start, and the
    prediction for the sample is read: Definition 1, with no symmetry assumed.

    Args:
        risk: on one batch, in float64.
        sample: which of the batch.
        tolerance: of the gradient's norm; see :func:`companion.theory.minima.minimise`.
        start: (P,); the parameters of the risk's model by default.

    Returns:
        (K, K), row y the prediction for label y; and how each minimisation ended.

    Raises:
        DataError: more than one batch.
    """
    batches = list(risk.batches)
    if len(batches) != 1:
        raise DataError(f"batches: should be one, with all of D_tr; found {len(batches)}")
    inputs, labels = one_tensor(batches[0][0]), batches[0][1]
    first = parameter_vector(risk.model) if start is None else start
    with torch.no_grad():
        num_classes = risk.model(inputs[:1]).shape[1]
    predictions, ends = [], []
    for y in range(num_classes):
        changed = labels.clone()
        changed[sample] = y
        end = minimise(risk.on([(inputs, changed)]), first, tolerance=tolerance)
        ends.append(end)
        with torch.no_grad():
            logits = model_at(risk, end.theta)(inputs[sample : sample + 1])
        predictions.append(logits.softmax(1)[0])
    return torch.stack(predictions), ends


def measured_epsilon(
    alpha: float, gamma1: float, gamma2: float, num_classes: int
) -> tuple[float, Minimum]:
    """The largest log-ratio after minimising the risk numerically, to compare with ε.

    The model is a table: free logits for each label, as Theorem 3's proof has it.

    Raises:
        ConfigError: α outside :func:`alpha_domain`; the risk has no minimum there.
    """
    label_ldp_epsilon(alpha, gamma1, gamma2, num_classes)
    table = nn.Linear(num_classes, num_classes, bias=False).double()
    loss = UnlearningLoss(torch.ones(num_classes, dtype=torch.bool), alpha, gamma1, gamma2)
    each = torch.eye(num_classes, dtype=torch.float64), torch.arange(num_classes)
    start = torch.zeros(num_classes**2, dtype=torch.float64)
    tolerance = 1e-10 * (gamma1 - gamma2)  # the risk is that multiple of a cross-entropy
    end = minimise(Risk(table, [each], loss=loss), start, tolerance=tolerance)
    predictions = end.theta.view(num_classes, num_classes).T.softmax(1)
    return largest_log_ratio(predictions), end
