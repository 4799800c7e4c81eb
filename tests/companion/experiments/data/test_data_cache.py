"""Decoded copies: the same data as the originals, checked, renewed, and never pickled."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR100

import disk_sets
from companion.experiments import data
from companion.experiments.data import DataBundle, cache, load
from companion.experiments.data.sets import cifar
from disk_sets import OnDisk
from ugradsl_core.errors import DataError, StoreError


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    """A small CIFAR-100 in its original files."""
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return disk_sets.write_cifar100(tmp_path / "root", monkeypatch)


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The original files that were decoded."""
    seen: list[str] = []
    entry = cifar._entry

    def counted(path: Path, checksum: str, name: str) -> object:
        seen.append(path.name)
        return entry(path, checksum, name)

    monkeypatch.setattr(cifar, "_entry", counted)
    return seen


def copy_of(made: OnDisk) -> Path:
    return made.root / "cifar100.npz"


def drop_originals(made: OnDisk) -> None:
    for path in (made.root / "cifar-100-python").iterdir():
        path.unlink()


def touch(path: Path) -> None:
    """Another time of change, however coarse the clock of the file system."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    touch(path)


def same(a: DataBundle, b: DataBundle) -> bool:
    pairs = [(a.train, b.train), (a.test, b.test)]
    return all(
        torch.equal(x.inputs, y.inputs)
        and torch.equal(x.labels, y.labels)
        and (x.checksum, x.source) == (y.checksum, y.source)
        for x, y in pairs
    )


@pytest.mark.parametrize("name", ["cifar100", "cifar20"])
def test_a_copy_holds_what_the_originals_hold(
    made: OnDisk, decodings: list[str], name: str
) -> None:
    first = load(name, made.root)
    assert decodings == ["train", "test"]
    second = load(name, made.root)
    assert decodings == ["train", "test"]
    assert same(first, second)
    assert (
        second.train.checksum
        == cache.Part(
            *(np.asarray(v) for v in (second.train.inputs, second.train.labels)),
            None if second.train.groups is None else np.asarray(second.train.groups),
        ).digest()
    )


def test_a_copy_has_the_prepared_form_without_pickle(made: OnDisk) -> None:
    load("cifar20", made.root)
    with np.load(copy_of(made), allow_pickle=False) as stored:
        arrays = dict(stored)
    assert set(arrays) == {f"{k}_{end}" for k in ("x", "y", "coarse") for end in ("train", "test")}
    for end in ("train", "test"):
        assert np.array_equal(arrays[f"x_{end}"], made.images[end])
        assert np.array_equal(arrays[f"y_{end}"], made.groups[end])
        assert np.array_equal(arrays[f"coarse_{end}"], made.labels[end])
        assert arrays[f"x_{end}"].dtype == np.uint8
        assert arrays[f"y_{end}"].dtype == np.int64


def test_the_same_arrays_make_the_same_bytes(made: OnDisk) -> None:
    load("cifar100", made.root)
    before = copy_of(made).read_bytes()
    copy_of(made).unlink()
    load("cifar100", made.root)
    assert copy_of(made).read_bytes() == before


def test_an_unchanged_copy_is_not_hashed_again(
    made: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cifar100", "cifar20"):
        load(name, made.root)

    def hashed(*_: object) -> str:
        raise AssertionError("hashed again")

    monkeypatch.setattr(cache, "sha256", hashed)
    monkeypatch.setattr(cache.Part, "digest", hashed)
    assert load("cifar100", made.root).train.checksum != load("cifar20", made.root).train.checksum


def test_a_copy_whose_time_changed_is_hashed_and_kept(made: OnDisk, decodings: list[str]) -> None:
    first = load("cifar100", made.root)
    touch(copy_of(made))
    assert same(first, load("cifar100", made.root))
    assert len(decodings) == 2
    assert cache.read_seal(copy_of(made)).modified == copy_of(made).stat().st_mtime_ns


def test_a_damaged_copy_is_made_anew_from_the_originals(made: OnDisk, decodings: list[str]) -> None:
    first = load("cifar100", made.root)
    whole = copy_of(made).read_bytes()
    flip_a_bit(copy_of(made))
    assert same(first, load("cifar100", made.root))
    assert len(decodings) == 4
    assert copy_of(made).read_bytes() == whole


def test_a_damaged_copy_without_originals_is_refused(made: OnDisk) -> None:
    first = load("cifar100", made.root)
    drop_originals(made)
    assert same(first, load("cifar100", made.root))
    flip_a_bit(copy_of(made))
    with pytest.raises(DataError, match=r"does not have the SHA-256 in cifar100\.npz\.json"):
        load("cifar100", made.root)


def test_changed_originals_are_decoded_and_a_missing_one_is_named(
    made: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("cifar100", made.root)
    made.images["train"][5] ^= 255
    disk_sets.write_cifar100_part(made, "train")
    disk_sets.seal_cifar100(made.root, monkeypatch)
    touch(made.root / "cifar-100-python" / "train")
    second = load("cifar100", made.root)
    assert second.train.checksum != first.train.checksum
    assert np.array_equal(second.train.inputs, made.images["train"])
    assert same(second, load("cifar100", made.root))
    (made.root / "cifar-100-python" / "test").unlink()
    with pytest.raises(DataError, match="test is missing"):
        load("cifar100", made.root)


def test_a_killed_writer_leaves_nothing_that_misleads(made: OnDisk) -> None:
    first = load("cifar100", made.root)
    old = copy_of(made).read_bytes()
    copy_of(made).unlink()  # killed after the seal, before the copy
    assert same(first, load("cifar100", made.root))
    copy_of(made).write_bytes(old[: len(old) // 2])  # or an older copy is still there
    assert same(first, load("cifar100", made.root))
    assert not [path for path in made.root.iterdir() if path.name.startswith(".")]


def test_a_root_that_cannot_be_written_is_read_all_the_same(
    made: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(cache, "write_atomically", full)
    monkeypatch.setattr(cache, "write_text", full)
    assert len(load("cifar100", made.root).train) == 200
    assert len(load("cifar100", made.root).train) == 200
    assert [path.name for path in made.root.iterdir()] == ["cifar-100-python"]


def prepared(path: Path, n: int = 6, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Write arrays as a prepared copy of MNIST-M."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": disk_sets.draw(rng, n, 32),
        "y_train": np.arange(n) % 10,
        "x_test": disk_sets.draw(rng, 2, 32),
        "y_test": np.array([9, 0]),
    } | changes
    np.savez(path, **arrays)
    return arrays


def test_a_prepared_copy_is_sealed_and_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "mnist_m.npz"
    prepared(path)
    before = path.read_bytes()
    given = load("mnist-m", tmp_path)
    assert "decoded copy mnist_m.npz" in given.train.source
    seal = json.loads((tmp_path / "mnist_m.npz.json").read_text())
    assert (seal["originals"], seal["sha256"]) == (None, cache.sha256(path))
    made = disk_sets.write_mnist_m(tmp_path)
    original = load("mnist-m", tmp_path)
    assert np.array_equal(original.train.inputs, made.images["train"])
    assert original.train.source == "MNIST-M (Ganin, 2016)"
    assert path.read_bytes() == before


def test_a_prepared_copy_that_was_replaced_is_refused_until_its_seal_goes(tmp_path: Path) -> None:
    prepared(tmp_path / "mnist_m.npz")
    load("mnist-m", tmp_path)
    prepared(tmp_path / "mnist_m.npz", n=7)
    with pytest.raises(DataError, match=r"if you replaced it on purpose, delete that file"):
        load("mnist-m", tmp_path)
    (tmp_path / "mnist_m.npz.json").unlink()
    assert len(load("mnist-m", tmp_path).train) == 7


def test_a_compressed_copy_is_read_too(tmp_path: Path) -> None:
    arrays = prepared(tmp_path / "mnist_m.npz")
    plain = load("mnist-m", tmp_path)
    (tmp_path / "mnist_m.npz.json").unlink()
    np.savez_compressed(tmp_path / "mnist_m.npz", **arrays)
    assert same(plain, load("mnist-m", tmp_path))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_test": np.zeros((2, 32, 32), np.uint8)}, r"x_test .* uint8 of shape \(N, H, W, C\)"),
        ({"x_test": np.zeros((2, 32, 32, 3), np.float32)}, "x_test .*; found float32"),
        ({"y_train": np.zeros(5, np.int64)}, "y_train .* should be 6 whole numbers"),
        ({"y_train": np.zeros(6)}, "y_train .* whole numbers; found float64"),
        ({"y_test": np.array([0, 10])}, r"y_test .* should lie in 0…9; found 0…10"),
        ({"y_test": np.array([-1, 3])}, r"y_test .* should lie in 0…9; found -1…3"),
        ({"y_test": np.array([0, None])}, r"mnist_m\.npz is damaged"),
        (
            {"x_train": np.zeros((6, 8, 8, 1), np.uint8)},
            r"x_train in .*mnist_m\.npz should hold images of 32×32×3; found 8×8×1",
        ),
        (
            {"x_test": np.zeros((2, 16, 16, 3), np.uint8)},
            r"x_test in .*mnist_m\.npz should hold images of 32×32×3; found 16×16×3",
        ),
        (
            {"x_test": np.zeros((0, 32, 32, 3), np.uint8), "y_test": np.zeros(0, np.int64)},
            r"x_test in .*mnist_m\.npz should hold at least one image; found none",
        ),
    ],
)
def test_a_prepared_copy_of_another_form_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], said: str
) -> None:
    prepared(tmp_path / "mnist_m.npz", **changes)
    with pytest.raises(DataError, match=said):
        load("mnist-m", tmp_path)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("cifar10", (32, 32, 3)),
        ("cifar100", (32, 32, 3)),
        ("svhn", (32, 32, 3)),
        ("fashion-mnist", (28, 28, 1)),
    ],
)
def test_a_copy_has_images_of_the_size_of_its_set(
    tmp_path: Path, name: str, shape: tuple[int, int, int]
) -> None:
    path = tmp_path / f"{name.replace('-', '_')}.npz"
    labels = {"y_train": np.arange(3), "y_test": np.arange(2)}

    def write(n: int, training: tuple[int, ...], test: tuple[int, ...]) -> None:
        images = {
            "x_train": np.zeros((n, *training), np.uint8),
            "x_test": np.zeros((2, *test), np.uint8),
        }
        np.savez(path, **images, y_train=labels["y_train"][:n], y_test=labels["y_test"])

    wanted = "×".join(map(str, shape))
    write(3, (8, 8, 1), (16, 16, 1))
    with pytest.raises(DataError, match=rf"^{name}: x_train in .* {wanted}; found 8×8×1$"):
        load(name, tmp_path)
    write(3, shape, (16, 16, 1))
    with pytest.raises(DataError, match=rf"^{name}: x_test in .* {wanted}; found 16×16×1$"):
        load(name, tmp_path)
    write(0, shape, shape)
    with pytest.raises(DataError, match=rf"^{name}: x_train in .* at least one image; found none"):
        load(name, tmp_path)
    write(3, shape, shape)
    assert len(load(name, tmp_path).train) == 3


def test_a_fine_class_that_is_none_is_refused(tmp_path: Path) -> None:
    parts = {f"x_{end}": np.zeros((2, 32, 32, 3), np.uint8) for end in ("train", "test")}
    coarse = {f"coarse_{end}": np.array([4, 4]) for end in ("train", "test")}
    fine = {"y_train": np.array([0, 0]), "y_test": np.array([0, 100])}
    np.savez(tmp_path / "cifar100.npz", **parts, **coarse, **fine)
    with pytest.raises(DataError, match=r"cifar20: y_test in .* lie in 0…99; found 0…100"):
        load("cifar20", tmp_path)


def test_a_truncated_copy_and_one_without_an_array_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mnist_m.npz"
    prepared(path)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"mnist_m\.npz is damaged"):
        load("mnist-m", tmp_path)
    np.savez(path, x_train=np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(DataError, match="has no array 'y_train'"):
        load("mnist-m", tmp_path)


@pytest.mark.parametrize("wrong", ["cut", "empty"])
def test_a_copy_that_is_refused_is_not_sealed_and_can_be_replaced(
    tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "mnist_m.npz"
    prepared(path, n=0 if wrong == "empty" else 6)
    if wrong == "cut":
        path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError):
        load("mnist-m", tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mnist_m.npz"]
    prepared(path)
    touch(path)
    assert len(load("mnist-m", tmp_path).train) == 6
    assert cache.read_seal(path).sha256 == cache.sha256(path)


def test_nothing_is_downloaded_where_a_copy_is_all_there_is(
    made: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load("cifar100", made.root)
    drop_originals(made)

    def refuse(_: object) -> None:
        raise AssertionError("a download was started")

    monkeypatch.setattr(CIFAR100, "download", refuse)
    assert same(first, load("cifar100", made.root, download=True))
