"""Streamed images: memory against the number of images, decoding against computing.

``pytest tests/benchmarks/test_stream.py -s``, on a machine that does nothing else; with
``UGRADSL_BENCHMARK_JSON`` a line for each measurement. The pictures are random blocks, written
once and linked under as many names as are needed.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

from companion.experiments import data
from companion.experiments.data import StreamedDataset
from companion.experiments.data.streamed.stream import CHUNK
from measure import CHECK, keep, size
from setting import BATCH, EXECUTION, WIDTH, network
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.samples import Batch
from ugradsl_core.training import SGDConfig, train

SMALLEST = size("STREAM_IMAGES", 4000)
FACTORS = (1, 2, 4, 8)
GROWTH = 1.05  # of peak memory at four times the images
OVERLAP = 1.10
REPEATS = size("STREAM_REPEATS", 3)
# width and height of the files; decoding one takes far less than, about as much as, and more
# than computing with it on one core of the machine of the published records
FILES = {"small": (64, 64), "medium": (500, 375), "large": (1000, 750)}


def write_folder(root: Path, images: int, shape: tuple[int, int], distinct: int = 64) -> Path:
    """``root/train`` and ``root/test`` of four classes; ``images`` of them are for training."""
    g = np.random.default_rng(0)
    width, height = shape
    store = root / "files"
    store.mkdir(parents=True)
    for number in range(distinct):
        blocks = g.integers(0, 256, (-(-height // 8), -(-width // 8), 3), dtype=np.uint8)
        smooth = Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC)
        noise = g.integers(-8, 9, (height, width, 3))
        pixels = (np.asarray(smooth, dtype=np.int16) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(store / f"{number}.jpg", quality=90)
    for part, count in (("train", images), ("test", 4)):
        for number in range(count):
            folder = root / part / f"class{number % 4}"
            folder.mkdir(parents=True, exist_ok=True)
            os.link(store / f"{number % distinct}.jpg", folder / f"{number:07}.jpg")
    return root


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    peaks: dict[tuple[str, int], float] = {}
    script = Path(__file__).with_name("epoch_memory.py")
    for factor in FACTORS:
        folder = write_folder(tmp_path / str(factor), SMALLEST * factor, (64, 64))
        for how in ("stream", "memory"):
            command = [sys.executable, script, folder, how]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            line: dict[str, Any] = json.loads(done.stdout)
            assert line["images"] == SMALLEST * factor
            peaks[how, factor] = line["peak_mib"]
            keep({"name": "peak memory of an epoch", **line})
            print(f"\n{how}: {line['images']} images, {line['peak_mib']:.0f} MiB at the peak")
    assert peaks["memory", 4] > GROWTH * peaks["memory", 1], "too few images to see any growth"
    if CHECK:
        assert peaks["stream", 4] <= GROWTH * peaks["stream", 1]
        assert peaks["stream", 8] <= GROWTH * peaks["stream", 1]


def streamed(folder: Path, workers: int) -> StreamedDataset:
    loaded = data.load(f"folder:{folder}", stream=True, workers=workers, image_size=32).train
    assert isinstance(loaded, StreamedDataset)
    return loaded


def fastest(calls: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each call, all in turn, after one call each."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(REPEATS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if repeat:
                times[name].append(time.perf_counter() - start)
    return times


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("kind", FILES)
def test_an_epoch_costs_decoding_or_computing(tmp_path: Path, kind: str, cores: int) -> None:
    """With a core each, both overlap; where both want both cores, the work of the two adds up.

    So only the first is held to the limit, on two cores: one thread decodes, one computes.
    Nothing can be computed while the first batch is decoded, nor decoded during the last steps,
    so an epoch has twenty batches here (one of the bench scale has 43).
    """
    images = size("STREAM_EPOCH", 2560) // BATCH * BATCH
    folder = write_folder(tmp_path / "pictures", images, FILES[kind])
    samples = streamed(folder, workers=cores)
    config = SGDConfig(lr=0.01, epochs=1, batch_size=BATCH, augment="crop-flip")
    model = network(samples.num_classes)
    plan, steps = one_set_plan(samples, config, torch.Generator().manual_seed(0))
    ready: list[tuple[Batch, ...]] = list(plan(0))

    def decode() -> None:
        for _ in plan(0):
            pass

    def compute() -> None:
        train(model, lambda _: ready, steps, cross_entropy, config, EXECUTION)

    def both() -> None:
        train(model, plan, steps, cross_entropy, config, EXECUTION)

    with threads(cores):
        times = fastest({"decode": decode, "compute": compute, "both": both})
    best = {name: min(values) for name, values in times.items()}
    ratio = best["both"] / max(best["decode"], best["compute"])
    share = best["both"] / (best["decode"] + best["compute"])
    width, height = FILES[kind]
    keep(
        {
            "name": "streamed epoch",
            "files": f"{width}×{height}",
            "images": images,
            "model": f"resnet18 of width {WIDTH}",
            "image_size": 32,
            "batch": BATCH,
            "decoding_threads": cores,
            "computing_threads": cores,
            "cores": os.cpu_count(),
            "limit": OVERLAP if cores == 1 else None,
            "ratio": ratio,
            "share_of_sum": share,
            **times,
        }
    )
    print(
        f"\n{kind} files, {cores} thread(s) each: decode {best['decode']:.3f} s, compute "
        f"{best['compute']:.3f} s, both {best['both']:.3f} s: {ratio:.3f} of the larger, "
        f"{share:.3f} of the sum"
    )
    if CHECK and cores == 1:
        assert ratio <= OVERLAP


class Pictures(TensorDataset):
    """The same images for ``DataLoader``, which decodes in processes."""

    def __init__(self, samples: StreamedDataset) -> None:
        super().__init__(samples.labels)
        self.samples = samples

    def __getitem__(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        image = self.samples.crop.read(self.samples.files.path(number))
        return torch.from_numpy(image.copy()), self.samples.labels[number]


@pytest.mark.parametrize("kind", FILES)
def test_threads_decode_about_as_fast_as_processes(tmp_path: Path, kind: str) -> None:
    """Without the seconds that processes take to start, and without normalisation.

    Small files are measured and held to nothing: most of their time goes by in the interpreter,
    which runs one thread at a time.
    """
    images = size("STREAM_DECODE", 1024)
    samples = streamed(write_folder(tmp_path / "pictures", images, FILES[kind]), workers=2)
    plan = list(torch.arange(images).split(BATCH))

    def in_threads(workers: int) -> Callable[[], object]:
        return replace(samples, workers=workers).in_memory

    loader = DataLoader(
        Pictures(samples),
        batch_sampler=[rows.tolist() for rows in plan],
        num_workers=2,
        persistent_workers=True,
        multiprocessing_context="spawn",
    )

    def in_processes() -> None:
        for _ in loader:
            pass

    with threads(1):
        times = fastest(
            {
                "one_thread": in_threads(1),
                "two_threads": in_threads(2),
                "two_processes": in_processes,
            }
        )
    rates = {name: images / min(values) for name, values in times.items()}
    width, height = FILES[kind]
    keep(
        {
            "name": "decoding",
            "files": f"{width}×{height}",
            "images": images,
            "image_size": 32,
            "chunk": CHUNK,
            "cores": os.cpu_count(),
            "images_per_second": rates,
            **times,
        }
    )
    print(f"\n{kind}: " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in rates.items()))
    if CHECK and kind != "small":
        assert rates["two_threads"] >= 0.8 * rates["two_processes"]
