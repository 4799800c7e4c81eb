"""``ugradsl datasets``: what there is, how large, under which licence, and how to get it."""

import textwrap
from dataclasses import asdict

from ugradsl_core.cli_options import AsJson, print_json
from ugradsl_core.data import DATASETS, SOURCES, DataSource, loader_options

WIDTH = 96
INDENT = " " * 15


def datasets(as_json: AsJson = False) -> None:
    """List the data sets with size, licence and how to get them."""
    if as_json:
        print_json(rows())
        return
    for name, source in SOURCES.items():
        print(f"{name:14} {size(source)}")
        texts = [source.note, f"Get it: {source.get}", f"Licence: {source.licence}"]
        options = loader_options(DATASETS[name])
        if options:
            texts.append(f"Options: {', '.join(options)}.")
        for text in filter(None, texts):
            plain = text.replace("`", "")
            print(textwrap.fill(plain, WIDTH, initial_indent=INDENT, subsequent_indent=INDENT))
    print(f"{'folder:PATH':14} A folder of images of your own, one folder a class.")


def rows() -> dict[str, dict[str, object]]:
    """What is known of each data set, as plain values."""
    return {
        name: {
            **asdict(source),
            "checksums": dict(source.checksums),
            "options": loader_options(DATASETS[name]),
        }
        for name, source in SOURCES.items()
    }


def size(source: DataSource) -> str:
    """Title, numbers of samples and classes, and shape, in one line."""
    parts = [f"{source.title}: {source.kind}"]
    if source.train is not None and source.test is not None:
        parts.append(f"{source.train:,} + {source.test:,}")
    if source.classes is not None:
        parts.append(f"{source.classes} classes")
    if source.groups:
        parts.append(f"groups: {source.groups}")
    if source.shape:
        parts.append("×".join(map(str, source.shape)))
    return ", ".join(parts)
