"""What a method is: a function, its config class, and what a list of methods shows of it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.loop import Passes, SGDConfig
from ugradsl_core.training.steps import check_accumulation


def passes(config: Config, n_r: int, n_f: int, num_classes: int) -> Passes:
    """The passes of a method with that config on sets of ``n_r`` and ``n_f`` samples of K classes.

    Raises:
        ConfigError: the config is of no method; those of methods count them in ``passes``.
    """
    if not hasattr(config, "passes"):
        raise ConfigError(f"config: {type(config).__name__} is of no known method")
    counted: Passes = config.passes(n_r, n_f, num_classes)
    return counted


@dataclass(frozen=True)
class Method:
    """A method's function and config class, with what a list of methods shows of it.

    Its config class counts what a run passes (``passes``) and may say why the loss of a step is no
    mean over its samples, so that a batch cannot be cut (``coupled``).

    Attributes:
        title: as the paper prints it.
        run: the function.
        config: its config class.
        reads: the sets whose samples it reads.
        summary: what it does, in a line.
        passes: samples passed forward and backward in an epoch, or in all where there is none.
        memory: what it keeps besides the model, its gradient and SGD's momentum, in models.
        guarantee: what is proven of its result.
        fresh: whether it needs freshly initialised weights.
        alone: the reason why it runs in one process, or nothing.
    """

    title: str
    run: Callable[..., UnlearnResult]
    config: type[Config]
    reads: str
    summary: str
    passes: str
    memory: str = "none"
    guarantee: str = "none"
    fresh: bool = False
    alone: str = ""

    def __call__(self, problem: Problem, config: Config, *, generator: Generator) -> UnlearnResult:
        """Unlearn ``problem.forget``; neither argument is changed.

        Raises:
            ConfigError: several processes or micro-batches, which the method cannot use.
        """
        self.check(config, problem.execution)
        return self.run(problem, config, generator=generator)

    def check(self, config: Config, execution: Execution) -> None:
        """Raise ConfigError where the method cannot run as ``execution`` asks.

        Too few samples in a batch for the processes or the micro-batches are refused too.
        """
        sizes = [getattr(config, name, None) for name in ("batch_size", "forget_batch_size")]
        smallest = min((size for size in sizes if size is not None), default=execution.world.size)
        execution.world.check_batch(smallest)
        if isinstance(config, SGDConfig):
            check_accumulation(execution, config.batch_size)
        if execution.world.size > 1 and self.alone:
            raise ConfigError(
                f"processes: {self.title} runs in one process, as {self.alone}; leave it out of "
                "--methods, or start it without torchrun"
            )
        coupled = config.coupled() if hasattr(config, "coupled") else ""
        if execution.accumulate > 1 and coupled:
            raise ConfigError(
                f"accumulate: {self.title} cannot be cut into micro-batches, as {coupled}"
            )
