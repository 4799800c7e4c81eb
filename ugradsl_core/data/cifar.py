"""CIFAR-10 from its original files."""

from pathlib import Path

import numpy as np

from ugradsl_core.data.arrays import DataBundle, Part, Transform, bundle
from ugradsl_core.data.roots import data_root
from ugradsl_core.errors import DataError


def load_cifar10(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """CIFAR-10 by torchvision, from ``root``; torchvision verifies the files' MD5 sums.

    Raises:
        DataError: ``root`` is missing, or a file is missing or damaged, and no download was asked.
    """
    from torchvision.datasets import CIFAR10

    root = data_root(root, "cifar10", download)
    try:
        parts = [CIFAR10(str(root), train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise DataError(
            f"cifar10: {root / CIFAR10.base_folder} is missing, incomplete or damaged ({error}); "
            "put the original files there, or ask for a download with --download"
        ) from error
    train, test = (Part(part.data, np.asarray(part.targets)) for part in parts)
    return bundle(
        "cifar10",
        train,
        test,
        Transform(255.0, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), 4, flip=True),
        parts[0].classes,
        "CIFAR-10 (Krizhevsky, 2009), read by torchvision",
    )
