"""Risks whose minima, gradients and Hessians are known in closed form."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory.risks import Risk
from ugradsl_core.samples import Batch

K = 3


class Cube(nn.Module):
    """Σh³/6: for a linear model of one parameter the Hessian is θ·Σx³."""

    reduction = "sum"

    def forward(self, outputs: Tensor, _: Tensor) -> Tensor:
        return outputs.pow(3).sum() / 6


def samples(n: int, features: int = 4, seed: int = 0) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(K, (n,), generator=generator)
    inputs = torch.randn(n, features, dtype=torch.float64, generator=generator)
    inputs[torch.arange(n), labels] += 1
    return [(inputs, labels)]


def linear(features: int = 4, classes: int = K) -> nn.Module:
    return nn.Linear(features, classes).double()


def mlp() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Dropout(0.3), nn.Linear(5, K)).double()


def random_theta(risk: Risk, seed: int = 0, scale: float = 1.0) -> Tensor:
    size = sum(p.numel() for p in risk.parameters.values())
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(size, dtype=torch.float64, generator=generator)


def extended(inputs: Tensor) -> Tensor:
    """x̃ = (x, 1)."""
    return torch.cat([inputs, torch.ones(len(inputs), 1, dtype=inputs.dtype)], dim=1)


def order(features: int, classes: int = K) -> Tensor:
    """Where the entries of θ (weights by row, then biases) are in vec of the (K, d+1) matrix."""
    places = torch.arange(classes * (features + 1)).view(classes, features + 1)
    return torch.cat([places[:, :features].flatten(), places[:, features]])


def softmax_hessian(batch: Batch, theta: Tensor, l2: float, classes: int = K) -> Tensor:
    """Σ (diag p − ppᵀ) ⊗ x̃x̃ᵀ + λI, in the order of θ."""
    inputs, _ = batch
    x = extended(inputs)
    place = order(inputs.shape[1], classes)
    matrix = torch.empty_like(theta)
    matrix[place] = theta
    p = (x @ matrix.view(classes, -1).T).softmax(1)
    total = torch.zeros(len(theta), len(theta), dtype=theta.dtype)
    for row, probability in zip(x, p, strict=True):
        within = torch.diag(probability) - torch.outer(probability, probability)
        total += torch.kron(within, torch.outer(row, row))
    return total[place][:, place] + l2 * torch.eye(len(theta), dtype=theta.dtype)


def ridge_minimum(batch: Batch, l2: float) -> Tensor:
    """The minimum of the squared loss by the normal equations."""
    inputs, labels = batch
    x = extended(inputs)
    gram = x.T @ x + l2 * torch.eye(x.shape[1], dtype=x.dtype)
    matrix = torch.linalg.solve(gram, x.T @ F.one_hot(labels, K).to(x.dtype)).T
    return matrix.flatten()[order(inputs.shape[1])]
