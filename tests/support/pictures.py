"""Small image files on disk, in the layouts that the folder loaders read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def write_image(path: Path, seed: int, size: tuple[int, int] = (10, 8), mode: str = "RGB") -> None:
    """Random blocks of two pixels, ``size`` wide and high; the ending tells the format."""
    width, height = size
    g = np.random.default_rng(seed)
    blocks = g.integers(0, 256, (-(-height // 2), -(-width // 2), 3), dtype=np.uint8)
    pixels = blocks.repeat(2, 0).repeat(2, 1)[:height, :width]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).convert(mode).save(path)


def write_classes(
    root: Path,
    counts: Mapping[str, int],
    *,
    first: int = 0,
    size: tuple[int, int] = (10, 8),
    ending: str = "png",
) -> None:
    """``counts`` images in each folder ``root/<name>``; a name may be ``class/group``."""
    seed = first
    for name, count in counts.items():
        for number in range(count):
            write_image(root / name / f"{number:03}.{ending}", seed, size)
            seed += 1


def write_parts(
    root: Path, train: Mapping[str, int], test: Mapping[str, int], second: str = "test"
) -> Path:
    """``root/train`` and a second part."""
    write_classes(root / "train", train)
    write_classes(root / second, test, first=10_000)
    return root
