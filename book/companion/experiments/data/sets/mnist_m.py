"""MNIST-M from a decoded copy or from its PNG files."""

from pathlib import Path

import numpy as np

from companion.experiments.data.cache import Arrays, read_copy
from companion.experiments.data.decoding import read_images
from companion.experiments.data.images import Transform
from companion.experiments.data.originals import data_root
from companion.experiments.data.parts import DataBundle, bundle
from ugradsl_core.errors import DataError

# Mean and deviation of the first 20,000 training images. Digits are not flipped.
TRANSFORM = Transform(255.0, (0.4584, 0.4619, 0.4073), (0.2512, 0.2366, 0.2574), 2)
DIGITS = tuple("0123456789")
REMEDY = "put there the decoded copy, or the PNG files with their lists; it has no download"


def load_mnist_m(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """MNIST-M: handwritten digits in colour on photographs, 32×32; not SVHN.

    Raises:
        DataError: ``root`` is missing, a file is missing or damaged, or a download was asked,
            which does not exist.
    """
    root = data_root(root, "mnist-m", download=False)
    folder = root / "mnist_m"
    path = root / "mnist_m.npz"
    missing = f"mnist-m: neither {folder} nor {path.name} is in {root}; {REMEDY}"
    if download and not folder.exists() and not path.exists():
        raise DataError(missing)
    lists = {end: folder / f"mnist_m_{end}_labels.txt" for end in ("train", "test")}
    folders = {end: folder / f"mnist_m_{end}" for end in lists}

    def decode() -> Arrays:
        arrays: dict[str, np.ndarray] = {}
        for end, listed in lists.items():
            names, labels = read_labels(listed)
            files = [folders[end] / name for name in names]
            arrays |= {f"x_{end}": read_images(files, "mnist-m", 32), f"y_{end}": labels}
        return arrays

    originals = [*lists.values(), *folders.values()]
    copy = read_copy("mnist-m", path, originals, decode, missing)
    return bundle(
        "mnist-m",
        *copy.parts("mnist-m", 10),
        TRANSFORM,
        DIGITS,
        "MNIST-M (Ganin, 2016)" + (f", decoded copy {path.name}" if copy.given else ""),
    )


def read_labels(path: Path) -> tuple[list[str], np.ndarray]:
    """File names and labels of lines such as ``00000000.png 5``.

    Raises:
        DataError: no such file, or a line that is not a name and a digit.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"mnist-m: {path} is missing or no text; {REMEDY}") from error
    names, labels = [], []
    for number, line in enumerate(lines, start=1):
        cells = line.split()
        if len(cells) != 2 or cells[1] not in DIGITS:
            raise DataError(f"mnist-m: line {number} of {path} should be a file and a digit")
        names.append(cells[0])
        labels.append(int(cells[1]))
    return names, np.asarray(labels, dtype=np.int64)
