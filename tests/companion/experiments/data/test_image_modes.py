"""Images of every mode of Pillow: scaled by the range of their type, or refused by name."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from companion.experiments import data
from companion.experiments.data.decoding import as_rgb, read_images
from companion.experiments.data.streamed.file_list import SquareCrop
from pictures import write_image
from ugradsl_core.errors import DataError

VALUES = np.array([[0, 128, 257, 13107], [26214, 40000, 65406, 65535]], dtype=np.uint16)
SCALED = np.array([[0, 0, 1, 51], [102, 156, 254, 255]])  # times 255/65535, rounded


@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_sixteen_bits_become_eight(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5 4 2 65535\n" + VALUES.astype(">u2").tobytes())
    else:
        Image.fromarray(VALUES).save(path)
    with Image.open(path) as image:
        found = np.asarray(as_rgb(image))
    assert found.dtype == np.uint8
    assert found.shape == (2, 4, 3)
    for channel in range(3):
        np.testing.assert_array_equal(found[..., channel], SCALED)


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (4, 2), VALUES.astype(">u2").tobytes())
    np.testing.assert_array_equal(np.asarray(as_rgb(image))[..., 0], SCALED)


@pytest.mark.parametrize(("mode", "dtype"), [("F", np.float32), ("I", np.int32)])
def test_values_without_a_range_are_refused_by_name(tmp_path: Path, mode: str, dtype: type) -> None:
    path = tmp_path / "a.tif"
    Image.fromarray(np.full((8, 8), 0.4 if mode == "F" else 70000, dtype=dtype)).save(path)
    with pytest.raises(DataError, match=f"a.tif: cannot be read as an image .its mode is {mode}"):
        SquareCrop(8, 8).read(str(path))
    with pytest.raises(DataError, match=f"its mode is {mode}, 32-bit"):
        read_images([path], "mine", 8)


MODES = ("1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "LA", "PA", "La", "RGBa",
         "RGBX", "I;16", "I;16L", "I;16B", "I;16N")  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_every_other_mode_becomes_rgb(mode: str) -> None:
    found = as_rgb(Image.new(mode, (4, 4)))
    assert (found.mode, found.size) == ("RGB", (4, 4))


def test_a_folder_of_sixteen_bit_images_holds_their_greys(tmp_path: Path) -> None:
    """The same pictures with 8 and with 16 bits give the same inputs."""
    rng = np.random.default_rng(0)
    for name in "ab":
        for i in range(5):
            eight = rng.integers(0, 256, (12, 12), dtype=np.uint8)
            for kind, pixels in (("eight", eight), ("sixteen", eight.astype(np.uint16) * 257)):
                folder = tmp_path / kind / name
                folder.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    both = [data.load(f"folder:{tmp_path / kind}").train for kind in ("eight", "sixteen")]
    inputs = [next(iter(part.batches([torch.arange(8)])))[0] for part in both]
    assert torch.equal(*inputs)
    assert inputs[0].std() > 0.5


def test_one_float_image_stops_a_folder_or_is_left_out(tmp_path: Path) -> None:
    for name in "ab":
        for i in range(6):
            (tmp_path / name).mkdir(exist_ok=True)
            write_image(tmp_path / name / f"{i}.png", i, (8, 8))
    Image.fromarray(np.full((8, 8), 0.4, dtype=np.float32)).save(tmp_path / "a" / "2.tif")
    with pytest.raises(DataError, match=r"2\.tif: .*its mode is F"):
        data.load(f"folder:{tmp_path}")
    with pytest.warns(UserWarning, match=r"left out 1 of .*a/2\.tif"):
        assert len(data.load(f"folder:{tmp_path}", skip_corrupt=True).train) == 10
