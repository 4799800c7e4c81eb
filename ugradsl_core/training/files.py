"""Files that are whole or absent: written beside their place, then renamed."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from ugradsl_core.errors import StoreError


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file, flush it to disk, and rename it to ``path``.

    Raises:
        StoreError: the file cannot be written, for example because the disk is full; ``path`` is
            then as it was, and nothing half-written is left.
    """
    temporary: Path | None = None
    try:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        temporary = Path(name)
        write(temporary)
        with temporary.open("r+b") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except (OSError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(f"{path}: cannot be written ({reason})") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text by atomic rename."""
    write_atomically(path, lambda place: place.write_text(text, "utf-8"))
