"""Folders of images: Tiny-ImageNet, ImageNet, and a user's own."""

import os
from pathlib import Path

from companion.experiments.data.originals import DATA_ROOT_VARIABLE, data_root
from companion.experiments.data.parts import DataBundle
from companion.experiments.data.streamed.file_list import SquareCrop
from companion.experiments.data.streamed.listing import class_folders, tiny_imagenet_parts
from companion.experiments.data.streamed.reading import (
    Checksum,
    FolderOptions,
    Parts,
    bundle_folders,
)
from ugradsl_core.errors import ConfigError, DataError

FOLDER = "folder:"  # and the path of a user's own folder: the name of its data set


def load_tiny_imagenet(
    root: Path | None = None,
    *,
    download: bool = False,
    image_size: int = 64,
    stream: bool | None = None,
    workers: int | None = None,
    prefetch: int = 2,
    skip_corrupt: bool = False,
    checksum: Checksum = "files",
) -> DataBundle:
    """Tiny-ImageNet, or those of its 200 classes that are there; ``val`` is the test set.

    Looked for in ``root/tiny-imagenet-200``, else in the only ``root/tiny-imagenet*``, as an
    ImageFolder or as its archive unpacks. See :class:`FolderOptions` for the options.

    Raises:
        ConfigError: an option breaks its rule.
        DataError: something is missing, empty or unreadable.
    """
    reading = FolderOptions(stream, workers, prefetch, skip_corrupt, checksum)
    name = "tiny-imagenet"
    base = _not_downloaded(root, name, download)
    found = sorted(path for path in base.glob("tiny-imagenet*") if (path / "train").is_dir())
    whole = [path for path in found if path.name == "tiny-imagenet-200"]
    if len(whole or found) != 1:
        raise DataError(
            f"{name}: {base} should hold tiny-imagenet-200 with train and val in it; found "
            + (", ".join(path.name for path in found) or "no such folder")
        )
    (folder,) = whole or found
    parts = tiny_imagenet_parts(folder, name)
    source = "Tiny-ImageNet (Le and Yang, 2015), JPEG files"
    return bundle_folders(
        name, folder, parts, source, _square_crop(image_size, image_size), reading
    )


def load_imagenet(
    root: Path | None = None,
    *,
    download: bool = False,
    image_size: int = 224,
    stream: bool | None = None,
    workers: int | None = None,
    prefetch: int = 2,
    skip_corrupt: bool = False,
    checksum: Checksum = "files",
) -> DataBundle:
    """ImageNet from ``root/imagenet/train`` and ``val``, both as ImageFolder.

    The shorter side becomes 256 pixels for an ``image_size`` of 224, in proportion for others,
    and the centre is taken, in training too: a random resized crop would need a new decoding
    for each of its scales. See :class:`FolderOptions` for the other options.

    Raises:
        ConfigError: an option breaks its rule.
        DataError: something is missing, empty or unreadable.
    """
    reading = FolderOptions(stream, workers, prefetch, skip_corrupt, checksum)
    folder = _not_downloaded(root, "imagenet", download) / "imagenet"
    for part in ("train", "val"):
        if not (folder / part).is_dir():
            raise DataError(
                f"imagenet: {folder} should hold train and val, each with one folder of images "
                f"for each class; {part} is missing"
            )
    train, val = (class_folders(folder / part, folder, "imagenet") for part in ("train", "val"))
    crop = _square_crop(image_size, round(image_size * 256 / 224))
    source = "ImageNet (ILSVRC 2012), JPEG files"
    return bundle_folders("imagenet", folder, (train, val), source, crop, reading)


def load_folder(
    path: str,
    root: Path | None = None,
    *,
    download: bool = False,
    image_size: int | None = None,
    stream: bool | None = None,
    workers: int | None = None,
    prefetch: int = 2,
    skip_corrupt: bool = False,
    checksum: Checksum = "files",
) -> DataBundle:
    """A user's own folder of images, by the name ``folder:PATH``.

    With ``PATH/train`` and ``PATH/test`` (or ``val``), each holds one folder for each class. Else
    the classes lie in ``PATH``, and every fifth image of each is a test image, in the order of
    the file names. A class folder holds images, or one folder of images for each group.

    Args:
        path: absolute, or below the data root where one is given, else the working directory.
        root: the data root.
        download: refused.
        image_size: side of the square that is cut from the centre; None is the shorter side of
            the first training image, at most 224.
        stream: see :class:`FolderOptions`, as for the other options.
        workers: likewise.
        prefetch: likewise.
        skip_corrupt: likewise.
        checksum: likewise.

    Raises:
        ConfigError: an option breaks its rule.
        DataError: something is missing, empty or unreadable.
    """
    reading = FolderOptions(stream, workers, prefetch, skip_corrupt, checksum)
    name = f"{FOLDER}{named_path(path)}"
    if download:
        raise ConfigError(f"download: {name} is your own; there is nowhere to download it from")
    base = root or os.environ.get(DATA_ROOT_VARIABLE) or "."
    folder = Path(base) / Path(path).expanduser()
    if not folder.is_dir():
        raise DataError(f"{name}: {folder} is not a directory")
    tests = [part for part in ("test", "val") if (folder / part).is_dir()]
    parts: Parts
    if (folder / "train").is_dir():
        if not tests:
            raise DataError(f"{name}: {folder} has train, but neither test nor val")
        train, test = (class_folders(folder / p, folder, name) for p in ("train", tests[0]))
        parts = train, test
    elif tests:
        raise DataError(f"{name}: {folder} has {tests[0]}, but no train")
    else:
        parts = class_folders(folder, folder, name), ()
    crop = None if image_size is None else _square_crop(image_size, image_size)
    return bundle_folders(name, folder, parts, f"images in {path}", crop, reading)


def named_path(path: str) -> str:
    """The path that the name of a data set ends in; ConfigError where there is none."""
    if not path.strip():
        raise ConfigError(
            f"the data set {FOLDER} needs the path of a folder of images, such as "
            f"{FOLDER}/data/photos; found none"
        )
    return path


def _not_downloaded(root: Path | None, name: str, download: bool) -> Path:
    if download:
        raise ConfigError(
            f"download: {name} is not downloaded by this package; get it from its home page and "
            "put it below the data root"
        )
    return data_root(root, name, download=False)


def _square_crop(size: int, resize: int) -> SquareCrop:
    if size < 1:
        raise ConfigError(f"image_size: should be at least 1; found {size}")
    return SquareCrop(size, resize)
