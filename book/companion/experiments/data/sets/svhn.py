"""SVHN from its two MATLAB files or a decoded copy."""

import io
from pathlib import Path

import numpy as np

from companion.experiments.data.cache import Arrays, read_copy
from companion.experiments.data.images import Transform
from companion.experiments.data.originals import REMEDY, data_root, fetch, read_verified
from companion.experiments.data.parts import DataBundle, bundle
from ugradsl_core.errors import DataError

# Digits are not flipped: a mirrored digit is none.
TRANSFORM = Transform(255.0, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970), 4)
DIGITS = tuple("0123456789")


def load_svhn(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """SVHN: 99,289 house-number digits cropped from photographs, 32×32.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    from torchvision.datasets import SVHN

    root = data_root(root, "svhn", download)
    ends = ("train", "test")
    files = {end: (root / SVHN.split_list[end][1], SVHN.split_list[end][2]) for end in ends}
    originals, saved = [path for path, _ in files.values()], root / "svhn.npz"

    def start() -> None:
        for end in ends:
            SVHN(str(root), split=end, download=True)

    if download:
        fetch("svhn", root, start, saved, originals)

    def decode() -> Arrays:
        arrays: dict[str, np.ndarray] = {}
        for end, (path, md5) in files.items():
            pixels, labels = _mat(path, md5)
            arrays |= {f"x_{end}": pixels, f"y_{end}": labels}
        return arrays

    missing = f"svhn: neither {originals[0].name} nor {saved.name} is in {root}; {REMEDY}"
    copy = read_copy("svhn", saved, originals, decode, missing)
    how = f"decoded copy {copy.path.name}" if copy.given else "read by SciPy"
    return bundle("svhn", *copy.parts("svhn", 10), TRANSFORM, DIGITS, f"SVHN (Netzer, 2011), {how}")


def _mat(path: Path, md5: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 32, 32, 3) and labels 0…9 of a file with ``X`` (32, 32, 3, N) and ``y``."""
    from scipy.io import loadmat

    content = read_verified(path, f"md5:{md5}", "svhn")
    try:
        stored = loadmat(io.BytesIO(content), variable_names=("X", "y"))
        pixels, labels = stored["X"].transpose(3, 0, 1, 2), stored["y"].reshape(-1)
    except (ValueError, KeyError, TypeError, NotImplementedError) as error:
        raise DataError(f"svhn: {path} is not a MATLAB file with X and y ({error})") from error
    digits = np.where(labels == 10, 0, labels)  # the files call digit 0 ten
    return np.ascontiguousarray(pixels), digits.astype(np.int64)
