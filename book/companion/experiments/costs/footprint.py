"""The cost of one sample and one copy of a model, counted on the ``meta`` device: nothing runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from companion import backbones
from companion.backbones import ModelSpec
from companion.backbones.spec import is_own
from companion.backbones.text import TextLogits
from ugradsl_core.models import last_layers, own_tensors

SAMPLES = 2


@dataclass(frozen=True)
class Footprint:
    """The cost of a model.

    Attributes:
        parameters: their number.
        trained: those that are trained.
        forward: floating-point operations of a sample's forward pass: products of matrices and
            convolutions.
        backward: of its backward pass.
        saved: bytes of a sample's activations that the backward pass needs, in float32.
    """

    parameters: int
    trained: int
    forward: int
    backward: int
    saved: int


class _Unmasked(nn.Module):
    """A text model without its attention mask, whose values ``meta`` tensors do not have."""

    def __init__(self, text: TextLogits) -> None:
        super().__init__()
        self.inner = text.inner

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.inner(input_ids=ids).logits
        return logits


def example(shape: Sequence[int], vocabulary: int | None, n: int, device: str) -> Tensor:
    """n inputs of that shape: random pictures, or token ids."""
    if vocabulary is None:
        return torch.randn(n, *shape, device=device)
    return torch.ones(n, *shape, dtype=torch.long, device=device)


@contextmanager
def saved_bytes(model: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes that forward passes keep for the backward pass, the model's own tensors left out.

    Yields:
        A mapping that grows: storage → bytes.
    """
    own = {t.untyped_storage()._cdata for t in [*model.parameters(), *model.buffers()]}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def freeze_all_but_last(model: nn.Module, k: int, inputs: Tensor) -> None:
    """Freeze every parameter outside the last k layers, as CF-k and EU-k do."""
    kept = {id(t) for m in last_layers(model, k, inputs) for t in own_tensors(m).values()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in kept)


def footprint(
    spec: ModelSpec,
    num_classes: int,
    shape: Sequence[int],
    vocabulary: int | None = None,
    *,
    layers: int | None = None,
) -> Footprint:
    """The cost of a model of ``spec``; pretrained weights are not read.

    A user's own model runs on the CPU, as it may not know the ``meta`` device.

    Args:
        spec: the backbone.
        num_classes: K.
        shape: of one input.
        vocabulary: of token ids; None for images.
        layers: train the last of them only; None is all.
    """
    return _footprint(spec, num_classes, tuple(shape), vocabulary, layers)


@cache
def _footprint(
    spec: ModelSpec,
    num_classes: int,
    shape: tuple[int, ...],
    vocabulary: int | None,
    layers: int | None,
) -> Footprint:
    device = "cpu" if is_own(spec.name) else "meta"
    with torch.random.fork_rng(devices=[]):
        with torch.device(device):
            model = backbones.build(
                replace_pretrained(spec),
                num_classes=num_classes,
                input_shape=shape,
                vocabulary=vocabulary,
            )
        if device == "meta" and isinstance(model, TextLogits):
            model = _Unmasked(model)
        inputs = example(shape, vocabulary, SAMPLES, device)
        if layers is not None:
            freeze_all_but_last(model, layers, inputs)
        return _measured(model, inputs)


def _measured(model: nn.Module, inputs: Tensor) -> Footprint:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        with saved_bytes(model) as saved:
            outputs = model(inputs)
        forward = counter.get_total_flops()
        outputs.sum().backward()
    numbers = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return Footprint(
        parameters=sum(n for n, _ in numbers),
        trained=sum(n for n, trained in numbers if trained),
        forward=forward // len(inputs),
        backward=counter.get_total_flops() // len(inputs) - forward // len(inputs),
        saved=sum(saved.values()) // len(inputs),
    )


def replace_pretrained(spec: ModelSpec) -> ModelSpec:
    """The same backbone with fresh weights; sizes that the weights bring are those of full size."""
    if spec.pretrained is None:
        return spec
    given = {k: v for k, v in spec.model_dump().items() if v is not None and k != "pretrained"}
    return ModelSpec(**given)
