"""A user's own model factory, named ``module:function``."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ugradsl_core.checks import check_logits
from ugradsl_core.errors import ConfigError, ModelError, UGradSLError, unknown_name


def find_factory(name: str) -> Callable[..., object]:
    """The callable ``module:function``.

    Raises:
        ConfigError: no such module or function.
    """
    module_name, _, path = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # a module that the user's own one wants
        raise ConfigError(
            f"model: the module {module_name!r} of {name!r} was not found; put its folder on "
            "PYTHONPATH or install it"
        ) from error
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            public = [known for known in vars(found) if not known.startswith("_")]
            raise unknown_name(f"function of {module_name}", part, public)
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"model: {name} should be callable; found {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def build_own(
    name: str,
    num_classes: int,
    input_shape: tuple[int, ...],
    vocabulary: int | None,
    sizes: dict[str, Any],
) -> nn.Module:
    """The factory's model, called with what its signature takes, and tried on two inputs.

    Raises:
        ConfigError: no such factory, or it does not take a size that was given.
        ModelError: it does not return a model with K outputs for such inputs.
    """
    factory = find_factory(name)
    offered = {
        "num_classes": num_classes,
        "input_shape": input_shape,
        "vocabulary": vocabulary,
        **sizes,
    }
    try:
        parameters = inspect.signature(factory).parameters.values()
    except ValueError:  # a builtin
        parameters = {}.values()
    keywords = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for field in sizes:
            if field not in keywords:
                raise ConfigError(f"{field}: {name} takes no such parameter; leave it out")
        offered = {key: value for key, value in offered.items() if key in keywords}
    model = factory(**offered)
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model: {name} should return a torch.nn.Module; found {type(model).__name__}"
        )
    _try(model, name, num_classes, input_shape, vocabulary)
    return model


def _try(
    model: nn.Module, name: str, num_classes: int, shape: tuple[int, ...], vocabulary: int | None
) -> None:
    first = next(model.parameters(), None)
    device = torch.device("cpu") if first is None else first.device
    dtype = torch.float32 if vocabulary is None else torch.long
    inputs = torch.ones((2, *shape), dtype=dtype, device=device)
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            logits = model(inputs)
    except UGradSLError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise ModelError(
            f"model: {name} cannot take inputs of shape {shape} "
            f"({reason[0] if reason else type(error).__name__})"
        ) from error
    finally:
        for module, mode in training.items():
            module.training = mode
    found = check_logits(logits, 2)
    if found != num_classes:
        raise ModelError(f"model: {name} should have {num_classes} outputs; found {found}")
