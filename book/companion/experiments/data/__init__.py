"""Data sets by name: in memory, streamed from disk, or text."""

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import torch

from companion.experiments.data.images import Dataset, Transform
from companion.experiments.data.originals import DATA_ROOT_VARIABLE, data_root
from companion.experiments.data.parts import DataBundle, Part, bundle
from companion.experiments.data.sets.celeba import load_celeba
from companion.experiments.data.sets.cifar import load_cifar10, load_cifar20, load_cifar100
from companion.experiments.data.sets.digits import load_digits, load_digits_parity
from companion.experiments.data.sets.fashion import load_fashion_mnist
from companion.experiments.data.sets.folders import (
    FOLDER,
    load_folder,
    load_imagenet,
    load_tiny_imagenet,
    named_path,
)
from companion.experiments.data.sets.mnist_m import load_mnist_m
from companion.experiments.data.sets.newsgroups import load_newsgroups
from companion.experiments.data.sets.svhn import load_svhn
from companion.experiments.data.sets.words import load_words
from companion.experiments.data.sources import SOURCES, DataSource, Loader
from companion.experiments.data.streamed.stream import StreamedDataset
from companion.experiments.data.text import TokenDataset
from ugradsl_core.errors import ConfigError, unknown_name

__all__ = [
    "DATASETS",
    "DATA_ROOT_VARIABLE",
    "SOURCES",
    "DataBundle",
    "DataSource",
    "Dataset",
    "Loader",
    "Part",
    "StreamedDataset",
    "TokenDataset",
    "Transform",
    "bundle",
    "data_root",
    "find_loader",
    "load",
    "load_celeba",
    "load_cifar10",
    "load_cifar20",
    "load_cifar100",
    "load_digits",
    "load_digits_parity",
    "load_fashion_mnist",
    "load_folder",
    "load_imagenet",
    "load_mnist_m",
    "load_newsgroups",
    "load_svhn",
    "load_tiny_imagenet",
    "load_words",
]

DATASETS: dict[str, Loader] = {name: source.loader for name, source in SOURCES.items()}


def find_loader(name: str) -> Loader:
    """The loader of a data set; ``folder:PATH`` is a user's own folder of images.

    Raises:
        ConfigError: unknown name; the message has the nearest one. Or a folder without a path.
    """
    if name.startswith(FOLDER):
        return partial(load_folder, named_path(name.removeprefix(FOLDER)))
    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS)
    return DATASETS[name]


def loader_options(loader: Loader) -> tuple[str, ...]:
    """The options that a loader knows, such as ``image_size``."""
    known = inspect.signature(loader).parameters
    return tuple(option for option in known if option not in {"root", "download"})


def load(
    name: str,
    root: str | Path | None = None,
    *,
    download: bool = False,
    device: torch.device | str = "cpu",
    **options: Any,
) -> DataBundle:
    """The data set ``name`` on ``device``.

    Args:
        name: a key of ``DATASETS``, or ``folder:PATH``.
        root: directory of the files; default the environment variable ``UGRADSL_DATA``.
        download: fetch what is missing; nothing is ever downloaded otherwise.
        device: where the images are to live.
        options: what the loader of that name knows besides, such as ``image_size``; an option
            that is None is left to the loader.

    Raises:
        ConfigError: unknown name, or an option that its loader does not know.
        DataError: files missing or damaged.
    """
    loader = find_loader(name)
    given = {option: value for option, value in options.items() if value is not None}
    for option in given:
        known = loader_options(loader)
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has no options"
            raise ConfigError(f"{option}: {name} does not know this option; {has}")
    loaded = loader(None if root is None else Path(root), download=download, **given)
    place = torch.device(device)
    return DataBundle(loaded.train.to(place), loaded.test.to(place))
