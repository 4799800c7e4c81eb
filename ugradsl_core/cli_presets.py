"""``ugradsl presets``: the settings and hyperparameters of a scale, and where each comes from."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from ugradsl_core import settings
from ugradsl_core.cli_options import AsJson, Scale, print_json
from ugradsl_core.pages_markdown import model_text
from ugradsl_core.pages_markdown import name as name_of
from ugradsl_core.plans import known_preset
from ugradsl_core.presets_text import RATE, method_line, setting_values, source_text

WIDTH = 100


def presets(
    name: Annotated[str | None, typer.Argument(help="One setting; without it, a list.")] = None,
    scale: Scale = "smoke",
    as_json: AsJson = False,
) -> None:
    """Print the settings of a scale; with a NAME its values, its methods' and their origin."""
    found = settings.load_presets(scale)
    if name is not None:
        known_preset(name, scale)
        found = {name: settings.get_preset(name, scale)}
    if as_json:
        print_json(found if name is None else found[name])
    elif name is None:
        _print_list(found, scale)
    else:
        _print_preset(name, scale, found[name])


def _print_list(found: Mapping[str, Any], scale: str) -> None:
    rows: list[Sequence[str]] = [("setting", "data set", "forget set", "model", "epochs")]
    for name in found:
        setting = settings.preset_setting(name, scale).identity()
        rows.append(
            (
                name,
                name_of(setting["dataset"]),
                settings.what_is_forgotten(setting),
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
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
