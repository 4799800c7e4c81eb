"""The directory that holds the files of data sets."""

import os
from pathlib import Path

from ugradsl_core.errors import DataError

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
