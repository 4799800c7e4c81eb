"""Small data sets written in their original on-disk formats, and the checksums they then have."""

import gzip
import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import CIFAR100, SVHN, CelebA, FashionMNIST

# Coarse label of each fine one, as the labels of CIFAR-100 have it.
COARSE = [4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11]
COARSE += [6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5]
COARSE += [5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17]
COARSE += [10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13]
COARSE += [16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13]


@dataclass
class OnDisk:
    """A data set as it was written: files, and what they hold by part."""

    root: Path
    images: dict[str, np.ndarray]  # (N, H, W, C)
    labels: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def draw(rng: np.random.Generator, n: int, side: int, channels: int = 3) -> np.ndarray:
    return rng.integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def write_cifar100(root: Path, patch: pytest.MonkeyPatch) -> OnDisk:
    """Two images of each fine class for training, one for the test, in random order."""
    rng = np.random.default_rng(0)
    made = OnDisk(root, {}, {}, {})
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)
    for part, n in (("train", 200), ("test", 100)):
        fine = rng.permutation(n) % 100
        made.images[part] = draw(rng, n, 32)
        made.labels[part], made.groups[part] = np.array(COARSE)[fine], fine
        write_cifar100_part(made, part)
    seal_cifar100(root, patch)
    return made


def write_cifar100_part(made: OnDisk, part: str) -> None:
    entry = {
        "data": made.images[part].transpose(0, 3, 1, 2).reshape(-1, 3072),
        "fine_labels": made.groups[part].tolist(),
        "coarse_labels": made.labels[part].tolist(),
    }
    path = made.root / CIFAR100.base_folder / part
    path.write_bytes(pickle.dumps(entry, protocol=2))


def seal_cifar100(root: Path, patch: pytest.MonkeyPatch) -> None:
    for part in ("train", "test"):
        listed = [[part, md5(root / CIFAR100.base_folder / part)]]
        patch.setattr(CIFAR100, f"{part}_list", listed)


def write_svhn(root: Path, patch: pytest.MonkeyPatch) -> OnDisk:
    """Labels 1…10, of which 10 is the digit 0."""
    from scipy.io import savemat

    rng = np.random.default_rng(1)
    made = OnDisk(root, {}, {}, {})
    root.mkdir(parents=True)
    sums = {}
    for part, n in (("train", 20), ("test", 10)):
        made.images[part] = draw(rng, n, 32)
        stored = rng.permutation(n) % 10 + 1
        made.labels[part] = np.where(stored == 10, 0, stored)
        path = root / f"{part}_32x32.mat"
        pixels = made.images[part].transpose(1, 2, 3, 0)
        savemat(path, {"X": pixels, "y": stored.astype(np.uint8)[:, None]}, do_compression=True)
        sums[part] = ["", path.name, md5(path)]
    patch.setattr(SVHN, "split_list", sums)
    return made


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
    return gzip.compress(header + values.astype(np.uint8).tobytes())


def write_fashion(root: Path, patch: pytest.MonkeyPatch) -> OnDisk:
    rng = np.random.default_rng(2)
    made = OnDisk(root, {}, {}, {})
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for part, stem, n in (("train", "train", 20), ("test", "t10k", 10)):
        made.images[part] = draw(rng, n, 28, 1)
        made.labels[part] = rng.permutation(n) % 10
        (folder / f"{stem}-images-idx3-ubyte.gz").write_bytes(idx(made.images[part][..., 0]))
        (folder / f"{stem}-labels-idx1-ubyte.gz").write_bytes(idx(made.labels[part]))
    seal_fashion(root, patch)
    return made


def seal_fashion(root: Path, patch: pytest.MonkeyPatch) -> None:
    files = sorted((root / "FashionMNIST" / "raw").iterdir())
    patch.setattr(FashionMNIST, "resources", [(path.name, md5(path)) for path in files])


def write_mnist_m(root: Path) -> OnDisk:
    rng = np.random.default_rng(3)
    made = OnDisk(root, {}, {}, {})
    for part, n in (("train", 12), ("test", 5)):
        made.images[part], made.labels[part] = draw(rng, n, 32), rng.permutation(n) % 10
        folder = root / "mnist_m" / f"mnist_m_{part}"
        folder.mkdir(parents=True)
        lines = []
        for number, (image, label) in enumerate(
            zip(made.images[part], made.labels[part], strict=True)
        ):
            Image.fromarray(image).save(folder / f"{number:08d}.png")
            lines.append(f"{number:08d}.png {label}")
        list_path = root / "mnist_m" / f"mnist_m_{part}_labels.txt"
        list_path.write_text("\n".join(lines) + "\n")
    return made


# Partition (0 training, 1 validation, 2 test), smiling, identity of nine images.
FACES = [(0, 1, 12), (0, -1, 7), (1, 1, 5), (0, 1, 12), (2, 1, 30), (0, -1, 7), (2, -1, 9)]
FACES += [(1, -1, 5), (2, 1, 30)]


def write_celeba(root: Path, patch: pytest.MonkeyPatch) -> OnDisk:
    """Nine aligned faces of 178×218; ``images`` are their central squares, not resized."""
    rng = np.random.default_rng(4)
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names, images = [], []
    for number in range(1, len(FACES) + 1):
        names.append(f"{number:06d}.jpg")
        colours = Image.fromarray(draw(rng, 1, 4)[0])  # smooth, so that JPEG keeps it nearly
        face = colours.resize((178, 218), Image.Resampling.BICUBIC)
        face.save(folder / "img_align_celeba" / names[-1], quality=98, subsampling=0)
        images.append(np.asarray(face)[20:198])
    attributes = ["Male", "Smiling", "Young"]
    rows = [f"{name} -1 {smile:2d}  1" for name, (_, smile, _) in zip(names, FACES, strict=True)]
    lines = [str(len(FACES)), " ".join(attributes), *rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    pairs = list(zip(names, FACES, strict=True))
    identities = [f"{name} {identity}" for name, (_, _, identity) in pairs]
    (folder / "identity_CelebA.txt").write_text("\n".join(identities) + "\n")
    partition = [f"{name} {part}" for name, (part, _, _) in pairs]
    (folder / "list_eval_partition.txt").write_text("\n".join(partition) + "\n")
    seal_celeba(root, patch)
    made = OnDisk(root, {}, {}, {})
    for part, code in (("train", 0), ("test", 2)):
        chosen = [i for i, face in enumerate(FACES) if face[0] == code]
        made.images[part] = np.stack([images[i] for i in chosen])
        made.labels[part] = np.array([int(FACES[i][1] > 0) for i in chosen])
        made.groups[part] = np.array([FACES[i][2] for i in chosen])
    return made


def seal_celeba(root: Path, patch: pytest.MonkeyPatch) -> None:
    files = sorted((root / "celeba").glob("*.txt"))
    patch.setattr(CelebA, "file_list", [("", md5(path), path.name) for path in files])
