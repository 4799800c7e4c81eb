"""The command-line reference: every command, argument, option and default, from the Typer app."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

from companion.cli import main
from companion.pages.markdown import list_table

PAGE = "book/reference/cli"
Parameter = TyperArgument | TyperOption
KINDS = {"str": "text", "int": "whole number", "int range": "whole number", "float": "number"}


@cache
def commands() -> dict[str, TyperCommand]:
    """The commands by name, in the order of ``ugradsl --help``."""
    group = typer.main.get_command(main.app)
    assert isinstance(group, TyperGroup)
    return {name: c for name, c in group.commands.items() if isinstance(c, TyperCommand)}


def anchors() -> dict[str, str]:
    """The anchor of each command on the page."""
    return {name: f"cli-{name}" for name in commands()}


def overview(_: Path) -> str:
    """A row for each command, with the first sentence of its help."""
    rows = [
        (f"[`ugradsl {name}`](#{anchor})", _first(commands()[name]))
        for name, anchor in anchors().items()
    ]
    return list_table(("Command", "What it does"), rows, kind="records")


def reference(_: Path) -> str:
    """A section for each command."""
    return "\n\n".join(_section(name, command) for name, command in commands().items())


def _section(name: str, command: TyperCommand) -> str:
    context = typer.Context(command, info_name=f"ugradsl {name}")
    usage = " ".join(command.collect_usage_pieces(context))
    rows = [
        (*_names(p, context), _default(p), _help(p))
        for p in command.params
        if isinstance(p, TyperArgument | TyperOption)
    ]
    parts = [
        f"({anchors()[name]})=\n## {name}",
        f"```text\nugradsl {name} {usage}\n```",
        (command.help or "").strip(),
    ]
    if rows:
        header = ("Argument or option", "Value", "Default", "Meaning")
        parts.append(list_table(header, rows, kind="presets"))
    return "\n\n".join(parts)


def _first(command: TyperCommand) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def _names(parameter: Parameter, context: typer.Context) -> tuple[str, str]:
    """The names of a parameter, and the kind of its value."""
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    shown, _ = parameter.get_help_record(context) or ("", "")
    value = re.search(r" (<.+>|[A-Z][A-Z ]+)$", shown)
    kind = value[1].strip("<>") if value else "switch"
    return names, f"{KINDS.get(kind, kind)}{', repeatable' * bool(parameter.multiple)}"


def _default(parameter: Parameter) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if isinstance(value, bool):
        if parameter.secondary_opts:
            return f"`{(parameter.opts if value else parameter.secondary_opts)[0]}`"
        return "on" if value else "off"
    if value is None or callable(value):
        return "–"
    return f"`{value}`" if str(value) else "empty"


def _help(parameter: Parameter) -> str:
    text = parameter.help or "–"
    return re.sub(r"([*_$<])", r"\\\1", text)


def exit_codes(_: Path) -> str:
    """A row for each exit code."""
    rows = [(f"`{code}`", text) for code, text in main.EXIT_CODES.items()]
    return list_table(("Code", "When"), rows, kind="records")


FRAGMENTS: dict[str, Callable[[Path], str]] = {
    "cli-overview.md": overview,
    "cli-commands.md": reference,
    "cli-exit-codes.md": exit_codes,
}
