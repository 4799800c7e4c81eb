"""Fragments of pages that are computed, not typed: tables of the paper, records, versions.

Before the book is built, ``write`` turns each entry of ``FRAGMENTS`` into a file that a page
includes. To add a fragment, write a function from the book's folder to Markdown, add it to
``FRAGMENTS`` under a file name, and put ``{include} _generated/<file name>`` into a page.
"""

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ugradsl_core import (
    pages_cards,
    pages_claims,
    pages_errata,
    pages_landing,
    pages_methods,
    pages_numbers,
    pages_theory,
    provenance,
)
from ugradsl_core.pages_markdown import NOT_RUN_YET, NOT_SEARCHED_YET, list_table, name
from ugradsl_core.paper import load_table
from ugradsl_core.results import record_label
from ugradsl_core.search import SPACES
from ugradsl_core.settings import (
    SCALES,
    get_preset,
    load_presets,
    preset_config,
    preset_setting,
    title_of,
)
from ugradsl_core.store import read_records
from ugradsl_core.tables import describe

Fragment = Callable[[Path], str]

BUILD_TOOLS = ("pandas", "matplotlib", "papermill", "jupyter-book", "Sphinx")
PRESET_COLUMNS = ("lr", "epochs", "batch_size", "p", "alpha")
PRESET_HEADER = ("Method", "lr", "Epochs", "Batch", "$p$", "$\\alpha$", "Where from")


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
    """Every preset: a table of methods for each scale and setting."""
    parts = []
    for scale in SCALES:
        for preset, content in load_presets(scale).items():
            rows = [_preset_row(label, preset, scale) for label in content["methods"]]
            table = list_table(PRESET_HEADER, rows, kind="presets") if rows else NOT_SEARCHED_YET
            setting = setting_text(preset_setting(preset, scale).identity())
            note = content.get("note", "")
            parts.append(f"### {preset}, at the `{scale}` scale\n\n{setting}. {note}\n\n{table}")
    return "\n\n".join(parts)


def _preset_row(label: str, preset: str, scale: str) -> list[str]:
    config = preset_config(label, preset, scale).model_dump()
    numbers = [config.get(parameter, "–") for parameter in PRESET_COLUMNS]
    cells = [_number(number) for number in numbers]
    source = get_preset(preset, scale)["methods"][label]["source"]
    return [title_of(label), *cells, _source_text(source)]


def _source_text(source: Mapping[str, Any]) -> str:
    if source["kind"] != "search":
        return str(source["note"])
    return f"search, {source['trials']} trials; validation gap {source['validation_gap']:.2f}"


def search_spaces(book: Path) -> str:
    """What the search varies for each method, and where its first trial is."""
    rows = []
    for label, (fixed, first, space) in SPACES.items():
        ranges = (
            f"{name} in [{low:g}, {high:g}]{' (log)' if kind == 'log' else ''}"
            for name, (kind, low, high) in space.items()
        )
        given = ", ".join(f"{key} {value}" for key, value in fixed.items())
        start = ", ".join(f"{key} {value}" for key, value in first.items())
        cells = [given, ", ".join(ranges), start]
        rows.append([title_of(label), *(cell.replace("-", "−") for cell in cells)])
    return list_table(("Method", "Fixed", "Searched", "First trial"), rows, kind="presets")


def _number(value: object) -> str:
    return "adaptive" if value is None else str(value).replace("-", "−")


def setting_text(setting: Mapping[str, Any]) -> str:
    """A setting as half a sentence: data, what is forgotten, model and training."""
    model, training = setting["model"], setting["training"]
    size = setting.get("train_size")
    if setting["paradigm"] == "class-wise":
        forgotten = f"class {setting.get('forgotten_class', 0)} forgotten"
    else:
        forgotten = f"a random {setting.get('fraction', 0):.0%} forgotten"
    return ", ".join(
        [
            name(setting["dataset"]) + (f" ({size} training images)" if size else ""),
            forgotten,
            f"{name(model['name'])} of width {model['width']}",
            f"{training['epochs']} epochs at learning rate {training['lr']}",
        ]
    )


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
        _distinct(describe(record) for record in records),
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


def _distinct(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _scientific(printed: str) -> str:
    """``1e-2`` as the mathematics it stands for; other text as it is."""
    mantissa, e, exponent = printed.partition("e")
    if not e:
        return printed or "–"
    return f"$10^{{{exponent}}}$" if mantissa == "1" else f"${mantissa} \\cdot 10^{{{exponent}}}$"


def _short(commit: str) -> str:
    """Ten digits of a commit, and the mark of uncommitted changes."""
    digits, mark, rest = commit.partition("+")
    return digits[:10] + mark + rest


FRAGMENTS: dict[str, Fragment] = {
    "landing.md": pages_landing.landing,
    pages_landing.FIGURE: pages_landing.landing_figure,
    "notation.md": notation,
    "hyperparameters-paper.md": hyperparameters_paper,
    "hyperparameters-ours.md": hyperparameters_ours,
    "search-spaces.md": search_spaces,
    "status-versions.md": status_versions,
    "status-records.md": status_records,
    **pages_errata.FRAGMENTS,
    **pages_claims.FRAGMENTS,
    **pages_numbers.FRAGMENTS,
    **pages_cards.FRAGMENTS,
    **pages_methods.FRAGMENTS,
    **pages_theory.FRAGMENTS,
}
