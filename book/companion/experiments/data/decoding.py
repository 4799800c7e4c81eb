"""Many small image files to one array."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from ugradsl_core.errors import DataError

Prepare = Callable[[Image.Image], Image.Image]


WIDE = 65535 / 255  # of 16-bit grey values to 8-bit ones
SIXTEEN_BITS = ("PNG", "PPM")  # formats in which Pillow's 32-bit mode I stands for 16 bits


def as_rgb(image: Image.Image) -> Image.Image:
    """An opened image as RGB, 16-bit grey scaled by its range; transparency is ignored.

    Raises:
        ValueError: its mode has no fixed range that could be scaled, or is no colour of a screen.
    """
    mode = image.mode
    if mode.startswith("I;16") or (mode == "I" and image.format in SIXTEEN_BITS):
        values = np.asarray(image, dtype=np.float32)
        return Image.fromarray(np.rint(values / WIDE).clip(0, 255).astype(np.uint8)).convert("RGB")
    if mode in {"I", "F"}:
        kind = "32-bit whole numbers" if mode == "I" else "32-bit floats"
        raise ValueError(
            f"its mode is {mode}, {kind} without a fixed range; save it with 8 or 16 bits a channel"
        )
    try:
        return image.convert("RGB")
    except ValueError as error:
        straight = {"La": "LA", "RGBa": "RGBA"}.get(mode)
        if straight is None:
            raise ValueError(f"its mode is {mode}, which has no conversion to RGB") from error
        return image.convert(straight).convert("RGB")


def read_images(
    paths: Sequence[Path], name: str, size: int, prepare: Prepare | None = None
) -> np.ndarray:
    """RGB images, uint8, (N, size, size, 3), with a progress bar on a terminal.

    Args:
        paths: the files, in the order wanted.
        name: the data set, for messages.
        size: height and width that each has after ``prepare``.
        prepare: what is done with each image; nothing by default.

    Raises:
        DataError: a file is missing, is no image or breaks off, or has another size; it is named.
    """
    images = np.empty((len(paths), size, size, 3), np.uint8)

    def read(place: int) -> None:
        path = paths[place]
        try:
            with Image.open(path) as opened:
                image = as_rgb(opened)
        except FileNotFoundError as error:
            raise DataError(f"{name}: the image {path} is missing") from error
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{name}: the image {path} cannot be read ({error})") from error
        if prepare is not None:
            image = prepare(image)
        if image.size != (size, size):
            raise DataError(
                f"{name}: the image {path} should be {size}×{size}; found "
                f"{image.width}×{image.height}"
            )
        images[place] = np.asarray(image)

    with ThreadPoolExecutor(os.cpu_count()) as workers:
        done = workers.map(read, range(len(paths)), chunksize=64)
        for _ in tqdm(done, desc=name, total=len(paths), unit="images", disable=None):
            pass
    return images


def square(size: int) -> Prepare:
    """The central square of an image, resized to ``size`` by Lanczos' kernel."""

    def prepare(image: Image.Image) -> Image.Image:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        cropped = image.crop((left, top, left + side, top + side))
        return cropped.resize((size, size), Image.Resampling.LANCZOS)

    return prepare
