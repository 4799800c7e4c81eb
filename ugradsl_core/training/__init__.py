"""The training loop, its execution on devices and in several processes, and its checkpoints."""

from ugradsl_core.models.modes import is_frozen, modes
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import (
    Passes,
    SGDConfig,
    batch_count,
    cycled,
    predict,
    shuffled,
    synchronise,
    train,
)
from ugradsl_core.training.processes import World

__all__ = [
    "Execution",
    "Passes",
    "SGDConfig",
    "World",
    "batch_count",
    "cycled",
    "is_frozen",
    "modes",
    "predict",
    "shuffled",
    "synchronise",
    "train",
]
