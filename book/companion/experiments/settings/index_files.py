"""A user's own forget set: a file that lists indices of training samples."""

import codecs
import csv
import hashlib
import io
import json
import pickle
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ugradsl_core.errors import ConfigError, DataError

DIGITS = 19  # of 2**63 - 1, the largest index
EXACT = 2**53  # whole numbers up to which a float is one of them and no other
HEADERS = ("index", "idx", "indices")  # of a column, in any case
FLOAT = re.compile(r"[0-9]+\.?[0-9]*(?:[eE]\+?[0-9]+)?")
DAMAGE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    RuntimeError,  # RecursionError and what torch.load raises
    csv.Error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def file_sha256(path: str | Path) -> str:
    """SHA-256 of an index file, in hexadecimal digits.

    Raises:
        ConfigError: it does not exist or cannot be read.
    """
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        reason = "does not exist" if isinstance(error, FileNotFoundError) else error.strerror
        raise ConfigError(f"index_file: {path} {reason or error}") from None


def read_index(path: str | Path, size: int | None = None) -> Tensor:
    """The indices in a file, sorted, int64, (n,); counted from 0.

    ``.npy``, ``.npz`` and ``.pt`` hold one array of integers, ``.json`` a list, ``.csv`` a column
    named ``index``, ``idx`` or ``indices``, or nothing but indices; any other file is text with
    indices between blanks, commas or line ends, where ``#`` begins a comment. Text is UTF-8, or
    UTF-16 with its mark. Floats that are whole numbers are taken for them, and an array or list
    of truth values for a mask with an entry for each training sample.

    Args:
        path: of the file.
        size: training samples, which a mask should have an entry for.

    Raises:
        ConfigError: the file does not exist or cannot be read.
        DataError: it is damaged or empty, an entry is not a whole number from 0 or occurs twice, or
            a mask has another length.
    """
    path = Path(path)
    file_sha256(path)
    try:
        entries = list(_READERS.get(path.suffix.lower(), _from_text)(path))
    except DAMAGE as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(f"index_file: {path} cannot be read ({reason})") from None
    if entries and all(isinstance(entry, bool) for entry in entries):
        if size is not None and len(entries) != size:
            raise DataError(
                f"index_file: {path} is a mask and should have {size} entries, one for each "
                f"training sample; found {len(entries)}"
            )
        entries = [place for place, entry in enumerate(entries) if entry]
    if not entries:
        raise DataError(f"index_file: {path} holds no index")
    values = [_whole(entry, place, path) for place, entry in enumerate(entries, start=1)]
    found: Tensor
    found, counts = torch.unique(torch.tensor(values, dtype=torch.int64), return_counts=True)
    if len(found) < len(values):
        twice = found[counts > 1]
        more = f" and {len(twice) - 1} more" if len(twice) > 1 else ""
        raise DataError(
            f"index_file: {path} should list every index once; found {int(twice[0])}{more} again"
        )
    return found


def check_range(index: Tensor, size: int, path: str | Path, name: str) -> None:
    """Raise DataError unless all indices are below ``size``, the training samples of ``name``."""
    if int(index[-1]) >= size:
        raise DataError(
            f"index_file: {path} should hold indices below {size}, the training samples of "
            f"{name}; found {int(index[-1])}"
        )


def _whole(entry: Any, place: int, path: Path) -> int:
    text = str(entry).strip()
    value = -1
    if text.isdecimal() and text.isascii() and len(text) <= DIGITS:
        value = int(text)
    elif FLOAT.fullmatch(text) and float(text).is_integer() and float(text) <= EXACT:
        value = int(float(text))
    if isinstance(entry, bool) or not 0 <= value < 2**63:
        raise DataError(
            f"index_file: {path}, entry {place}: should be a whole number from 0; "
            f"found {text[:40]!r}"
        )
    return value


def _listed(array: np.ndarray) -> list[Any]:
    """The entries of an array with one axis, or with one that is longer than 1."""
    if array.ndim == 0 or array.size != max(array.shape):
        raise ValueError(f"should be one-dimensional; found shape {array.shape}")
    return list(array.reshape(-1).tolist())


def _from_npy(path: Path) -> Iterable[Any]:
    with path.open("rb") as file:  # not np.load, which also opens archives
        return _listed(np.lib.format.read_array(file, allow_pickle=False))


def _from_npz(path: Path) -> Iterable[Any]:
    with path.open("rb") as file:
        archive = np.load(file, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            return _listed(archive)
        names = [name for name in archive.files if name.lower() in HEADERS] or archive.files
        if len(names) != 1:
            raise ValueError(
                f"should hold one array, or one called index; found {', '.join(names) or 'none'}"
            )
        return _listed(archive[names[0]])


def _from_pt(path: Path) -> Iterable[Any]:
    found = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, list | tuple):
        return list(found)
    if not isinstance(found, Tensor):
        raise ValueError(f"should be a tensor or a list; found {type(found).__name__}")
    return _listed(found.numpy())


def _text(path: Path) -> str:
    """UTF-8, or UTF-16 as PowerShell writes it; marks at the start are no text."""
    raw = path.read_bytes()
    wide = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return raw.decode("utf-16" if wide else "utf-8-sig")


def _from_json(path: Path) -> Iterable[Any]:
    found = json.loads(_text(path))
    if not isinstance(found, list):
        raise ValueError(f"should be a list; found {type(found).__name__}")
    return found


def _from_csv(path: Path) -> Iterable[Any]:
    rows = [row for row in csv.reader(io.StringIO(_text(path), newline="")) if row]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    column = next((header.index(name) for name in HEADERS if name in header), None)
    if column is not None:
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    return [cell for row in rows for cell in row]


def _from_text(path: Path) -> Iterable[Any]:
    lines = (line.partition("#")[0] for line in _text(path).splitlines())
    parts = [part for line in lines for part in line.replace(",", " ").split()]
    return parts[1:] if parts and parts[0].lower() in HEADERS else parts


_READERS = {
    ".npy": _from_npy,
    ".npz": _from_npz,
    ".pt": _from_pt,
    ".json": _from_json,
    ".csv": _from_csv,
}
