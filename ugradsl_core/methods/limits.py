"""Methods that need one process or whole batches, refused before anything is computed."""

from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods.ff import FFConfig
from ugradsl_core.methods.iu import IUConfig
from ugradsl_core.methods.mixed import MixedConfig, SmoothedConfig
from ugradsl_core.methods.no_step import NoStepConfig
from ugradsl_core.methods.pabi import PABIConfig
from ugradsl_core.methods.scrub import SCRUBConfig
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import SGDConfig
from ugradsl_core.training.steps import check_accumulation


def _alone(config: Config) -> str:
    """The reason why a method runs in one process, or nothing."""
    match config:
        case FFConfig():
            return "its Fisher is made of single samples"
        case IUConfig():
            return "its conjugate gradients run outside the training loop"
        case NoStepConfig():
            return "its passes run outside the training loop"
    return ""


def _coupled(config: Config) -> str:
    """The reason why the loss of a step is not a mean over its samples, or nothing."""
    match config:
        case SmoothedConfig(alpha=None):
            return "a self-adaptive rate compares the samples of a batch"
        case MixedConfig(reduction="sum"):
            return "reduction='sum' is no mean over the batch"
        case SCRUBConfig(variant="joint"):
            return "variant='joint' has retain and forget batches of different sizes"
        case NoStepConfig():
            return "it shows the statistics of whole batches"
        case PABIConfig():
            return "its noisy steps clip the gradient of a whole batch"
    return ""


def check_execution(title: str, config: Config, execution: Execution) -> None:
    """Raise ConfigError where a method cannot run as ``execution`` asks.

    Too few samples in a batch for the processes or the micro-batches are refused too.

    Args:
        title: of the method.
        config: its config.
        execution: processes and micro-batches.
    """
    sizes = [getattr(config, name, None) for name in ("batch_size", "forget_batch_size")]
    smallest = min((size for size in sizes if size is not None), default=execution.world.size)
    execution.world.check_batch(smallest)
    if isinstance(config, SGDConfig):
        check_accumulation(execution, config.batch_size)
    alone = _alone(config) if execution.world.size > 1 else ""
    if alone:
        raise ConfigError(
            f"processes: {title} runs in one process, as {alone}; leave it out of --methods, or "
            "start it without torchrun"
        )
    coupled = _coupled(config) if execution.accumulate > 1 else ""
    if coupled:
        raise ConfigError(f"accumulate: {title} cannot be cut into micro-batches, as {coupled}")
