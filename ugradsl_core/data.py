"""Data sets by name, decoded once to uint8 tensors that stay on the device."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from ugradsl_core.errors import DataError, unknown_name
from ugradsl_core.types import Augmentation, Batch

DATA_ROOT_VARIABLE = "UGRADSL_DATA"


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
class Dataset:
    """Images on a device, normalised and augmented batch by batch.

    Attributes:
        name: the data set's name.
        inputs: stored values, (N, H, W, C), uint8; shared by all views.
        all_labels: int64, (N,), on the CPU.
        num_classes: K.
        transform: how stored values become model inputs.
        class_names: K names.
        source: where the data come from.
        checksum: SHA-256 of stored values and labels.
        index: the samples of this view, or None for all.
    """

    name: str
    inputs: Tensor
    all_labels: Tensor
    num_classes: int
    transform: Transform
    class_names: tuple[str, ...]
    source: str
    checksum: str
    index: Tensor | None = None

    def __len__(self) -> int:
        return len(self.all_labels) if self.index is None else len(self.index)

    @property
    def labels(self) -> Tensor:
        """Labels of this view, int64, (N,)."""
        return self.all_labels if self.index is None else self.all_labels[self.index]

    @property
    def input_range(self) -> tuple[Tensor, Tensor]:
        """The least and the largest value that an input can have, each (C, 1, 1)."""
        mean, std = torch.tensor(self.transform.mean), torch.tensor(self.transform.std)
        device = self.inputs.device
        low, high = (((end - mean) / std).view(-1, 1, 1).to(device) for end in (0.0, 1.0))
        return low, high

    def take(self, index: Tensor) -> "Dataset":
        """A view of the samples ``index`` of this one; nothing is copied."""
        return replace(self, index=index if self.index is None else self.index[index])

    def to(self, device: torch.device) -> "Dataset":
        """The same data set on ``device``."""
        return replace(self, inputs=self.inputs.to(device))

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
        factor = (1 / (scale * std)).expand(shape).contiguous().to(device)
        offset = (-mean / std).expand(shape).contiguous().to(device)
        for chosen in plan:
            rows = chosen if self.index is None else self.index[chosen]
            stored = self.inputs.index_select(0, rows.to(device))
            if augment != "none":
                stored = _augment(stored, self.transform, augment, generator)
            values = torch.addcmul(offset, stored.to(torch.float32), factor)
            yield values.permute(0, 3, 1, 2), self.all_labels[rows].to(device)


@dataclass(frozen=True, eq=False)
class DataBundle:
    """The training and test sets of one name."""

    train: Dataset
    test: Dataset


def _augment(
    stored: Tensor, transform: Transform, augment: Augmentation, generator: Generator | None
) -> Tensor:
    n, height, width, _ = stored.shape
    device, pad = stored.device, transform.crop_padding
    if transform.flip:
        flip = torch.randint(2, (n, 1, 1, 1), generator=generator, dtype=torch.bool).to(device)
        stored = torch.where(flip, stored.flip(2), stored)
    if pad and augment == "crop-flip":
        padded = F.pad(stored, (0, 0, pad, pad, pad, pad))
        corner = torch.randint(2 * pad + 1, (2, n, 1), generator=generator).to(device)
        rows = (corner[0] + torch.arange(height, device=device)).unsqueeze(2)
        columns = (corner[1] + torch.arange(width, device=device)).unsqueeze(1)
        stored = padded[torch.arange(n, device=device).view(-1, 1, 1), rows, columns]
    return stored


def _bundle(
    name: str,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    transform: Transform,
    class_names: Iterable[str],
    source: str,
) -> DataBundle:
    names = tuple(class_names)

    def dataset(images: np.ndarray, labels: np.ndarray) -> Dataset:
        images = np.ascontiguousarray(images, dtype=np.uint8)
        labels = np.ascontiguousarray(labels, dtype=np.int64)
        digest = hashlib.sha256(images.data)
        digest.update(labels.data)
        return Dataset(
            name=name,
            inputs=torch.from_numpy(images),
            all_labels=torch.from_numpy(labels),
            num_classes=len(names),
            transform=transform,
            class_names=names,
            source=source,
            checksum=digest.hexdigest(),
        )

    return DataBundle(dataset(*train), dataset(*test))


def load_digits(root: Path | None = None, download: bool = False) -> DataBundle:
    """The 1,797 8×8 digits inside scikit-learn; every fourth one is a test sample."""
    from sklearn.datasets import load_digits as sklearn_digits

    digits = sklearn_digits()
    images = digits.images.astype(np.uint8)[..., None]
    held_out = np.arange(len(images)) % 4 == 3
    training = images[~held_out] / 16.0
    return _bundle(
        "digits",
        (images[~held_out], digits.target[~held_out]),
        (images[held_out], digits.target[held_out]),
        Transform(16.0, (float(training.mean()),), (float(training.std()),), crop_padding=1),
        (str(digit) for digit in digits.target_names),
        "UCI ML hand-written digits, inside scikit-learn",
    )


def load_cifar10(root: Path | None = None, download: bool = False) -> DataBundle:
    """CIFAR-10 by torchvision, from ``root``; torchvision verifies the files' MD5 sums.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    from torchvision.datasets import CIFAR10

    root = _data_root(root, "cifar10", download)
    try:
        parts = [CIFAR10(str(root), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"cifar10: {root / CIFAR10.base_folder} is missing, incomplete or damaged ({error}); "
            "put the original files there, or ask for a download with --download"
        ) from error
    train, test = ((part.data, np.asarray(part.targets)) for part in parts)
    return _bundle(
        "cifar10",
        train,
        test,
        Transform(255.0, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4, flip=True),
        parts[0].classes,
        "CIFAR-10 (Krizhevsky, 2009), read by torchvision",
    )


Loader = Callable[[Path | None, bool], DataBundle]
DATASETS: dict[str, Loader] = {"digits": load_digits, "cifar10": load_cifar10}


def _data_root(root: Path | None, name: str, download: bool) -> Path:
    if root is None:
        from_environment = os.environ.get(DATA_ROOT_VARIABLE)
        if not from_environment:
            raise DataError(
                f"{name}: no data root given; pass --data-root or set {DATA_ROOT_VARIABLE}"
            )
        root = Path(from_environment)
    if not root.is_dir():
        if not download or root.exists():
            raise DataError(f"{name}: the data root {root} is not a directory")
        try:
            root.mkdir(parents=True)
        except OSError as error:
            raise DataError(f"{name}: the data root {root} cannot be made ({error})") from error
    return root


def load(
    name: str,
    root: str | Path | None = None,
    *,
    download: bool = False,
    device: torch.device | str = "cpu",
) -> DataBundle:
    """The data set ``name`` on ``device``.

    Args:
        name: a key of ``DATASETS``.
        root: directory of the files; default the environment variable ``UGRADSL_DATA``.
        download: fetch what is missing; nothing is ever downloaded otherwise.
        device: where the images are to live.

    Raises:
        ConfigError: unknown name.
        DataError: files missing or damaged.
    """
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    bundle = DATASETS[name](None if root is None else Path(root), download)
    place = torch.device(device)
    return DataBundle(bundle.train.to(place), bundle.test.to(place))
