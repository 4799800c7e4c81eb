"""CelebA from torchvision's layout or a decoded copy: smiling or not, grouped by identity."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from companion.experiments.data.cache import Arrays, DecodedCopy, read_copy
from companion.experiments.data.decoding import read_images, square
from companion.experiments.data.images import Transform
from companion.experiments.data.originals import REMEDY, data_root, fetch, read_verified
from companion.experiments.data.parts import DataBundle, Part, bundle
from ugradsl_core.errors import ConfigError, DataError

# Mean and deviation of 16,205 training images. Faces are aligned: they are flipped, not shifted.
TRANSFORM = Transform(255.0, (0.5066, 0.4215, 0.3770), (0.3023, 0.2812, 0.2792), flip=True)
IMAGE_SIZE = 64
LARGEST = 178  # the width of the aligned images
LABEL = "Smiling"
CLASSES = ("not smiling", "smiling")
ATTRIBUTES = "list_attr_celeba.txt"
IDENTITIES = "identity_CelebA.txt"
PARTITION = "list_eval_partition.txt"
ARCHIVE = "img_align_celeba.zip"
INSTALL = 'pip install "ugradsl-core[download]"'
PARTS = {"train": 0, "test": 2}  # 1 is the official validation part, which is not used


def load_celeba(
    root: Path | None = None, *, download: bool = False, image_size: int = IMAGE_SIZE
) -> DataBundle:
    """CelebA: faces, smiling or not, grouped by identity; 64×64 unless told otherwise.

    Args:
        root: the data root.
        download: fetch it by torchvision, which needs the package gdown: the extra ``download``.
        image_size: height and width, in pixels.

    Raises:
        ConfigError: ``image_size`` is not between 8 and 178.
        DataError: ``root`` is missing, a file is missing or damaged, the lists do not match, an
            identity is in both parts, or a download was asked and gdown is not installed.
    """
    from torchvision.datasets import CelebA

    if not 8 <= image_size <= LARGEST:
        raise ConfigError(f"image_size: should lie in 8…{LARGEST} for celeba; found {image_size}")
    root = data_root(root, "celeba", download)
    folder = root / "celeba"
    sums = {file: f"md5:{md5}" for file, md5 in listed_sums().items()}
    lists = [folder / file for file in (ATTRIBUTES, IDENTITIES, PARTITION)]
    originals = [*lists, folder / "img_align_celeba"]
    path = root / ("celeba.npz" if image_size == IMAGE_SIZE else f"celeba-{image_size}.npz")

    def start() -> None:
        try:
            CelebA(str(root), download=True)
        except RuntimeError as error:  # torchvision's, before it fetches anything
            if isinstance(error.__context__, ModuleNotFoundError):
                raise DataError(
                    "celeba: --download needs the package gdown, which is not installed; run "
                    f"{INSTALL}, or put the files into {folder} by hand"
                ) from error
            raise

    if download:
        fetch("celeba", root, start, path, originals)
    missing = f"celeba: neither {folder} nor {path.name} is in {root}; {REMEDY}"
    copy = read_copy("celeba", path, originals, lambda: decode(folder, sums, image_size), missing)
    copy, identities = with_groups(copy)

    def check(train: Part, test: Part) -> None:
        shared = np.intersect1d(np.asarray(train.groups), np.asarray(test.groups))
        if len(shared):
            raise DataError(
                f"celeba: {copy.path} should have each identity in the training or in the test "
                f"part; found {len(shared)} in both, such as {identities[shared[0]]}"
            )

    train, test = copy.parts("celeba", 2, groups="group", side=image_size, check=check)
    how = f"decoded copy {copy.path.name}" if copy.given else "aligned and cropped images"
    return bundle(
        "celeba",
        train,
        test,
        TRANSFORM,
        CLASSES,
        f"CelebA (Liu, 2015), {how}",
        group_names=identities,
    )


def listed_sums() -> dict[str, str]:
    """File → MD5, as torchvision lists them; that of the archive is of use to a download alone."""
    from torchvision.datasets import CelebA

    return {file: md5 for _, md5, file in CelebA.file_list}


def with_groups(copy: DecodedCopy) -> tuple[DecodedCopy, tuple[str, ...]]:
    """The copy with its identities numbered from 0 in order, and their names.

    Raises:
        DataError: an array of identities is missing, or is not one whole number for each image.
    """
    keys = ("identity_train", "identity_test")
    train, test = copy.named("celeba", keys)
    images = copy.named("celeba", ("x_train", "x_test"))
    for key, values, x in zip(keys, (train, test), images, strict=True):
        copy.check_numbers("celeba", key, values, len(np.atleast_1d(x)))
    names, numbers = np.unique(np.concatenate([train, test]), return_inverse=True)
    groups = {"group_train": numbers[: len(train)], "group_test": numbers[len(train) :]}
    return replace(copy, arrays={**copy.arrays, **groups}), tuple(map(str, names.tolist()))


def decode(folder: Path, sums: dict[str, str], image_size: int) -> Arrays:
    """Images, labels and identities of the training and test part.

    Raises:
        DataError: a list is missing, damaged or does not match the others; an image is missing or
            cannot be read.
    """
    listed = {
        file: read_verified(folder / file, sums[file], "celeba").decode("utf-8").splitlines()
        for file in (ATTRIBUTES, IDENTITIES, PARTITION)
    }
    header = listed[ATTRIBUTES][1].split() if len(listed[ATTRIBUTES]) > 1 else []
    if LABEL not in header:
        raise DataError(f"celeba: line 2 of {folder / ATTRIBUTES} does not name {LABEL}")
    files, smiling = _column(
        listed[ATTRIBUTES][2:], folder / ATTRIBUTES, 1 + header.index(LABEL), len(header) + 1, 3
    )
    columns = {}
    for file in (IDENTITIES, PARTITION):
        names, columns[file] = _column(listed[file], folder / file, 1, 2, 1)
        _same(files, names, folder / file)
    arrays: dict[str, np.ndarray] = {}
    for end, part in PARTS.items():
        chosen = (columns[PARTITION] == part).nonzero()[0]
        paths = [folder / "img_align_celeba" / files[i] for i in chosen]
        arrays[f"x_{end}"] = read_images(paths, "celeba", image_size, square(image_size))
        arrays[f"y_{end}"] = (smiling[chosen] > 0).astype(np.int64)
        arrays[f"identity_{end}"] = columns[IDENTITIES][chosen]
    return arrays


def _column(
    lines: list[str], path: Path, column: int, width: int, first: int
) -> tuple[list[str], np.ndarray]:
    """File names and one column of whole numbers; ``first`` is the number of the first line."""
    names, values = [], []
    for number, line in enumerate(lines, start=first):
        cells = line.split()
        try:
            values.append(int(cells[column]))
        except (IndexError, ValueError):
            cells = []
        if len(cells) != width:
            raise DataError(
                f"celeba: line {number} of {path} is not a file and {width - 1} numbers"
            )
        names.append(cells[0])
    return names, np.asarray(values, dtype=np.int64)


def _same(files: list[str], names: list[str], path: Path) -> None:
    """Raise DataError unless ``path`` lists the files of the attributes, in their order."""
    if len(names) != len(files):
        raise DataError(
            f"celeba: {path} should have {len(files)} lines, as {ATTRIBUTES} has images; "
            f"found {len(names)}"
        )
    for number, (expected, found) in enumerate(zip(files, names, strict=True), start=1):
        if expected != found:
            raise DataError(
                f"celeba: line {number} of {path} is about {found}, but that of {ATTRIBUTES} "
                f"is about {expected}"
            )
