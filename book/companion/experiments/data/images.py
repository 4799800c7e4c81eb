"""Named data sets: what is known of them, and images in memory, on a device."""

from collections.abc import Iterable, Iterator
from dataclasses import KW_ONLY, dataclass, replace
from typing import Protocol, Self

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ugradsl_core.samples.inputs import send
from ugradsl_core.samples.protocol import Augmentation, Batch, Samples


@dataclass(frozen=True)
class Transform:
    """From stored values to model inputs: ``(value / scale − mean) / std`` for each channel.

    Augmentation, where asked for, is the usual one: a horizontal flip with probability ½ where
    ``flip`` allows it, and with ``"crop-flip"`` also a random crop after zero padding of
    ``crop_padding`` pixels.
    """

    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_padding: int = 0
    flip: bool = False


@dataclass(frozen=True, eq=False)
class InMemory:
    """Labelled samples in tensors on a device, which all views of them share.

    Attributes:
        name: the data set's name.
        inputs: stored values, (N, …).
        all_labels: int64, (N,), on the CPU.
        num_classes: K.
        class_names: K names.
        source: where the data come from.
        checksum: SHA-256 of stored values and labels, and of the groups where there are any.
        index: the samples of this view, or None for all.
        all_groups: int64, (N,), on the CPU: the group of each sample, or None.
        group_names: names of the groups.
    """

    name: str
    inputs: Tensor
    all_labels: Tensor
    num_classes: int
    class_names: tuple[str, ...]
    source: str
    checksum: str
    _: KW_ONLY
    index: Tensor | None = None
    all_groups: Tensor | None = None
    group_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.all_labels) if self.index is None else len(self.index)

    @property
    def labels(self) -> Tensor:
        """Labels of this view, int64, (N,)."""
        return self.all_labels if self.index is None else self.all_labels[self.index]

    @property
    def groups(self) -> Tensor | None:
        """Groups of this view, int64, (N,), or None."""
        if self.all_groups is None or self.index is None:
            return self.all_groups
        return self.all_groups[self.index]

    def take(self, index: Tensor) -> Self:
        """A view of the samples ``index`` of this one; nothing is copied."""
        return replace(self, index=index if self.index is None else self.index[index])

    def to(self, device: torch.device) -> Self:
        """The same data set on ``device``."""
        return replace(self, inputs=self.inputs.to(device))


@dataclass(frozen=True, eq=False, kw_only=True)
class Dataset(InMemory):
    """Images, (N, H, W, C) and uint8, normalised and augmented batch by batch.

    Attributes:
        transform: how stored values become model inputs.
    """

    transform: Transform

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input as a model sees it: (C, H, W)."""
        height, width, channels = self.inputs.shape[1:]
        return channels, height, width

    @property
    def vocabulary(self) -> int | None:
        """None, as images have no vocabulary."""
        return None

    @property
    def input_range(self) -> tuple[Tensor, Tensor]:
        """The least and the largest value that an input can have, each (C, 1, 1)."""
        mean, std = torch.tensor(self.transform.mean), torch.tensor(self.transform.std)
        device = self.inputs.device
        low, high = (((end - mean) / std).view(-1, 1, 1).to(device) for end in (0.0, 1.0))
        return low, high

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Float inputs (n, C, H, W), channels last in memory, and labels, for each index tensor."""
        device = self.inputs.device
        scale = torch.tensor(self.transform.scale)
        mean, std = torch.tensor(self.transform.mean), torch.tensor(self.transform.std)
        shape = self.inputs.shape[1:]  # spelt out, as broadcasting over three channels is slow
        factor = send((1 / (scale * std)).expand(shape).contiguous(), device)
        offset = send((-mean / std).expand(shape).contiguous(), device)
        labels = send(self.all_labels, device)
        for chosen in plan:
            rows = send(chosen if self.index is None else self.index[chosen], device)
            stored = self.inputs.index_select(0, rows)
            if augment != "none":
                stored = _augment(stored, self.transform, augment, generator)
            values = torch.addcmul(offset, stored.to(torch.float32), factor)
            yield values.permute(0, 3, 1, 2), labels.index_select(0, rows)


def _augment(
    stored: Tensor, transform: Transform, augment: Augmentation, generator: Generator | None
) -> Tensor:
    n, height, width, _ = stored.shape
    device, pad = stored.device, transform.crop_padding
    if transform.flip:
        flip = torch.randint(2, (n, 1, 1, 1), generator=generator, dtype=torch.bool)
        stored = torch.where(send(flip, device), stored.flip(2), stored)
    if pad and augment == "crop-flip":
        padded = F.pad(stored, (0, 0, pad, pad, pad, pad))
        corner = send(torch.randint(2 * pad + 1, (2, n, 1), generator=generator), device)
        rows = (corner[0] + torch.arange(height, device=device)).unsqueeze(2)
        columns = (corner[1] + torch.arange(width, device=device)).unsqueeze(1)
        stored = padded[torch.arange(n, device=device).view(-1, 1, 1), rows, columns]
    return stored


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
