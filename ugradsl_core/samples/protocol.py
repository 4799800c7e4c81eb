"""The interface of labelled samples for training, methods and metrics."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, Protocol

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
