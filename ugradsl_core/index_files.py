"""A user's own forget set: a file that lists indices of training samples."""

import csv
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ugradsl_core.errors import ConfigError, DataError

DIGITS = 19  # of 2**63 - 1, the largest index
DAMAGE = (ValueError, OSError, EOFError, RecursionError, csv.Error)


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


def read_index(path: str | Path) -> Tensor:
    """The indices in a file, sorted, int64, (n,); counted from 0.

    ``.npy`` holds a one-dimensional array of integers, ``.json`` a list, ``.csv`` a column named
    ``index`` or nothing but indices; any other file is text with indices between blanks, commas
    or line ends, where ``#`` begins a comment.

    Raises:
        ConfigError: the file does not exist or cannot be read.
        DataError: it is damaged or empty, or an entry is no whole number from 0 or stands twice.
    """
    path = Path(path)
    file_sha256(path)
    try:
        entries = list(_READERS.get(path.suffix.lower(), _from_text)(path))
    except DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"index_file: {path} cannot be read ({reason})") from None
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
    whole = text.isdecimal() and text.isascii() and len(text) <= DIGITS
    value = int(text) if whole else -1
    if isinstance(entry, bool | float) or not 0 <= value < 2**63:
        raise DataError(
            f"index_file: {path}, entry {place}: should be a whole number from 0; "
            f"found {text[:40]!r}"
        )
    return value


def _from_npy(path: Path) -> Iterable[Any]:
    with path.open("rb") as file:  # not np.load, which also opens archives
        array: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    if array.ndim != 1:
        raise ValueError(f"should be one-dimensional; found shape {array.shape}")
    return list(array.tolist())


def _from_json(path: Path) -> Iterable[Any]:
    found = json.loads(path.read_text("utf-8"))
    if not isinstance(found, list):
        raise ValueError(f"should be a list; found {type(found).__name__}")
    return found


def _from_csv(path: Path) -> Iterable[Any]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and "index" in (header := [cell.strip() for cell in rows[0]]):
        column = header.index("index")
        return [row[column] if column < len(row) else "" for row in rows[1:]]
    return [cell for row in rows for cell in row]


def _from_text(path: Path) -> Iterable[Any]:
    lines = (line.partition("#")[0] for line in path.read_text("utf-8-sig").splitlines())
    return [part for line in lines for part in line.replace(",", " ").split()]


_READERS = {".npy": _from_npy, ".json": _from_json, ".csv": _from_csv}
