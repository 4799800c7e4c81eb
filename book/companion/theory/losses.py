"""Losses of the chapters on theory, summed over samples as the risks of Section 3.2 are."""

from torch import Tensor, nn
from torch.nn import functional as F

from ugradsl_core.smoothing import smoothed_cross_entropy


class SquaredLoss(nn.Module):
    """½‖h_θ(x) − e_y‖², summed over samples: quadratic in θ for a linear model."""

    reduction = "sum"

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """Outputs (n, K) and labels (n,) to a scalar."""
        return (outputs - F.one_hot(labels, outputs.shape[1])).square().sum() / 2


class WeightedLoss(nn.Module):
    """Σ wᵢℓ(h_θ, zᵢ), cross-entropy of one batch whose samples have weights."""

    reduction = "sum"

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, K) and labels (n,) of the whole batch to a scalar."""
        return F.cross_entropy(logits, labels, reduction="none") @ self.weights


class SmoothedLoss(nn.Module):
    """Cross-entropy with generalised label smoothing, Eq. (6), summed over samples."""

    reduction = "sum"

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, K) and labels (n,) to a scalar."""
        return smoothed_cross_entropy(logits, labels, self.alpha, "sum")


class AscentLoss(nn.Module):
    """Σ_{D_tr} ℓ − Σ_{D_f} ℓ^{GLS,α} on one batch, which θ_{f,LS}* minimises; R_r where α = 0."""

    reduction = "sum"

    def __init__(self, forget: Tensor, alpha: float) -> None:
        super().__init__()
        self.forget, self.alpha = forget, alpha

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (n, K) and labels (n,) of the whole batch; ``forget`` are the rows of D_f."""
        whole = F.cross_entropy(logits, labels, reduction="sum")
        ascended = logits[self.forget], labels[self.forget]
        return whole - smoothed_cross_entropy(*ascended, self.alpha, "sum")
