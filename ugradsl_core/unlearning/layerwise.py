"""EU-k and CF-k: only the last k layers are trained on D_r (Goel et al., 2022)."""

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, nn

from ugradsl_core.models import last_layers, seeded
from ugradsl_core.training import STATISTICS, is_frozen
from ugradsl_core.types import Batch, Problem, UnlearnResult
from ugradsl_core.unlearning.common import (
    UnlearnConfig,
    cross_entropy,
    one_set_plan,
    run_training,
    spawn,
)


class CFkConfig(UnlearnConfig):
    """k = 1 and ten epochs, as benchmarks have it; the original trains for the full schedule."""

    k: int = Field(1, ge=1, description="layers with weights that are trained, from the last one")


class EUkConfig(CFkConfig):
    """As CF-k.

    Attributes:
        variant: the k layers are initialised anew once (``once``, the method), or at the start of
            every epoch (``every-epoch``, a fault of one public benchmark).
    """

    variant: Literal["once", "every-epoch"] = "once"


def _freeze_all_but(model: nn.Module, chosen: list[nn.Module]) -> list[nn.Module]:
    """Freeze the other parameters; return the layers whose running statistics must not move."""
    kept = {id(p) for module in chosen for p in module.parameters(recurse=False)}
    for parameter in model.parameters():
        parameter.requires_grad_(parameter.requires_grad and id(parameter) in kept)
    return [m for m in model.modules() if isinstance(m, STATISTICS) and m not in chosen]


def cf_k(problem: Problem, config: CFkConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_r over the last k layers, from the original weights.

    Norms between the k layers are trained with them; everything before is bit-identical in the
    end, running statistics included.
    """
    retain_stream, _, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.retain, config, retain_stream)
    model = problem.trained_model()
    frozen = _freeze_all_but(model, last_layers(model, config.k))
    return run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, frozen_statistics=frozen
    )


def eu_k(problem: Problem, config: EUkConfig, *, generator: Generator) -> UnlearnResult:
    """As :func:`cf_k`, from fresh weights of the last k layers; frozen ones stay as they are."""
    retain_stream, _, model_stream = spawn(generator)
    batches, steps = one_set_plan(problem.retain, config, retain_stream)
    model = problem.trained_model()
    names = {module: name for name, module in model.named_modules()}
    chosen = last_layers(model, config.k)
    frozen = _freeze_all_but(model, chosen)

    def initialise() -> None:
        with seeded(model_stream):
            fresh = problem.make_model()
        for module in chosen:
            if not is_frozen(module):
                module.load_state_dict(fresh.get_submodule(names[module]).state_dict())

    def plan(epoch: int) -> Iterable[tuple[Batch, ...]]:
        if epoch and config.variant == "every-epoch":
            with torch.no_grad():
                initialise()
        return batches(epoch)

    initialise()
    return run_training(
        problem, model, plan, steps, cross_entropy, config, model_stream, frozen_statistics=frozen
    )
