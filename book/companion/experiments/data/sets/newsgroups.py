"""20 Newsgroups in its by-date form: the original folders, or scikit-learn's cache."""

import hashlib
import io
import pickle
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from companion.experiments.data.originals import data_root
from companion.experiments.data.parts import DataBundle
from companion.experiments.data.text import Texts, token_bundle
from ugradsl_core.errors import DataError

NAME = "20newsgroups"
FOLDERS = {"train": "20news-bydate-train", "test": "20news-bydate-test"}
CACHE = "20news-bydate_py3.pkz"
ARCHIVE = "20news-bydate.tar.gz"
URL = "https://ndownloader.figshare.com/files/5975967"
ARCHIVE_SHA256 = "8f1b2514ca22a5ade8fbb9cfa5727df95fa587f4c87b786e15c759fa66d95610"
# SHA-256 of the texts in scikit-learn's order, each with a zero byte behind it, and of the labels
CHECKSUMS = {
    "train": "634c19b4f194b0e122b74c2526d4e89ae2c7629532d91041bc8cc0ae53308447",
    "test": "907fb72f2ea6885678dd52df135f0f96dec8dd3893bd137dc408e9d4ddfe87bb",
}
FAMILIES: dict[str, str | tuple[str, ...]] = {
    "computers": "comp.",
    "recreation": "rec.",
    "science": "sci.",
    "for sale": "misc.forsale",
    "politics": "talk.politics.",
    "religion": ("alt.atheism", "soc.religion.", "talk.religion."),
}
# What scikit-learn's cache is made of; anything else in it is refused
SAFE = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("sklearn.utils._bunch", "Bunch"),
}
RENAMED = {
    "numpy.core.multiarray": "numpy._core.multiarray",
    "sklearn.utils": "sklearn.utils._bunch",
    "sklearn.datasets.base": "sklearn.utils._bunch",
}


class _Reader(pickle.Unpickler):
    """Unpickles lists, texts, arrays and scikit-learn's Bunch, and nothing that could run."""

    def find_class(self, module: str, name: str) -> Any:
        module = RENAMED.get(module, module)
        if (module, name) not in SAFE:
            raise DataError(f"{NAME}: {CACHE} holds {module}.{name}, which no copy of it does")
        return super().find_class(module, name)


def family_of(group: str) -> int:
    """The number of a newsgroup's topic family."""
    return next(i for i, start in enumerate(FAMILIES.values()) if group.startswith(start))


def read_cache(path: Path) -> dict[str, Any]:
    """Both parts from scikit-learn's cache.

    Raises:
        DataError: the file is damaged, or holds what could run.
    """
    try:
        loaded = _Reader(io.BytesIO(zlib.decompress(path.read_bytes()))).load()
        return {part: loaded[part] for part in FOLDERS}
    except DataError:
        raise
    except Exception as error:  # an unpickler may raise anything on damaged bytes
        raise DataError(f"{NAME}: {path} is damaged ({error}); fetch it again") from error


def read_folders(root: Path) -> dict[str, Any]:
    """Both parts from the original folders, in scikit-learn's order.

    Raises:
        DataError: a folder is missing.
    """
    from sklearn.datasets import load_files

    try:
        return {
            part: load_files(str(root / name), encoding="latin1") for part, name in FOLDERS.items()
        }
    except (OSError, ValueError) as error:
        raise DataError(f"{NAME}: {root / FOLDERS['test']} is missing ({error})") from error


def _fetch(root: Path) -> None:
    """Download the original archive with a progress bar, verify its SHA-256, and unpack it."""
    import torch

    archive = root / ARCHIVE
    try:
        torch.hub.download_url_to_file(URL, str(archive), hash_prefix=ARCHIVE_SHA256)
        with tarfile.open(archive) as packed:
            packed.extractall(root, filter="data")
    except (OSError, RuntimeError, tarfile.TarError) as error:
        raise DataError(f"{NAME}: the download from {URL} failed ({error})") from error
    archive.unlink()


def verified(part: str, read: Any) -> Texts:
    """Texts and labels of a part, if they are all there and unchanged.

    Raises:
        DataError: another checksum than the by-date version has.
    """
    texts, labels = list(read["data"]), np.asarray(read["target"], dtype=np.int64)
    hashed = hashlib.sha256()
    for text in texts:
        hashed.update(text.encode("latin1", "replace") + b"\0")
    hashed.update(labels.astype("<i8").tobytes())
    if hashed.hexdigest() != CHECKSUMS[part]:
        raise DataError(
            f"{NAME}: the {part} part is not the whole by-date version: {len(texts)} texts with "
            f"checksum {hashed.hexdigest()[:12]}…, should be {CHECKSUMS[part][:12]}…"
        )
    return Texts(texts, labels)


def load_newsgroups(
    root: Path | None = None,
    *,
    download: bool = False,
    tokenizer: str | None = None,
    max_length: int = 128,
) -> DataBundle:
    """20 Newsgroups by date: 11,314 training and 7,532 test messages, headers and all.

    Read from the folders ``20news-bydate-train`` and ``-test``, or else from scikit-learn's cache
    ``20news-bydate_py3.pkz``, whose objects are restricted to texts and arrays. Both are verified
    by the same checksum of the texts. Groups are the six topic families.

    Raises:
        DataError: the files are missing, damaged or incomplete.
        ConfigError: the tokenizer cannot be had.
    """
    root = data_root(root, NAME, download)
    folders, cache = root / FOLDERS["train"], root / CACHE
    if not folders.is_dir() and not cache.is_file():
        if not download:
            raise DataError(
                f"{NAME}: {root} has neither {FOLDERS['train']} nor scikit-learn's {CACHE}; put "
                "one there, or ask for a download with --download"
            )
        _fetch(root)
    read = read_folders(root) if folders.is_dir() else read_cache(cache)
    train, test = (verified(part, read[part]) for part in FOLDERS)
    names = list(read["train"]["target_names"])
    families = np.array([family_of(name) for name in names])
    return token_bundle(
        NAME,
        replace(train, groups=families[train.labels]),
        replace(test, groups=families[test.labels]),
        names,
        "20 Newsgroups by date (Lang, 1995), as scikit-learn distributes it",
        max_length=max_length,
        tokenizer=tokenizer,
        download=download,
        group_names=list(FAMILIES),
    )
