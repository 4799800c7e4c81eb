"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from ugradsl_core.errors import ConfigError

Methods = Annotated[str, typer.Option("--methods", "--method", help="Comma-separated, or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingName = Annotated[str, typer.Argument(help="A preset, such as cifar10-random10.")]
Scale = Annotated[str, typer.Option(help="smoke, bench or paper.")]
StoreFolder = Annotated[Path, typer.Option("--store", help="Directory of models and records.")]
DataRoot = Annotated[
    str | None, typer.Option("--data-root", help="Directory of the data. Default: $UGRADSL_DATA.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--parameter", metavar="NAME VALUE", help="Change a parameter; may be repeated."
    ),
]
OPTIONS = {"-p", "--parameter"}


def join_pairs(arguments: list[str]) -> list[str]:
    """Turn ``-p NAME VALUE``, as papermill has it, into ``-p NAME=VALUE``."""
    joined, rest = [], list(arguments)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] in OPTIONS and len(rest) >= 2 and "=" not in rest[0]:
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined


def pairs(given: list[str] | None) -> list[tuple[str, str]]:
    """Names and values of ``NAME=VALUE``.

    Raises:
        ConfigError: a value is missing.
    """
    found = []
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError("-p: needs a name and a value, as in -p alpha -0.2")
        found.append((name, value))
    return found
