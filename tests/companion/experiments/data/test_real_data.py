"""The real data sets, where they are at hand: in UGRADSL_DATA, or packed in ``../shared/data``."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.experiments.data import DATA_ROOT_VARIABLE, SOURCES, DataBundle, load
from disk_sets import COARSE
from ugradsl_core.errors import DataError

PACKED = Path(__file__).parents[5] / "shared" / "data"
Real = Callable[[str], DataBundle]

pytestmark = pytest.mark.slow


@pytest.fixture
def real() -> Iterator[Real]:
    """Load a data set by name, from the data root or unpacked for this test; else skip it."""
    with tempfile.TemporaryDirectory() as folder:

        def get(name: str) -> DataBundle:
            if os.environ.get(DATA_ROOT_VARIABLE):
                try:
                    return load(name)
                except DataError:
                    pass
            packed = {"cifar20": "cifar100", "mnist-m": "mnist_m"}.get(name, name)
            if not (PACKED / "prepare.py").exists():
                pytest.skip(f"{name} is neither in {DATA_ROOT_VARIABLE} nor in ../shared/data")
            if not list(Path(folder).iterdir()):
                script = [sys.executable, "-B", PACKED / "prepare.py", folder, packed]
                subprocess.run(script, check=True, capture_output=True)
            return load(name, folder)

        yield get


def both(bundle: DataBundle) -> Iterator[tuple[str, object]]:
    yield from (("train", bundle.train), ("test", bundle.test))


def test_cifar10_has_the_published_mean_and_deviation(real: Real) -> None:
    bundle = real("cifar10")
    assert (len(bundle.train), len(bundle.test)) == (50_000, 10_000)
    assert bundle.train.labels.bincount().tolist() == [5000] * 10
    assert bundle.test.labels.bincount().tolist() == [1000] * 10
    check_normalisation(bundle)


def check_normalisation(bundle: DataBundle, tolerance: float = 0.01) -> None:
    """Inputs of the whole training set have mean 0 and deviation 1 in each channel."""
    stored = bundle.train.inputs.numpy()
    transform = bundle.train.transform
    for channel, (mean, std) in enumerate(zip(transform.mean, transform.std, strict=True)):
        counts = np.bincount(stored[..., channel].ravel(), minlength=256)
        values = np.arange(256) / transform.scale
        found = float(np.average(values, weights=counts))
        deviation = float(np.average((values - found) ** 2, weights=counts)) ** 0.5
        assert (found - mean) / std == pytest.approx(0, abs=tolerance)
        assert deviation / std == pytest.approx(1, abs=tolerance)


def test_cifar100_is_whole_and_its_superclasses_are_the_official_ones(real: Real) -> None:
    fine, coarse = real("cifar100"), real("cifar20")
    for name, part in both(fine):
        samples = getattr(coarse, name)
        each = 500 if name == "train" else 100
        assert part.labels.bincount().tolist() == [each] * 100
        assert samples.labels.bincount().tolist() == [5 * each] * 20
        assert torch.equal(samples.groups, part.labels)
        assert samples.labels.tolist() == [COARSE[label] for label in part.labels.tolist()]
    check_normalisation(fine)


def test_celeba_keeps_each_identity_on_one_side(real: Real) -> None:
    bundle = real("celeba")
    train, test = bundle.train, bundle.test
    assert train.input_shape == SOURCES["celeba"].shape
    assert not set(train.groups.tolist()) & set(test.groups.tolist())
    assert set(train.groups.tolist()) | set(test.groups.tolist()) == set(
        range(len(train.group_names))
    )
    assert 0.4 < float(train.labels.float().mean()) < 0.6
    check_normalisation(bundle, 0.05)


def test_mnist_m_has_coloured_digits(real: Real) -> None:
    bundle = real("mnist-m")
    for _, part in both(bundle):
        assert part.input_shape == (3, 32, 32)
        shares = part.labels.bincount().double() / len(part)
        assert len(shares) == 10
        assert 0.08 < float(shares.min()) <= float(shares.max()) < 0.12
    spread = bundle.train.inputs[:500].double().std(-1).mean()
    assert float(spread) > 5  # the channels differ
    check_normalisation(bundle, 0.05)
