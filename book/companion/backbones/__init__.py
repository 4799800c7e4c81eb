"""Backbones by name, or a user's own, with fresh or pretrained weights."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import nn

from companion.backbones.contents import contents_sha256
from companion.backbones.images import resnet18, vgg16, vit
from companion.backbones.own import build_own
from companion.backbones.pretrained import load_classifier, load_file
from companion.backbones.spec import BACKBONES, SIZES, Backbone, ModelSpec, is_own
from companion.backbones.text import bert
from ugradsl_core.errors import ConfigError
from ugradsl_core.models import head_name

__all__ = [
    "BACKBONES",
    "MODELS",
    "Backbone",
    "ModelSpec",
    "bert",
    "build",
    "contents_sha256",
    "resnet18",
    "vgg16",
    "vit",
]

Shape = tuple[int, ...]
Factory = Callable[[int, Shape, int | None, dict[str, Any]], nn.Module]


def _vit(classes: int, shape: Shape, _: int | None, sizes: dict[str, Any]) -> nn.Module:
    channels, height, width = shape
    return vit(classes, (channels, height, width), **sizes)


def _bert(classes: int, shape: Shape, vocabulary: int | None, sizes: dict[str, Any]) -> nn.Module:
    return bert(classes, vocabulary or 0, length=shape[0], **sizes)


MODELS: dict[str, Factory] = {
    "resnet18": lambda k, shape, _, sizes: resnet18(k, shape[0], **sizes),
    "vgg16": lambda k, shape, _, sizes: vgg16(k, shape[0], **sizes),
    "vgg16-bn": lambda k, shape, _, sizes: vgg16(k, shape[0], batch_norm=True, **sizes),
    "vit": _vit,
    "bert": _bert,
}


def build(
    spec: ModelSpec | str,
    *,
    num_classes: int,
    input_shape: Sequence[int],
    vocabulary: int | None = None,
) -> nn.Module:
    """The model of ``spec`` with fresh weights, or with the pretrained ones that it names.

    Args:
        spec: a backbone and its sizes; a bare name means full size.
        num_classes: K.
        input_shape: (C, H, W) of images, or (L,) of token ids.
        vocabulary: number of token ids; None for images.

    Returns:
        A model from a batch of inputs to logits (n, K).

    Raises:
        ConfigError: unknown name, sizes that do not fit, a backbone for other inputs, or a factory
            that cannot be found.
        ModelError: pretrained weights that cannot be read or do not fit, or a factory that does
            not return a model with K outputs.
    """
    if isinstance(spec, str):
        spec = ModelSpec(name=spec)
    shape = tuple(input_shape)
    sizes = {field: getattr(spec, field) for field in SIZES}
    sizes = {field: value for field, value in sizes.items() if value is not None}
    if is_own(spec.name):
        return build_own(spec.name, num_classes, shape, vocabulary, sizes)
    inputs = BACKBONES[spec.name].inputs
    if inputs == "token ids" and (vocabulary is None or len(shape) != 1):
        raise ConfigError(f"model: {spec.name} needs token ids; found inputs of shape {shape}")
    if inputs == "images" and (vocabulary is not None or len(shape) != 3):
        raise ConfigError(f"model: {spec.name} needs images; found inputs of shape {shape}")
    if spec.pretrained is not None and "depth" in BACKBONES[spec.name].sizes:
        return load_classifier(spec, num_classes, shape, vocabulary)
    model = MODELS[spec.name](num_classes, shape, vocabulary, sizes)
    if spec.pretrained is not None:
        load_file(model, spec.pretrained, head_name(model, num_classes))
    return model
