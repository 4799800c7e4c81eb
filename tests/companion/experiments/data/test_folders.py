"""Folders of images: layouts, splits, groups, and one sentence for each thing that is wrong."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from companion.experiments import data
from companion.experiments.data import DataBundle, Dataset, StreamedDataset
from companion.experiments.data.sets.folders import load_folder
from companion.experiments.data.streamed import reading
from companion.experiments.data.streamed.listing import EXTENSIONS
from companion.experiments.runs.problems import load_data
from companion.experiments.settings.setting import Setting
from pictures import write_classes, write_image, write_parts
from toys import whole_batch
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.training import Execution

SHARED = Path(__file__).parents[5] / "shared" / "data" / "tiny_imagenet_40"


def own(path: Path, **options: object) -> DataBundle:
    return data.load(f"folder:{path}", **options)


def paths(samples: object) -> list[str]:
    assert isinstance(samples, StreamedDataset)
    return [samples.files.relative(number) for number in range(len(samples.files))]


def test_a_folder_with_train_and_test(tmp_path: Path) -> None:
    write_parts(tmp_path, {"cat": 3, "dog": 2}, {"cat": 1, "dog": 2})
    bundle = own(tmp_path, stream=True)
    assert paths(bundle.train)[2:4] == ["train/cat/002.png", "train/dog/000.png"]
    assert paths(bundle.test) == ["test/cat/000.png", "test/dog/000.png", "test/dog/001.png"]
    assert bundle.train.labels.tolist() == [0, 0, 0, 1, 1]
    assert bundle.test.labels.tolist() == [0, 1, 1]
    assert bundle.train.class_names == bundle.test.class_names == ("cat", "dog")
    assert bundle.train.num_classes == 2
    assert bundle.train.name == f"folder:{tmp_path}"


def test_val_stands_in_for_test(tmp_path: Path) -> None:
    write_parts(tmp_path, {"cat": 3, "dog": 2}, {"cat": 1, "dog": 2}, second="val")
    assert paths(own(tmp_path, stream=True).test)[0] == "val/cat/000.png"


def test_of_a_folder_of_classes_every_fifth_image_is_a_test_image(tmp_path: Path) -> None:
    write_classes(tmp_path, {"cat": 11, "dog": 5})
    bundle = own(tmp_path, stream=True)
    assert paths(bundle.test) == ["cat/004.png", "cat/009.png", "dog/004.png"]
    assert len(bundle.train) == 13
    assert not set(paths(bundle.test)) & set(paths(bundle.train))


def test_groups_are_the_folders_inside_the_classes(tmp_path: Path) -> None:
    write_classes(tmp_path, {"pet/cat": 3, "pet/dog": 4, "wild/cat": 4, "wild/wolf": 1})
    bundle = own(tmp_path, stream=True)
    assert bundle.train.group_names == bundle.test.group_names == ("cat", "dog", "wolf")
    assert bundle.test.groups is not None
    assert paths(bundle.test) == ["pet/dog/001.png", "wild/wolf/000.png"]
    assert bundle.test.groups.tolist() == [1, 2]
    assert bundle.train.groups is not None
    assert bundle.train.groups.tolist() == [0] * 3 + [1] * 3 + [0] * 4


def test_hidden_files_and_other_files_are_left_out(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 2}, {"a": 1, "b": 1})
    for name in ("notes.txt", "._000.png", ".DS_Store"):
        (tmp_path / "train" / "a" / name).write_text("x")
    (tmp_path / "train" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "train" / "README.md").write_text("x")
    assert len(own(tmp_path).train) == 4


def test_endings_are_read_in_any_case_and_order_is_by_name(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "C.jpeg", "d.bmp", "e.webp", "f.TIFF"):
        write_image(tmp_path / "train" / "x" / name, 1)
    write_classes(tmp_path / "train", {"y": 1})
    write_classes(tmp_path / "test", {"x": 1, "y": 1})
    names = [Path(path).name for path in paths(own(tmp_path, stream=True).train)]
    assert names == ["C.jpeg", "a.png", "b.JPG", "d.bmp", "e.webp", "f.TIFF", "000.png"]


def test_the_endings_are_those_of_torchvision() -> None:
    from torchvision.datasets.folder import IMG_EXTENSIONS

    assert EXTENSIONS == IMG_EXTENSIONS


def test_names_of_files_may_hold_anything(tmp_path: Path) -> None:
    write_parts(tmp_path, {"naïve class": 1, "b": 1}, {"naïve class": 1, "b": 1})
    for name in ("with space.png", "ünï.png", "line\nbreak.png", os.fsdecode(b"\xff.png")):
        write_image(tmp_path / "x.png", 1)
        (tmp_path / "x.png").rename(tmp_path / "train" / "b" / name)
    bundle = own(tmp_path, stream=True)
    assert len(whole_batch(bundle.train)[1]) == 6
    assert bundle.train.checksum


@pytest.mark.parametrize(("size", "shape"), [((10, 8), 8), ((300, 240), 224)])
def test_without_a_size_the_first_image_tells_it(
    tmp_path: Path, size: tuple[int, int], shape: int
) -> None:
    write_classes(tmp_path, {"a": 5, "b": 5}, size=size)
    assert own(tmp_path).train.input_shape == (3, shape, shape)
    assert own(tmp_path, image_size=6).train.input_shape == (3, 6, 6)


def test_small_folders_are_held_in_memory_and_large_ones_streamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path, {"a": 5, "b": 5})
    assert reading.IN_MEMORY == 2 * 2**30
    decoded = 10 * 8 * 8 * 3
    for limit, kind in ((decoded, Dataset), (decoded - 1, StreamedDataset)):
        monkeypatch.setattr(reading, "IN_MEMORY", limit)
        for part in (own(tmp_path).train, own(tmp_path).test):
            assert isinstance(part, kind)
        assert isinstance(own(tmp_path, stream=True).train, StreamedDataset)
        assert isinstance(own(tmp_path, stream=False).train, Dataset)


def test_a_relative_path_is_below_the_root_or_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UGRADSL_DATA", raising=False)
    write_classes(tmp_path / "sub" / "mine", {"a": 5, "b": 5})
    assert len(data.load("folder:mine", tmp_path / "sub").train) == 8
    with pytest.raises(DataError, match="folder:mine: mine is not a directory"):
        data.load("folder:mine")
    monkeypatch.chdir(tmp_path / "sub")
    assert len(data.load("folder:mine").train) == 8
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UGRADSL_DATA", str(tmp_path / "sub"))
    assert len(data.load("folder:mine").train) == 8
    assert len(data.load(f"folder:{tmp_path / 'sub' / 'mine'}", tmp_path).train) == 8


def test_a_folder_is_a_data_set_of_a_setting(tmp_path: Path) -> None:
    assert Setting(dataset=f"folder:{tmp_path}").dataset == f"folder:{tmp_path}"


def test_an_option_that_no_folder_has_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(ConfigError, match=r"tokenizer: folder:.* does not know this option"):
        own(tmp_path, tokenizer="x")


def tiny(root: Path) -> Path:
    """Tiny-ImageNet's own layout, with three classes."""
    base = root / "tiny-imagenet-200"
    lines = []
    for c, wnid in enumerate(("n03", "n01", "n02")):
        write_classes(
            base / "train" / wnid, {"images": 4}, first=100 * c, size=(64, 64), ending="JPEG"
        )
        (base / "train" / wnid / f"{wnid}_boxes.txt").write_text("")
        for i in range(2):
            name = f"val_{3 * i + c}.JPEG"
            write_image(base / "val" / "images" / name, 1000 + 10 * c + i, (64, 64))
            lines.append(f"{name}\t{wnid}\t0\t32\t44\t62\n")
    (base / "val" / "val_annotations.txt").write_text("".join(sorted(lines)))
    return base


def as_image_folder(base: Path, target: Path) -> None:
    """What the archive holds, sorted into folders."""
    for folder in sorted((base / "train").iterdir()):
        shutil.copytree(folder / "images", target / "train" / folder.name)
    for line in (base / "val" / "val_annotations.txt").read_text().splitlines():
        name, wnid = line.split("\t")[:2]
        (target / "val" / wnid).mkdir(parents=True, exist_ok=True)
        shutil.copy(base / "val" / "images" / name, target / "val" / wnid / name)


def test_both_layouts_of_tiny_imagenet_are_the_same_samples(tmp_path: Path) -> None:
    base = tiny(tmp_path / "archive")
    as_image_folder(base, tmp_path / "folders" / "tiny-imagenet-3")
    one, other = (data.load("tiny-imagenet", tmp_path / k) for k in ("archive", "folders"))
    for ours, theirs in ((one.train, other.train), (one.test, other.test)):
        assert ours.class_names == theirs.class_names == ("n01", "n02", "n03")
        assert ours.groups is None
        assert all(map(torch.equal, whole_batch(ours), whole_batch(theirs)))
    assert one.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert one.test.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert one.train.input_shape == (3, 64, 64)


def edit_annotations(base: Path, change: Callable[[str], str]) -> None:
    path = base / "val" / "val_annotations.txt"
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda text: text.replace("val_1.JPEG", "val_9.JPEG"),
            r"val_1\.JPEG has no line in val_a",
        ),
        (lambda text: text + "val_9.JPEG\tn01\n", r"val_9\.JPEG is missing"),
        (lambda text: "val_0.JPEG\n" + text, "line 1: should be a file and its class; found"),
        (lambda text: text.replace("n02", "n04"), "only the training part has n02; only the test"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[str], str], message: str
) -> None:
    edit_annotations(tiny(tmp_path), change)
    with pytest.raises(DataError, match=message):
        data.load("tiny-imagenet", tmp_path)


@pytest.mark.parametrize("name", ["tiny-imagenet", "imagenet"])
def test_a_missing_folder_says_what_is_expected(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"should hold .*train and val"):
        data.load(name, tmp_path)
    with pytest.raises(ConfigError, match="is not downloaded by this package"):
        data.load(name, tmp_path, download=True)
    with pytest.raises(DataError, match="is not a directory"):
        data.load(name, tmp_path / "none")


def test_two_copies_of_tiny_imagenet_are_told_apart(tmp_path: Path) -> None:
    base = tiny(tmp_path)
    shutil.copytree(base, tmp_path / "tiny-imagenet-40")
    assert len(data.load("tiny-imagenet", tmp_path).train) == 12
    base.rename(tmp_path / "tiny-imagenet-41")
    with pytest.raises(DataError, match="found tiny-imagenet-40, tiny-imagenet-41"):
        data.load("tiny-imagenet", tmp_path)


@pytest.mark.parametrize(("image_size", "resize"), [(None, 256), (112, 128), (28, 32)])
def test_imagenet_is_resized_and_cropped_as_usual(
    tmp_path: Path, image_size: int | None, resize: int
) -> None:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    parts = {"n1": 2, "n2": 1}
    for part in ("train", "val"):
        write_classes(tmp_path / "imagenet" / part, parts, size=(300, 270), ending="JPEG")
    bundle = data.load("imagenet", tmp_path, image_size=image_size)
    size = image_size or 224
    assert bundle.train.input_shape == (3, size, size)
    transform = v2.Compose([v2.Resize(resize), v2.CenterCrop(size)])
    reference = ImageFolder(tmp_path / "imagenet" / "val", transform)
    assert isinstance(bundle.test, Dataset)
    for row, (image, label) in enumerate(reference):
        assert np.array_equal(bundle.test.inputs[row], np.asarray(image))
        assert bundle.test.labels[row] == label


def test_imagenet_without_val_is_refused(tmp_path: Path) -> None:
    write_classes(tmp_path / "imagenet" / "train", {"a": 1, "b": 1})
    with pytest.raises(DataError, match=r"imagenet should hold train and val.*val is missing"):
        data.load("imagenet", tmp_path)


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_images_are_left_out_only_when_asked(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 4, "b": 3}, {"a": 2, "b": 2})
    for number in (1, 3):
        damaged(tmp_path / "train" / "a" / f"00{number}.png")
    (tmp_path / "test" / "b" / "001.png").write_text("not an image")
    with pytest.raises(DataError, match=r"train/a/001\.png: cannot be read as an image \("):
        own(tmp_path, image_size=8)
    with pytest.warns(UserWarning, match="left out") as warned:
        bundle = own(tmp_path, skip_corrupt=True)
    assert [str(warning.message).split(": ", 1)[1] for warning in warned] == [
        "left out 2 of 7 images that cannot be read: train/a/001.png, train/a/003.png",
        "left out 1 of 4 images that cannot be read: test/b/001.png",
    ]
    assert bundle.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert bundle.test.labels.tolist() == [0, 0, 1]
    with pytest.warns(UserWarning, match="left out"):
        again = own(tmp_path, skip_corrupt=True, stream=True)
    assert paths(again.train)[:2] == ["train/a/000.png", "train/a/002.png"]
    assert all(map(torch.equal, whole_batch(again.train), whole_batch(bundle.train)))
    assert again.train.checksum == bundle.train.checksum


def test_a_setting_can_ask_for_it_too(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 4, "b": 3}, {"a": 2, "b": 2})
    damaged(tmp_path / "train" / "a" / "001.png")
    plain = Setting(dataset=f"folder:{tmp_path}")
    with pytest.raises(DataError, match=r"001\.png: cannot be read as an image"):
        load_data(plain, Execution("cpu"))
    asked = Setting(dataset=f"folder:{tmp_path}", skip_corrupt="true")
    with pytest.warns(UserWarning, match="left out 1 of 7 images"):
        assert len(load_data(asked, Execution("cpu")).train) == 6
    assert asked.identity() != plain.identity()
    not_asked = Setting(dataset=f"folder:{tmp_path}", skip_corrupt="false")
    assert not_asked.identity() == plain.identity()
    with pytest.raises(ConfigError, match="skip_corrupt: digits does not know this option"):
        load_data(Setting(skip_corrupt=True), Execution("cpu"))


def test_a_class_without_one_readable_image_is_refused(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 1}, {"a": 1, "b": 1})
    damaged(tmp_path / "train" / "b" / "000.png")
    with (
        pytest.warns(UserWarning, match="left out 1 of 3"),
        pytest.raises(DataError, match="no image of class b can be read"),
    ):
        own(tmp_path, skip_corrupt=True)


def test_a_damaged_first_image_asks_for_the_size(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 1}, {"a": 1, "b": 1})
    (tmp_path / "train" / "a" / "000.png").write_text("")
    with pytest.raises(DataError, match=r"a/000\.png: the first training image cannot be read"):
        own(tmp_path)


@pytest.mark.parametrize("damage", ["empty", "half"])
def test_the_first_readable_image_tells_the_size_where_others_are_left_out(
    tmp_path: Path, damage: str
) -> None:
    write_parts(tmp_path, {"a": 3, "b": 1}, {"a": 1, "b": 1})
    first = tmp_path / "train" / "a" / "000.png"
    write_image(first, 0, (100, 90))
    if damage == "half":  # its header tells a size that no image has which is read
        damaged(first)
    else:
        first.write_bytes(b"")
    with pytest.warns(UserWarning, match="left out 1 of 4 .*: train/a/000.png"):
        bundle = own(tmp_path, skip_corrupt=True)
    assert bundle.train.input_shape == bundle.test.input_shape == (3, 8, 8)
    assert len(bundle.train) == 3
    with pytest.raises(DataError, match=r"train/a/000\.png: "):
        own(tmp_path)


def test_where_no_image_can_be_read_that_is_said(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 1, "b": 1}, {"a": 1, "b": 1})
    for path in (tmp_path / "train").glob("*/*"):
        path.write_text("not an image")
    with pytest.raises(DataError, match=r"^folder:.*: none of the 2 training images can be read$"):
        own(tmp_path, skip_corrupt=True)


def test_the_warning_shows_no_line_of_code(python: str, tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 1}, {"a": 1, "b": 1})
    damaged(tmp_path / "train" / "a" / "000.png")
    code = "from companion.experiments import data\n"
    code += f"data.load('folder:{tmp_path}', skip_corrupt=True)\n"
    script = tmp_path / "script.py"
    script.write_text(code)
    done = subprocess.run([python, script], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith(f"folder:{tmp_path}: left out 1 of 3 images that cannot be read: "
                         "train/a/000.png")  # fmt: skip
    assert ".py" not in line


def remove(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name)

    return change


def empty(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir(parents=True)

    return change


def add(*names: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for name in names:
            write_image(root / name, 0)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove("train"), "has test, but no train"),
        (remove("test"), "has train, but neither test nor val"),
        (remove("train/a"), "should have at least two classes; found b alone"),
        (remove("test/a"), "should have the same classes; only the training part has a"),
        (add("test/c/0.png"), "should have the same classes; only the test part has c"),
        (empty("train/b"), "class folder .*train/b holds no images"),
        (empty("test"), "test should hold one folder for each class; found nothing"),
        (empty("train/a", "train/a/group"), "train/a/group should hold images; found none"),
        (add("train/a/group/0.png"), "train/a should hold images, or one folder .* found both"),
        (add("train/c/g/0.png", "test/c/g/0.png"), "either all classes should have folders of"),
        (
            lambda root: (empty("train/a")(root), add("train/a/g/h/0.png")(root)),
            "train/a/g should hold images; found folders",
        ),
        (
            lambda root: (empty("train")(root), add("train/0.png")(root)),
            "train should hold one folder for each class; found images alone",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    tmp_path: Path, change: Callable[[Path], object], message: str
) -> None:
    write_parts(tmp_path, {"a": 2, "b": 2}, {"a": 1, "b": 1})
    change(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        own(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_empty_path_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    needs = r"the data set folder: needs the path of .*, such as folder:/data/photos; found none"
    for refused in (
        lambda: data.load("folder:"),
        lambda: data.load("folder: ", tmp_path),
        lambda: load_folder("", tmp_path),
        lambda: Setting(dataset="folder:"),
    ):
        with pytest.raises(ConfigError, match=needs):
            refused()
    with pytest.raises(DataError, match="none is not a directory"):
        own(tmp_path / "none")


def test_a_class_of_four_images_cannot_be_split(tmp_path: Path) -> None:
    write_classes(tmp_path, {"a": 5, "b": 4})
    with pytest.raises(DataError, match=r"class b should have at least 5 images.* found 4"):
        own(tmp_path)


def test_a_folder_that_may_not_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a stand-in, as an administrator may list everything."""
    write_classes(tmp_path, {"a": 5, "b": 5})
    scandir = os.scandir

    def refused(path: Path) -> object:
        if Path(path).name == "b":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(DataError, match=r"/b cannot be listed \(Permission denied\)"):
        own(tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 11}, r"workers: should lie in 1…10, the number of images in .*; found 11"),
        ({"workers": 0}, r"workers: should lie in 1…10"),
        ({"prefetch": -1}, "prefetch: should be at least 0"),
        ({"image_size": 0}, "image_size: should be at least 1; found 0"),
        ({"checksum": "md5"}, "checksum: should be 'files' or 'contents'; found 'md5'"),
        ({"download": True}, "download: folder:.* is your own"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, object], message: str) -> None:
    write_classes(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(ConfigError, match=message):
        load_folder(str(tmp_path), **options)


def test_a_folder_that_may_not_be_written_is_read(tmp_path: Path) -> None:
    """Nothing is ever written into it."""
    write_classes(tmp_path, {"a": 5, "b": 5})
    before = sorted(tmp_path.rglob("*"))
    for folder in (tmp_path, tmp_path / "a", tmp_path / "b"):
        folder.chmod(0o555)
    bundle = own(tmp_path, stream=True, checksum="contents")
    assert len(whole_batch(bundle.train)[1]) == 8
    assert bundle.train.checksum
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not SHARED.is_dir(), reason="the data are not on this machine")
def test_the_real_tiny_imagenet_of_forty_classes(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(SHARED / "tiny-imagenet.tar.xz") as archive:
        wanted = [m for m in archive if m.name.split("/")[1:2] < ["n01784676"] or m.isdir()]
        archive.extractall(tmp_path / "tiny-imagenet-40", wanted, filter="data")
    for folder in (tmp_path / "tiny-imagenet-40").glob("*/*"):
        if not any(folder.iterdir()):
            folder.rmdir()
    bundle = data.load("tiny-imagenet", tmp_path, stream=True)
    classes = len(bundle.train.class_names)
    assert classes >= 2
    assert torch.bincount(bundle.train.labels).tolist() == [500] * classes
    assert torch.bincount(bundle.test.labels).tolist() == [50] * classes
    inputs, _ = next(iter(bundle.train.batches([torch.arange(0, 500 * classes, 7)])))
    assert abs(float(inputs.mean())) < 0.5
    assert 0.7 < float(inputs.std()) < 1.5
