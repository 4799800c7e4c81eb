"""A model's classification head and layers, its features, and seeded initialisation."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Generator, Tensor, nn

from ugradsl_core.errors import ModelError, unknown_name


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """Layers that draw from torch's global state (dropout, initialisation) follow ``generator``.

    The global state of the CPU and of the current CUDA device is as before on leaving.
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield


def find_head(model: nn.Module, num_classes: int, name: str | None = None) -> nn.Module:
    """The classification layer, whose input is the feature h_θ(x) of Table 5.

    Args:
        model: any classifier.
        num_classes: K.
        name: its name in ``model.named_modules()``; without one, the last linear layer with K
            outputs.

    Raises:
        ModelError: there is no such layer.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    if name is not None:
        if name not in modules:
            raise ModelError(str(unknown_name("layer", name, filter(None, modules))))
        return modules[name]
    heads = [
        m for m in modules.values() if isinstance(m, nn.Linear) and m.out_features == num_classes
    ]
    if not heads:
        raise ModelError(
            f"model: no linear layer with {num_classes} outputs was found; name the "
            "classification layer with head=…"
        )
    return heads[-1]


class FeatureTap:
    """Keeps the input of a layer during the latest forward pass: features without a second one."""

    def __init__(self, layer: nn.Module) -> None:
        self.features = torch.empty(0)
        self._handle = layer.register_forward_pre_hook(self._keep)

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self.features = inputs[0].detach().flatten(1)

    def close(self) -> None:
        """Remove the hook."""
        self._handle.remove()


NORMALISATION = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.LocalResponseNorm,
    nn.RMSNorm,
)


def head_name(model: nn.Module, num_classes: int, name: str | None = None) -> str:
    """The name of :func:`find_head`'s layer in ``model.named_modules()``."""
    head = find_head(model, num_classes, name)
    names = [found for found, module in model.named_modules() if module is head]
    return str(names[0])


def last_layers(model: nn.Module, k: int) -> list[nn.Module]:
    """The last ``k`` layers with weights, and the norms passed on the way from the end.

    Layers are modules with parameters of their own, in the order in which the model registers
    them; norms, which may have none, do not count.

    Raises:
        ModelError: the model has fewer than ``k`` layers.
    """
    own = [
        m
        for m in model.modules()
        if isinstance(m, NORMALISATION) or next(m.parameters(recurse=False), None) is not None
    ]
    chosen: list[nn.Module] = []
    found = 0
    for module in reversed(own):
        chosen.append(module)
        found += not isinstance(module, NORMALISATION)
        if found == k:
            return chosen
    raise ModelError(f"k: should be at most {found}, the model's layers with weights; found {k}")


def _parent_of(model: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, last = name.rpartition(".")
    return model.get_submodule(path), last


def widen_head(model: nn.Module, name: str, outputs: int) -> None:
    """Give the linear layer ``name`` more outputs, in place; old rows stay, new ones are fresh.

    What was frozen stays frozen.

    Raises:
        ModelError: the layer is not an ordinary linear one, or is the model itself.
    """
    head = model.get_submodule(name) if name else model
    if (
        not name
        or not isinstance(head, nn.Linear)
        or type(head).forward is not nn.Linear.forward
        or not set(head.state_dict()) <= {"weight", "bias"}
    ):
        raise ModelError(
            f"model: needs a linear classification layer inside it to give it {outputs} outputs; "
            f"found {type(head).__name__}"
        )
    kept = head.out_features
    wide = nn.Linear(
        head.in_features,
        outputs,
        bias=head.bias is not None,
        device=head.weight.device,
        dtype=head.weight.dtype,
    )
    with torch.no_grad():
        wide.weight[:kept] = head.weight
        if head.bias is not None:
            wide.bias[:kept] = head.bias
    for old, new in zip(head.parameters(), wide.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    parent, attribute = _parent_of(model, name)
    setattr(parent, attribute, wide)


def load_weights(
    model: nn.Module, state: Mapping[str, Tensor], num_classes: int, head: str | None = None
) -> nn.Module:
    """``model`` with the weights ``state``, whose head may have more outputs than the model's.

    Only boundary expanding in its upstream variant leaves such a state behind.
    """
    own = model.state_dict()
    if any(own[name].shape != value.shape for name, value in state.items() if name in own):
        name = head_name(model, num_classes, head)
        model = copy.deepcopy(model)
        widen_head(model, name, len(state[f"{name}.weight"]))
    model.load_state_dict(dict(state))
    return model
