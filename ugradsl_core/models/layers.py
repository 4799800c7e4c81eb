"""The layers of a model in the order in which a forward pass calls them."""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized
from torch.utils.hooks import RemovableHandle

from ugradsl_core.errors import ModelError
from ugradsl_core.models.modes import modes
from ugradsl_core.samples.inputs import Inputs

NORMALISATION = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


def forward(model: nn.Module, inputs: Inputs, handles: Collection[RemovableHandle] = ()) -> Tensor:
    """A forward pass in evaluation mode, without gradients; each module keeps its mode.

    The hooks ``handles`` are there for this pass alone and are removed after it.
    """
    try:
        with modes(model, training=False), torch.no_grad():
            return model(inputs)  # type: ignore[no-any-return]
    finally:
        for handle in handles:
            handle.remove()


def call_order(model: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """The modules in the order in which a forward pass last calls them.

    One that is not called itself, as some parts of ``nn.MultiheadAttention``, comes with the
    nearest module round it that is.
    """
    last_call: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: tuple[object, ...]) -> None:
        last_call[module] = called[0] = called[0] + 1

    called = [0]
    forward(model, inputs, [module.register_forward_pre_hook(note) for module in model.modules()])
    rank: dict[str, int] = {}
    modules = dict(model.named_modules())
    for name, module in modules.items():
        rank[name] = last_call.get(module, rank.get(name.rpartition(".")[0], 0))
    return [modules[name] for name in sorted(modules, key=rank.__getitem__)]


def with_parametrisations(module: nn.Module) -> list[nn.Module]:
    """A module and what ``torch.nn.utils.parametrizations`` put in place of its weights."""
    if not is_parametrized(module):
        return [module]
    return [module, *module.parametrizations.modules()]  # type: ignore[union-attr]


def own_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers of a module itself and of its parametrisations, by name."""
    parts = [("", module, False)]
    if is_parametrized(module):
        parts.append(("parametrizations.", module.parametrizations, True))  # type: ignore[arg-type]
    return {
        prefix + name: tensor
        for prefix, part, recurse in parts
        for tensors in (part.named_parameters, part.named_buffers)
        for name, tensor in tensors(recurse=recurse)
    }


def last_layers(model: nn.Module, k: int, inputs: Inputs) -> list[nn.Module]:
    """The last ``k`` layers with weights, and the norms passed on the way from the end.

    Layers are modules with parameters of their own, in the order in which a forward pass of
    ``inputs`` calls them; norms, which may have none, do not count.

    Raises:
        ModelError: the model has fewer than ``k`` layers.
    """
    inside = {part for module in model.modules() for part in with_parametrisations(module)[1:]}
    chosen: list[nn.Module] = []
    found = 0
    for module in reversed(call_order(model, inputs)):
        norm = isinstance(module, NORMALISATION)
        has_weights = any(isinstance(t, nn.Parameter) for t in own_tensors(module).values())
        if module in inside or not (norm or has_weights):
            continue
        chosen.append(module)
        found += not norm
        if found == k:
            return chosen
    raise ModelError(f"k: should be at most {found}, the model's layers with weights; found {k}")
