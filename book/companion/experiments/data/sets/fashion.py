"""Fashion-MNIST from its four compressed IDX files or a decoded copy."""

import gzip
import zlib
from functools import partial
from pathlib import Path

import numpy as np

from companion.experiments.data.cache import Arrays, read_copy
from companion.experiments.data.images import Transform
from companion.experiments.data.originals import REMEDY, data_root, fetch, read_verified
from companion.experiments.data.parts import DataBundle, bundle
from ugradsl_core.errors import DataError

TRANSFORM = Transform(255.0, (0.2860,), (0.3530,), 2, flip=True)
COMPRESSED = (
    "put the compressed original there, or move what lies unpacked beside it away and ask for a "
    "download with --download"
)
STEMS = {"train": "train", "test": "t10k"}


def load_fashion_mnist(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """Fashion-MNIST: 70,000 grey pictures of ten kinds of clothes, 28×28.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    from torchvision.datasets import FashionMNIST

    root = data_root(root, "fashion-mnist", download)
    folder = root / "FashionMNIST" / "raw"
    sums = {name: f"md5:{md5}" for name, md5 in FashionMNIST.resources}
    path, originals = root / "fashion_mnist.npz", [folder / name for name in sums]
    if download:
        get = partial(FashionMNIST, str(root), download=True)
        fetch("fashion-mnist", root, get, path, originals)

    def read(file: str) -> np.ndarray:
        path = folder / file
        return parse_idx(read_verified(path, sums[file], "fashion-mnist", COMPRESSED), path)

    def decode() -> Arrays:
        arrays = {}
        for end, stem in STEMS.items():
            arrays[f"x_{end}"] = read(f"{stem}-images-idx3-ubyte.gz")[..., None]
            arrays[f"y_{end}"] = read(f"{stem}-labels-idx1-ubyte.gz").astype(np.int64)
        return arrays

    remedy = COMPRESSED if folder.exists() else REMEDY
    missing = f"fashion-mnist: neither {folder}/*.gz nor {path.name} is in {root}; {remedy}"
    copy = read_copy("fashion-mnist", path, originals, decode, missing)
    return bundle(
        "fashion-mnist",
        *copy.parts("fashion-mnist", 10),
        TRANSFORM,
        FashionMNIST.classes,
        "Fashion-MNIST (Xiao, 2017)" + (f", decoded copy {path.name}" if copy.given else ""),
    )


def parse_idx(content: bytes, path: Path) -> np.ndarray:
    """The array of a compressed IDX file of bytes.

    Raises:
        DataError: not such a file, or one that ends too early.
    """
    try:
        plain = gzip.decompress(content)
        zeros, kind, dimensions = plain[:2], plain[2], plain[3]
        shape = np.frombuffer(plain, ">u4", dimensions, 4).astype(int)
        values = np.frombuffer(plain, np.uint8, offset=4 + 4 * dimensions)
        if zeros != b"\0\0" or kind != 8:
            raise ValueError("not unsigned bytes")
        return values.reshape(shape)
    except (OSError, EOFError, ValueError, IndexError, zlib.error) as error:
        raise DataError(f"fashion-mnist: {path} is not a whole IDX file ({error})") from error
