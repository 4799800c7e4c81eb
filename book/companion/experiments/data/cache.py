"""Decoded copies of data sets: ``ROOT/<stem>.npz``, read as fast as their bytes.

A copy holds ``x_train``, ``x_test`` (uint8, N × H × W × C), ``y_train``, ``y_test`` (int64) and
further label arrays. Beside it lies its seal, ``<stem>.npz.json``: its SHA-256, its size and time
of change, a fingerprint of the original files it was decoded from, and the checksums of the data
sets read from it. As long as size and time are those of the seal nothing is hashed again.
"""

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from companion.experiments.data.parts import Part
from ugradsl_core.errors import DataError, StoreError
from ugradsl_core.training.files import write_atomically, write_text

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Seal:
    """What is known of a decoded copy.

    Attributes:
        sha256: of the file.
        size: of the file, in bytes.
        modified: its time of change, in nanoseconds.
        originals: fingerprint of the files it was decoded from; None where it was given as it is.
        checksums: data set → checksums of its training and test part.
    """

    sha256: str
    size: int
    modified: int
    originals: str | None = None
    checksums: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class DecodedCopy:
    """The arrays of a data set, decoded just now or read from a copy.

    Attributes:
        path: where the copy is, or would be.
        arrays: its arrays.
        given: whether it came without original files.
        seal: of the file; None where it could not be written.
        sealed: whether the seal lies beside the file as it is.
    """

    path: Path
    arrays: Arrays
    given: bool
    seal: Seal | None
    sealed: bool = True

    def parts(
        self,
        name: str,
        num_classes: int,
        *,
        labels: str = "y",
        groups: str = "",
        side: int | None = None,
        check: Callable[[Part, Part], None] | None = None,
    ) -> tuple[Part, Part]:
        """Training and test part with checksums, which are computed once and then remembered.

        A copy is sealed only after these checks, so that one that fails them can be replaced.

        Args:
            name: the data set.
            num_classes: K; labels are 0…K−1.
            labels: stem of the label arrays, as in ``y_train``.
            groups: stem of the group arrays; empty for no groups.
            side: height and width of the images; None for those that the set is known to have.
            check: what else has to be true of the two parts; raises DataError.

        Raises:
            DataError: an array is missing or empty, or has another type, shape or length, or a
                label is no class.
        """
        ends = ("train", "test")
        train, test = (self._part(name, num_classes, e, labels, groups, side) for e in ends)
        if check is not None:
            check(train, test)
        known = self.seal.checksums.get(name) if self.seal else None
        sums = known or [part.digest() for part in (train, test)]
        if self.seal and not (known and self.sealed):
            changed = replace(self.seal, checksums={**self.seal.checksums, name: sums})
            write_seal(self.path, changed)
        return replace(train, checksum=sums[0]), replace(test, checksum=sums[1])

    def _part(
        self, name: str, num_classes: int, end: str, labels: str, groups: str, side: int | None
    ) -> Part:
        from companion.experiments.data.sources import SOURCES  # lists the loaders that import this

        keys = [f"{stem}_{end}" for stem in ("x", labels, groups) if stem]
        images, *numbers = self.named(name, keys)
        channels, height, width = SOURCES[name].shape
        expected = (side or height, side or width, channels)
        where = f"{name}: {keys[0]} in {self.path}"
        if images.ndim != 4 or images.dtype != np.uint8:
            found = f"{images.dtype} of shape {images.shape}"
            raise DataError(f"{where} should be uint8 of shape (N, H, W, C); found {found}")
        if images.shape[1:] != expected:
            wanted, found = ("×".join(map(str, shape)) for shape in (expected, images.shape[1:]))
            raise DataError(f"{where} should hold images of {wanted}; found {found}")
        if not len(images):
            raise DataError(f"{where} should hold at least one image; found none")
        for key, values in zip(keys[1:], numbers, strict=True):
            self.check_numbers(name, key, values, len(images))
        self.check_range(name, keys[1], numbers[0], num_classes)
        return Part(images, numbers[0], numbers[1] if groups else None).contiguous()

    def named(self, name: str, keys: Iterable[str]) -> list[np.ndarray]:
        """Arrays by name; DataError where one is missing."""
        try:
            return [self.arrays[key] for key in keys]
        except KeyError as error:
            raise DataError(f"{name}: {self.path} has no array {error}") from error

    def check_numbers(self, name: str, key: str, values: np.ndarray, count: int) -> None:
        """Raise DataError unless the array ``key`` is ``count`` whole numbers."""
        if values.shape != (count,) or values.dtype.kind not in "iu":
            raise DataError(
                f"{name}: {key} in {self.path} should be {count} whole numbers; found "
                f"{values.dtype} of shape {values.shape}"
            )

    def check_range(self, name: str, key: str, values: np.ndarray, end: int) -> None:
        """Raise DataError unless the array ``key`` lies in 0…``end`` − 1."""
        if not 0 <= values.min() <= values.max() < end:
            raise DataError(
                f"{name}: {key} in {self.path} should lie in 0…{end - 1}; found "
                f"{values.min()}…{values.max()}"
            )


def read_copy(
    name: str,
    path: Path,
    originals: Iterable[Path],
    decode: Callable[[], Arrays],
    missing: str,
) -> DecodedCopy:
    """The arrays of a data set: from its decoded copy while that is valid, else decoded anew.

    A copy whose originals have changed, or that no longer has its checksum, is decoded anew where
    there are originals. A copy that was not decoded here is never written over. Where ``path``
    cannot be written, nothing is kept.

    Args:
        name: the data set, for messages.
        path: of the copy.
        originals: original files, and folders that stand for all files in them.
        decode: reads the originals.
        missing: the message where there is neither a copy nor an original.

    Raises:
        DataError: nothing to read, or a damaged copy without originals.
    """
    mark = fingerprint(originals)
    seal = read_seal(path)
    exists = path.exists()
    if mark is None:
        if not exists:
            raise DataError(missing)
        checked = verified(path, seal)
        if checked is None:
            raise DataError(
                f"{name}: {path} does not have the SHA-256 in {seal_path(path).name}; if you "
                "replaced it on purpose, delete that file"
            )
        held, given = read_arrays(path, name), checked.originals is None
        return DecodedCopy(path, held, given, checked, sealed=checked == seal)
    if exists and seal is not None and seal.originals == mark:
        checked = verified(path, seal)
        if checked is not None:
            return DecodedCopy(
                path, read_arrays(path, name), False, checked, sealed=checked == seal
            )
    arrays = decode()
    given = exists and (seal is None or seal.originals is None)
    return DecodedCopy(path, arrays, False, None if given else write_copy(path, arrays, mark))


def fingerprint(paths: Iterable[Path]) -> str | None:
    """SHA-256 of names, sizes and times of change; None where none of the files exists."""
    lines = []
    for path in paths:
        try:
            if path.is_dir():
                with os.scandir(path) as entries:
                    lines += [_line(entry.name, entry.stat()) for entry in entries]
            else:
                lines.append(_line(path.name, path.stat()))
        except OSError:
            continue
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest() if lines else None


def _line(name: str, status: os.stat_result) -> str:
    return f"{name} {status.st_size} {status.st_mtime_ns}"


def seal_path(path: Path) -> Path:
    """Where the seal of a copy is."""
    return path.with_name(f"{path.name}.json")


def read_seal(path: Path) -> Seal | None:
    """The seal of a copy, or None where there is none that can be read."""
    try:
        return Seal(**json.loads(seal_path(path).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_seal(path: Path, seal: Seal) -> Seal | None:
    """Write the seal of a copy; None where the folder cannot be written."""
    try:
        write_text(seal_path(path), json.dumps(asdict(seal), indent=1) + "\n")
    except StoreError:
        return None
    return seal


def verified(path: Path, seal: Seal | None) -> Seal | None:
    """The seal that a copy should have, new or renewed where needed; None for a damaged copy."""
    status = path.stat()
    if seal is not None and (seal.size, seal.modified) == (status.st_size, status.st_mtime_ns):
        return seal
    found = sha256(path)
    if seal is None:
        seal = Seal(found, status.st_size, status.st_mtime_ns)
    elif seal.sha256 != found:
        return None
    return replace(seal, modified=status.st_mtime_ns)


def sha256(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_copy(path: Path, arrays: Arrays, originals: str) -> Seal | None:
    """Write a copy and its seal; None where the folder cannot be written.

    The seal comes first, so that a copy never stands there without one; the bytes follow from the
    arrays alone.
    """
    seals: list[Seal | None] = []

    def write(place: Path) -> None:
        with zipfile.ZipFile(place, "w", zipfile.ZIP_STORED) as archive:
            for key, array in arrays.items():
                with archive.open(zipfile.ZipInfo(f"{key}.npy"), "w", force_zip64=True) as member:
                    block = np.ascontiguousarray(array)
                    np.lib.format.write_array(member, block, allow_pickle=False)
        status = place.stat()
        seal = Seal(sha256(place), status.st_size, status.st_mtime_ns, originals)
        seals.append(write_seal(path, seal))

    try:
        write_atomically(path, write)
    except StoreError:
        return None
    return seals[0]


def read_arrays(path: Path, name: str) -> dict[str, Any]:
    """All arrays of an ``.npz`` file, straight from the disk where they are not compressed.

    Raises:
        DataError: the file is damaged, or holds something other than plain arrays.
    """
    arrays = {}
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            for info in archive.infolist():
                key = info.filename.removesuffix(".npy")
                if info.compress_type == zipfile.ZIP_STORED:
                    file.seek(info.header_offset + 26)  # the lengths of name and extra field
                    name_length, extra_length = struct.unpack("<HH", file.read(4))
                    file.seek(name_length + extra_length, os.SEEK_CUR)
                    arrays[key] = np.lib.format.read_array(file, allow_pickle=False)
                else:
                    with archive.open(info) as member:
                        arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
    except (OSError, ValueError, EOFError, struct.error, zipfile.BadZipFile) as error:
        raise DataError(f"{name}: {path} is damaged ({error})") from error
    return arrays
