"""Values that flow from step to step: data, split, problem, result, record."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self

import torch
from torch import Generator, Tensor, nn

from ugradsl_core.checkpoint import Checkpoint
from ugradsl_core.errors import ConfigError
from ugradsl_core.inputs import Inputs
from ugradsl_core.progress import SILENT, Progress
from ugradsl_core.world import ALONE, World

Batch = tuple[Inputs, Tensor]
StateDict = Mapping[str, Tensor]
Augmentation = Literal["none", "flip", "crop-flip"]


class Samples(Protocol):
    """Labelled samples that can be fetched in batches of chosen indices."""

    @property
    def labels(self) -> Tensor:
        """int64, shape (N,), on the CPU."""

    @property
    def num_classes(self) -> int:
        """K."""

    def __len__(self) -> int: ...

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Inputs and labels of each index tensor in ``plan``, ready for a model."""


class NamedSamples(Samples, Protocol):
    """The training or test part of a named data set: samples, and what is known of them."""

    @property
    def name(self) -> str:
        """The data set's name."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""

    @property
    def source(self) -> str:
        """Where the data come from."""

    @property
    def checksum(self) -> str:
        """Hexadecimal digest of the whole part, the same for all its views."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input: (C, H, W) for images, (L,) for token ids."""

    @property
    def vocabulary(self) -> int | None:
        """Number of token ids; None for images."""

    @property
    def groups(self) -> Tensor | None:
        """The group of each sample, int64, shape (N,), on the CPU; None without groups."""

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the groups."""

    def take(self, index: Tensor) -> Self:
        """A view of the samples ``index`` of this one."""

    def to(self, device: torch.device) -> Self:
        """The same samples, whose batches come out on ``device``."""


@dataclass(frozen=True)
class Execution:
    """Where and how computations run.

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
        if self.accumulate < 1:
            raise ConfigError(f"accumulate: should be at least 1; found {self.accumulate}")

    def identity(self) -> dict[str, Any]:
        """The switches that change results and are not at their defaults."""
        chosen: dict[str, Any] = {}
        if self.amp:
            chosen["amp"] = True
        if self.accumulate > 1:
            chosen["accumulate"] = self.accumulate
        return chosen

    def switches(self) -> dict[str, Any]:
        """All that is not at its default, but for the device; records keep it."""
        chosen = self.identity()
        if self.compile:
            chosen["compile"] = True
        if not self.channels_last:
            chosen["channels_last"] = False
        if self.world.size > 1:
            chosen["processes"] = self.world.size
        return chosen

    def resolve(self) -> torch.device:
        """The torch device meant by ``device``.

        Raises:
            ConfigError: no such device here.
        """
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"device: {self.device!r} cannot be used here ({reason})") from error
        return device


@dataclass(frozen=True, eq=False)
class Split:
    """Indices into a training set: D_r and D_f, disjoint and covering, sorted."""

    retain: Tensor
    forget: Tensor
    description: str
    forgotten_class: int | None = None


@dataclass(frozen=True, eq=False)
class Problem:
    """What an unlearning method may see: never validation or test data.

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
    """What a method returns; metrics are computed from it elsewhere.

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


@dataclass(frozen=True)
class Record:
    """One experiment: a setting, a method and a seed, with everything needed to trust it.

    ``metrics`` are percentages, or empty where ``status`` is not ``"ok"``; NaN, written as
    ``null``, is an attack that has no signal, which ``note`` says, too. ``seconds`` is the wall
    time of unlearning alone (RTE). ``kind`` is ``"result"`` (test set) or ``"trial"`` (validation
    set, one step of a search). ``protocol`` names the rules that a comparison was made by, see
    :mod:`ugradsl_core.protocol`; it is empty for runs outside one.
    """

    kind: str
    scale: str
    setting: Mapping[str, Any]
    method: str
    config: Mapping[str, Any]
    seed: int
    status: str
    metrics: Mapping[str, Any]
    seconds: float
    steps: int
    forward_samples: int
    backward_samples: int
    setting_hash: str
    config_hash: str
    data_checksum: str
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    commit: str
    created: str
    note: str = ""
    protocol: str = ""
