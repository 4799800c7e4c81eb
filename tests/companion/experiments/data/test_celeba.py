"""CelebA from its original layout: crops, smiles, identities, and lists that do not match."""

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CelebA
from torchvision.datasets.celeba import CSV

import disk_sets
from companion.experiments import data
from companion.experiments.data import load
from disk_sets import OnDisk
from ugradsl_core.errors import ConfigError, DataError


@pytest.fixture
def celeba(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnDisk:
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return disk_sets.write_celeba(tmp_path, monkeypatch)


def test_the_official_partition_gives_training_and_test_images(celeba: OnDisk) -> None:
    bundle = load("celeba", celeba.root)
    assert (len(bundle.train), len(bundle.test)) == (4, 3)
    for part, samples in (("train", bundle.train), ("test", bundle.test)):
        assert samples.labels.tolist() == celeba.labels[part].tolist()
        assert samples.class_names == ("not smiling", "smiling")
        assert samples.input_shape == (3, 64, 64)
        assert samples.inputs.dtype == torch.uint8


def test_faces_are_the_central_square_resized(celeba: OnDisk) -> None:
    bundle = load("celeba", celeba.root, image_size=178)
    for part, samples in (("train", bundle.train), ("test", bundle.test)):
        difference = samples.inputs.numpy().astype(int) - celeba.images[part]
        assert np.abs(difference).mean() < 2  # JPEG's loss
        small = getattr(load("celeba", celeba.root), part).inputs
        for i, square in enumerate(samples.inputs.numpy()):
            resized = Image.fromarray(square).resize((64, 64), Image.Resampling.LANCZOS)
            assert np.array_equal(small[i], np.asarray(resized))


def test_identities_are_groups_whole_on_one_side_of_the_split(celeba: OnDisk) -> None:
    bundle = load("celeba", celeba.root)
    train, test = bundle.train, bundle.test
    assert train.group_names == test.group_names == ("7", "9", "12", "30")
    named = {
        part: [samples.group_names[g] for g in samples.groups.tolist()]
        for part, samples in (("train", train), ("test", test))
    }
    assert named == {"train": ["12", "7", "12", "7"], "test": ["30", "9", "30"]}
    assert not set(named["train"]) & set(named["test"])


def test_each_size_has_a_decoded_copy_of_its_own(celeba: OnDisk) -> None:
    for size in (64, 32):
        assert load("celeba", celeba.root, image_size=size).train.input_shape == (3, size, size)
        assert load("celeba", celeba.root, image_size=size).train.input_shape == (3, size, size)
    copies = sorted(path.name for path in celeba.root.glob("*.npz"))
    assert copies == ["celeba-32.npz", "celeba.npz"]
    (celeba.root / "celeba-32.npz").rename(celeba.root / "celeba-16.npz")
    (celeba.root / "celeba-32.npz.json").rename(celeba.root / "celeba-16.npz.json")
    with pytest.raises(DataError, match=r"celeba-16\.npz should hold .* 16×16×3; found 32×32×3"):
        load("celeba", celeba.root, image_size=16)


@pytest.mark.parametrize("size", [0, 7, 179])
def test_sizes_outside_the_images_are_refused(celeba: OnDisk, size: int) -> None:
    with pytest.raises(ConfigError, match=f"image_size: should lie in 8…178 .*found {size}"):
        load("celeba", celeba.root, image_size=size)


@pytest.mark.parametrize(
    "file", ["identity_CelebA.txt", "list_attr_celeba.txt", "list_eval_partition.txt"]
)
def test_a_missing_and_a_changed_list_are_named(celeba: OnDisk, file: str) -> None:
    path = celeba.root / "celeba" / file
    path.write_text(path.read_text().replace("000002.jpg", "000012.jpg"))
    with pytest.raises(DataError, match=f"{file} is incomplete or damaged: its MD5"):
        load("celeba", celeba.root)
    path.unlink()
    with pytest.raises(DataError, match=f"{file} is missing"):
        load("celeba", celeba.root)


def edit(celeba: OnDisk, patch: pytest.MonkeyPatch, file: str, old: str, new: str) -> None:
    path = celeba.root / "celeba" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    disk_sets.seal_celeba(celeba.root, patch)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("identity_CelebA.txt", "000009.jpg 30\n", "", "should have 9 lines, .*found 8"),
        (
            "identity_CelebA.txt",
            "000004.jpg",
            "000005.jpg",
            "line 4 of .* is about 000005.jpg, but that of list_attr_celeba.txt is about 000004",
        ),
        ("identity_CelebA.txt", "000004.jpg 12", "000004.jpg x", "line 4 .* a file and 1 numbers"),
        ("list_eval_partition.txt", "000006.jpg 0", "000006.jpg", "line 6 .*a file and 1 numbers"),
        ("list_attr_celeba.txt", "Smiling", "Frowning", "line 2 of .* does not name Smiling"),
        ("list_attr_celeba.txt", "000001.jpg -1", "000001.jpg", "line 3 of .*a file and 3 num"),
    ],
)
def test_lists_that_do_not_match_are_refused_by_line(
    celeba: OnDisk, monkeypatch: pytest.MonkeyPatch, file: str, old: str, new: str, said: str
) -> None:
    edit(celeba, monkeypatch, file, old, new)
    with pytest.raises(DataError, match=said):
        load("celeba", celeba.root)


def test_a_corrupt_and_a_missing_image_are_named(celeba: OnDisk) -> None:
    path = celeba.root / "celeba" / "img_align_celeba" / "000004.jpg"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(DataError, match=r"the image .*000004\.jpg cannot be read"):
        load("celeba", celeba.root)
    path.unlink()
    with pytest.raises(DataError, match=r"the image .*000004\.jpg is missing"):
        load("celeba", celeba.root)


def test_an_image_of_the_validation_part_is_not_needed(celeba: OnDisk) -> None:
    (celeba.root / "celeba" / "img_align_celeba" / "000003.jpg").unlink()
    assert len(load("celeba", celeba.root).train) == 4


def prepared(root: Path, **changes: np.ndarray) -> None:
    """A prepared copy of three training images and one test image."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": disk_sets.draw(rng, 3, 64),
        "y_train": np.array([0, 1, 1]),
        "identity_train": np.array([900, 2, 900]),
        "x_test": disk_sets.draw(rng, 1, 64),
        "y_test": np.array([1]),
        "identity_test": np.array([17]),
    }
    np.savez(root / "celeba.npz", **(arrays | changes))


def test_the_prepared_copy_is_read_with_its_identities(tmp_path: Path) -> None:
    prepared(tmp_path)
    bundle = load("celeba", tmp_path)
    assert bundle.train.group_names == ("2", "17", "900")
    assert bundle.train.groups.tolist() == [2, 0, 2]
    assert bundle.test.groups.tolist() == [1]
    assert "decoded copy celeba.npz" in bundle.train.source


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"identity_test": np.array([900])},
            r"celeba\.npz should have each identity in the training or in the test part; "
            r"found 1 in both, such as 900$",
        ),
        (
            {"identity_train": np.array([900, 2])},
            r"identity_train in .*celeba\.npz should be 3 whole numbers; found int64 of shape \(2,",
        ),
        ({"identity_test": np.array([17.5])}, r"identity_test .* 1 whole numbers; found float64"),
        ({"x_train": np.array(0, np.uint8)}, "identity_train .* 1 whole numbers"),
        (
            {"x_test": np.zeros((1, 64, 32, 3), np.uint8)},
            r"x_test in .* images of 64×64×3; found 64×32×3",
        ),
    ],
)
def test_a_prepared_copy_of_another_form_is_refused(
    tmp_path: Path, changes: dict[str, np.ndarray], said: str
) -> None:
    prepared(tmp_path, **changes)
    with pytest.raises(DataError, match=said) as caught:
        load("celeba", tmp_path)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["celeba.npz"]


def test_a_download_without_gdown_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)  # as where it is not installed
    with pytest.raises(DataError, match=r"^celeba: --download needs the package gdown") as caught:
        load("celeba", tmp_path, download=True)
    assert 'pip install "ugradsl-core[download]"' in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_the_extra_has_what_the_download_needs() -> None:
    text = (Path(__file__).parents[4] / "pyproject.toml").read_text("utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    assert [requirement.partition(">")[0] for requirement in extras["download"]] == ["gdown"]


def test_nothing_needs_gdown_where_all_files_are_there(
    celeba: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gdown", None)
    monkeypatch.setattr(CelebA, "_load_csv", lambda *_, **__: CSV([], [], torch.empty(0, 1)))
    assert len(load("celeba", celeba.root, download=True).train) == 4


def test_an_error_of_gdowns_own_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class QuotaError(Exception):
        pass

    def refuse(_: object) -> None:
        raise QuotaError("Too many users\n have viewed")

    monkeypatch.setattr(CelebA, "download", refuse)
    said = rf"^celeba: the download to {tmp_path} failed \(Too many users have viewed\)$"
    with pytest.raises(DataError, match=said):
        load("celeba", tmp_path, download=True)


def test_a_copy_without_identities_is_refused(tmp_path: Path) -> None:
    empty = {f"{k}_{end}": np.zeros(0, np.int64) for k in "xy" for end in ("train", "test")}
    np.savez(tmp_path / "celeba.npz", **empty)
    with pytest.raises(DataError, match=r"celeba\.npz has no array 'identity_train'"):
        load("celeba", tmp_path)
