"""Streamed images: the batches of the in-memory set bit for bit, and nothing left behind."""

import hashlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from benches import bench_of
from companion.experiments import data
from companion.experiments.data import DataBundle, Dataset, StreamedDataset
from companion.experiments.data.streamed.file_list import FileList, Folder, SquareCrop
from companion.experiments.data.streamed.stream import default_workers
from companion.experiments.records.store import load_state, open_store
from companion.experiments.runs import problems
from companion.experiments.runs.run import run_one
from companion.experiments.settings.setting import Setting
from pictures import write_image, write_parts
from toys import generator, whole_batch
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.methods import make_config
from ugradsl_core.samples import Batch, Samples
from ugradsl_core.training import Execution, SGDConfig, cycled, shuffled

AUGMENTS = ("none", "flip", "crop-flip")
COUNTS = {"a": 13, "b": 9, "c": 11}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parts(tmp_path_factory.mktemp("pictures"), COUNTS, {"a": 4, "b": 5, "c": 6})


def load(folder: Path, **options: object) -> DataBundle:
    return data.load(f"folder:{folder}", **options)


def streamed(folder: Path, **options: object) -> StreamedDataset:
    train = load(folder, stream=True, **options).train
    assert isinstance(train, StreamedDataset)
    return train


def in_memory(folder: Path, **options: object) -> Dataset:
    train = load(folder, stream=False, **options).train
    assert isinstance(train, Dataset)
    return train


def same(one: Batch, other: Batch) -> bool:
    layouts = [x.is_contiguous(memory_format=torch.channels_last) for x in (one[0], other[0])]
    return all(layouts) and all(map(torch.equal, one, other))


def test_the_images_are_those_of_torchvision(folder: Path) -> None:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    reference = ImageFolder(folder / "train", v2.Compose([v2.Resize(6), v2.CenterCrop(6)]))
    ours = streamed(folder, image_size=6)
    assert ours.class_names == tuple(reference.classes)
    assert ours.labels.tolist() == reference.targets
    inputs, labels = whole_batch(ours)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (ours.transform.mean, ours.transform.std))
    for row, (image, label) in enumerate(reference):
        expected = torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255
        torch.testing.assert_close(inputs[row], (expected - mean) / std)
        assert labels[row] == label


def test_what_is_known_of_the_samples_is_the_same(folder: Path) -> None:
    ours, other = streamed(folder), in_memory(folder)
    assert len(ours) == len(other) == sum(COUNTS.values())
    for field in ("name", "class_names", "num_classes", "source", "checksum", "input_shape"):
        assert getattr(ours, field) == getattr(other, field), field
    assert ours.input_shape == (3, 8, 8)
    assert ours.vocabulary is other.vocabulary is None
    assert ours.groups is other.groups is None
    assert ours.labels.dtype == torch.int64
    assert torch.equal(ours.labels, other.labels)
    assert all(map(torch.equal, ours.input_range, other.input_range))


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize(("workers", "prefetch"), [(1, 0), (1, 3), (3, 1), (7, 2)])
def test_batches_equal_those_in_memory(
    folder: Path, augment: str, workers: int, prefetch: int
) -> None:
    ours, other = streamed(folder, workers=workers, prefetch=prefetch), in_memory(folder)
    states, batches = [], []
    for samples in (ours, other):
        g = generator(3)
        epochs = [shuffled(len(samples), 5, g) for _ in range(2)]
        batches.append(
            [b for plan in epochs for b in samples.batches(plan, augment=augment, generator=g)]
        )
        states.append(g.get_state())
    assert len(batches[0]) == 14
    assert all(map(same, *batches))
    assert torch.equal(*states)


def test_augmentation_draws_anew_for_each_epoch(folder: Path) -> None:
    samples, g = streamed(folder), generator()
    plan = [torch.arange(10)] * 2
    first, second = samples.batches(plan, augment="crop-flip", generator=g)
    assert not torch.equal(first[0], second[0])


def traced(
    samples: Samples, plan: Iterable[Tensor], g: Generator, between: int, stop: int
) -> tuple[list[Tensor], list[Batch]]:
    """The generator's state and the batch at every step of a caller who draws and then stops."""
    states, batches = [], []
    for number, batch in enumerate(samples.batches(plan, augment="crop-flip", generator=g)):
        states.append(g.get_state())
        batches.append(batch)
        if between:
            torch.randint(9, (between,), generator=g)
        if number == stop:
            break
    return [*states, g.get_state()], batches


@pytest.mark.parametrize("stop", [2, 99])
@pytest.mark.parametrize(("lazy", "between"), [(True, 0), (False, 0), (False, 1), (False, 4)])
def test_the_generator_is_at_every_step_where_it_would_be_in_memory(
    folder: Path, lazy: bool, between: int, stop: int
) -> None:
    """A lazy plan draws from the same generator; a caller may draw from it between batches."""
    runs = []
    for samples in (streamed(folder, workers=2), in_memory(folder)):
        g = generator(1)
        sizes = [4, 7, 1, 30, 5, 5]
        plan: Iterable[Tensor] = (
            cycled(33, sizes, g) if lazy else [torch.arange(size) for size in sizes]
        )
        runs.append(traced(samples, plan, g, between, stop))
    (states, batches), (other_states, other_batches) = runs
    assert len(batches) == min(stop + 1, 6)
    assert len(states) == len(other_states)
    assert all(map(torch.equal, states, other_states))
    assert len(batches) == len(other_batches)
    assert all(map(same, batches, other_batches))


def test_without_a_generator_the_global_one_is_used_as_in_memory(folder: Path) -> None:
    """Dropout draws from it between the batches."""
    results = []
    for samples in (streamed(folder), in_memory(folder)):
        with torch.random.fork_rng():
            torch.manual_seed(5)
            for batch in samples.batches([torch.arange(6)] * 4, augment="flip"):
                results.append((batch, torch.rand(2)))
    for (batch, drawn), (other, other_drawn) in zip(results[:4], results[4:], strict=True):
        assert same(batch, other)
        assert torch.equal(drawn, other_drawn)


def test_views_compose_and_share_the_file_list(folder: Path) -> None:
    first, second = torch.tensor([20, 3, 30, 3, 7]), torch.tensor([4, 0, 2])
    ours, other = (s.take(first).take(second) for s in (streamed(folder), in_memory(folder)))
    assert len(ours) == 3
    assert torch.equal(ours.labels, other.labels)
    assert same(whole_batch(ours), whole_batch(other))
    assert ours.files is ours.take(torch.tensor([1])).files
    assert ours.checksum == other.checksum
    assert torch.equal(ours.in_memory().inputs, whole_stored(other))
    assert torch.equal(ours.in_memory().labels, other.labels)


def whole_stored(samples: Dataset) -> Tensor:
    assert samples.index is not None
    return samples.inputs[samples.index]


def test_groups_follow_the_views(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a/x": 2, "a/z": 3, "b/x": 1, "b/y": 2}, {"a/x": 1, "b/w": 1})
    ours, other = streamed(tmp_path), in_memory(tmp_path)
    assert ours.group_names == other.group_names == ("w", "x", "y", "z")
    for samples in (ours, other, ours.in_memory()):
        assert samples.groups is not None
        assert samples.groups.dtype == torch.int64
        assert samples.groups.tolist() == [1, 1, 3, 3, 3, 1, 2, 2]
        assert samples.labels.tolist() == [0] * 5 + [1] * 3
        view = samples.take(torch.tensor([7, 2]))
        assert view.groups is not None
        assert view.groups.tolist() == [2, 3]


def test_an_empty_batch_and_an_empty_plan(folder: Path) -> None:
    samples = streamed(folder)
    assert list(samples.batches([])) == []
    for augment in AUGMENTS:
        ((inputs, labels),) = samples.batches([torch.arange(0)], augment=augment)
        assert inputs.shape == (0, 3, 8, 8)
        assert labels.shape == (0,)


@pytest.mark.parametrize(("workers", "prefetch"), [(1, 0), (2, 1), (4, 2)])
def test_few_images_are_decoded_ahead_however_long_the_plan(
    folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int, prefetch: int
) -> None:
    decoded = count_reads(monkeypatch)
    pulled, used, size = 0, 0, 6

    def plan() -> Iterator[Tensor]:
        nonlocal pulled
        for _ in range(40):
            pulled += 1
            yield torch.arange(size)

    ahead = []
    for _ in streamed(folder, workers=workers, prefetch=prefetch).batches(plan()):
        wait_for(decoded, size * min(used + 1 + prefetch, 40))
        used += 1
        ahead.append(len(decoded) - size * used)
        assert pulled <= used + prefetch
    assert used == 40
    assert ahead[:30] == [size * prefetch] * 30


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    decoded: list[str] = []
    read = SquareCrop.read

    def counted(crop: SquareCrop, path: str) -> np.ndarray:
        image = read(crop, path)
        decoded.append(path)
        return image

    monkeypatch.setattr(SquareCrop, "read", counted)
    return decoded


def wait_for(decoded: list[str], count: int) -> None:
    """Give the threads ten seconds; what they then have not done fails the caller's assertion."""
    deadline = time.monotonic() + 10
    while len(decoded) < count and time.monotonic() < deadline:
        time.sleep(0.001)


def decoding_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("decode")]


def test_no_thread_outlives_an_epoch_or_one_that_was_left(folder: Path) -> None:
    samples = streamed(folder, workers=3)
    list(samples.batches([torch.arange(9)] * 3))
    assert decoding_threads() == []
    batches = samples.batches([torch.arange(9)] * 9)
    next(iter(batches))
    assert decoding_threads() != []
    del batches
    assert decoding_threads() == []


def test_a_damaged_image_is_named_and_stops_the_threads(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 8, "b": 8}, {"a": 1, "b": 1})
    victim = tmp_path / "train" / "b" / "003.png"
    samples = streamed(tmp_path)
    assert samples.checksum
    victim.write_bytes(victim.read_bytes()[:60])
    plan = [torch.arange(4), torch.arange(4, 14)]
    batches = samples.batches(plan)
    assert len(next(batches)[1]) == 4
    with pytest.raises(DataError, match=r"b/003\.png: cannot be read as an image \("):
        next(batches)
    assert decoding_threads() == []
    with pytest.raises(DataError, match=r"b/003\.png: cannot be read as an image"):
        samples.in_memory()
    assert samples.readable().tolist() == [True] * 11 + [False] + [True] * 4


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 2}, {"a": 1, "b": 1})
    samples = streamed(tmp_path)
    (tmp_path / "train" / "a" / "001.png").unlink()
    with pytest.raises(DataError, match=r"a/001\.png: cannot be read as an image \(No such file"):
        whole_batch(samples)
    with pytest.raises(DataError, match=r"a/001\.png: cannot be read \(No such file"):
        _ = samples.checksum


@pytest.mark.parametrize(
    ("mode", "ending"),
    [("L", "png"), ("P", "png"), ("RGBA", "png"), ("CMYK", "jpg"), ("L", "jpg"), ("1", "bmp")],
)
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str, ending: str) -> None:
    from PIL import Image

    path = tmp_path / f"x.{ending}"
    write_image(path, 0, (9, 7), mode)
    image = SquareCrop(7, 7).read(str(path))
    assert image.shape == (7, 7, 3)
    assert image.dtype == np.uint8
    with Image.open(path) as opened:
        assert opened.mode == mode
        assert np.array_equal(image, np.asarray(opened.convert("RGB"))[:, 1:8])


@pytest.mark.parametrize(("size", "resize"), [(6, 8), (8, 8), (5, 20)])
@pytest.mark.parametrize("shape", [(8, 8), (13, 8), (8, 13), (40, 31)])
def test_a_square_crop_is_resize_and_centre_crop(
    tmp_path: Path, size: int, resize: int, shape: tuple[int, int]
) -> None:
    from PIL import Image
    from torchvision.transforms import v2

    write_image(tmp_path / "x.png", 1, shape)
    reference = v2.Compose([v2.Resize(resize), v2.CenterCrop(size)])
    with Image.open(tmp_path / "x.png") as opened:
        expected = np.asarray(reference(opened.convert("RGB")))
    assert np.array_equal(SquareCrop(size, resize).read(str(tmp_path / "x.png")), expected)


NAMES = st.lists(
    st.lists(st.text(st.characters(exclude_characters="/\0"), min_size=1), max_size=4),
    min_size=1,
    max_size=4,
)


@given(NAMES, st.data())
def test_the_compact_list_is_the_list_of_paths(
    folders: list[list[str]], more: st.DataObject
) -> None:
    listed = [Folder.of(f"f{i}", names, f"c{i % 2}", None) for i, names in enumerate(folders)]
    files = FileList.of(Path("/r"), listed, ("c0", "c1"))
    expected = [(f"f{i}/{n}", i % 2) for i, names in enumerate(folders) for n in names]
    found = [(files.relative(i), int(files.labels[i])) for i in range(len(files))]
    assert found == expected
    mask = np.array(
        more.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found))), bool
    )
    kept = files.kept(mask)
    found = [(kept.relative(i), int(kept.labels[i])) for i in range(len(kept))]
    assert found == [pair for pair, keep in zip(expected, mask, strict=True) if keep]


def test_a_file_takes_few_bytes_besides_its_name() -> None:
    names = [f"n{i:08}.JPEG" for i in range(1000)]
    listed = [Folder.of(f"train/c{c}", names, f"c{c}", f"g{c}") for c in range(50)]
    files = FileList.of(
        Path("/r"), listed, [f"c{c}" for c in range(50)], [f"g{c}" for c in range(50)]
    )
    assert files.groups is not None
    arrays = (files.ends, files.folder_of, files.labels.numpy(), files.groups.numpy())
    total = len(files.names) + sum(array.nbytes for array in arrays)
    assert total == 50_000 * (len(names[0]) + 1 + 4 + 4 + 8 + 8)


def test_the_checksum_is_over_paths_sizes_and_labels(folder: Path) -> None:
    hashed = hashlib.sha256()
    for label, (name, count) in enumerate(COUNTS.items()):
        for number in range(count):
            path = f"train/{name}/{number:03}.png"
            size = (folder / path).stat().st_size
            hashed.update(f"{path}\0{size}\0{label}\n".encode())
    assert streamed(folder).checksum == hashed.hexdigest()
    assert load(folder).test.checksum != hashed.hexdigest()


def test_nothing_is_read_before_it_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = count_reads(monkeypatch)
    sizes: list[str] = []
    stat = os.stat

    def counted(path: str | Path, **options: bool) -> os.stat_result:
        sizes.append(str(path))
        return stat(path, **options)

    monkeypatch.setattr("os.stat", counted)
    samples = streamed(folder, image_size=8)
    samples.take(torch.arange(5)).labels.tolist()
    assert decoded == []
    assert [path for path in sizes if path.endswith(".png")] == []
    for _ in range(2):
        assert samples.take(torch.arange(5)).checksum
        assert len([path for path in sizes if path.endswith(".png")]) == len(samples)


def test_a_checksum_of_contents_notices_what_sizes_do_not(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 2}, {"a": 1, "b": 1})
    victim = tmp_path / "train" / "a" / "000.png"
    before = [streamed(tmp_path, checksum=kind).checksum for kind in ("files", "contents")]
    content = bytearray(victim.read_bytes())
    content[-20] ^= 1
    victim.write_bytes(content)
    after = [streamed(tmp_path, checksum=kind).checksum for kind in ("files", "contents")]
    assert before[0] == after[0]
    assert before[1] != after[1]
    assert before[0] != before[1]


def test_files_are_held_against_sha256sums(tmp_path: Path) -> None:
    write_parts(tmp_path, {"a": 2, "b": 2}, {"a": 1, "b": 1})
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(tmp_path)}\n"
        for path in sorted(tmp_path.rglob("*.png"))
    ]
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    good = streamed(tmp_path, checksum="contents").checksum
    lines[3] = lines[3].replace(lines[3][:64], "0" * 64)
    (tmp_path / "SHA256SUMS").write_text("".join(lines))
    with pytest.raises(DataError, match=r"train/a/001\.png: wrong checksum; SHA256SUMS has 000"):
        _ = streamed(tmp_path, checksum="contents").checksum
    assert streamed(tmp_path).checksum != good


@pytest.mark.parametrize(("field", "value"), [("workers", 0), ("prefetch", -1)])
def test_bad_numbers_are_refused(folder: Path, field: str, value: int) -> None:
    with pytest.raises(ConfigError, match=f"{field}: should be at least {value + 1}"):
        replace(streamed(folder), **{field: value})


def test_the_default_is_a_thread_for_each_core_of_this_process() -> None:
    assert 1 <= default_workers() <= 16


@pytest.mark.parametrize("method", ["ugradsl", "ft"])
def test_a_whole_run_is_the_same_as_in_memory(folder: Path, tmp_path: Path, method: str) -> None:
    """Train, unlearn, evaluate, by the functions that experiments use."""
    training = SGDConfig(lr=0.05, epochs=2, batch_size=8, augment="crop-flip", schedule="one-cycle")
    setting = Setting(
        dataset=f"folder:{folder}",
        train_size=24,
        validation_size=6,
        fraction=0.25,
        model={"name": "resnet18", "width": 2},
        training=training,
    )
    execution = Execution(device="cpu")
    config = make_config(method, lr=0.01, epochs=2, batch_size=8, augment="crop-flip")
    outcomes = []
    for stream in (True, False):
        loaded = part_of(setting, load(folder, stream=stream))
        store = open_store(tmp_path / str(stream))
        record = run_one(bench_of(setting, loaded, store, execution), method, config, 0)
        key = bench_of(setting, loaded).model_key("original", 0)
        state = load_state(store, key)
        assert state is not None
        outcomes.append((record, state[0]))
    (ours, state), (other, other_state) = outcomes
    assert ours.status == "ok"
    assert ours.metrics == other.metrics
    assert ours.data_checksum == other.data_checksum
    assert ours.setting_hash == other.setting_hash
    assert (ours.steps, ours.forward_samples) == (other.steps, other.forward_samples)
    assert all(torch.equal(state[name], other_state[name]) for name in state)


def part_of(setting: Setting, bundle: DataBundle) -> problems.Data:
    """What ``problems.load_data`` makes of a data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(data, "load", lambda *_, **__: bundle)
        return problems.load_data(setting, Execution(device="cpu"))
