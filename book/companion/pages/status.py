"""The status page: versions, published records, and those behind the theory."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from companion.experiments.records import provenance
from companion.experiments.records.provenance import short_commit
from companion.experiments.records.record import Record
from companion.experiments.records.store import read_records
from companion.experiments.records.summary import published_settings, record_label
from companion.experiments.settings.labels import title_of
from companion.experiments.theory import figure6
from companion.pages.markdown import NOT_RUN_YET, list_table
from companion.pages.presets import BEFORE
from companion.paper.numbers import load_table
from companion.tables.words import describe


def _joined(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _in_words(record: Record) -> str:
    s = record.setting
    model = {"linear": "softmax regression", "mlp": f"one hidden layer of {s['hidden']}"}
    name = model.get(s["model"], f"ResNet-18 of width {s['hidden']}")
    again = ", retrained from scratch" if s["fresh"] else ""
    return f"{name}, {s['train_size']} {s['dataset']}{again}"


def status_theory(book: Path) -> str:
    """One row for each setting of Figure 6: what it is, how many forget sets, and its origin."""
    records = figure6.published("bench", book / "results" / "theory")
    if not records:
        return NOT_RUN_YET
    rows = []
    for name in dict.fromkeys(record.config["name"] for record in records):
        own = [record for record in records if record.config["name"] == name]
        origin = (
            _joined(f"commit `{record.commit[:10]}`" for record in own),
            _joined(f"torch {record.versions['torch']}" for record in own),
            _joined(record.hardware["processor"] for record in own),
            _joined(record.created[:10] for record in own),
        )
        what = f"{_joined(map(_in_words, own))}; {_joined(r.scale for r in own)} scale"
        rows.append([f"`{name}`", what, str(len(own)), "; ".join(origin)])
    header = ("Setting", "Model and data", "Forget sets", "Run with")
    return list_table(header, rows, kind="records")


FRAGMENTS = {"status-theory.md": status_theory}


FEW = 3
BUILD_TOOLS = ("pandas", "matplotlib", "papermill", "jupyter-book", "Sphinx")


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
    known = f"commit `{short_commit(commit)}`"
    code = "not under version control" if commit == "unknown" else known
    packages = {**provenance.versions(), **{tool: version(tool) for tool in BUILD_TOOLS}}
    return list_table(("Part", "Version"), [("code", code), *packages.items()])


def status_records(book: Path) -> str:
    """One row for each setting of the protocol, then one for every other file of records."""
    root = book / "results"
    folders = [folder for _, _, folder in published_settings(root)]
    files = [*sorted(root.glob("*.jsonl")), *sorted((root / BEFORE).glob("*.jsonl"))]
    rows = []
    for path in (*folders, *files):
        parts = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        records = [record for part in parts for record in read_records(part)]
        if records:
            rows.append(_record_row(_downloads(path, parts, root), records))
    header = ("File or folder", "Setting and scale", "Records", "Run with")
    return list_table(header, rows, kind="records") if rows else NOT_RUN_YET


def _downloads(path: Path, parts: Sequence[Path], root: Path) -> str:
    """A file's name as a link to it, or that of a folder with a link for each of its files."""
    own = path.relative_to(root).as_posix()
    links = [
        f"{{download}}`{part.stem if path.is_dir() else own} "
        f"<results/{part.relative_to(root).as_posix()}>`"
        for part in parts
    ]
    return f"`{own}`: {', '.join(links)}" if path.is_dir() else links[0]


def _record_row(file: str, records: Sequence[Record]) -> list[str]:
    methods = dict.fromkeys(title_of(record_label(record)) for record in records)
    seeds = sorted({record.seed for record in records})
    unfinished = sum(record.status != "ok" for record in records)
    days = sorted({record.created[:10] for record in records})
    return [
        file,
        _settings(records),
        f"{len(records)}: {_counted(methods)}; seed{'s' * (len(seeds) > 1)} no. {_distinct(seeds)}"
        + (f"; {unfinished} did not finish" if unfinished else ""),
        "; ".join(
            [
                _distinct(f"commit `{short_commit(record.commit)}`" for record in records),
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


def _counted(methods: Iterable[str]) -> str:
    """Methods by name, or their number where there are many."""
    found = list(methods)
    return ", ".join(found) if len(found) <= FEW else f"{len(found)} methods and variants"
