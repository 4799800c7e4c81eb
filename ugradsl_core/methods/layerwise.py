"""EU-k and CF-k: only the last k layers are trained on D_r (Goel et al., 2022)."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, nn

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    first_input,
    one_set_plan,
    run_training,
    spawn,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import last_layers, own_tensors, seeded, with_parametrisations
from ugradsl_core.models.modes import STATISTICS, is_frozen
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.loop import Passes


class CFkConfig(UnlearnConfig):
    """k = 1 and ten epochs, as benchmarks have it; the original trains for the full schedule."""

    k: int = Field(1, ge=1, description="layers with weights that are trained, from the last one")

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over D_r, backward through k layers."""
        return replace(self.epochs_over(n_r), layers=self.k)


class EUkConfig(CFkConfig):
    """The defaults of CF-k.

    Attributes:
        variant: the k layers are initialised anew once (``once``, the method), or at the start of
            every epoch (``every-epoch``, a fault of one public benchmark).
    """

    variant: Literal["once", "every-epoch"] = "once"


def _free_last_layers(
    problem: Problem, k: int
) -> tuple[nn.Module, list[nn.Module], list[nn.Module]]:
    """The original model with all but its last k layers frozen; these layers; all others.

    What was frozen before stays so.
    """
    model = problem.trained_model()
    chosen = last_layers(model, k, first_input(problem.retain))
    free = {id(tensor) for module in chosen for tensor in own_tensors(module).values()}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in free)
    parts = {part for module in chosen for part in with_parametrisations(module)}
    return model, chosen, [m for m in model.modules() if m not in parts]


def cf_k(problem: Problem, config: CFkConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_r over the last k layers, from the original weights.

    Norms between the k layers are trained with them; everything before is bit-identical in the
    end, running statistics included. ``bn_mode="frozen"`` keeps those of the k layers too.
    """
    retain_stream, _, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    model, _, frozen = _free_last_layers(problem, config.k)
    return run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, frozen_statistics=frozen
    )


def eu_k(problem: Problem, config: EUkConfig, *, generator: Generator) -> UnlearnResult:
    """Train as :func:`cf_k` does, from fresh weights of the last k layers; frozen ones stay.

    So do the running statistics of the k layers where ``bn_mode`` is ``frozen``.
    """
    retain_stream, _, model_stream = spawn(generator)
    batches, steps = one_set_plan(problem.retain, config, retain_stream)
    model, chosen, frozen = _free_last_layers(problem, config.k)
    names = {module: name for name, module in model.named_modules()}

    def initialise() -> None:
        with seeded(model_stream):
            fresh = problem.make_model()
        for module in chosen:
            values = own_tensors(fresh.get_submodule(names[module]))
            kept = isinstance(module, STATISTICS) and config.bn_mode == "frozen"
            keeps_statistics = kept or is_frozen(module)
            for name, tensor in own_tensors(module).items():
                weight = isinstance(tensor, nn.Parameter)
                if tensor.requires_grad if weight else not keeps_statistics:
                    tensor.copy_(values[name])

    def plan(epoch: int) -> Iterable[tuple[Batch, ...]]:
        if epoch and config.variant == "every-epoch":
            with torch.no_grad():
                initialise()
        return batches(epoch)

    with torch.no_grad():
        initialise()
    return run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, frozen_statistics=frozen
    )


EU_K = Method(
    "EU-k", eu_k, EUkConfig, "D_r", "train the last k layers afresh on D_r",
    "n_r; backward through k layers only", fresh=True,
)  # fmt: skip
CF_K = Method(
    "CF-k", cf_k, CFkConfig, "D_r", "fine-tune the last k layers on D_r",
    "n_r; backward through k layers only",
)  # fmt: skip
