"""Original files of data sets: verified before they are read, downloaded only when asked."""

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ugradsl_core.errors import DataError

REMEDY = "put the original file there, or ask for a download with --download"


def read_verified(path: Path, checksum: str, name: str, remedy: str = REMEDY) -> bytes:
    """The bytes of an original file.

    Args:
        path: the file.
        checksum: what it should have, as ``"md5:<hexadecimal>"`` or ``"sha256:<hexadecimal>"``.
        name: the data set, for messages.
        remedy: what to do about a missing file.

    Raises:
        DataError: missing, unreadable, or another checksum.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise DataError(f"{name}: {path} is missing; {remedy}") from error
    except OSError as error:
        raise DataError(f"{name}: {path} cannot be read ({error.strerror})") from error
    kind, _, expected = checksum.partition(":")
    found = hashlib.new(kind, content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise DataError(
            f"{name}: {path} is incomplete or damaged: its {kind.upper()} is {found}, not "
            f"{expected}; {remedy}"
        )
    return content


def fetch(
    name: str, root: Path, start: Callable[[], object], copy: Path, originals: Iterable[Path]
) -> None:
    """Let torchvision download a data set into ``root``, with its progress bar and its checks.

    Nothing is missing, and nothing is done, where there is a decoded copy and no original.

    Args:
        name: the data set, for messages.
        root: the data root.
        start: makes torchvision download what is missing or damaged.
        copy: the decoded copy.
        originals: the original files.

    Raises:
        DataError: no network, a wrong checksum, a full disk, no right to write.
    """
    if copy.exists() and not any(path.exists() for path in originals):
        return
    try:
        start()
    except DataError:
        raise
    except Exception as error:  # what torchvision downloads with has errors of its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{name}: the download to {root} failed ({reason})") from error


DATA_ROOT_VARIABLE = "UGRADSL_DATA"


def data_root(root: Path | None, name: str, download: bool) -> Path:
    """``root``, or the one of the environment; made where a download was asked for.

    Raises:
        DataError: no root given, or it is no directory and cannot be made one.
    """
    if root is None:
        from_environment = os.environ.get(DATA_ROOT_VARIABLE)
        if not from_environment:
            raise DataError(
                f"{name}: no data root given; pass --data-root or set {DATA_ROOT_VARIABLE}"
            )
        root = Path(from_environment)
    if not root.is_dir():
        if not download or root.exists():
            raise DataError(f"{name}: the data root {root} is not a directory")
        try:
            root.mkdir(parents=True)
        except OSError as error:
            raise DataError(f"{name}: the data root {root} cannot be made ({error})") from error
    return root
