"""The page of the data sets, generated from what the code knows of each."""

from pathlib import Path

from ugradsl_core import tables
from ugradsl_core.audit.lines import RESULT_TABLES
from ugradsl_core.data import (
    DATASETS,
    SOURCES,
    DataSource,
    Transform,
    celeba,
    cifar,
    fashion,
    loader_options,
    mnist_m,
    reading,
    svhn,
)
from ugradsl_core.pages_markdown import raw_html
from ugradsl_core.paper import load_table

HEADER = ("Data set", "Name", "Training", "Test", "Classes", "Groups", "One input", "In the paper")
CAPTION = (
    "All data sets. Sizes are those of the whole set; a copy may hold less. One input is "
    "channels × height × width of an image, or the number of tokens of a text. In the paper: "
    "numbers of the tables that print results for it."
)
TABLE_CLASS = "results-table data-table"
NORMALISED = {
    "cifar10": cifar.CIFAR10_TRANSFORM,
    "cifar100": cifar.CIFAR100_TRANSFORM,
    "cifar20": cifar.CIFAR100_TRANSFORM,
    "svhn": svhn.TRANSFORM,
    "fashion-mnist": fashion.TRANSFORM,
    "mnist-m": mnist_m.TRANSFORM,
    "celeba": celeba.TRANSFORM,
    "tiny-imagenet": reading.transform_of(64),
    "imagenet": reading.transform_of(224),
}


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
    return raw_html(tables.to_html(HEADER, rows, CAPTION).replace("results-table", TABLE_CLASS, 1))


def _count(number: int | None) -> str:
    return "yours" if number is None else f"{number:,}"


def _numbers(name: str, book: Path) -> str:
    """The tables of the paper with results of a data set, as ``4, 10–17``."""
    found = [n for n in RESULT_TABLES if name in set(load_table(n, book / "paper").dataset)]
    runs: list[list[int]] = []
    for number in found:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{r[0]}–{r[-1]}" if len(r) > 2 else ", ".join(map(str, r)) for r in runs)


def cards(book: Path) -> str:
    """Origin, licence, how to get it and what is verified, for each data set."""
    return "\n\n".join(_card(name, source) for name, source in SOURCES.items())


def _card(name: str, source: DataSource) -> str:
    origin = [f"{{cite:t}}`{','.join(source.citation)}`"] if source.citation else []
    origin += [f"[home page]({source.url})"] if source.url else []
    options = ", ".join(f"`{option}`" for option in loader_options(DATASETS[name]))
    items = {
        "Origin": "; ".join(origin) + "." if origin else "",
        "Licence": source.licence,
        "How to get it": source.get,
        "Inputs": _inputs(NORMALISED[name]) if name in NORMALISED else "",
        "Verified by": _checksums(source),
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


def _checksums(source: DataSource) -> str:
    """Each original file with its checksum, as a list inside a list."""
    listed = []
    for file, checksum in source.checksums:
        kind, _, digits = checksum.partition(":")
        listed.append(f"- `{file}`: {kind.upper().replace('SHA', 'SHA-')} `{digits}`")
    return "".join(f"\n  {line}" for line in listed)


FRAGMENTS = {"data-overview.md": overview, "data-cards.md": cards}
