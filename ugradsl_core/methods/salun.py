"""SalUn: random labels, moving only the weights that matter to D_f (Fan et al., 2024)."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    evaluation_model,
    gradient_sum,
    run_training,
    shaped,
    spawn,
    stopwatch,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.methods.rl import Order, random_label_passes, random_label_plan
from ugradsl_core.models.modes import trainable
from ugradsl_core.samples.protocol import Samples
from ugradsl_core.training.loop import Passes


class SalUnConfig(UnlearnConfig):
    """Half of the weights move, ten epochs; published learning rates lie in [5e-3, 1.3e-2].

    Attributes:
        variant: ``exact``: weights outside the mask never move. ``gradient``: only their gradients
            are zeroed, as in the public code, so that weight decay still shrinks them.
        order: of the passes over D_f and D_r, as RL's ``variant``.
    """

    mask_ratio: float = Field(0.5, gt=0, le=1, description="share of the weights that may move")
    variant: Literal["exact", "gradient"] = "exact"
    order: Order = "sequential"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over both sets, and D_f once for the mask."""
        run = random_label_passes(self, self.order, n_r, n_f)
        forward, backward = run.forward + n_f, run.backward + n_f
        return replace(run, forward=forward, backward=backward, copies=1.25)


def saliency_mask(
    model: nn.Module, samples: Samples, mask_ratio: float, batch_size: int
) -> dict[str, Tensor]:
    """Mark the share ``mask_ratio`` of weights with the largest abs(Σ ∇CE) over ``samples``.

    One ranking over all trainable parameters together, in evaluation mode; the sign of the loss
    does not matter. At least one weight may move.

    Returns:
        A boolean tensor for each trainable parameter, by name.

    Raises:
        ModelError: all parameters are frozen.
    """
    parameters = trainable(model)
    gradients = gradient_sum(model, parameters.values(), samples, batch_size)
    score = torch.cat([g.abs().flatten() for g in gradients])
    chosen = torch.zeros(len(score), dtype=torch.bool, device=score.device)
    wanted = max(round(mask_ratio * len(score)), 1)
    chosen[score.topk(wanted, sorted=False).indices] = True
    return dict(zip(parameters, shaped(chosen, gradients), strict=True))


def salun(problem: Problem, config: SalUnConfig, *, generator: Generator) -> UnlearnResult:
    """RL in which only the weights of the saliency mask move; BatchNorm statistics follow."""
    retain_stream, forget_stream, model_stream = spawn(generator)
    original = evaluation_model(problem)
    with stopwatch(problem.execution.resolve()) as seconds:
        mask = saliency_mask(original, problem.forget, config.mask_ratio, config.batch_size)
    del original
    model = problem.trained_model()
    parameters = trainable(model)
    start = {name: p.detach().clone() for name, p in parameters.items()}

    def restore() -> None:
        with torch.no_grad():
            for name, p in parameters.items():
                torch.where(mask[name], p, start[name], out=p)

    if config.variant == "gradient":
        for name, p in parameters.items():
            p.register_hook(mask[name].to(p.dtype).mul)  # type: ignore[no-untyped-call]
    plan, steps = random_label_plan(problem, config, config.order, retain_stream, forget_stream)
    after = restore if config.variant == "exact" else None
    result = run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, after_step=after
    )
    n_f = len(problem.forget)
    return result.after(n_f, n_f, seconds[0])


METHOD = Method(
    "SalUn", salun, SalUnConfig, "D_r, D_f", "RL on the weights that matter most to D_f",
    "n, and n_f once", memory="1: the original weights, and a mask of booleans",
)  # fmt: skip
