"""CIFAR-10, CIFAR-100 and CIFAR-20 from their original files or a decoded copy."""

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from companion.experiments.data.cache import Arrays, DecodedCopy, read_copy
from companion.experiments.data.images import Transform
from companion.experiments.data.originals import REMEDY, data_root, fetch, read_verified
from companion.experiments.data.parts import DataBundle, Part, bundle
from ugradsl_core.errors import DataError

CIFAR10 = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
# Superclasses in the order of their numbers. Fine classes are numbered alphabetically.
SUPERCLASSES = {
    "aquatic_mammals": ("beaver", "dolphin", "otter", "seal", "whale"),
    "fish": ("aquarium_fish", "flatfish", "ray", "shark", "trout"),
    "flowers": ("orchid", "poppy", "rose", "sunflower", "tulip"),
    "food_containers": ("bottle", "bowl", "can", "cup", "plate"),
    "fruit_and_vegetables": ("apple", "mushroom", "orange", "pear", "sweet_pepper"),
    "household_electrical_devices": ("clock", "keyboard", "lamp", "telephone", "television"),
    "household_furniture": ("bed", "chair", "couch", "table", "wardrobe"),
    "insects": ("bee", "beetle", "butterfly", "caterpillar", "cockroach"),
    "large_carnivores": ("bear", "leopard", "lion", "tiger", "wolf"),
    "large_man-made_outdoor_things": ("bridge", "castle", "house", "road", "skyscraper"),
    "large_natural_outdoor_scenes": ("cloud", "forest", "mountain", "plain", "sea"),
    "large_omnivores_and_herbivores": ("camel", "cattle", "chimpanzee", "elephant", "kangaroo"),
    "medium_mammals": ("fox", "porcupine", "possum", "raccoon", "skunk"),
    "non-insect_invertebrates": ("crab", "lobster", "snail", "spider", "worm"),
    "people": ("baby", "boy", "girl", "man", "woman"),
    "reptiles": ("crocodile", "dinosaur", "lizard", "snake", "turtle"),
    "small_mammals": ("hamster", "mouse", "rabbit", "shrew", "squirrel"),
    "trees": ("maple_tree", "oak_tree", "palm_tree", "pine_tree", "willow_tree"),
    "vehicles_1": ("bicycle", "bus", "motorcycle", "pickup_truck", "train"),
    "vehicles_2": ("lawn_mower", "rocket", "streetcar", "tank", "tractor"),
}
CIFAR20 = tuple(SUPERCLASSES)
CIFAR100 = tuple(sorted(fine for members in SUPERCLASSES.values() for fine in members))
COARSE_OF_FINE = tuple(
    next(number for number, members in enumerate(SUPERCLASSES.values()) if fine in members)
    for fine in CIFAR100
)


CIFAR10_TRANSFORM = Transform(
    255.0, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4, flip=True
)
CIFAR100_TRANSFORM = Transform(
    255.0, (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), 4, flip=True
)
# All that the files need to become dictionaries of arrays, lists and text.
ALLOWED = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _ArraysOnly(pickle.Unpickler):
    """Refuses every class and function that CIFAR's files have no use for."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a data set")
        return super().find_class(module, name)


def load_cifar10(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """CIFAR-10: 60,000 photographs of ten classes, 32×32.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    from torchvision import datasets

    copy = _copy("cifar10", root, datasets.CIFAR10, {"labels": "y"}, download)
    train, test = copy.parts("cifar10", 10)
    source = _source("CIFAR-10", copy)
    return bundle("cifar10", train, test, CIFAR10_TRANSFORM, CIFAR10, source)


def load_cifar100(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """CIFAR-100: 60,000 photographs of a hundred classes, 32×32.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    copy = _cifar100("cifar100", root, download)
    train, test = copy.parts("cifar100", 100)
    source = _source("CIFAR-100", copy)
    return bundle("cifar100", train, test, CIFAR100_TRANSFORM, CIFAR100, source)


def load_cifar20(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """CIFAR-20: CIFAR-100 with its 20 superclasses as classes and its fine classes as groups.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    copy = _cifar100("cifar20", root, download)

    def check(*parts: Part) -> None:
        for end, part in zip(("train", "test"), parts, strict=True):
            fine = np.asarray(part.groups)
            copy.check_range("cifar20", f"y_{end}", fine, len(CIFAR100))
            coarse = np.asarray(COARSE_OF_FINE)[fine]
            wrong = (coarse != part.labels).nonzero()[0]
            if len(wrong):
                raise DataError(
                    f"cifar20: image {wrong[0]} in {copy.path.name} has coarse label "
                    f"{part.labels[wrong[0]]}, but its fine class belongs to {coarse[wrong[0]]}"
                )

    train, test = copy.parts("cifar20", 20, labels="coarse", groups="y", check=check)
    return bundle(
        "cifar20",
        train,
        test,
        CIFAR100_TRANSFORM,
        CIFAR20,
        _source("CIFAR-100", copy),
        group_names=CIFAR100,
    )


def _source(title: str, copy: DecodedCopy) -> str:
    how = (
        f"decoded copy {copy.path.name}"
        if copy.given
        else "its original files, as torchvision lists them"
    )
    return f"{title} (Krizhevsky, 2009), {how}"


def _cifar100(name: str, root: Path | None, download: bool) -> DecodedCopy:
    from torchvision import datasets

    keys = {"fine_labels": "y", "coarse_labels": "coarse"}
    return _copy(name, root, datasets.CIFAR100, keys, download)


def _copy(
    name: str, root: Path | None, original: Any, keys: Mapping[str, str], download: bool
) -> DecodedCopy:
    """The arrays of ``original``, a class of torchvision; ``keys`` names its label arrays."""
    root = data_root(root, name, download)
    folder = root / original.base_folder
    files = {"train": original.train_list, "test": original.test_list}
    originals = [folder / file for listed in files.values() for file, _ in listed]
    path = root / ("cifar10.npz" if len(keys) == 1 else "cifar100.npz")
    if download:
        fetch(name, root, lambda: original(str(root), download=True), path, originals)

    def decode() -> Arrays:
        arrays: dict[str, np.ndarray] = {}
        for end, listed in files.items():
            entries = [_entry(folder / file, f"md5:{md5}", name) for file, md5 in listed]
            rows = np.concatenate([entry["data"] for entry in entries])
            pixels = rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            arrays[f"x_{end}"] = np.ascontiguousarray(pixels)
            for key, stem in keys.items():
                values = np.concatenate([entry[key] for entry in entries])
                arrays[f"{stem}_{end}"] = values.astype(np.int64)
        return arrays

    missing = f"{name}: neither {folder} nor {path.name} is in {root}; {REMEDY}"
    return read_copy(name, path, originals, decode, missing)


def _entry(path: Path, checksum: str, name: str) -> dict[str, Any]:
    content = read_verified(path, checksum, name)
    try:
        entry: dict[str, Any] = _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{name}: {path} holds more than arrays and labels ({error})") from error
    return entry
