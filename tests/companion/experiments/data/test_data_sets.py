"""Each data set in memory from its original files: counts, values, label maps, damaged files."""

import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets
from PIL import Image
from torchvision.datasets import CIFAR100

import disk_sets
from companion.experiments import data
from companion.experiments.data import DATASETS, SOURCES, DataBundle, load
from companion.experiments.data.sets import cifar
from disk_sets import COARSE, OnDisk
from ugradsl_core.errors import ConfigError, DataError

Write = Callable[[Path, pytest.MonkeyPatch], OnDisk]
WRITE: dict[str, Write] = {
    "cifar100": disk_sets.write_cifar100,
    "cifar20": disk_sets.write_cifar100,
    "svhn": disk_sets.write_svhn,
    "fashion-mnist": disk_sets.write_fashion,
    "mnist-m": lambda root, _: disk_sets.write_mnist_m(root),
}
every_set = pytest.mark.parametrize("name", WRITE)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return tmp_path / "root"


def parts(bundle: DataBundle) -> dict[str, data.Dataset]:
    return {"train": bundle.train, "test": bundle.test}


@every_set
def test_the_files_become_images_and_labels(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = WRITE[name](root, monkeypatch)
    for part, samples in parts(load(name, root)).items():
        labels = made.groups[part] if name == "cifar100" else made.labels[part]
        assert np.array_equal(samples.inputs, made.images[part])
        assert samples.inputs.dtype == torch.uint8
        assert samples.labels.tolist() == labels.tolist()
        assert samples.labels.dtype == torch.int64
        assert samples.name == name
        assert samples.vocabulary is None


@every_set
def test_what_is_loaded_is_what_the_facts_say(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITE[name](root, monkeypatch)
    known = SOURCES[name]
    train = load(name, root).train
    assert train.input_shape == known.shape
    assert train.num_classes == len(train.class_names) == known.classes
    assert (train.groups is not None) == bool(known.groups)
    low, high = train.input_range
    inputs = next(iter(train.batches([torch.arange(10)])))[0]
    assert inputs.shape[1:] == known.shape
    assert bool((low - 1e-4 <= inputs).all())
    assert bool((inputs <= high + 1e-4).all())


@every_set
def test_only_pictures_without_a_handedness_are_flipped(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITE[name](root, monkeypatch)
    assert load(name, root).train.transform.flip == (name not in {"svhn", "mnist-m"})


def test_fine_labels_belong_to_the_superclasses_of_cifar100() -> None:
    assert tuple(COARSE) == cifar.COARSE_OF_FINE
    assert np.bincount(COARSE).tolist() == [5] * 20
    assert len(set(cifar.CIFAR100)) == 100
    assert cifar.CIFAR100[0] == "apple"
    assert cifar.CIFAR20[4] == "fruit_and_vegetables"


def test_cifar20_has_superclasses_as_classes_and_fine_classes_as_groups(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = disk_sets.write_cifar100(root, monkeypatch)
    fine, coarse = load("cifar100", root), load("cifar20", root)
    assert fine.train.groups is None
    for part, samples in parts(coarse).items():
        assert samples.groups.tolist() == made.groups[part].tolist()
        assert samples.groups.dtype == torch.int64
        assert samples.labels.tolist() == [COARSE[label] for label in samples.groups.tolist()]
        assert samples.group_names == parts(fine)[part].class_names
    view = coarse.train.take(torch.tensor([7, 3, 11])).take(torch.tensor([2, 0]))
    assert view.groups.tolist() == made.groups["train"][[11, 7]].tolist()
    sums = {b.train.checksum for b in (fine, coarse)} | {b.test.checksum for b in (fine, coarse)}
    assert len(sums) == 4


def test_a_coarse_label_that_is_not_the_superclass_is_found(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = disk_sets.write_cifar100(root, monkeypatch)
    made.labels["test"][6] = (made.labels["test"][6] + 1) % 20
    disk_sets.write_cifar100_part(made, "test")
    disk_sets.seal_cifar100(root, monkeypatch)
    with pytest.raises(DataError, match=r"cifar20: image 6 .* has coarse label"):
        load("cifar20", root)


class Harm:
    """What a hostile file would run when unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.place),)


def test_a_file_that_would_run_code_is_refused(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_sets.write_cifar100(root, monkeypatch)
    harm = pickle.dumps({"data": Harm(tmp_path / "harm")}, protocol=2)
    (root / CIFAR100.base_folder / "train").write_bytes(harm)
    disk_sets.seal_cifar100(root, monkeypatch)
    with pytest.raises(DataError, match=r"holds more than arrays and labels \(posix.mkdir"):
        load("cifar100", root)
    assert not (tmp_path / "harm").exists()


FILES = {
    "cifar100": "cifar-100-python/train",
    "svhn": "test_32x32.mat",
    "fashion-mnist": "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz",
}


@pytest.mark.parametrize(("name", "file"), FILES.items())
def test_truncated_and_missing_files_are_refused_by_name(
    name: str, file: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    WRITE[name](root, monkeypatch)
    path = root / file
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=f"{path.name} is incomplete or damaged: its MD5"):
        load(name, root)
    path.unlink()
    with pytest.raises(DataError, match=rf"{path.name} is missing; put the .*original"):
        load(name, root)


@pytest.mark.parametrize("name", [*FILES, "mnist-m", "celeba"])
def test_where_there_is_nothing_the_message_says_what_to_do(
    name: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root.mkdir()
    with pytest.raises(DataError, match=rf"^{name}: neither .* is in {root}; put"):
        load(name, root)
    assert list(root.iterdir()) == []


def test_a_file_of_svhn_that_lacks_its_labels_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat

    disk_sets.write_svhn(root, monkeypatch)
    path = root / "train_32x32.mat"
    savemat(path, {"X": np.zeros((32, 32, 3, 2), np.uint8)})
    known = torchvision.datasets.SVHN.split_list
    changed = {**known, "train": ["", path.name, disk_sets.md5(path)]}
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", changed)
    with pytest.raises(DataError, match=r"train_32x32\.mat is not a MATLAB file with X and y"):
        load("svhn", root)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 9]) + bytes(8)),
        gzip.compress(bytes([0, 0, 9, 1, 0, 0, 0, 9]) + bytes(9)),
        gzip.compress(b"\0\0"),
        b"not compressed",
    ],
    ids=["short", "signed", "cut header", "no gzip"],
)
def test_an_idx_file_that_is_none_is_refused(
    content: bytes, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_sets.write_fashion(root, monkeypatch)
    path = root / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(content)
    disk_sets.seal_fashion(root, monkeypatch)
    with pytest.raises(DataError, match=f"{path.name} is not a whole IDX file"):
        load("fashion-mnist", root)


def test_unpacked_files_alone_cannot_be_verified(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_sets.write_fashion(root, monkeypatch)
    for path in (root / "FashionMNIST" / "raw").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    with pytest.raises(DataError, match="move what lies unpacked beside it away"):
        load("fashion-mnist", root)


def test_a_corrupt_and_a_missing_image_of_mnist_m_are_named(root: Path) -> None:
    disk_sets.write_mnist_m(root)
    path = root / "mnist_m" / "mnist_m_train" / "00000003.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"the image .*00000003\.png cannot be read"):
        load("mnist-m", root)
    Image.new("RGB", (28, 28)).save(path)
    with pytest.raises(DataError, match=r"00000003\.png should be 32×32; found 28×28"):
        load("mnist-m", root)
    path.unlink()
    with pytest.raises(DataError, match=r"the image .*00000003\.png is missing"):
        load("mnist-m", root)
    assert not (root / "mnist_m.npz").exists()


def test_a_list_of_mnist_m_with_a_bad_line_is_named(root: Path) -> None:
    disk_sets.write_mnist_m(root)
    path = root / "mnist_m" / "mnist_m_test_labels.txt"
    path.write_text("00000000.png 5\n00000001.png eleven\n")
    with pytest.raises(DataError, match=r"line 2 of .*mnist_m_test_labels\.txt should be a file"):
        load("mnist-m", root)
    path.unlink()
    with pytest.raises(DataError, match=r"mnist_m_test_labels\.txt is missing"):
        load("mnist-m", root)


def test_mnist_m_has_no_download_and_is_never_called_svhn(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it has no download"):
        load("mnist-m", tmp_path, download=True)
    disk_sets.write_mnist_m(tmp_path)
    bundle = load("mnist-m", tmp_path)
    assert "SVHN" not in bundle.train.source + SOURCES["mnist-m"].title


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("cifar100", "CIFAR100"),
        ("svhn", "SVHN"),
        ("fashion-mnist", "FashionMNIST"),
        ("celeba", "CelebA"),
    ],
)
def test_a_download_is_torchvisions_and_its_failure_one_sentence(
    name: str, kind: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def refuse(self: torchvision.datasets.VisionDataset) -> None:
        calls.append(Path(self.root))
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(getattr(torchvision.datasets, kind), "download", refuse)
    root.mkdir()
    with pytest.raises(DataError):
        load(name, root)
    assert calls == []
    with pytest.raises(DataError, match=rf"^{name}: the download to {root} failed \(.*denied\)$"):
        load(name, root, download=True)
    assert calls == [root]


def test_a_root_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    inside = tmp_path / "file" / "root"
    with pytest.raises(DataError, match=f"the data root {inside} cannot be made"):
        load("cifar100", inside, download=True)


def test_an_option_that_a_loader_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^image_size: digits does not know this option"):
        load("digits", image_size=16)
    with pytest.raises(ConfigError, match=r"tokenizer: celeba .*its options are image_size"):
        load("celeba", tmp_path, tokenizer="words")
    assert load("digits", image_size=None).train.input_shape == (1, 8, 8)


def test_every_data_set_has_its_facts() -> None:
    assert set(SOURCES) == set(DATASETS)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "fashion-mnist", "celeba"])
def test_the_checksums_shown_are_those_that_are_verified(name: str) -> None:
    kinds = {"cifar10": "CIFAR10", "svhn": "SVHN", "celeba": "CelebA", "cifar100": "CIFAR100"}
    kind = getattr(torchvision.datasets, kinds.get(name, "FashionMNIST"))
    if name.startswith("cifar"):
        listed = {file: md5 for file, md5 in kind.train_list + kind.test_list}
    elif name == "svhn":
        listed = {row[1]: row[2] for row in kind.split_list.values()}
    elif name == "celeba":
        listed = {file: md5 for _, md5, file in kind.file_list}
    else:
        listed = dict(kind.resources)
    assert SOURCES[name].checksums
    for file, checksum in SOURCES[name].checksums:
        assert checksum == f"md5:{listed[file]}"
