"""Files that a command is to write: refused before the run where they cannot or must not be."""

import json
import os
import sys
from pathlib import Path

from companion.experiments.records.record import Record
from ugradsl_core.errors import ConfigError, StoreError


def check_target(path: Path, option: str) -> None:
    """Raise ConfigError unless a file can be written to ``path``; its folder need not exist yet."""
    if os.path.isdir(path):  # unlike Path.is_dir, False where a folder above cannot be searched
        raise ConfigError(f"{option}: {path} is a folder; name a file")
    exists = os.path.exists(path)
    if exists and not os.path.isfile(path):
        raise ConfigError(f"{option}: {path} is no regular file; name another one")
    folder = next(above for above in path.absolute().parents if os.path.exists(above))
    if not os.path.isdir(folder):
        raise ConfigError(f"{option}: {path} cannot be written, as {folder} is a file")
    needed = [(folder, os.W_OK | os.X_OK), *([(path, os.R_OK | os.W_OK)] if exists else [])]
    if not all(os.access(place, mode) for place, mode in needed):
        raise ConfigError(f"{option}: {path} cannot be written (no permission)")


def check_publish(path: Path | None, *, quiet: bool = False, added_to: str | None = None) -> None:
    """Raise ConfigError where records cannot be published, or would replace something else.

    How many records will be replaced is said on stderr.

    Args:
        path: the file; None for nothing to publish.
        quiet: say nothing.
        added_to: the kind of records that the file may hold, where they stay in it.
    """
    if path is None:
        return
    records = check_records(path, "publish")
    if added_to is None:
        if records and not quiet:
            print(f"publish: {path} is replaced, with {len(records)} records", file=sys.stderr)
        return
    others = {record.kind for record in records} - {added_to}
    if others:
        raise ConfigError(
            f"publish: {path} holds records of kind {min(others)!r}, and not {added_to!r}; name "
            "another file"
        )


def check_records(path: Path, option: str) -> list[Record]:
    """The records that ``path`` holds, after checking that it can be written.

    Raises:
        ConfigError: it cannot, or it holds something else.
    """
    from companion.experiments.records.store import read_records

    check_target(path, option)
    try:
        return read_records(path) if path.exists() else []
    except StoreError as error:
        raise ConfigError(
            f"{option}: {path} holds something other than records ({error}); name another file"
        ) from error


def check_models(path: Path | None) -> None:
    """Raise ConfigError where names of models cannot be published, or would replace something."""
    if path is not None:
        _check_json(path, "publish", "names of models", {"setting", "models"})


def check_notebook(path: Path) -> None:
    """Raise ConfigError where a notebook cannot be written, or would replace something else."""
    _check_json(path, "output", "a notebook", {"cells", "nbformat"})
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"output: {path.parent} does not exist; make this folder first")


def _check_json(path: Path, option: str, what: str, keys: set[str]) -> None:
    check_target(path, option)
    if not path.exists() or path.stat().st_size == 0:
        return
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not keys <= set(found):
        raise ConfigError(f"{option}: {path} holds something other than {what}; name another file")
