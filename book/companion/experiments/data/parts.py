"""A data set as NumPy arrays, and its training and test parts."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from companion.experiments.data.images import Dataset, NamedSamples, Transform


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a data set as NumPy arrays.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
        groups: int64, (N,), or None.
        checksum: what :meth:`digest` gives, where it is known already; else empty.
    """

    images: np.ndarray
    labels: np.ndarray
    groups: np.ndarray | None = None
    checksum: str = ""

    def contiguous(self) -> "Part":
        """The same part with its arrays in the stored types, each in one writable block."""
        groups = self.groups
        return replace(
            self,
            images=np.require(self.images, np.uint8, ["C", "W"]),
            labels=np.require(self.labels, np.int64, ["C", "W"]),
            groups=None if groups is None else np.require(groups, np.int64, ["C", "W"]),
        )

    def digest(self) -> str:
        """SHA-256 of images, labels and groups, which must be contiguous."""
        hashed = hashlib.sha256(self.images.data)
        hashed.update(self.labels.data)
        if self.groups is not None:
            hashed.update(self.groups.data)
        return hashed.hexdigest()


@dataclass(frozen=True, eq=False)
class DataBundle:
    """The training and test sets of one name, images or text, in memory or streamed."""

    train: NamedSamples
    test: NamedSamples


def bundle(
    name: str,
    train: Part,
    test: Part,
    transform: Transform,
    class_names: Iterable[str],
    source: str,
    *,
    group_names: Iterable[str] = (),
) -> DataBundle:
    """Two parts as data sets, each with the checksum of what it holds."""
    names, groups = tuple(class_names), tuple(group_names)

    def dataset(part: Part) -> Dataset:
        part = part.contiguous()
        return Dataset(
            name=name,
            inputs=torch.from_numpy(part.images),
            all_labels=torch.from_numpy(part.labels),
            num_classes=len(names),
            transform=transform,
            class_names=names,
            source=source,
            checksum=part.checksum or part.digest(),
            all_groups=None if part.groups is None else torch.from_numpy(part.groups),
            group_names=groups,
        )

    return DataBundle(dataset(train), dataset(test))
