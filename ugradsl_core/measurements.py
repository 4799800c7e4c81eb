"""Measurements of speed and memory that ``tests/benchmarks`` wrote, as lines of JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ugradsl_core.errors import StoreError

FOLDER = Path("measurements")  # no records of runs, so not in results
Line = dict[str, Any]


def measured(path: Path, keys: Sequence[str], name: str | None = None) -> list[Line]:
    """Lines that have all of ``keys``, the last one where the same was measured again.

    Args:
        path: a file that ``UGRADSL_BENCHMARK_JSON`` named; one that does not exist has no lines.
        keys: what tells measurements apart.
        name: only lines of this name.

    Raises:
        StoreError: a line is damaged; its number is in the message.
    """
    if not path.is_file():
        return []
    found: dict[tuple[Any, ...], Line] = {}
    for number, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            if name is None or line["name"] == name:
                found[tuple(line[key] for key in keys)] = line
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}, line {number}: is damaged ({error})") from error
    return list(found.values())


def where(line: Line) -> str:
    """A sentence on when, on what and with which code a line was measured."""
    digits, mark, rest = line["commit"].partition("+")
    return (
        f"Measured on {line['created'][:10]}, {line['processor']}, torch {line['torch']}, commit "
        f"`{digits[:10]}{mark}{rest}`."
    )
