"""The problem that an unlearning method sees, and the result that it returns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor, nn

from ugradsl_core.samples.protocol import Samples, StateDict
from ugradsl_core.training.checkpoint import Checkpoint
from ugradsl_core.training.execution import Execution


@dataclass(frozen=True, eq=False)
class Problem:
    """All that an unlearning method may see: never validation or test data.

    Attributes:
        make_model: returns a model of the right architecture with fresh weights.
        trained_state: state dict of the original model, trained on D_tr = D_r ∪ D_f.
        retain: D_r.
        forget: D_f.
        execution: device and switches.
        head: name of the classification layer, or None to find it.
        checkpoint: makes the checkpoint of a long run from its generators; None keeps none.
        on_epoch: called with the model in training, the epoch's number (from 1) and its mean loss;
            training ends where it returns True.
    """

    make_model: Callable[[], nn.Module]
    trained_state: StateDict
    retain: Samples
    forget: Samples
    execution: Execution = field(default_factory=Execution)
    head: str | None = None
    checkpoint: Callable[[Sequence[Generator]], Checkpoint] | None = None
    on_epoch: Callable[[nn.Module, int, float], bool] | None = None

    def trained_model(self) -> nn.Module:
        """A new copy of the original model, on the execution device."""
        with torch.random.fork_rng(devices=[]):
            model = self.make_model()
        model.load_state_dict(dict(self.trained_state))
        return model.to(self.execution.resolve())


@dataclass(frozen=True, eq=False)
class UnlearnResult:
    """The result of a method; metrics are computed from it elsewhere.

    Attributes:
        state_dict: weights of the unlearned model, on the CPU.
        steps: optimiser steps taken.
        forward_samples: samples passed forward, all passes counted but the one of two samples
            that a model's layers are found with.
        backward_samples: samples passed backward.
        seconds: wall time of unlearning alone.
        losses: training loss of each step.
    """

    state_dict: dict[str, Tensor]
    steps: int
    forward_samples: int
    backward_samples: int
    seconds: float
    losses: tuple[float, ...] = ()

    def after(self, forward: int, backward: int = 0, seconds: float = 0.0) -> "UnlearnResult":
        """The same result with samples and seconds that came before or beside the loop."""
        return replace(
            self,
            forward_samples=self.forward_samples + forward,
            backward_samples=self.backward_samples + backward,
            seconds=self.seconds + seconds,
        )
