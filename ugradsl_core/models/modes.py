"""What a model is in while it runs: its mode, its random numbers, what of it is trained."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Generator, nn
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.nn.utils.spectral_norm import SpectralNorm

from ugradsl_core.errors import ModelError
from ugradsl_core.samples.reading import drawn_from

STATISTICS = (nn.modules.batchnorm._BatchNorm, nn.modules.instancenorm._InstanceNorm)


@contextmanager
def seeded(generator: Generator) -> Iterator[None]:
    """What layers draw (dropout, initialisation, noise) follows ``generator``.

    So do ``random`` and NumPy. Their global states and PyTorch's, of the CPU and of every CUDA
    device, are as before on leaving.
    """
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices), drawn_from(seed):
        if torch.accelerator.is_available():  # without one, each call would keep a traceback
            torch.manual_seed(seed)
        yield


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are not frozen, by name.

    Raises:
        ModelError: there is none.
    """
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not found:
        raise ModelError("model: has no trainable parameter; all are frozen")
    return found


def is_frozen(module: nn.Module) -> bool:
    """Tell whether a module has parameters of its own and none of them is trained."""
    own = list(module.parameters(recurse=False))
    return bool(own) and not any(parameter.requires_grad for parameter in own)


def _has_spectral_hook(module: nn.Module) -> bool:
    """Tell whether a module's weight is divided by its norm the old way, estimated in each pass."""
    return any(isinstance(hook, SpectralNorm) for hook in module._forward_pre_hooks.values())


@contextmanager
def modes(
    model: nn.Module, training: bool, frozen_statistics: bool | Collection[nn.Module] = False
) -> Iterator[None]:
    """Training or evaluation mode, and each module's own again on leaving.

    See :func:`ugradsl_core.training.train` for ``frozen_statistics``.
    """
    before = {module: module.training for module in model.modules()}
    model.train(training)
    if isinstance(frozen_statistics, bool):
        frozen_statistics = before if frozen_statistics else ()
    for module in model.modules():
        keep = module in frozen_statistics
        if (isinstance(module, STATISTICS) and (keep or is_frozen(module))) or (
            (isinstance(module, _SpectralNorm) or _has_spectral_hook(module)) and keep
        ):
            module.eval()
    try:
        yield
    finally:
        for module, mode in before.items():
            module.training = mode
