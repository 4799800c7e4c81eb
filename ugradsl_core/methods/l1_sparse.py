"""ℓ1-sparse: fine-tuning with a shrinking ℓ1 penalty (Jia et al., 2023)."""

from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    one_set_plan,
    run_training,
    spawn,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models.modes import trainable
from ugradsl_core.samples.protocol import Batch


class L1SparseConfig(UnlearnConfig):
    """Ten epochs; γ of the public code. The paper searches γ in [1e-5, 1e-1] at lr 1e-3.

    Attributes:
        variant: how t of γ_t = γ(1 − t/E) moves: with every step, so that the last one is without
            a penalty (``steps``), or with every epoch from t = 0, so that the last epoch still has
            γ/E (``epochs``, the public code).
    """

    gamma: float = Field(5e-4, ge=0, description="γ, weight of the ℓ1 norm at the start")
    variant: Literal["steps", "epochs"] = "steps"


def penalty_weights(config: L1SparseConfig, steps_per_epoch: int) -> list[float]:
    """γ_t of every step of the run."""
    total = config.epochs * steps_per_epoch
    if config.variant == "epochs":
        shares = [step // steps_per_epoch / config.epochs for step in range(total)]
    else:
        shares = [step / max(total - 1, 1) for step in range(total)]
    return [config.gamma * (1 - share) for share in shares]


def l1_sparse(problem: Problem, config: L1SparseConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise CE(D_r) + γ_t‖θ‖₁ over all trainable parameters from the original weights."""
    retain_stream, _, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    model = problem.trained_model()
    parameters: list[Tensor] = list(trainable(model).values())
    weights = penalty_weights(config, steps)
    taken = 0

    def after_step() -> None:
        nonlocal taken
        taken += 1

    def loss(network: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
        norm = torch.stack(torch._foreach_norm(parameters, 1)).sum()
        return cross_entropy(network, batches) + weights[taken] * norm

    return run_training(
        problem, model, plan, steps, loss, config, model_stream, after_step=after_step
    )


METHOD = Method(
    "ℓ1-sparse", l1_sparse, L1SparseConfig, "D_r", "fine-tune on D_r with an ℓ1 penalty", "n_r",
)  # fmt: skip
