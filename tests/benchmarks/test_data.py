"""Loading a decoded copy against reading its bytes."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from companion.experiments.data import load
from measure import compare, size


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random images in CIFAR-10's files and number, and a decoded copy of them."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = size("ROWS", 10_000)
    sums = []
    for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list]:
        block = rng.integers(0, 256, (rows, 3072), dtype=np.uint8)
        entry = {"data": block, "labels": rng.integers(0, 10, rows).tolist()}
        (folder / name).write_bytes(pickle.dumps(entry, protocol=2))
        sums.append([name, hashlib.md5((folder / name).read_bytes()).hexdigest()])
    monkeypatch.setattr(CIFAR10, "train_list", sums[:-1])
    monkeypatch.setattr(CIFAR10, "test_list", sums[-1:])
    load("cifar10", tmp_path)
    return tmp_path


def test_loading_cifar10_from_its_copy_costs_reading_the_bytes(root: Path) -> None:
    path = root / "cifar10.npz"

    def loading() -> None:
        assert len(load("cifar10", root).train) == 5 * size("ROWS", 10_000)

    def reading() -> None:
        np.fromfile(path, np.uint8)  # several times faster than path.read_bytes()

    compare("CIFAR-10 from its decoded copy / reading its bytes", loading, reading, 1.2)
