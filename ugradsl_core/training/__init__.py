"""The training loop, its execution on devices and in several processes, and its checkpoints."""

from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import (
    SGDConfig,
    cycled,
    is_frozen,
    modes,
    predict,
    shuffled,
    synchronise,
    train,
)
from ugradsl_core.training.processes import World

__all__ = [
    "Execution",
    "SGDConfig",
    "World",
    "cycled",
    "is_frozen",
    "modes",
    "predict",
    "shuffled",
    "synchronise",
    "train",
]
