"""Fragments of pages that are computed, not typed: tables of the paper, records, versions.

Before the book is built, ``write`` turns each entry of ``FRAGMENTS`` into a file that a page
includes. To add a fragment, write a function from the book's folder to Markdown, add it to
``FRAGMENTS`` under a file name, and put ``{include} _generated/<file name>`` into a page.
"""

import json
import platform
import subprocess
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ugradsl_core import pages_errata
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table, name
from ugradsl_core.paper import load_table

Fragment = Callable[[Path], str]

PACKAGES = ("torch", "torchvision", "numpy", "pandas", "scikit-learn", "papermill", "jupyter-book")


def write(book: Path, target: Path) -> None:
    """Write every fragment into ``target``; a file whose text has not changed is not touched.

    Args:
        book: the book's folder, with ``paper/`` and ``results/`` in it.
        target: the folder of the fragments, created if missing.
    """
    target.mkdir(parents=True, exist_ok=True)
    for file_name, fragment in FRAGMENTS.items():
        text = fragment(book).rstrip() + "\n"
        path = target / file_name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def landing(book: Path) -> str:
    """What came out: the first figure, results and verdicts."""
    return NOT_RUN_YET


def notation(book: Path) -> str:
    """Table 5 of the paper."""
    table = load_table(5, book / "paper")
    rows = [
        (f"${symbol}$", text) for symbol, text in zip(table.symbol, table.description, strict=True)
    ]
    return list_table(("Symbol", "Meaning"), rows, kind="notation")


def hyperparameters_paper(book: Path) -> str:
    """Table 8 of the paper: one row for each data set and backbone."""
    table = load_table(8, book / "paper")
    settings = table.groupby(["dataset", "backbone"], sort=False)
    parameters = list(dict.fromkeys(table.parameter))
    rows = []
    for (dataset, backbone), cells in settings:
        printed = dict(zip(cells.parameter, cells.printed, strict=True))
        values = [_scientific(printed.get(parameter, "")) for parameter in parameters]
        rows.append([name(dataset), name(backbone), *values])
    return list_table(("Data set", "Backbone", *map(name, parameters)), rows, kind="numbers-2")


def hyperparameters_ours(book: Path) -> str:
    """Every preset, by scale and setting."""
    parts = []
    for path in sorted((Path(__file__).parent / "presets").glob("*.json")):
        preset = json.loads(path.read_text(encoding="utf-8"))
        parts.append(f"### {path.stem}\n\n```json\n{json.dumps(preset, indent=2)}\n```")
    return "\n\n".join(parts) or NOT_RUN_YET


def status_versions(book: Path) -> str:
    """What this build of the book was made with."""
    rows = [("Code", _commit(book)), ("Python", platform.python_version())]
    for package in PACKAGES:
        try:
            rows.append((package, version(package)))
        except PackageNotFoundError:
            rows.append((package, "not installed"))
    return list_table(("Part", "Version"), rows)


def status_records(book: Path) -> str:
    """One row for every file of published records."""
    files = sorted((book / "results").glob("*.jsonl"))
    if not files:
        return NOT_RUN_YET
    header = ("File", "Scale", "Setting", "Records", "Code and versions", "Run")
    return list_table(header, [_record_row(path) for path in files], kind="records")


def _record_row(path: Path) -> list[str]:
    records = read_records(path)
    bad = sum(record.get("status", "ok") != "ok" for record in records)
    seeds = _distinct(record["seed"] for record in records)
    count = f"{len(records)}: {_distinct(record['method'] for record in records)}; seeds {seeds}"
    commits = _distinct(f"`{str(record['commit'])[:10]}`" for record in records)
    days = sorted({str(record["created"])[:10] for record in records})
    return [
        f"`{path.name}`",
        _distinct(record["scale"] for record in records),
        _distinct(_pairs(record["setting"]) for record in records),
        count + (f"; {bad} did not finish" if bad else ""),
        f"{commits}; {_distinct(_pairs(record['versions']) for record in records)}",
        f"{' to '.join(days[:: max(len(days) - 1, 1)])}; "
        f"{_distinct(_pairs(record['hardware']) for record in records)}",
    ]


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of one file.

    Raises:
        ValueError: a line is damaged; a published file with a hole in it is never shown.
    """
    records = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not a record ({error})") from None
    return records


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _pairs(values: object) -> str:
    if not isinstance(values, dict):
        return str(values)
    return " ".join(f"{key} {value}" for key, value in values.items())


def _scientific(printed: str) -> str:
    """``1e-2`` as the mathematics it stands for; other text as it is."""
    mantissa, e, exponent = printed.partition("e")
    if not e:
        return printed or "–"
    return f"$10^{{{exponent}}}$" if mantissa == "1" else f"${mantissa} \\cdot 10^{{{exponent}}}$"


def _commit(folder: Path) -> str:
    """The commit that a build was made from, and whether anything differs from it."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        commit = git("log", "-1", "--format=commit `%h` of %cs")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "not under version control"
    return f"{commit}, with later changes" if changed else commit


FRAGMENTS: dict[str, Fragment] = {
    "landing.md": landing,
    "notation.md": notation,
    "hyperparameters-paper.md": hyperparameters_paper,
    "hyperparameters-ours.md": hyperparameters_ours,
    "status-versions.md": status_versions,
    "status-records.md": status_records,
    "errata-order.md": pages_errata.printed_order,
    "errata-spread.md": pages_errata.spread_is_gap,
    "errata-repeats.md": pages_errata.repeated_rows,
    "errata-gaps.md": pages_errata.printed_gaps,
}
