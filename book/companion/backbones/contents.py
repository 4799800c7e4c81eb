"""The code or the weights behind a model's name, as they are at the moment."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from ugradsl_core.errors import ConfigError
from ugradsl_core.models import hub
from ugradsl_core.models.spec import ModelSpec, is_own

WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")


def contents_sha256(spec: ModelSpec) -> str | None:
    """SHA-256 of the files that ``spec`` names; None for our own backbones.

    Of a user's own factory it is the file of its module, of pretrained weights their
    ``config.json`` and safetensors files. So results of code or weights that have changed since
    are not taken for those of today. None, too, for what is not on this machine.
    """
    if is_own(spec.name):
        files = _source(spec.name.partition(":")[0])
    elif spec.pretrained is not None:
        files = _weights(spec.pretrained)
    else:
        files = []
    return _hash(files)


def source_sha256(name: str) -> str | None:
    """SHA-256 of the file of the module in ``module:function``; None where there is no file."""
    return _hash(_source(name.partition(":")[0]))


def _hash(files: list[Path]) -> str | None:
    if not files:
        return None
    hashed = hashlib.sha256()
    for path in files:
        state = path.stat()
        hashed.update(f"{path.name}:{_sha256(path, state.st_mtime_ns, state.st_size)}\n".encode())
    return hashed.hexdigest()


def _source(module: str) -> list[Path]:
    try:
        found = importlib.util.find_spec(module)
    except Exception:  # the parent package is imported, and may raise anything
        return []
    origin = Path(found.origin) if found is not None and found.origin else None
    return [origin] if origin is not None and origin.is_file() else []


def _weights(name: str) -> list[Path]:
    try:
        place = Path(hub.locate(name, "pretrained")).expanduser()
    except ConfigError:
        return []
    if place.is_file():
        return [place]
    if not place.is_dir():
        cached = _cached(name)
        if cached is None:
            return []
        place = cached
    return sorted(path for pattern in WEIGHTS for path in place.glob(pattern))


def _cached(name: str) -> Path | None:
    """The folder of a Hugging Face name in the cache of this machine."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        return None
    return Path(found).parent if isinstance(found, str) else None


@cache
def _sha256(path: Path, changed: int, size: int) -> str:
    """SHA-256 of a file; ``changed`` and ``size`` tell whether it is still the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
