"""A user's own model factory, named ``module:function``."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from companion.backbones.spec import SIZES
from ugradsl_core.errors import ConfigError, ModelError, UGradSLError, check_logits
from ugradsl_core.methods.own import find_function, said
from ugradsl_core.models import modes


def build_own(
    name: str,
    num_classes: int,
    input_shape: tuple[int, ...],
    vocabulary: int | None,
    sizes: dict[str, Any],
) -> nn.Module:
    """The factory's model, called with what its signature takes, and tried on two inputs.

    Raises:
        ConfigError: no such factory, it does not take a size that was given, or it needs an
            argument that nothing gives.
        ModelError: it raises, or does not return a model with K outputs for such inputs.
    """
    factory = find_function(name, "model")
    offered = {
        "num_classes": num_classes,
        "input_shape": input_shape,
        "vocabulary": vocabulary,
        **sizes,
    }
    keywords = _fitting(factory, name, offered, sizes)
    try:
        model = factory(**keywords)
    except UGradSLError:
        raise
    except Exception as error:
        raise ModelError(f"model: {name} fails when it is called ({said(error)})") from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model: {name} should return a torch.nn.Module; found {type(model).__name__}"
        )
    _try(model, name, num_classes, input_shape, vocabulary)
    return model


def _fitting(
    factory: Callable[..., object], name: str, offered: dict[str, Any], sizes: dict[str, Any]
) -> dict[str, Any]:
    """The part of the offered arguments that the factory's signature takes."""
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except ValueError:  # a builtin
        parameters = []
    keywords = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    unfilled = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and (p.name not in offered or p.name not in keywords)
    ]
    if unfilled:
        by_size = f"say -p model.{unfilled[0]}" if unfilled[0] in SIZES else "give it a default"
        raise ConfigError(
            f"model: {name} needs the argument {unfilled[0]!r}, which nothing fills; {by_size}"
        )
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return offered
    for field in sizes:
        if field not in keywords:
            raise ConfigError(f"{field}: {name} takes no such parameter; leave it out")
    return {key: value for key, value in offered.items() if key in keywords}


def _try(
    model: nn.Module, name: str, num_classes: int, shape: tuple[int, ...], vocabulary: int | None
) -> None:
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    dtype = torch.float32 if vocabulary is None else torch.long
    inputs = torch.ones((2, *shape), dtype=dtype, device=device)
    try:
        with modes(model, training=False), torch.no_grad():
            logits = model(inputs)
    except UGradSLError:
        raise
    except Exception as error:
        raise ModelError(
            f"model: {name} cannot take inputs of shape {shape} ({said(error)})"
        ) from error
    found = check_logits(logits, 2)
    if found != num_classes:
        raise ModelError(f"model: {name} should have {num_classes} outputs; found {found}")
