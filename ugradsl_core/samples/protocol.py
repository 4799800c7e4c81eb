"""The interface of labelled samples for training, methods and metrics."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol, Self

import torch
from torch import Generator, Tensor

from ugradsl_core.samples.inputs import Inputs

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
        """The origin of the data."""

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
