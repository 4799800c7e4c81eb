"""From listed folders to a training and a test set, streamed or decoded at once."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from torch import Tensor

from companion.experiments.data.decoding import as_rgb
from companion.experiments.data.images import Transform
from companion.experiments.data.parts import DataBundle
from companion.experiments.data.streamed.file_list import FileList, Folder, SquareCrop
from companion.experiments.data.streamed.stream import StreamedDataset, default_workers
from ugradsl_core.errors import ConfigError, DataError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, as in torchvision's weights
IN_MEMORY = 2 * 2**30  # bytes of decoded images up to which a folder is held in memory
LARGEST = 224
EVERY = 5  # one image in five is a test image where a folder has no test part
NAMED = 5  # unreadable files that a warning names
NOWHERE = 10**6  # stack level of a warning about files: no line of code is at fault, none is shown

Checksum = Literal["files", "contents"]
Parts = tuple[Sequence[Folder], Sequence[Folder]]


@dataclass(frozen=True)
class FolderOptions:
    """How a folder of images is read; none of it changes a batch.

    Attributes:
        stream: leave the images on disk; None does so where decoded they exceed 2 GiB.
        workers: threads that decode; None is one for each core.
        prefetch: batches decoded ahead of the one in use.
        skip_corrupt: read all images once, and leave out those that cannot be, with a warning.
        checksum: of paths, sizes and labels (``"files"``), or of the files' ``"contents"``.
    """

    stream: bool | None = None
    workers: int | None = None
    prefetch: int = 2
    skip_corrupt: bool = False
    checksum: Checksum = "files"

    def __post_init__(self) -> None:
        if self.checksum not in ("files", "contents"):
            raise ConfigError(f"checksum: should be 'files' or 'contents'; found {self.checksum!r}")


def bundle_folders(
    name: str,
    root: Path,
    parts: Parts,
    source: str,
    crop: SquareCrop | None,
    reading: FolderOptions,
) -> DataBundle:
    """Training and test set of listed folders; without test folders, every fifth image is one.

    Args:
        name: the data set's name.
        root: the folder that all paths are relative to.
        parts: training and test folders, the latter perhaps none.
        source: where the data come from.
        crop: how an image becomes a square; None takes the shorter side of the first image
            (of the first that can be read, where others are left out), at most 224.
        reading: options.

    Raises:
        ConfigError: more workers than images.
        DataError: classes or groups do not fit, or an image cannot be read.
    """
    classes = _classes(name, *parts)
    folders = [*parts[0], *parts[1]]
    groups = sorted({folder.group for folder in folders if folder.group is not None})
    if groups and any(folder.group is None for folder in folders):
        raise DataError(f"{name}: either all classes should have folders of groups, or none")
    contents = reading.checksum == "contents"
    files = [FileList.of(root, part, classes, groups, contents=contents) for part in parts]
    if not parts[1]:
        held_out = every_fifth(files[0].labels, classes, name)
        files = [files[0].kept(~held_out), files[0].kept(held_out)]
    total = sum(map(len, files))
    if reading.workers is not None and not 1 <= reading.workers <= total:
        raise ConfigError(
            f"workers: should lie in 1…{total}, the number of images in {name}; "
            f"found {reading.workers}"
        )
    crop = crop or _crop_of_first(name, files[0], skip_corrupt=reading.skip_corrupt)
    sets = [
        StreamedDataset(
            name=name,
            files=own,
            crop=crop,
            num_classes=len(classes),
            transform=transform_of(crop.size),
            class_names=tuple(classes),
            source=source,
            group_names=tuple(groups),
            workers=reading.workers or min(default_workers(), total),
            prefetch=reading.prefetch,
        )
        for own in files
    ]
    if reading.skip_corrupt:
        sets = [_without_corrupt(samples) for samples in sets]
    stream = reading.stream
    if stream is None:
        stream = total * crop.size**2 * 3 > IN_MEMORY
    train, test = sets
    return DataBundle(train, test) if stream else DataBundle(train.in_memory(), test.in_memory())


def transform_of(size: int) -> Transform:
    """ImageNet's mean and standard deviation; flips, and crops after padding by an eighth."""
    return Transform(255.0, MEAN, STD, crop_padding=size // 8, flip=True)


def _classes(name: str, train: Sequence[Folder], test: Sequence[Folder]) -> list[str]:
    """The sorted names of the classes, which must be the same in both parts."""
    own, other = ({folder.class_name for folder in part} for part in (train, test))
    if len(own) < 2:
        raise DataError(f"{name}: should have at least two classes; found {', '.join(own)} alone")
    if test and own != other:
        only = "; ".join(
            f"only the {part} part has {', '.join(sorted(have - lack)[:NAMED])}"
            for part, have, lack in (("training", own, other), ("test", other, own))
            if have - lack
        )
        raise DataError(f"{name}: training and test part should have the same classes; {only}")
    return sorted(own)


def every_fifth(labels: Tensor, classes: Sequence[str], name: str) -> np.ndarray:
    """Boolean (N,): the fifth, tenth, … image of each class.

    Raises:
        DataError: a class has fewer than five images.
    """
    held_out = np.zeros(len(labels), bool)
    for number, title in enumerate(classes):
        rows = np.flatnonzero(labels.numpy() == number)
        if len(rows) < EVERY:
            raise DataError(
                f"{name}: class {title} should have at least {EVERY} images, as every fifth one "
                f"is a test image; found {len(rows)}"
            )
        held_out[rows[EVERY - 1 :: EVERY]] = True
    return held_out


def _crop_of_first(name: str, files: FileList, *, skip_corrupt: bool) -> SquareCrop:
    """A square with the shorter side of the first image, or of the first that can be read."""
    for number in range(len(files)):
        try:
            with Image.open(files.path(number)) as image:
                size = min(*image.size, LARGEST)
                if skip_corrupt:  # one that breaks off is left out, whatever its header says
                    as_rgb(image)
            return SquareCrop(size, size)
        except Exception as error:  # Pillow's decoders raise whatever a damaged file provokes
            if not skip_corrupt:
                raise DataError(
                    f"{files.path(number)}: the first training image cannot be read, so that "
                    "image_size has to be given"
                ) from error
    raise DataError(f"{name}: none of the {len(files)} training images can be read")


def _without_corrupt(samples: StreamedDataset) -> StreamedDataset:
    """The images that can be decoded; a warning names the others."""
    readable = samples.readable()
    bad = np.flatnonzero(~readable).tolist()
    if not bad:
        return samples
    names = ", ".join(samples.files.relative(number) for number in bad[:NAMED])
    more = ", …" if len(bad) > NAMED else ""
    warnings.warn(
        f"{samples.name}: left out {len(bad)} of {len(readable)} images that cannot be read: "
        f"{names}{more}",
        stacklevel=NOWHERE,
    )
    files = samples.files.kept(readable)
    present = set(files.labels.tolist())
    for number, title in enumerate(samples.class_names):
        if number not in present:
            raise DataError(f"{samples.name}: no image of class {title} can be read")
    return replace(samples, files=files)
