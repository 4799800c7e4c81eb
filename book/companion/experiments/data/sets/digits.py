"""The small digits inside scikit-learn, as ten classes or as even and odd ones."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from companion.experiments.data.images import Transform
from companion.experiments.data.parts import DataBundle, Part, bundle

SOURCE = "UCI ML hand-written digits, inside scikit-learn"


def load_digits(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """The 1,797 8×8 digits inside scikit-learn; every fourth one is a test sample."""
    train, test, names = _parts()
    return bundle("digits", train, test, _transform(train), names, SOURCE)


def load_digits_parity(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """The same digits with two classes, even and odd, and the ten digits as groups.

    A small stand-in for CIFAR-20 and CelebA: a group is a part of one class.
    """
    parts = _parts()
    train, test = (Part(part.images, part.labels % 2, groups=part.labels) for part in parts[:2])
    return bundle(
        "digits-parity",
        train,
        test,
        _transform(train),
        ("even", "odd"),
        SOURCE,
        group_names=parts[2],
    )


def _parts() -> tuple[Part, Part, tuple[str, ...]]:
    # what sklearn.datasets.load_digits reads, without the second that importing it takes
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    table = np.loadtxt(
        Path(package.origin).with_name("datasets") / "data" / "digits.csv.gz",
        delimiter=",",
        dtype=np.int64,
    )
    images, labels = table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, -1]
    held_out = np.arange(len(images)) % 4 == 3
    train, test = (Part(images[rows], labels[rows]) for rows in (~held_out, held_out))
    return train, test, tuple(str(digit) for digit in range(10))


def _transform(train: Part) -> Transform:
    values = train.images / 16.0
    return Transform(16.0, (float(values.mean()),), (float(values.std()),), crop_padding=1)
