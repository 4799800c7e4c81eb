"""The small digits inside scikit-learn."""

from pathlib import Path

import numpy as np

from ugradsl_core.data.arrays import DataBundle, Part, Transform, bundle


def load_digits(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """The 1,797 8×8 digits inside scikit-learn; every fourth one is a test sample."""
    from sklearn.datasets import load_digits as sklearn_digits

    digits = sklearn_digits()
    images = digits.images.astype(np.uint8)[..., None]
    held_out = np.arange(len(images)) % 4 == 3
    training = images[~held_out] / 16.0
    return bundle(
        "digits",
        Part(images[~held_out], digits.target[~held_out]),
        Part(images[held_out], digits.target[held_out]),
        Transform(16.0, (float(training.mean()),), (float(training.std()),), crop_padding=1),
        (str(digit) for digit in digits.target_names),
        "UCI ML hand-written digits, inside scikit-learn",
    )
