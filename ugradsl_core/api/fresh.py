"""A user's model with fresh weights, and the proof that none of the trained ones is left."""

import math
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ugradsl_core.api.model import (
    check_kind,
    check_trainable,
    check_weights,
    copied,
    core_of,
    shares_weights,
)
from ugradsl_core.errors import ModelError
from ugradsl_core.models.modes import is_frozen, modes
from ugradsl_core.samples.inputs import one_line

ASK = "cannot be initialised anew{}; pass make_model=…, a function that returns a fresh model"


def fresh_copy(model: nn.Module, running: Collection[str] = ()) -> nn.Module:
    """A copy whose layers, but those that are frozen, have been initialised anew.

    Trainable weights and the buffers ``running``, which training changes, are set to NaN first, so
    that one which no initialisation reaches is seen: weights behind pruning, weight normalisation
    or other parametrisations, layers whose ``reset_parameters`` does a part, parameters outside
    layers.

    Raises:
        ModelError: some weights cannot be initialised anew.
    """
    fresh = copied(model)
    frozen = [(p, p.detach().clone()) for p in fresh.parameters() if not p.requires_grad]
    learned = dict(_learned(fresh, running))
    with torch.no_grad():
        for tensor in learned.values():
            tensor.fill_(math.nan)
    for name, module, outer in _children_first(fresh, "", None, set()):
        if not is_frozen(module):
            for reset in _resets(module, outer, fresh):
                _tried(reset, name, module)
    with torch.no_grad():
        for parameter, value in frozen:
            parameter.copy_(value)
    for name, tensor in learned.items():
        if bool(tensor.isnan().any()):
            owner = name.rpartition(".")[0]
            raise _refusal(owner, fresh.get_submodule(owner))
    return fresh


def _learned(model: nn.Module, running: Collection[str]) -> Iterator[tuple[str, Tensor]]:
    """The state that training changes: trainable parameters, statistics of trained layers."""
    for path, module in model.named_modules():
        if is_frozen(module):
            continue
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad:
                yield prefix + name, parameter
        for name, buffer in module.named_buffers(recurse=False):
            if prefix + name in running:
                yield prefix + name, buffer


def _children_first(
    module: nn.Module, name: str, outer: nn.Module | None, seen: set[nn.Module]
) -> Iterator[tuple[str, nn.Module, nn.Module | None]]:
    """Modules in the order in which constructors end, each with the nearest initialiser round it.

    So a layer that sets the weights of its parts has the last word.
    """
    if module in seen:
        return
    seen.add(module)
    if callable(getattr(module, "_init_weights", None)) and hasattr(module, "config"):
        outer = module
    for child_name, child in module.named_children():
        path = f"{name}.{child_name}" if name else child_name
        yield from _children_first(child, path, outer, seen)
    yield name, module, outer


def _resets(
    module: nn.Module, outer: nn.Module | None, model: nn.Module
) -> list[Callable[[], Any]]:
    """Ways to initialise a module: its own, then that of the ``transformers`` model round it."""
    if any(base.__name__ == "BaseTunerLayer" for base in type(module).__mro__):  # of peft
        return [lambda: _reset_adapters(module, model)]
    own = (getattr(module, name, None) for name in ("reset_parameters", "_reset_parameters"))
    found: list[Callable[[], Any]] = [reset for reset in own if callable(reset)][:1]
    if outer is not None:
        found.append(lambda: outer._init_weights(module))  # type: ignore[operator]
    return found


def _reset_adapters(module: Any, model: nn.Module) -> None:
    """Start peft's LoRA anew as its config says, by default with B = 0: the identity.

    Raises:
        TypeError: the adapter is of a kind that started from something else.
    """
    if not callable(getattr(module, "reset_lora_parameters", None)):
        raise TypeError("no LoRA")
    found = (vars(part).get("peft_config") for part in model.modules())
    configs = next((each for each in found if isinstance(each, dict)), {})
    for adapter in {*module.lora_A, *module.lora_embedding_A}:
        start = getattr(configs.get(adapter), "init_lora_weights", True)
        if start not in (True, False, "gaussian"):
            raise TypeError(f"init_lora_weights={start!r} depends on the data or the base")
        module.reset_lora_parameters(adapter, start)


def _tried(reset: Callable[[], Any], name: str, module: nn.Module) -> None:
    try:
        with torch.no_grad():
            reset()
    except Exception as error:  # somebody else's initialisation may raise anything
        raise _refusal(name, module, f" ({one_line(error)})") from error


def _refusal(name: str, module: nn.Module, reason: str = "") -> ModelError:
    layer = f"the layer {name or 'model'!r} ({type(module).__name__})"
    return ModelError(f"model: {layer} {ASK.format(reason)}")


def made(
    make_model: Callable[[], nn.Module], model: nn.Module, call: Callable[[nn.Module], Any]
) -> nn.Module:
    """A copy of a fresh model of the user's own making, checked to be one like ``model``.

    ``call`` calls a model with a batch, for layers that the first forward pass builds.

    Raises:
        ModelError: it is no such model, is ``model`` itself, or has its trained weights.
    """
    try:
        found = make_model()
    except Exception as error:  # it is the user's own code
        raise ModelError(f"make_model: fails ({one_line(error)})") from error
    if not isinstance(found, nn.Module):
        raise ModelError(
            f"make_model: should return a torch.nn.Module; found {type(found).__name__}"
        )
    if core_of(found) is model or shares_weights(found, model, trained=True):
        raise ModelError(
            "make_model: should return a fresh model; found one that shares its weights with the "
            "model to unlearn from"
        )
    fresh = core_of(copied(found))
    theirs = _kinds(model)
    if _kinds(fresh) != theirs:  # a pass builds what is lazy; one that fails leaves the shapes odd
        with suppress(Exception), modes(fresh, training=False), torch.no_grad():
            call(fresh)
    ours = _kinds(fresh)
    for name in [*theirs, *ours]:
        kinds = [found.get(name, "missing") for found in (ours, theirs)]
        if kinds[0] != kinds[1]:
            raise ModelError(
                f"make_model: should return a model like the one to unlearn from; {name} is "
                f"{kinds[0]} there and {kinds[1]} here"
            )
    try:
        for check in (check_kind, check_trainable, check_weights):
            check(fresh)
    except ModelError as error:
        raise ModelError(f"make_{error}") from None
    _check_fresh(fresh, model)
    return fresh


def _check_fresh(fresh: nn.Module, model: nn.Module) -> None:
    """Raise ModelError where a trainable weight, unless constant, is the trained one."""
    trained = dict(model.named_parameters())
    for name, p in fresh.named_parameters():
        q = trained.get(name, p)
        varies = q.requires_grad and p.numel() and bool((p != p.flatten()[0]).any())
        if q is not p and varies and torch.equal(p.cpu(), q.cpu()):
            raise ModelError(
                "make_model: should return a model with fresh weights; found the trained ones of "
                f"{name!r}"
            )


def _kinds(model: nn.Module) -> dict[str, str]:
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    return {
        name: "without a shape yet"
        if is_lazy(value)
        else f"{value.dtype} of shape {tuple(value.shape)}{', frozen,' * (name in frozen)}"
        for name, value in model.state_dict().items()
        if isinstance(value, Tensor)
    }
