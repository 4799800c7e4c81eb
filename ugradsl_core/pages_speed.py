"""Speed as ratios to bare PyTorch, from what ``tests/benchmarks`` measured."""

from pathlib import Path

from ugradsl_core.measurements import FOLDER, Line, measured, where
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.settings import title_of

RECORDS = FOLDER / "speed.jsonl"
PREFIX = "method "


def ratios(book: Path) -> list[Line]:
    """The last measurement of each ratio.

    Raises:
        StoreError: a line is damaged; its number is in the message.
    """
    return measured(book / RECORDS, ("name",))


def sentence(label: str, book: Path) -> str:
    """A method's wall time over that of its bare passes; empty where it was not measured."""
    found = [line for line in ratios(book) if line["name"] == f"{PREFIX}{label}"]
    return "".join(
        f"Wall time: {line['ratio']:.2f} times that of a bare PyTorch loop over the same passes "
        f"(limit {line['limit']:.2f}; {_threads(line)}). {where(line)}"
        for line in found[-1:]
    )


def methods(book: Path) -> str:
    """One table over all methods."""
    lines = [line for line in ratios(book) if line["name"].startswith(PREFIX)]
    return _table(lines, "Method")


def parts(book: Path) -> str:
    """Everything else that was compared with bare PyTorch."""
    lines = [line for line in ratios(book) if not line["name"].startswith(PREFIX)]
    return _table(lines, "What / against what")


def _table(lines: list[Line], first: str) -> str:
    if not lines:
        return NOT_RUN_YET
    rows = [
        (
            title_of(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else name,
            f"{1e3 * min(line['ours']):,.0f}",
            f"{1e3 * min(line['bare']):,.0f}",
            f"{line['ratio']:.2f}",
            f"{line['limit']:.2f}",
        )
        for line in lines
        for name in [line["name"]]
    ]
    header = (first, "Ours, ms", "Bare, ms", "Ratio", "Limit")
    note = (
        f"The fastest of {len(lines[0]['ours'])} interleaved runs each, {_threads(lines[0])}. "
        f"{where(lines[0])}"
    )
    return f"{list_table(header, rows, kind='numbers')}\n\n{note}"


def _threads(line: Line) -> str:
    return f"{line['device']}, {line['threads']} thread{'s' if line['threads'] > 1 else ''}"


FRAGMENTS = {"speed-methods.md": methods, "speed-parts.md": parts}
