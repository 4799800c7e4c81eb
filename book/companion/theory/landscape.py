"""The loss around a minimum: filter-normalised directions (Li et al., 2018) and planes."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.errors import ConfigError
from ugradsl_core.samples.protocol import Samples, StateDict
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import predict

Direction = Mapping[str, Tensor]


def filter_normalised(model: nn.Module, generator: Generator) -> dict[str, Tensor]:
    """A random direction in which every filter is as long as the model's own.

    A filter is what makes one output: a slice of a convolution's weights, a row of a linear
    layer's. Biases and the scales and shifts of norms do not move, as in Li et al. (2018). A ReLU
    network whose filters are rescaled is the same function; without the normalisation its
    landscape would look sharper or flatter all the same.
    """
    direction = {}
    for name, weight in model.named_parameters():
        if weight.ndim < 2:
            direction[name] = torch.zeros_like(weight)
            continue
        drawn = torch.randn(weight.shape, generator=generator).to(weight)
        axes = tuple(range(1, weight.ndim))
        lengths = drawn.square().sum(axes, keepdim=True).sqrt()
        own = weight.detach().square().sum(axes, keepdim=True).sqrt()
        direction[name] = drawn * (own / lengths)
    return direction


def unflatten(model: nn.Module, vector: Tensor) -> dict[str, Tensor]:
    """A vector over all trainable parameters as a direction."""
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    parts = torch.split(vector, [p.numel() for p in named.values()])
    return {n: part.view_as(p) for (n, p), part in zip(named.items(), parts, strict=True)}


def flatten(model: nn.Module, direction: Direction) -> Tensor:
    """The inverse of :func:`unflatten`."""
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    return torch.cat([direction[name].reshape(-1) for name in names])


def moved(state: StateDict, moves: Sequence[tuple[float, Direction]]) -> dict[str, Tensor]:
    """θ + Σ a·d; entries that no direction names, such as running statistics, stay."""
    changed = dict(state)
    for length, direction in moves:
        for name, part in direction.items():
            changed[name] = changed[name] + length * part
    return changed


def mean_loss(
    model: nn.Module, state: StateDict, samples: Samples, execution: Execution, batch: int = 512
) -> float:
    """Mean cross-entropy of a model with weights ``state``, in evaluation mode."""
    model.load_state_dict(dict(state))
    out = predict(model, samples, execution, batch)
    return float(F.cross_entropy(out.logits.double(), out.labels))


def coordinates(points: int, radius: float) -> list[float]:
    """An odd number of equally spaced places from −radius to radius; the middle one is 0.

    Raises:
        ConfigError: an even number, fewer than three, or a radius that is not positive.
    """
    if points < 3 or points % 2 == 0:
        raise ConfigError(f"points: should be odd and at least 3; found {points!r}")
    if not radius > 0:
        raise ConfigError(f"radius: should be positive; found {radius!r}")
    half = points // 2
    return [radius * (i - half) / half for i in range(points)]


def along(
    loss: Callable[[StateDict], float],
    state: StateDict,
    direction: Direction,
    places: Sequence[float],
    offset: Sequence[tuple[float, Direction]] = (),
) -> list[float]:
    """The loss at θ + a·d for every a of ``places``, after ``offset`` was added to θ."""
    return [loss(moved(state, [*offset, (place, direction)])) for place in places]
