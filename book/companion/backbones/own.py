"""A user's own model factory, named ``module:function``."""

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ugradsl_core.errors import ConfigError, ModelError, UGradSLError, check_logits, unknown_name
from ugradsl_core.models.spec import SIZES


def find_function(name: str, field: str = "model") -> Callable[..., Any]:
    """The callable ``module:function``.

    Args:
        name: of the module and the function in it.
        field: what error messages begin with.

    Raises:
        ConfigError: no such module or function, or a module that cannot be imported.
    """
    module_name, _, path = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module's own code may raise anything
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing is not None and f"{module_name}.".startswith(f"{missing}."):
            raise ConfigError(
                f"{field}: the module {module_name!r} of {name!r} was not found; put its folder on "
                "PYTHONPATH or install it"
            ) from error
        reason = f"cannot be imported ({said(error)})"
        raise ConfigError(f"{field}: the module of {name} {reason}") from error
    found: Any = module
    for part in path.split("."):
        if not hasattr(found, part):
            public = [known for known in dir(found) if not known.startswith("_")]
            makers = [known for known in public if callable(getattr(found, known, None))]
            raise unknown_name(f"function of {module_name}", part, makers)
        found = getattr(found, part)
    if not callable(found):
        raise ConfigError(f"{field}: {name} should be callable; found {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def said(error: BaseException) -> str:
    """Type and message of an exception, on one line."""
    return ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))


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
    factory = find_function(name)
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
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            logits = model(inputs)
    except UGradSLError:
        raise
    except Exception as error:
        raise ModelError(
            f"model: {name} cannot take inputs of shape {shape} ({said(error)})"
        ) from error
    finally:
        for module, mode in training.items():
            module.training = mode
    found = check_logits(logits, 2)
    if found != num_classes:
        raise ModelError(f"model: {name} should have {num_classes} outputs; found {found}")
