"""Data sets: counts, values, views, augmentation against a slow loop, files on disk."""

import hashlib
import itertools
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.datasets import CIFAR10

from companion.experiments import data
from companion.experiments.data import DataBundle, Dataset, Transform, load
from toys import generator, images, whole_batch
from ugradsl_core.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def digits() -> DataBundle:
    return load("digits")


def test_digits_have_the_counts_of_scikit_learn(digits: DataBundle) -> None:
    assert (len(digits.train), len(digits.test)) == (1348, 449)
    for part in (digits.train, digits.test):
        assert part.num_classes == 10
        assert part.inputs.dtype == torch.uint8
        assert part.inputs.shape == (len(part), 8, 8, 1)
        assert part.labels.dtype == torch.int64
        assert (int(part.inputs.min()), int(part.inputs.max())) == (0, 16)
        assert set(part.labels.tolist()) == set(range(10))
    assert digits.train.class_names == tuple("0123456789")


def test_digits_of_train_and_test_are_different_rows(digits: DataBundle) -> None:
    from sklearn.datasets import load_digits

    original = load_digits()
    assert np.array_equal(digits.test.inputs[0, ..., 0], original.images[3])
    assert np.array_equal(digits.train.inputs[3, ..., 0], original.images[4])
    labels = np.concatenate([digits.train.labels, digits.test.labels])
    assert np.array_equal(np.bincount(labels), np.bincount(original.target))


def test_checksums_are_stable_and_tell_sets_apart(digits: DataBundle) -> None:
    again = load("digits")
    assert digits.train.checksum == again.train.checksum
    assert digits.test.checksum == again.test.checksum
    assert digits.train.checksum != digits.test.checksum
    expected = hashlib.sha256(digits.test.inputs.numpy().tobytes())
    expected.update(digits.test.labels.numpy().tobytes())
    assert digits.test.checksum == expected.hexdigest()


def test_batches_are_normalised(digits: DataBundle) -> None:
    inputs, labels = whole_batch(digits.train)
    assert inputs.shape == (1348, 1, 8, 8)
    assert inputs.dtype == torch.float32
    assert float(inputs.mean()) == pytest.approx(0, abs=1e-4)
    assert float(inputs.std()) == pytest.approx(1, abs=1e-3)
    assert torch.equal(labels, digits.train.labels)


def test_a_batch_is_value_over_scale_minus_mean_over_std() -> None:
    g = generator()
    stored = torch.randint(0, 256, (3, 4, 5, 2), generator=g, dtype=torch.uint8)
    transform = Transform(255.0, (0.2, 0.7), (0.3, 0.1))
    labels = torch.tensor([0, 1, 0])
    samples = Dataset("x", stored, labels, 2, ("a", "b"), "", "", transform=transform)
    inputs, labels = next(iter(samples.batches([torch.tensor([2, 0])])))
    for row, image in enumerate((2, 0)):
        for c, i, j in itertools.product(range(2), range(4), range(5)):
            value = int(stored[image, i, j, c]) / 255
            expected = (value - transform.mean[c]) / transform.std[c]
            assert float(inputs[row, c, i, j]) == pytest.approx(expected, abs=1e-5)
    assert labels.tolist() == [0, 0]
    assert inputs.is_contiguous(memory_format=torch.channels_last)


def test_views_of_views_share_memory_and_compose() -> None:
    samples = images(20)
    view = samples.take(torch.tensor([5, 3, 9, 1])).take(torch.tensor([2, 0]))
    assert len(view) == 2
    assert view.labels.tolist() == samples.labels[[9, 5]].tolist()
    assert torch.equal(whole_batch(view)[0], whole_batch(samples)[0][[9, 5]])
    assert view.inputs.data_ptr() == samples.inputs.data_ptr()


def plain(augmentable: bool = True, n: int = 300) -> Dataset:
    """Images whose batches are the stored values themselves; 3×4 pixels, two channels."""
    stored = torch.randint(1, 256, (n, 3, 4, 2), generator=generator(), dtype=torch.uint8)
    transform = Transform(1.0, (0.0, 0.0), (1.0, 1.0), int(augmentable), flip=augmentable)
    labels = torch.zeros(n, dtype=torch.long)
    return Dataset("x", stored, labels, 2, ("a", "b"), "", "", transform=transform)


def versions(image: Tensor, pad: int, crop: bool) -> dict[tuple[bool, int, int], list[float]]:
    """All flips and crops of one (H, W, C) image, pixel by pixel."""
    height, width, channels = image.shape
    found = {}
    corners = range(2 * pad + 1) if crop else [pad]
    for flip, top, left in itertools.product([False, True], corners, corners):
        values = []
        for c, i, j in itertools.product(range(channels), range(height), range(width)):
            y, x = i + top - pad, j + left - pad
            inside = 0 <= y < height and 0 <= x < width
            column = width - 1 - x if flip else x
            values.append(float(image[y, column, c]) if inside else 0.0)
        found[flip, top, left] = values
    return found


@pytest.mark.parametrize(("augment", "choices"), [("flip", 2), ("crop-flip", 18)])
def test_augmented_images_are_flips_and_crops_all_equally_likely(
    augment: str, choices: int
) -> None:
    samples = plain()
    plan = [torch.arange(len(samples))]
    inputs, _ = next(iter(samples.batches(plan, augment=augment, generator=generator(1))))
    seen: dict[tuple[bool, int, int], int] = {}
    for stored, image in zip(samples.inputs, inputs, strict=True):
        possible = versions(stored, 1, crop=augment == "crop-flip")
        which = [key for key, values in possible.items() if values == image.flatten().tolist()]
        assert len(which) == 1
        seen[which[0]] = seen.get(which[0], 0) + 1
    assert len(seen) == choices
    expected = len(samples) / choices
    chi_squared = sum((count - expected) ** 2 / expected for count in seen.values())
    degrees = choices - 1
    assert chi_squared < degrees + 3 * (2 * degrees) ** 0.5


def test_without_augmentation_batches_draw_nothing() -> None:
    samples, g = plain(), generator()
    state = g.get_state()
    plan = [torch.arange(5)]
    a, b = (next(iter(samples.batches(plan, augment="none", generator=g)))[0] for _ in range(2))
    assert torch.equal(a, b)
    assert torch.equal(a.permute(0, 2, 3, 1), samples.inputs[:5].float())
    assert torch.equal(state, g.get_state())


def test_augmentation_follows_its_generator_and_leaves_the_global_state() -> None:
    samples, plan = plain(), [torch.arange(50)]
    state = torch.get_rng_state()
    a, b, c = (
        next(iter(samples.batches(plan, augment="crop-flip", generator=generator(seed))))[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert torch.equal(state, torch.get_rng_state())


def test_what_a_data_set_does_not_allow_is_not_done() -> None:
    samples, plan = plain(augmentable=False), [torch.arange(50)]
    found = next(iter(samples.batches(plan, augment="crop-flip", generator=generator())))[0]
    assert torch.equal(found, next(iter(samples.batches(plan)))[0])


def test_digits_are_never_flipped(digits: DataBundle) -> None:
    assert not digits.train.transform.flip


@pytest.mark.parametrize(("wrong", "near"), [("cifar-10", "cifar10"), ("Digit", "digits")])
def test_an_unknown_data_set_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError, match=f"unknown data set '{wrong}'. Did you mean '{near}'"):
        load(wrong)


Cifar = tuple[Path, np.ndarray, list[int]]


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cifar:
    """A tiny CIFAR-10 in the original on-disk format, whose MD5 sums torchvision then expects."""

    def download(_: object) -> None:
        raise AssertionError("a download was started")

    folder = tmp_path / "root" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, labels, sums = [], [], []
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for name in names:
        block = rng.integers(0, 256, (4, 3072), dtype=np.uint8)
        y = rng.integers(0, 10, 4).tolist()
        (folder / name).write_bytes(pickle.dumps({"data": block, "labels": y}, protocol=2))
        rows.append(block)
        labels += y
    meta = {"label_names": [f"class{i}" for i in range(10)]}  # torchvision reads it, we do not
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    for name in [*names, "batches.meta"]:
        sums.append(hashlib.md5((folder / name).read_bytes()).hexdigest())
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": sums[6]})
    monkeypatch.setattr(
        CIFAR10, "train_list", [list(x) for x in zip(names[:5], sums, strict=False)]
    )
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums[5]]])
    monkeypatch.setattr(CIFAR10, "download", download)
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return tmp_path / "root", np.concatenate(rows), labels


def test_cifar10_is_read_from_its_original_files(cifar: Cifar) -> None:
    root, rows, labels = cifar
    bundle = load("cifar10", root)
    assert (len(bundle.train), len(bundle.test)) == (20, 4)
    assert bundle.train.labels.tolist() + bundle.test.labels.tolist() == labels
    for part, block in [(bundle.train, rows[:20]), (bundle.test, rows[20:])]:
        # rows hold 1024 red, 1024 green, 1024 blue values, each row by row
        for n, c, i, j in [(0, 0, 0, 0), (3, 1, 2, 31), (1, 2, 31, 5)]:
            assert int(part.inputs[n, i, j, c]) == block[n, 1024 * c + 32 * i + j]
    assert bundle.train.class_names[3] == "cat"
    assert bundle.train.source.endswith("its original files, as torchvision lists them")
    assert bundle.train.transform.flip
    assert bundle.train.transform.crop_padding == 4


def test_the_data_root_may_come_from_the_environment(
    cifar: Cifar, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(data.DATA_ROOT_VARIABLE, str(cifar[0]))
    assert len(load("cifar10").train) == 20


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "is incomplete or damaged: its MD5 is"),
        (flip_a_bit, "is incomplete or damaged: its MD5 is"),
        (Path.unlink, "is missing; put the original file there"),
    ],
)
@pytest.mark.parametrize("name", ["data_batch_3", "test_batch"])
def test_damaged_and_missing_files_are_found_and_named(
    cifar: Cifar, damage: Callable[[Path], None], said: str, name: str
) -> None:
    damage(cifar[0] / "cifar-10-batches-py" / name)
    with pytest.raises(DataError, match=f"cifar10: .*{name} {said}"):
        load("cifar10", cifar[0])


def test_without_a_root_the_message_says_how_to_give_one(cifar: Cifar) -> None:
    with pytest.raises(DataError, match="pass --data-root or set UGRADSL_DATA"):
        load("cifar10")


def test_a_root_that_does_not_exist_is_named_and_not_made(cifar: Cifar) -> None:
    root = cifar[0] / "elsewhere"
    with pytest.raises(DataError, match="elsewhere is not a directory"):
        load("cifar10", root)
    assert not root.exists()


def test_an_empty_root_is_no_data_set(cifar: Cifar, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="or ask for a download with --download"):
        load("cifar10", tmp_path)


def test_a_download_happens_when_asked_for_and_only_then(
    cifar: Cifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def download(self: CIFAR10) -> None:
        calls.append(self.root)
        target = Path(self.root) / "cifar-10-batches-py"
        if not target.exists():
            target.symlink_to(cifar[0] / "cifar-10-batches-py")

    monkeypatch.setattr(CIFAR10, "download", download)
    load("cifar10", cifar[0])
    assert calls == []
    assert len(load("cifar10", tmp_path / "new", download=True).test) == 4
    assert calls


def test_a_failing_download_is_a_data_error(
    cifar: Cifar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(CIFAR10, "download", download)
    with pytest.raises(DataError, match="no network"):
        load("cifar10", tmp_path, download=True)


def test_a_root_that_is_a_file_is_a_data_error(cifar: Cifar, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError):
        load("cifar10", tmp_path / "file", download=True)
