"""Inputs of several tensors, such as token ids and their mask, that methods treat like one."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor


class Fields:
    """Tensors by name with one row for each sample, cut, joined and moved together.

    It has what methods ask of a batch of inputs: its length, slices, ``to``, ``torch.cat`` and
    ``torch.split``. Like whole numbers it has no direction to move in (``is_floating_point``).
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, rows: Any) -> Self:
        return type(self)({name: tensor[rows] for name, tensor in self.tensors.items()})

    def to(self, *place: Any, **options: Any) -> Self:
        """The same on another device or in another precision, as ``Tensor.to``."""
        moved = {name: tensor.to(*place, **options) for name, tensor in self.tensors.items()}
        return type(self)(moved)

    def is_floating_point(self) -> bool:
        """Whether inputs can be moved along a gradient: not here."""
        return False

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """``torch.cat`` and ``torch.split`` along the samples."""
        if function is torch.cat and not kwargs and len(args) == 1:
            names = [tuple(part.tensors) for part in args[0]]
            if len(set(names)) == 1:
                return cls({n: torch.cat([part.tensors[n] for part in args[0]]) for n in names[0]})
        if function is torch.split and not kwargs and isinstance(args[1], int):
            whole, size = args
            return tuple(whole[start : start + size] for start in range(0, len(whole), size))
        return NotImplemented


def placed(inputs: Any, device: torch.device) -> Any:
    """Inputs of a batch on ``device``: a tensor, or :class:`Fields` of a mapping with several.

    A mapping of one tensor is that tensor. What is no tensor is left out.
    """
    if not isinstance(inputs, Mapping):
        return inputs.to(device)
    tensors = {name: value.to(device) for name, value in inputs.items() if torch.is_tensor(value)}
    return next(iter(tensors.values())) if len(tensors) == 1 else Fields(tensors)


def field_names(inputs: object) -> tuple[str, ...] | None:
    """The names of a mapping's tensors, by which a model takes them; None for a plain tensor."""
    if not isinstance(inputs, Mapping):
        return None
    return tuple(name for name, value in inputs.items() if torch.is_tensor(value))
