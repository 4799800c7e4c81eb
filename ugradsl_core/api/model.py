"""A user's own model: taken out of its wrappers, copied, probed, and called for logits."""

import copy
import io
import logging
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel
from torch.overrides import TorchFunctionMode

from ugradsl_core import errors
from ugradsl_core.errors import ModelError
from ugradsl_core.models import seeded, trainable
from ugradsl_core.models.modes import STATISTICS, modes
from ugradsl_core.samples.inputs import Inputs, cat, one_line, size, to_device
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import has_channels, in_memory_format

# Attributes that a copy may share with the original, since they hold no weights.
SHARED = (
    type(threading.Lock()),
    type(threading.RLock()),
    threading.Thread,
    logging.Logger,
    logging.Handler,
    io.IOBase,
    types.ModuleType,
    types.GeneratorType,
)
UNSUPPORTED = {
    "GradSampleModule": "is opacus' GradSampleModule, which cannot be copied; pass its ._module "
    "after .remove_hooks()",
    "FullyShardedDataParallel": "is sharded over processes; pass the whole model",
}


def check_module(model: object) -> None:
    """Raise ModelError unless it is a module."""
    if not isinstance(model, nn.Module):
        raise ModelError(f"model: should be a torch.nn.Module; found {type(model).__name__}")


def core_of(model: nn.Module) -> nn.Module:
    """The model inside DataParallel, DistributedDataParallel, ``torch.compile`` and averages."""
    parallel = nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel
    while True:
        inner = model.module if isinstance(model, parallel) else _uncompiled(model)
        if inner is None:
            return model
        model = inner


def _uncompiled(model: nn.Module) -> nn.Module | None:
    return next((part for name, part in model.named_children() if name == "_orig_mod"), None)


def with_core(model: nn.Module, core: nn.Module) -> nn.Module:
    """``model``, a wrapper or not, whose innermost model is now ``core``."""
    old = core_of(model)
    if model is old:
        return core
    for module in model.modules():
        for name, child in module.named_children():
            if child is old:
                setattr(module, name, core)
    return model


def is_compiled(model: nn.Module) -> bool:
    """Tell whether ``torch.compile`` has been applied to the model or a part of it."""
    return any(
        _uncompiled(part) is not None or part.__dict__.get("_compiled_call_impl") is not None
        for part in model.modules()
    )


@contextmanager
def usual_modes(model: nn.Module, execution: Execution, seed: int) -> Iterator[None]:
    """Gradients, the CPU as default device, no autocast, no compilation but that of ``execution``.

    So it does not matter what the caller has switched off or on, and hooks see every layer of a
    model that has been compiled before. What a model or ``make_model`` draws from global random
    states follows ``seed``, and leaves no trace there.
    """
    overwrite = torch.__future__.set_overwrite_module_params_on_conversion
    with ExitStack() as stack:
        stack.callback(overwrite, torch.__future__.get_overwrite_module_params_on_conversion())
        overwrite(False)  # or an optimiser would lose its parameters
        stack.enter_context(torch.autocast(execution.resolve().type, enabled=False))
        stack.enter_context(seeded(Generator().manual_seed(seed)))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        if is_compiled(model) and not execution.compile:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


def check_kind(model: nn.Module) -> None:
    """Raise ModelError for models that cannot be copied, called or trained as they are."""
    for module in model.modules():
        for base in type(module).__mro__:
            if base.__name__ in UNSUPPORTED:
                raise ModelError(f"model: {UNSUPPORTED[base.__name__]}")
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            raise ModelError(
                f"model: the lazy weights {name!r} have no shape yet; call the model once"
            )
        if tensor.is_meta:
            raise ModelError(f"model: the weights {name!r} are on the meta device and hold nothing")
        if type(tensor.data).__name__ == "DTensor":
            raise ModelError(f"model: {UNSUPPORTED['FullyShardedDataParallel']}")


def check_trainable(model: nn.Module) -> None:
    """Raise ModelError where nothing is trainable, or nothing of a copy, as with TorchScript."""
    for name, parameter in trainable(model).items():
        if parameter._post_accumulate_grad_hooks:  # it may step an optimiser of the original
            raise ModelError(f"model: a hook runs after the gradient of {name!r}; remove it first")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise ModelError(
            "model: is TorchScript, which cannot be trained once copied; pass the module that was "
            "scripted or traced"
        )


def check_weights(model: nn.Module) -> None:
    """Raise ModelError where a parameter or a running statistic is NaN or infinite.

    Other buffers may be: a mask of −∞ is no broken weight.
    """
    statistics = {id(b) for m in model.modules() if isinstance(m, STATISTICS) for b in m.buffers()}
    state = dict(model.named_parameters())
    for name, buffer in model.named_buffers():
        if id(buffer) in statistics or name.rpartition(".")[2].startswith("running_"):
            state[name] = buffer  # type: ignore[assignment]
    errors.check_finite(state, "model")  # type: ignore[arg-type]


class _Detached(TorchFunctionMode):
    """Copies tensors that are results of a computation without their history.

    Activations that a model keeps, and weights that pruning or weight normalisation computed in
    the last forward pass, are such.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is not Tensor.__deepcopy__ or args[0].is_leaf:
            return func(*args, **(kwargs or {}))
        tensor, memo = args
        memo[id(tensor)] = found = tensor.detach().clone()
        return found


def copied(model: nn.Module) -> nn.Module:
    """A copy that shares no weights with ``model``; locks, loggers and open files are shared.

    Raises:
        ModelError: it cannot be copied; the attribute that hinders it is named.
    """
    memo = {
        id(value): value
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, SHARED)
    }
    try:
        with _Detached():
            found = copy.deepcopy(model, dict(memo))
    except Exception as error:  # __deepcopy__ and __reduce__ of anything may raise anything
        raise ModelError(
            f"model: cannot be copied ({one_line(error)}){_hindrance(model, memo)}"
        ) from error
    if shares_weights(found, model):
        raise ModelError("model: cannot be copied; its __deepcopy__ shares weights with it")
    for old, new in zip(model.parameters(), found.parameters(), strict=False):
        for hook in (old._backward_hooks or {}).values() if new.requires_grad else ():
            new.register_hook(hook)  # type: ignore[no-untyped-call]  # it may mask a gradient
    return found


def _hindrance(model: nn.Module, memo: Mapping[int, object]) -> str:
    """Name the module and the attribute that cannot be copied."""
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name in {"_modules", "_parameters", "_buffers"}:
                continue
            try:
                with _Detached():
                    copy.deepcopy(value, dict(memo))
            except Exception:
                place = f" of {path!r}" if path else ""
                return f"; set its attribute {name!r}{place} to None first"
    return ""


def shares_weights(a: nn.Module, b: nn.Module, *, trained: bool = False) -> bool:
    """Tell whether a parameter, trainable if ``trained``, or a buffer of both shares memory."""
    return bool(_places(a, trained) & _places(b, trained))


def _places(model: nn.Module, trained: bool) -> set[tuple[torch.device, int]]:
    tensors = [p for p in model.parameters() if p.requires_grad or not trained]
    tensors += [] if trained else model.buffers()  # type: ignore[arg-type]
    return {
        (t.device, t.untyped_storage().data_ptr())
        for t in tensors
        if not (is_lazy(t) or t.is_meta) and t.layout is torch.strided and t.numel()
    }


def working(model: nn.Module) -> nn.Module:
    """The copy ``model``, changed in place so that it can be trained: gradients are dense."""
    for module in model.modules():
        if module.__dict__.get("sparse") is True:  # of embeddings: SGD's weight decay needs all
            setattr(module, "sparse", False)  # noqa: B010
    return model


def main_output(output: Any) -> Any:
    """The logits of a model's output: itself, its ``logits``, or the only part that it has."""
    if isinstance(output, Mapping) and "logits" in output:
        return output["logits"]
    if isinstance(getattr(output, "logits", None), Tensor):
        return output.logits
    if isinstance(output, tuple | list) and len(output) == 1:
        return output[0]
    return output


class LogitsOf(nn.Module):
    """A model whose inputs may have names, and whose output may hold more than logits.

    Its weights, buffers and layers are the model's own, under the model's own names.
    """

    core: nn.Module

    def __init__(self, core: nn.Module) -> None:
        mode = core.training
        self.__dict__["core"] = core  # no layer of its own, or all names would change
        super().__init__()
        for part in ("_parameters", "_buffers", "_non_persistent_buffers_set", "_modules"):
            self.__dict__[part] = core.__dict__[part]
        self.training = mode

    @property
    def training(self) -> bool:
        """The mode of the model."""
        return bool(self.core.training)

    @training.setter
    def training(self, mode: bool) -> None:
        self.core.training = mode

    def forward(self, inputs: Inputs) -> Any:
        """Logits (n, K)."""
        if isinstance(inputs, Mapping):
            return main_output(self.core(**inputs))
        return main_output(self.core(inputs))

    def train(self, mode: bool = True) -> "LogitsOf":
        """Call the model's own ``train``, which may keep parts in evaluation mode."""
        self.core.train(mode)
        return self

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> "LogitsOf":
        self.core._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Defer to the model."""
        return self.core.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Defer to the model."""
        return self.core.load_state_dict(*args, **kwargs)


@dataclass(frozen=True)
class Interface:
    """The way to call a user's model, as a probe found it.

    Attributes:
        num_classes: K.
        plain: whether it returns logits alone for inputs without a name.
        running: buffers that a forward pass in training mode changes.
    """

    num_classes: int
    plain: bool
    running: frozenset[str] = frozenset()

    def adapted(self, model: nn.Module) -> nn.Module:
        """The model itself where it is plain, else what calls it for its logits."""
        return model if self.plain else LogitsOf(model)


def probe(
    model: nn.Module, inputs: Mapping[str, Inputs], device: torch.device, *, training: bool
) -> Interface:
    """Call a copy of a user's model with one input of each set, in each mode that is needed.

    ``inputs`` are batches of one by the set's name: tensors, or mappings of them. A model that will
    be trained is called and differentiated in training mode, too.

    Raises:
        ModelError: a pass fails, or its output holds no logits (n, K) or NaN.
    """
    model = working(copied(model)).to(device)
    plain = not any(isinstance(x, Mapping) for x in inputs.values())
    asked = model if plain else LogitsOf(model)
    found: set[int] = set()
    with seeded(Generator().manual_seed(0)):
        for name, x in inputs.items():
            with _failing(f"an item of {name}"), modes(asked, training=False), torch.no_grad():
                output = asked(to_device(x, device))
            plain = plain and isinstance(output, Tensor)
            logits = main_output(output)
            found.add(errors.check_logits(logits, size(x)))
            if bool(logits.isnan().any()):
                raise ModelError(f"model: returns NaN for the first item of {name}")
        if len(found) > 1:
            raise ModelError(
                f"model: returns {min(found)} logits for one set and {max(found)} for another"
            )
        num_classes, running = found.pop(), frozenset[str]()
        if training:
            with _failing("its own state dict"):
                model.load_state_dict(dict(model.state_dict()))  # as methods do
            name, x = next(iter(inputs.items()))
            twice = to_device(cat([x, x]), device)
            trained, running = _trained(asked, twice, name, num_classes)
            plain = plain and trained
    return Interface(num_classes, plain, running)


def works_with_channels_last(
    model: nn.Module, interface: Interface, inputs: Mapping[str, Inputs], device: torch.device
) -> bool:
    """Tell whether a model works in NHWC; one that flattens with ``view`` does not."""
    if not has_channels(model):
        return True  # nothing changes
    nhwc = Execution(device.type)
    asked = interface.adapted(in_memory_format(copied(model).to(device), nhwc).eval())
    try:
        with seeded(Generator().manual_seed(0)), torch.no_grad():
            asked(to_device(next(iter(inputs.values())), device))
    except RuntimeError:
        return False
    return True


@contextmanager
def _failing(what: str) -> Iterator[None]:
    """Say in a sentence that the model cannot process something."""
    try:
        yield
    except Exception as error:  # a forward pass may raise anything
        raise ModelError(f"model: cannot process {what} ({one_line(error)})") from error


def _leaves(output: Tensor) -> set[int]:
    """The ids of the trainable tensors that a result was computed from."""
    found, seen, waiting = set[int](), set[Any](), [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [following for following, _ in node.next_functions]
            if type(node).__name__ == "AccumulateGrad":
                found.add(id(node.variable))  # type: ignore[attr-defined]
    return found


def _trained(
    asked: nn.Module, twice: Inputs, name: str, num_classes: int
) -> tuple[bool, frozenset[str]]:
    """One training pass of two samples: whether a tensor came out, and buffers that it changed."""
    before = {key: b.detach().clone() for key, b in asked.named_buffers()}
    parameters = {key: p for key, p in asked.named_parameters() if p.requires_grad}
    where = f"an item of {name} in training mode"
    with _failing(where), modes(asked, training=True):
        output = asked(twice)
    logits = main_output(output)
    if not isinstance(logits, Tensor):
        raise ModelError(
            f"model: should return a tensor of logits in training mode, too; "
            f"found {type(logits).__name__}"
        )
    if errors.check_logits(logits, size(twice)) != num_classes:
        raise ModelError(
            f"model: returns {num_classes} logits in evaluation mode and {logits.shape[1]} in "
            "training mode"
        )
    if parameters and not logits.requires_grad:
        raise ModelError("model: its logits do not depend on any trainable parameter")
    stray = _leaves(logits) - {id(p) for p in asked.parameters()}
    if stray:  # inputs that a model marks itself are new in each pass
        with modes(asked, training=True):
            again = main_output(asked(twice))
        stray &= _leaves(again)
    if stray:
        raise ModelError(
            "model: its logits depend on trainable weights that are none of its parameters; "
            "register the layers that hold them, or set their requires_grad to False"
        )
    if parameters:
        with _failing(f"{where}, backward"):
            labels = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
            F.cross_entropy(logits, labels).backward()  # type: ignore[no-untyped-call]
    for key, p in parameters.items():
        if p.grad is not None and p.grad.layout != torch.strided:
            raise ModelError(f"model: the weights {key!r} have sparse gradients; use sparse=False")
    changed = {
        key
        for key, buffer in asked.named_buffers()
        if key in before
        and buffer.is_floating_point()
        and not torch.equal(buffer.to_dense(), before[key].to_dense())
    }
    return isinstance(output, Tensor), frozenset(changed)
