"""Labelled image files on disk, listed compactly, and how one becomes a square of pixels."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from companion.experiments.data.decoding import as_rgb
from ugradsl_core.errors import DataError

SEPARATOR = ord("/")  # no file name holds it
SUMS = "SHA256SUMS"


@dataclass(frozen=True)
class SquareCrop:
    """From an image of any size to a square: shorter side to ``resize``, then the centre.

    Attributes:
        size: side of the square, in pixels.
        resize: length that the shorter side is brought to first, at least ``size``.
    """

    size: int
    resize: int

    def read(self, path: str) -> np.ndarray:
        """The image at ``path``: uint8, (size, size, 3).

        As ``Resize`` (bilinear, antialiased) and ``CenterCrop`` of torchvision do it; greyscale,
        palette and CMYK images become RGB, 16-bit grey is scaled to 8 bits by its range,
        transparency and EXIF orientation are ignored.

        Raises:
            DataError: the file cannot be read as an image, or its values have no fixed range, as
                those of floats; the message names it.
        """
        try:
            with Image.open(path) as opened:
                image = as_rgb(opened)
        except Exception as error:  # Pillow's decoders raise whatever a damaged file provokes
            said = getattr(error, "strerror", None) or str(error) or type(error).__name__
            reason = said.replace(f" {path!r}", "")
            raise DataError(f"{path}: cannot be read as an image ({reason})") from error
        if image.size != (self.size, self.size) or self.resize != self.size:
            from torchvision.transforms import functional as TF

            image = TF.center_crop(TF.resize(image, [self.resize]), [self.size, self.size])
        return np.asarray(image)


@dataclass(frozen=True)
class Folder:
    """The images of one folder.

    Attributes:
        path: relative to the data set's root, with ``/``.
        names: sorted file names, each followed by ``/``, as one byte string.
        class_name: the class of all of them.
        group: their group, or None.
    """

    path: str
    names: bytes
    class_name: str
    group: str | None = None

    @classmethod
    def of(cls, path: str, names: Sequence[str], class_name: str, group: str | None) -> "Folder":
        """A folder from its sorted file names."""
        return cls(path, b"".join(os.fsencode(name) + b"/" for name in names), class_name, group)

    def __len__(self) -> int:
        return self.names.count(b"/")


@dataclass(frozen=True, eq=False)
class FileList:
    """N labelled image files, in about 20 bytes each besides their names.

    Attributes:
        root: the data set's folder.
        folders: folders relative to ``root``.
        folder_of: int32, (N,): the folder of each file.
        names: all file names, each followed by ``/``.
        ends: (N,): where the name of each file ends in ``names``.
        labels: int64, (N,).
        groups: int64, (N,), or None.
        contents: whether :attr:`checksum` reads the files.
    """

    root: Path
    folders: tuple[str, ...]
    folder_of: np.ndarray
    names: bytes
    ends: np.ndarray
    labels: Tensor
    groups: Tensor | None = None
    contents: bool = False

    @classmethod
    def of(
        cls,
        root: Path,
        folders: Sequence[Folder],
        classes: Sequence[str],
        groups: Sequence[str] = (),
        *,
        contents: bool = False,
    ) -> "FileList":
        """The files of ``folders`` in their order, with labels and groups by the names given."""
        counts = [len(folder) for folder in folders]
        names = b"".join(folder.names for folder in folders)
        class_of = {name: number for number, name in enumerate(classes)}
        group_of = {name: number for number, name in enumerate(groups)}
        repeats = torch.tensor(counts, dtype=torch.long)

        def each(numbers: Iterable[int]) -> Tensor:
            return torch.tensor(list(numbers), dtype=torch.long).repeat_interleave(repeats)

        in_groups = [group_of[f.group] for f in folders if f.group is not None]
        return cls(
            root=root,
            folders=tuple(folder.path for folder in folders),
            folder_of=np.repeat(np.arange(len(folders), dtype=np.int32), counts),
            names=names,
            ends=_ends(names),
            labels=each(class_of[folder.class_name] for folder in folders),
            groups=each(in_groups) if groups else None,
            contents=contents,
        )

    def __len__(self) -> int:
        return len(self.ends)

    def relative(self, number: int) -> str:
        """Path of a file below ``root``."""
        start = int(self.ends[number - 1]) + 1 if number else 0
        name = os.fsdecode(self.names[start : int(self.ends[number])])
        return f"{self.folders[self.folder_of[number]]}/{name}"

    def path(self, number: int) -> str:
        """Path of a file."""
        return f"{self.root}/{self.relative(number)}"

    def kept(self, mask: np.ndarray) -> "FileList":
        """Those of the files where ``mask``, boolean (N,), holds."""
        ends = self.ends.astype(np.int64)
        lengths = ends - np.append(-1, ends[:-1])
        names = np.frombuffer(self.names, np.uint8)[np.repeat(mask, lengths)].tobytes()
        chosen = torch.from_numpy(mask)
        return replace(
            self,
            folder_of=self.folder_of[mask],
            names=names,
            ends=_ends(names),
            labels=self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    @cached_property
    def checksum(self) -> str:
        """SHA-256 over relative path, size in bytes and label of each file, in order.

        Where ``contents`` is set, the SHA-256 of each file stands in place of its size: slower,
        but a file that changed and kept its size is noticed. A file ``SHA256SUMS`` in the data
        set's folder, as ``sha256sum`` writes it, is then held against the files that it lists.

        Raises:
            DataError: a file is gone, cannot be read or has another checksum than it should.
        """
        hashed = hashlib.sha256()
        sums = _listed_sums(self.root) if self.contents else {}
        for number, label in enumerate(self.labels.tolist()):
            relative, path = self.relative(number), self.path(number)
            try:
                fact = _sha256(path) if self.contents else str(os.stat(path).st_size)
            except OSError as error:
                raise DataError(f"{path}: cannot be read ({error.strerror})") from error
            expected = sums.get(relative, fact)
            if fact != expected:
                raise DataError(f"{path}: wrong checksum; {SUMS} has {expected}, the file {fact}")
            hashed.update(os.fsencode(f"{relative}\0{fact}\0{label}\n"))
        return hashed.hexdigest()


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ends(names: bytes) -> np.ndarray:
    """Where each ``/`` of ``names`` is."""
    small = len(names) < 2**32
    found = np.flatnonzero(np.frombuffer(names, np.uint8) == SEPARATOR)
    return found.astype(np.uint32 if small else np.int64)


def _listed_sums(root: Path) -> dict[str, str]:
    """Relative path → SHA-256, from the lines ``<sum>  <path>`` of a file, where there is one."""
    listed = root / SUMS
    if not listed.is_file():
        return {}
    lines = os.fsdecode(listed.read_bytes()).splitlines()
    pairs = (line.split(maxsplit=1) for line in lines if line.strip())
    return {path.lstrip("*").removeprefix("./"): found.lower() for found, path in pairs}
