"""``ugradsl datasets``: what there is, how large, under which licence, and how to get it."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from companion.cli.options import AsJson, Scale, print_json
from companion.cli.printing import aligned
from companion.experiments.data import DATASETS, SOURCES, DataSource, loader_options
from companion.experiments.settings import preset as settings_preset
from companion.experiments.settings.changes import known_preset
from companion.experiments.settings.forget_sets import forget_set
from companion.paper.names import name as name_of
from companion.tables.presets import RATE, method_line, setting_values, source_text
from companion.tables.words import model_text

SOURCES_WIDTH = 96
NO_FACTS = {
    "loader",
    "transform",
    "places",
    "computed",
    "group_names",
}  # of a data set, to the code alone
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
            print(
                textwrap.fill(plain, SOURCES_WIDTH, initial_indent=INDENT, subsequent_indent=INDENT)
            )
    print(f"{'folder:PATH':14} A folder of images of your own, with one folder for each class.")


def rows() -> dict[str, dict[str, object]]:
    """What is known of each data set, as plain values."""
    return {
        name: {
            **{name: fact for name, fact in asdict(source).items() if name not in NO_FACTS},
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


WIDTH = 100


def presets(
    name: Annotated[str | None, typer.Argument(help="One setting; without it, a list.")] = None,
    scale: Scale = "smoke",
    as_json: AsJson = False,
) -> None:
    """Print the settings of a scale; with a NAME its values, its methods' and their origin."""
    found = settings_preset.load_presets(scale)
    if name is not None:
        known_preset(name, scale)
        found = {name: settings_preset.get_preset(name, scale)}
    if as_json:
        print_json(found if name is None else found[name])
    elif name is None:
        _print_list(found, scale)
    else:
        _print_preset(name, scale, found[name])


def _print_list(found: Mapping[str, Any], scale: str) -> None:
    rows: list[Sequence[str]] = [("setting", "data set", "forget set", "model", "epochs")]
    for name in found:
        setting = settings_preset.preset_setting(name, scale).identity()
        rows.append(
            (
                name,
                name_of(setting["dataset"]),
                forget_set(setting).words(),
                model_text(setting["model"]),
                str(setting["training"]["epochs"]),
            )
        )
    _print_table(rows)
    print(f"\n{len(found)} settings at the {scale} scale; `ugradsl presets NAME` prints one.")


def _print_preset(name: str, scale: str, preset: Mapping[str, Any]) -> None:
    print(f"{name}, {scale} scale")
    for line in textwrap.wrap(preset.get("note", ""), WIDTH - 2):
        print(f"  {line}")
    print()
    _print_table([("field", "value", "from"), *setting_values(name, scale)])
    print()
    header = ("method", RATE, "epochs", "batch", "others", "from")
    rows: list[Sequence[str]] = [header]
    for label, entry in preset["methods"].items():
        rows.append((label, *method_line(label, name, scale), source_text(label, entry)))
    _print_table(rows)
    if not preset["methods"]:
        print("No method has been searched for this setting: their own defaults hold.")


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    for line in aligned(rows):
        print(line.rstrip())
