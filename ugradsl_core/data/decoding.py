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
                image = opened.convert("RGB")
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
