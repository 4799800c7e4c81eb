"""What a method is: a function, its config class, and what a list of methods shows of it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Generator

from ugradsl_core.config import Config
from ugradsl_core.methods.limits import check_execution
from ugradsl_core.methods.problem import Problem, UnlearnResult


@dataclass(frozen=True)
class Method:
    """A method's function and config class, with what a list of methods shows of it.

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

    def __call__(self, problem: Problem, config: Config, *, generator: Generator) -> UnlearnResult:
        """Unlearn ``problem.forget``; neither argument is changed.

        Raises:
            ConfigError: several processes or micro-batches, which the method cannot use.
        """
        check_execution(self.title, config, problem.execution)
        return self.run(problem, config, generator=generator)
