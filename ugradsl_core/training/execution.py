"""The device and the switches of a run."""

from dataclasses import dataclass, field
from typing import Any

import torch

from ugradsl_core.errors import ConfigError, whole_number
from ugradsl_core.training.processes import ALONE, World
from ugradsl_core.training.progress import SILENT, Progress


@dataclass(frozen=True)
class Execution:
    """The device of a run and the way it computes.

    Only ``amp``, and ``accumulate`` in a model with BatchNorm, change results by more than
    rounding.

    Attributes:
        device: a torch device, or ``"auto"`` for CUDA where there is one, else the CPU.
        amp: bfloat16 autocast of the forward passes of training and unlearning; models are
            evaluated without it.
        compile: ``torch.compile`` the model.
        channels_last: NHWC memory format for four-dimensional inputs.
        accumulate: micro-batches of a step, whose gradients add up to that of the whole batch.
        world: the processes that share the batches of this run.
        progress: bars of what is computed; none by default.
    """

    device: str = "auto"
    amp: bool = False
    compile: bool = False
    channels_last: bool = True
    accumulate: int = 1
    world: World = ALONE
    progress: Progress = field(default=SILENT, compare=False, repr=False)

    def __post_init__(self) -> None:
        whole_number(self.accumulate, "accumulate", 1)
        for name in ("amp", "compile", "channels_last"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}: should be True or False; found {getattr(self, name)!r}")

    def identity(self) -> dict[str, Any]:
        """The switches that change results and are not at their defaults."""
        return self._changed("amp", "accumulate")

    def _changed(self, *names: str) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in names}
        return {name: value for name, value in given.items() if value != getattr(Execution, name)}

    def switches(self) -> dict[str, Any]:
        """All that is not at its default, but for the device; records keep it."""
        processes = {"processes": self.world.size} if self.world.size > 1 else {}
        return {**self.identity(), **self._changed("compile", "channels_last"), **processes}

    def resolve(self) -> torch.device:
        """The torch device meant by ``device``.

        Raises:
            ConfigError: no such device here.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(1, device=device).item()
        except (RuntimeError, AssertionError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"device: {self.device!r} cannot be used here ({reason})") from error
        return device
