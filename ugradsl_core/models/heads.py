"""A model's classification head, its features, and seeded initialisation."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ugradsl_core.errors import ModelError, unknown_name
from ugradsl_core.models.layers import forward
from ugradsl_core.samples.inputs import Inputs


def find_head(
    model: nn.Module, num_classes: int, name: str | None = None, inputs: Inputs | None = None
) -> nn.Module:
    """The classification layer, whose input is the feature h_θ(x) of Table 5.

    Args:
        model: any classifier.
        num_classes: K.
        name: its name in ``model.named_modules()``; without one, the last linear layer with K
            outputs.
        inputs: a batch, on the model's device. With it, a layer is found only if its output is the
            model's; the order in which layers are registered then does not matter.

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
    if inputs is None:
        return heads[-1]
    outputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        outputs[module] = output

    logits = forward(model, inputs, [head.register_forward_hook(keep) for head in heads])
    found = [head for head in heads if head in outputs and torch.equal(outputs[head], logits)]
    if not found:
        raise ModelError(
            f"model: none of its linear layers with {num_classes} outputs gives the logits "
            f"themselves ({', '.join(n for n, m in modules.items() if m in heads)}); name the "
            "classification layer with head=…"
        )
    return found[-1]


class FeatureTap:
    """Keeps the input of a layer during the latest forward pass: features without a second one."""

    def __init__(self, layer: nn.Module) -> None:
        self.features = torch.empty(0)
        self._handle = layer.register_forward_pre_hook(self._keep, with_kwargs=True)

    def _keep(self, _: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
        given = [*inputs, *named.values()]
        self.features = given[0].detach().flatten(1)

    def check(self, model: nn.Module, inputs: Inputs) -> None:
        """Raise ModelError unless a forward pass of ``model`` calls the layer."""
        forward(model, inputs)
        if not self.features.numel():
            raise ModelError(
                "head: the classification layer is not called in the forward pass, so its input, "
                "the features, is not known; name a layer whose input they are"
            )

    def close(self) -> None:
        """Remove the hook."""
        self._handle.remove()


def head_name(
    model: nn.Module, num_classes: int, name: str | None = None, inputs: Inputs | None = None
) -> str:
    """The name of :func:`find_head`'s layer in ``model.named_modules()``."""
    head = find_head(model, num_classes, name, inputs)
    return str(next(found for found, module in model.named_modules() if module is head))


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
    path, _, attribute = name.rpartition(".")
    setattr(model.get_submodule(path), attribute, wide)


def load_weights(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """``model`` with the weights ``state``, whose head may have more outputs than the model's.

    Only boundary expanding in its upstream variant leaves such a state behind.
    """
    own = model.state_dict()
    both = [name for name in state if isinstance(own.get(name), Tensor)]
    wider = [name for name in both if own[name].shape != state[name].shape]
    if wider:
        name = wider[0].rpartition(".")[0]
        model = copy.deepcopy(model)
        widen_head(model, name, len(state[wider[0]]))
    model.load_state_dict(dict(state))
    return model
