"""Fragments of pages that are computed, not typed: tables of the paper, records, versions.

Before the book is built, ``write`` turns each entry of ``FRAGMENTS`` into a file that a page
includes. To add a fragment, write a function from the book's folder to Markdown, add it to
``FRAGMENTS`` under a file name, and put ``{include} _generated/<file name>`` into a page.
"""

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from ugradsl_core import (
    pages_backbones,
    pages_cards,
    pages_claims,
    pages_data,
    pages_errata,
    pages_gpu,
    pages_landing,
    pages_methods,
    pages_numbers,
    pages_presets,
    pages_scale,
    pages_search,
    pages_speed,
    pages_streaming,
    pages_theory,
    pages_time,
    provenance,
)
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.paper import load_table
from ugradsl_core.results import record_label
from ugradsl_core.settings import title_of
from ugradsl_core.store import read_records
from ugradsl_core.tables import describe
from ugradsl_core.types import Record

Fragment = Callable[[Path], str]

FEW = 3
BUILD_TOOLS = ("pandas", "matplotlib", "papermill", "jupyter-book", "Sphinx")


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


def notation(book: Path) -> str:
    """Table 5 of the paper."""
    table = load_table(5, book / "paper")
    rows = [
        (f"${symbol}$", text) for symbol, text in zip(table.symbol, table.description, strict=True)
    ]
    return list_table(("Symbol", "Meaning"), rows, kind="notation")


def status_versions(book: Path) -> str:
    """What this build of the book was made with."""
    commit = provenance.commit()
    code = "not under version control" if commit == "unknown" else f"commit `{_short(commit)}`"
    packages = {**provenance.versions(), **{tool: version(tool) for tool in BUILD_TOOLS}}
    return list_table(("Part", "Version"), [("code", code), *packages.items()])


def status_records(book: Path) -> str:
    """One row for every file of published records."""
    files = sorted((book / "results").glob("*.jsonl"))
    if not files:
        return NOT_RUN_YET
    header = ("File", "Setting and scale", "Records", "Run with")
    return list_table(header, [_record_row(path) for path in files], kind="records")


def _record_row(path: Path) -> list[str]:
    records = read_records(path)
    methods = dict.fromkeys(title_of(record_label(record)) for record in records)
    seeds = sorted({record.seed for record in records})
    unfinished = sum(record.status != "ok" for record in records)
    days = sorted({record.created[:10] for record in records})
    return [
        f"`{path.name}`",
        _settings(records),
        f"{len(records)}: {_distinct(methods)}; seeds {_distinct(seeds)}"
        + (f"; {unfinished} did not finish" if unfinished else ""),
        "; ".join(
            [
                _distinct(f"commit `{_short(record.commit)}`" for record in records),
                _distinct(f"torch {record.versions['torch']}" for record in records),
                _distinct(record.hardware["processor"] for record in records),
                _distinct((days[0], days[-1])),
            ]
        ),
    ]


def _settings(records: Sequence[Record]) -> str:
    """The settings of records, or their number where there are many."""
    found = list(dict.fromkeys(map(describe, records)))
    scales = _distinct(record.scale for record in records)
    return ", ".join(found) if len(found) <= FEW else f"{len(found)} settings; {scales} scale"


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _short(commit: str) -> str:
    """Ten digits of a commit, and the mark of uncommitted changes."""
    digits, mark, rest = commit.partition("+")
    return digits[:10] + mark + rest


FRAGMENTS: dict[str, Fragment] = {
    "landing.md": pages_landing.landing,
    pages_landing.FIGURE: pages_landing.landing_figure,
    "notation.md": notation,
    "status-versions.md": status_versions,
    "status-records.md": status_records,
    **pages_backbones.FRAGMENTS,
    **pages_errata.FRAGMENTS,
    **pages_claims.FRAGMENTS,
    **pages_data.FRAGMENTS,
    **pages_numbers.FRAGMENTS,
    **pages_presets.FRAGMENTS,
    **pages_gpu.FRAGMENTS,
    **pages_scale.FRAGMENTS,
    **pages_search.FRAGMENTS,
    **pages_speed.FRAGMENTS,
    **pages_time.FRAGMENTS,
    **pages_cards.FRAGMENTS,
    **pages_methods.FRAGMENTS,
    **pages_streaming.FRAGMENTS,
    **pages_theory.FRAGMENTS,
}
