"""The store: trained models and records on disk, verified when read, safe to interrupt.

``models/KEY.safetensors`` with its description and SHA-256 in ``models/KEY.json``;
``records/KEY.json``, one line each, with a SHA-256 of its content. A damaged file is reported,
set aside and treated as absent, so that it is computed again.
"""

import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Generator, Tensor

from companion.experiments.records.record import Record
from ugradsl_core.errors import StoreError
from ugradsl_core.samples import StateDict
from ugradsl_core.training import World
from ugradsl_core.training.checkpoint import Checkpoint
from ugradsl_core.training.files import write_atomically, write_text
from ugradsl_core.training.processes import ALONE

FORMAT = 1


class DamagedFileWarning(UserWarning):
    """A file of the store did not pass its check and is computed again."""


@dataclass(frozen=True)
class Store:
    """An opened store; see :func:`open_store`.

    Of several processes the first reads and writes, and the others hear what it found.
    """

    root: Path
    world: World = ALONE


def open_store(root: str | Path, world: World = ALONE) -> Store:
    """Open the store in ``root``, creating it if there is none.

    Args:
        root: its directory.
        world: the processes that use it together.

    Raises:
        StoreError: ``root`` holds a store of another format, or cannot be written.
    """
    root = Path(root)
    world.from_first(lambda: _prepare(root))
    return Store(root, world)


def _prepare(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise StoreError(f"{root}: is a file; choose a directory with --store")
    marker = root / "store.json"
    strange = root.exists() and any(not p.name.startswith(".store.json") for p in root.iterdir())
    if marker.exists():  # looked for last, as another job may just have made the store
        try:
            found = json.loads(marker.read_text("utf-8")).get("format")
        except (ValueError, AttributeError, OSError):
            found = "unreadable"
        if found != FORMAT:
            raise StoreError(
                f"{root}: this store has format {found!r}, this version reads format {FORMAT}; "
                "choose another directory with --store"
            )
    elif strange:
        raise StoreError(f"{root}: is not empty and not a store; choose another directory")
    else:
        write_text(marker, json.dumps({"format": FORMAT}) + "\n")


def _seal(path: Path, description: Mapping[str, Any]) -> str:
    """SHA-256 of a file and of what is said of it."""
    with path.open("rb") as file:
        sealed = hashlib.file_digest(file, "sha256")
    sealed.update(json.dumps(dict(description), sort_keys=True).encode())
    return sealed.hexdigest()


def _set_aside(path: Path, reason: str) -> None:
    warnings.warn(
        f"{path.name}: {reason}; it was set aside and is computed again",
        DamagedFileWarning,
        stacklevel=3,
    )
    path.replace(path.with_name(path.name + ".damaged"))


def save_state(store: Store, key: str, state: StateDict, description: Mapping[str, Any]) -> None:
    """Write weights, then their description with the checksum that makes them valid."""
    store.world.from_first(lambda: _write_state(store, key, state, description))


def _write_state(store: Store, key: str, state: StateDict, description: Mapping[str, Any]) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = store.root / "models" / f"{key}.safetensors"
    tensors = {name: value.contiguous() for name, value in state.items()}

    def write(place: Path) -> None:
        try:
            save_file(tensors, place)
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(path, write)
    sidecar = {"description": dict(description), "sha256": _seal(path, description)}
    write_text(path.with_suffix(".json"), json.dumps(sidecar, sort_keys=True) + "\n")


def load_state(store: Store, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Weights and description, or None where they are absent or damaged."""
    return store.world.from_first(lambda: _read_state(store, key))


def _read_state(store: Store, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    from safetensors.torch import load_file

    path = store.root / "models" / f"{key}.safetensors"
    if not path.exists() or not path.with_suffix(".json").exists():
        return None
    try:
        sidecar = json.loads(path.with_suffix(".json").read_text("utf-8"))
        description, expected = dict(sidecar["description"]), sidecar["sha256"]
    except (ValueError, KeyError, TypeError):
        _set_aside(path.with_suffix(".json"), "is not a valid description")
        return None
    if _seal(path, description) != expected:
        _set_aside(path, "does not match its checksum")
        return None
    return load_file(path), description


def has_state(store: Store, key: str) -> bool:
    """Whether there are weights of that key, which are not read."""
    path = store.root / "models" / f"{key}.safetensors"
    return path.exists() and path.with_suffix(".json").exists()


def drop_state(store: Store, key: str) -> None:
    """Remove weights that are no longer needed."""

    def remove() -> None:
        for suffix in (".json", ".safetensors"):
            (store.root / "models" / f"{key}{suffix}").unlink(missing_ok=True)

    store.world.from_first(remove)


def keep_checkpoint(store: Store, key: str, generators: Sequence[Generator]) -> Checkpoint:
    """A checkpoint under that key; a damaged one is treated as absent."""

    def load() -> dict[str, Tensor] | None:
        found = load_state(store, key)
        return None if found is None else found[0]

    return Checkpoint(load, lambda tensors: save_state(store, key, tensors, {}), generators)


def _to_null(value: Any) -> Any:
    """Metrics without NaN, which JSON does not have: ``null`` is an attack without a signal."""
    if isinstance(value, Mapping):
        return {name: _to_null(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _from_null(value: Any) -> Any:
    """The inverse of :func:`_to_null`."""
    if isinstance(value, Mapping):
        return {name: _from_null(inner) for name, inner in value.items()}
    return math.nan if value is None else value


def record_line(record: Record) -> str:
    """A record as one line of JSON with the SHA-256 of its content; a metric of NaN is ``null``."""
    content = asdict(record)
    if not content[
        "protocol"
    ]:  # younger than the first published records, whose lines it is not in
        del content["protocol"]
    content["metrics"] = _to_null(content["metrics"])
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    content["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps(content, sort_keys=True, ensure_ascii=False)


def parse_record(line: str) -> Record:
    """The record of a line.

    Raises:
        StoreError: the line is truncated, changed, or of another version.
    """
    try:
        content = json.loads(line)
        expected = content.pop("sha256")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError("record: the line is truncated or is not a record") from error
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != expected:
        raise StoreError("record: the content does not match its checksum")
    if {"protocol", *content} != {field.name for field in fields(Record)}:
        raise StoreError("record: the fields are those of another version")
    return Record(**{**content, "metrics": _from_null(content["metrics"])})


def _record_path(store: Store, key: str) -> Path:
    return store.root / "records" / f"{key}.json"


def save_record(store: Store, key: str, record: Record) -> None:
    """Write a record by atomic rename."""
    text = record_line(record) + "\n"
    store.world.from_first(lambda: write_text(_record_path(store, key), text))


def load_record(store: Store, key: str) -> Record | None:
    """The record of that key, or None where it is absent or damaged."""
    return store.world.from_first(lambda: _read_record(store, key))


def _read_record(store: Store, key: str) -> Record | None:
    path = _record_path(store, key)
    if not path.exists():
        return None
    try:
        return parse_record(path.read_text("utf-8"))
    except (StoreError, UnicodeDecodeError) as error:
        _set_aside(path, str(error))
        return None


def has_record(store: Store, key: str) -> bool:
    """Whether there is a record of that key, which is not read."""
    return _record_path(store, key).exists()


def all_records(store: Store) -> list[Record]:
    """Every intact record, in the order of its key."""
    keys = sorted(path.stem for path in (store.root / "records").glob("*.json"))
    loaded = (_read_record(store, key) for key in keys)
    return [record for record in loaded if record is not None]


def read_records(path: Path) -> list[Record]:
    """Published records: a file with one line each, parsed again only where the file changed.

    Raises:
        StoreError: the file cannot be read, or a line is damaged; published numbers are never
            skipped silently.
    """
    try:
        found = path.stat()
        return list(_parsed(path, found.st_ino, found.st_mtime_ns, found.st_size))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise StoreError(f"records: {path} cannot be read ({reason})") from error


@lru_cache(maxsize=256)
def _parsed(path: Path, *_state: int) -> tuple[Record, ...]:
    records = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            records.append(parse_record(line))
        except StoreError as error:
            raise StoreError(f"{path.name}, line {number}: {error}") from error
    return tuple(records)


def write_records(path: Path, records: list[Record]) -> None:
    """Publish records: one line each, by atomic rename."""
    write_text(path, "".join(record_line(record) + "\n" for record in records))
