"""The state of a training loop between two epochs, so that a killed run ends as it would have."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A loop's way to leave its state and find it again.

    Attributes:
        load: the tensors that were saved last, or None.
        save: keeps tensors; called after every ``every`` epochs but the last.
        generators: those that the loop's batches draw from; their states are kept as well.
        every: epochs between two saves.
    """

    load: Callable[[], dict[str, Tensor] | None]
    save: Callable[[dict[str, Tensor]], None]
    generators: Sequence[Generator]
    every: int = 10

    def is_due(self, epoch: int, epochs: int) -> bool:
        """Tell whether to save the state after ``epoch`` (from 1) of ``epochs``."""
        return epoch < epochs and epoch % self.every == 0


def capture(
    model: nn.Module, optimiser: torch.optim.Optimizer, generators: Sequence[Generator]
) -> dict[str, Tensor]:
    """Weights, momentum and random states, as tensors on the CPU."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, parameter in enumerate(model.parameters()):
        momentum = optimiser.state.get(parameter, {}).get("momentum_buffer")
        if momentum is not None:
            tensors[f"momentum.{number}"] = momentum
    for number, generator in enumerate(generators):
        tensors[f"generator.{number}"] = generator.get_state()
    tensors["global"] = torch.get_rng_state()
    device = next(model.parameters()).device
    if device.type == "cuda":
        tensors["cuda"] = torch.cuda.get_rng_state(device)
    return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}


def restore(
    tensors: dict[str, Tensor],
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    generators: Sequence[Generator],
) -> None:
    """Put everything back that :func:`capture` took, in place."""
    model.load_state_dict({name: tensors[f"model.{name}"] for name in model.state_dict()})
    for number, parameter in enumerate(model.parameters()):
        if f"momentum.{number}" in tensors:
            buffer = torch.empty_like(parameter).copy_(tensors[f"momentum.{number}"])
            optimiser.state[parameter]["momentum_buffer"] = buffer
    for number, generator in enumerate(generators):
        generator.set_state(tensors[f"generator.{number}"])
    torch.set_rng_state(tensors["global"])
    device = next(model.parameters()).device
    if device.type == "cuda" and "cuda" in tensors:  # a run may go on where there is no GPU
        torch.cuda.set_rng_state(tensors["cuda"], device)
