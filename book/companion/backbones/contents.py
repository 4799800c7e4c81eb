"""The code or the weights behind a model's name, as they are at the moment."""

from pathlib import Path

from companion.backbones import hub
from companion.backbones.spec import ModelSpec, is_own
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods.own import files_sha256, source_sha256

WEIGHTS = ("config.json", "*.safetensors", "*.safetensors.index.json")


def contents_sha256(spec: ModelSpec) -> str | None:
    """SHA-256 of the files that ``spec`` names; None for our own backbones.

    Of a user's own factory it is the file of its module, of pretrained weights their
    ``config.json`` and safetensors files. So results of code or weights that have changed since
    are not taken for those of today. None, too, for what is not on this machine.
    """
    if is_own(spec.name):
        return source_sha256(spec.name)
    return None if spec.pretrained is None else files_sha256(_weights(spec.pretrained))


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
