"""The page of the data sets, generated from what the code knows of each."""

from collections.abc import Sequence
from pathlib import Path

from companion.experiments.data import (
    DATASETS,
    SOURCES,
    DataSource,
    Transform,
    load,
    loader_options,
)
from companion.experiments.data.sets import celeba, newsgroups
from companion.experiments.data.sources import in_records
from companion.experiments.records.summary import published
from companion.experiments.settings.preset import load_presets
from companion.experiments.settings.setting import digest
from companion.pages.markdown import raw_html
from companion.paper.audit.findings import runs_of
from companion.paper.audit.lines import RESULT_TABLES
from companion.paper.numbers import load_table
from companion.tables import html

HEADER = ("Data set", "Name", "Training", "Test", "Classes", "Groups", "One input", "In the paper")
CAPTION = (
    "All data sets. Sizes are those of the whole set; a copy may hold less. One input is "
    "channels × height × width of an image, or the number of tokens of a text. In the paper: "
    "numbers of the tables that print results for it."
)
TABLE_CLASS = "results-table data-table"
CONTENTS = (
    ' With `checksum="contents"` what the files hold takes the place of their sizes, and is '
    "compared with a `SHA256SUMS` in the folder, where there is one."
)


def overview(book: Path) -> str:
    """One row for each data set."""
    printed = {name: _numbers(name, book) for name in SOURCES}
    rows = [
        (
            source.title,
            name,
            _count(source.train),
            _count(source.test),
            _count(source.classes),
            source.groups or "–",
            " × ".join(map(str, source.shape)) or "varies",
            printed[name] or "–",
        )
        for name, source in SOURCES.items()
    ]
    return raw_html(html.to_html(HEADER, rows, CAPTION).replace("results-table", TABLE_CLASS, 1))


def _count(number: int | None) -> str:
    return "yours" if number is None else f"{number:,}"


def _numbers(name: str, book: Path) -> str:
    """The tables of the paper with results of a data set, as ``4, 10–17``."""
    found = [n for n in RESULT_TABLES if name in set(load_table(n, book / "paper").dataset)]
    return ", ".join(runs_of(found))


def cards(book: Path) -> str:
    """Origin, licence, how to get it and what is verified, for each data set."""
    recorded = _recorded(book)
    return "\n\n".join(_card(n, source, recorded.get(n, [])) for n, source in SOURCES.items())


def _recorded(book: Path) -> dict[str, list[str]]:
    """Data set → data checksums that the published records of its settings carry."""
    found: dict[str, set[str]] = {}
    for preset in load_presets("bench"):
        for record in published(preset, "bench", book / "results"):
            found.setdefault(record.setting["dataset"], set()).add(record.data_checksum)
    return {name: sorted(sums) for name, sums in found.items()}


def _card(name: str, source: DataSource, recorded: Sequence[str]) -> str:
    origin = [f"{{cite:t}}`{','.join(source.citation)}`"] if source.citation else []
    origin += [f"[home page]({source.url})"] if source.url else []
    options = ", ".join(f"`{option}`" for option in loader_options(DATASETS[name]))
    items = {
        "Origin": "; ".join(origin) + "." if origin else "",
        "Licence": source.licence,
        "How to get it": source.get,
        "Inputs": "" if source.transform is None else _inputs(source.transform),
        "Verified by": _verified(name, source),
        "Data checksum": _data_checksum(name, recorded),
        "Options": f"{options}." if options else "",
    }
    lines = [f"### {source.title}", f"`{name}`: {source.kind}. {source.note}".rstrip()]
    lines.append("\n".join(f"- **{term}.** {text}" for term, text in items.items() if text))
    return "\n\n".join(lines)


def _inputs(transform: Transform) -> str:
    """Normalisation and augmentation in words."""
    mean, std = (
        ", ".join(f"{v:.4f}" for v in values) for values in (transform.mean, transform.std)
    )
    done = ["flipped"] if transform.flip else []
    if transform.crop_padding:
        done.append(f"cropped after padding by {transform.crop_padding}")
    never = "" if transform.flip else "; never flipped"
    return (
        f"Scaled to [0, 1], minus {mean}, divided by {std}. In training, where augmentation is on: "
        f"{' and '.join(done)}{never}."
    )


def _verified(name: str, source: DataSource) -> str:
    """What is compared with which checksum: a sentence, and a list inside a list."""
    sums = [(f"`{file}`", checksum) for file, checksum in source.checksums]
    said = source.verified
    if SOURCES[name].computed:
        bundle = load(name)
        stored = "token ids" if source.kind == "text" else "values"
        what = f"{stored}, labels and groups" if source.groups else f"{stored} and labels"
        said = f"No checksum is published; {in_records(what)} Computed when this page was made:"
        sums = [
            (part, f"sha256:{samples.checksum}")
            for part, samples in (("training", bundle.train), ("test", bundle.test))
        ]
    elif name == "20newsgroups":
        for part, checksum in newsgroups.CHECKSUMS.items():
            sums.append((f"`{newsgroups.FOLDERS[part]}`, texts and labels", f"sha256:{checksum}"))
    elif name == "celeba":
        sums.append((f"`{celeba.ARCHIVE}`", f"md5:{celeba.listed_sums()[celeba.ARCHIVE]}"))
    elif source.kind == "streamed images":
        said += CONTENTS
    return said + "".join(f"\n  {_line(what, checksum)}" for what, checksum in sums)


def _line(what: str, checksum: str) -> str:
    kind, _, digits = checksum.partition(":")
    return f"- {what}: {kind.upper().replace('SHA', 'SHA-')} `{digits}`"


def _data_checksum(name: str, recorded: Sequence[str]) -> str:
    """Data checksums: computed where possible, and as published in records."""
    said = []
    if SOURCES[name].computed:
        bundle = load(name)
        found = digest([bundle.train.checksum, bundle.test.checksum])
        said.append(f"`{found}`, computed when this page was made.")
    if recorded:
        found = ", ".join(f"`{checksum}`" for checksum in recorded)
        said.append(f"{found} in the records of this book.")
    return " ".join(said)


FRAGMENTS = {"data-overview.md": overview, "data-cards.md": cards}
