"""What a bare machine without a network needs beside the code: wheels and images, in one folder.

``python tests/benchmarks/gpu/pack.py pack DATA_ROOT gpu-pack`` here, with a network; there,
``python3 tests/benchmarks/gpu/pack.py unpack gpu-pack DATA_ROOT``, with NumPy and Pillow alone.

CIFAR's images travel as WebP sheets of up to 2,500 each, since lossless ones would not fit, in the
best quality in which they fit beside the code and the wheels. What that does to the pixels is in
``images.json``; the decoded copy that is unpacked has another checksum than the originals, so
records that were made with it say so.
"""

import argparse
import io
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from PIL import Image

SIDE, ROW = 32, 50
ROOT = Path(__file__).parents[3]
LIMIT = 64 * 2**20  # of all that travels, the code included
QUALITIES = range(90, 45, -5)
SPARE = 2**19  # of the limit, as sheets differ a little in size
PYTHON = "3.12"
# What CUDA images with PyTorch commonly lack of what the package imports for these runs.
WHEELS = (
    "pydantic", "pydantic-core", "annotated-types", "typing-inspection", "typing-extensions",
    "scikit-learn", "narwhals",
)  # fmt: skip
# What they commonly have, by the names under which it is imported.
EXPECTED = (
    "numpy", "PIL", "torch", "torchvision", "scipy", "joblib", "threadpoolctl", "tqdm",
    "safetensors", "transformers", "pandas", "matplotlib", "seaborn", "typer", "yaml", "pytest",
)  # fmt: skip
MANIFEST = "images.json"


def sheets(images: np.ndarray) -> list[np.ndarray]:
    """Images (N, 32, 32, 3) as pictures of ``ROW`` × ``ROW`` of them; the last may be lower."""
    found = []
    for start in range(0, len(images), ROW * ROW):
        part = images[start : start + ROW * ROW]
        rows = -(-len(part) // ROW)
        whole = np.zeros((rows * ROW, SIDE, SIDE, 3), np.uint8)
        whole[: len(part)] = part
        tiled = whole.reshape(rows, ROW, SIDE, SIDE, 3).transpose(0, 2, 1, 3, 4)
        found.append(tiled.reshape(rows * SIDE, ROW * SIDE, 3))
    return found


def cut(sheet: np.ndarray) -> np.ndarray:
    """The images of a sheet, (N, 32, 32, 3), the last ones perhaps empty."""
    rows = sheet.shape[0] // SIDE
    tiled = sheet.reshape(rows, SIDE, ROW, SIDE, 3).transpose(0, 2, 1, 3, 4)
    return tiled.reshape(rows * ROW, SIDE, SIDE, 3)


def read_sheet(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def encoded(sheet: np.ndarray, quality: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(sheet).save(file, "WEBP", quality=quality, method=4)
    return file.getvalue()


def code_size() -> int:
    """Bytes of the files that Git tracks, as they are here."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        raise SystemExit(f"pack: {ROOT} should be a clone of the project, whose size counts, too")
    paths = (ROOT / name for name in listed.stdout.decode().split("\0") if name)
    return sum(path.stat().st_size for path in paths if path.is_file())


def fitting_quality(names: list[str], root: Path, room: int) -> int:
    """The best quality in which the images of all sets take at most ``room`` bytes.

    Judged by the first test sheet of each set, for the others are about as large.
    """
    first, counts = [], []
    for name in names:
        with np.load(root / f"{name}.npz") as arrays:
            first.append(sheets(arrays["x_test"][: ROW * ROW])[0])
            images = len(arrays["y_train"]) + len(arrays["y_test"])
            counts.append(images / min(len(arrays["y_test"]), ROW * ROW))
    for quality in QUALITIES:
        sizes = [len(encoded(sheet, quality)) for sheet in first]
        if sum(n * size for n, size in zip(counts, sizes, strict=True)) <= room:
            return quality
    raise SystemExit(
        f"pack: {LIMIT / 2**20:.0f} MiB leave {room / 2**20:.1f} for the images of "
        f"{', '.join(names)}, too few at any quality; take fewer data sets or wheels"
    )


def pack_images(name: str, root: Path, out: Path, quality: int) -> dict[str, Any]:
    """Write the sheets and labels of ``root/name.npz``; returns what encoding did to the pixels."""
    facts: dict[str, Any] = {"quality": quality}
    with np.load(root / f"{name}.npz") as arrays:
        labels = {key: arrays[key] for key in arrays.files if not key.startswith("x_")}
        np.savez_compressed(out / f"{name}-labels.npz", **labels)
        for end in ("train", "test"):
            images = arrays[f"x_{end}"]
            total = squared = 0.0
            for number, sheet in enumerate(sheets(images)):
                path = out / f"{name}-{end}-{number:02d}.webp"
                path.write_bytes(encoded(sheet, quality))
                error = read_sheet(path).astype(np.int16) - sheet
                total += float(np.abs(error).sum())
                squared += float((error.astype(np.int64) ** 2).sum())
            facts[end] = {
                "images": len(images),
                "mean_absolute_error": round(total / images.size, 3),
                "root_mean_square_error": round((squared / images.size) ** 0.5, 3),
            }
    return facts


def unpack_images(name: str, folder: Path, root: Path) -> None:
    """Write ``root/name.npz``, a decoded copy as the loader reads it, from sheets and labels."""
    facts = json.loads((folder / MANIFEST).read_text("utf-8"))[name]
    arrays: dict[str, np.ndarray] = {}
    for end in ("train", "test"):
        found = [cut(read_sheet(path)) for path in sorted(folder.glob(f"{name}-{end}-*.webp"))]
        images = np.concatenate(found)[: facts[end]["images"]]
        if len(images) != facts[end]["images"]:
            raise SystemExit(
                f"pack: {name} should have {facts[end]['images']} {end} images; found {len(images)}"
            )
        arrays[f"x_{end}"] = images
    with np.load(folder / f"{name}-labels.npz") as labels:
        arrays |= {key: labels[key] for key in labels.files}
    target = root / f"{name}.npz"
    if target.exists():
        raise SystemExit(f"pack: {target} is there already; choose another data root")
    part = target.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    part.rename(target)


def download_wheels(names: list[str], out: Path) -> None:
    """Wheels for Linux and Python 3.12, without what they need in turn."""
    words = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    words += ["--only-binary=:all:", "--python-version", PYTHON, "--dest", str(out / "wheels")]
    pinned = [_pinned(name) for name in names]
    subprocess.run([*words, "--platform", "manylinux_2_28_x86_64", "--platform",
                    "manylinux2014_x86_64", *pinned], check=True)  # fmt: skip
    lacking = needed(out / "wheels") - {plain(name) for name in (*names, *EXPECTED)}
    if lacking:
        raise SystemExit(f"pack: the wheels need {', '.join(sorted(lacking))}; name it in --wheels")


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(wheels: Path) -> set[str]:
    """Names of what wheels say they need, without their extras."""
    found = set()
    for path in wheels.glob("*.whl"):
        with ZipFile(path) as wheel:
            (metadata,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
            lines = wheel.read(metadata).decode("utf-8").splitlines()
        wanted = [line.partition(":")[2] for line in lines if line.startswith("Requires-Dist:")]
        found |= {plain(re.match(r"\s*([\w.-]+)", w)[1]) for w in wanted if "extra ==" not in w}  # type: ignore[index]
    return found


def absent(modules: Iterable[str]) -> list[str]:
    """Those of the modules that this Python does not find."""
    return [name for name in modules if find_spec(name) is None]


def _pinned(name: str) -> str:
    """The version in ``requirements.lock``, which fits the others."""
    lock = ROOT / "requirements.lock"
    for line in lock.read_text("utf-8").splitlines():
        if line.partition("==")[0].replace("_", "-").lower() == name:
            return line.split(";")[0].strip()
    return name


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("action", choices=["pack", "unpack"])
    parser.add_argument("source", type=Path, help="data root, or the folder that was packed")
    parser.add_argument("target", type=Path, help="folder to make, or the data root to fill")
    parser.add_argument("--datasets", default="cifar100,cifar10")
    parser.add_argument("--quality", type=int, help="of WebP; default: the best that fits")
    parser.add_argument(
        "--wheels", default=",".join(WHEELS), help="comma-separated; empty for none"
    )
    given = parser.parse_args(words)
    names = given.datasets.split(",")
    given.target.mkdir(parents=True, exist_ok=True)
    if given.action == "unpack":
        for name in names:
            unpack_images(name, given.source, given.target)
            print(f"{given.target / name}.npz")
        lacking = absent(EXPECTED)
        if lacking:
            raise SystemExit(f"pack: this Python lacks {', '.join(lacking)}, which are not packed")
        return
    missing = [name for name in names if not (given.source / f"{name}.npz").exists()]
    if missing:
        raise SystemExit(
            f"pack: {given.source} has no decoded copy {missing[0]}.npz; `ugradsl experiment "
            f"{missing[0]}-random10 --scale bench --download` makes it"
        )
    if given.wheels:
        download_wheels(given.wheels.split(","), given.target)
    code = code_size()
    room = LIMIT - SPARE - code - size_of(given.target)
    quality = given.quality or fitting_quality(names, given.source, room)
    facts = {n: pack_images(n, given.source, given.target, quality) for n in names}
    (given.target / MANIFEST).write_text(json.dumps(facts, indent=2) + "\n", "utf-8")
    size = size_of(given.target)
    print(json.dumps(facts, indent=2))
    print(f"{given.target}: {size / 2**20:.1f} MiB, {(size + code) / 2**20:.1f} with the code")
    if size + code > LIMIT:
        raise SystemExit(
            f"pack: {(size + code) / 2**20:.1f} MiB are more than {LIMIT / 2**20:.0f}; "
            "lower --quality"
        )


if __name__ == "__main__":
    main()
