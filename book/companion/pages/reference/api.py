"""API pages: public objects of the core, the backbones and the theory, from their docstrings.

Sphinx's own autodoc reads the docstrings. Two hooks help it: configurations show their fields in
place of pydantic's ``Annotated[…]``, and ``|B_f|`` in a docstring is no substitution.
"""

import inspect
import pkgutil
import re
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import ugradsl_core
from companion.pages.markdown import list_table
from companion.tables.config_text import parameters
from ugradsl_core.config import Config

CORE = ugradsl_core.__name__
ROOTS = (CORE, "companion.backbones", "companion.theory")
GROUPS = {  # page → the package or modules that it documents
    "api": ("ugradsl_core.api", "ugradsl_core.errors", "ugradsl_core.config"),
    "methods": ("ugradsl_core.methods", "ugradsl_core.smoothing"),
    "metrics": ("ugradsl_core.metrics",),
    "models": ("ugradsl_core.models", "companion.backbones"),
    "samples": ("ugradsl_core.samples",),
    "training": ("ugradsl_core.training",),
    "theory": ("companion.theory",),
}
BARS = re.compile(r"\|(?=[^\s|])([^|]*[^\s|])\|")
ROLE = re.compile(r":[a-z]+:`~?([^`]+)`")
LITERAL = re.compile(r"(``.+?``)")


def modules() -> list[str]:
    """Every module that is documented but the core's own package, in the order of their names."""
    found = [
        module.name
        for root in ROOTS
        for module in pkgutil.walk_packages(import_module(root).__path__, f"{root}.")
    ]
    return sorted([*found, *ROOTS[1:]])


def page_of(module: str) -> str:
    """The page that documents a module.

    Raises:
        KeyError: no page does.
    """
    for page, roots in GROUPS.items():
        if any(module == root or module.startswith(f"{root}.") for root in roots):
            return page
    raise KeyError(module)


def own_objects(module: ModuleType) -> dict[str, Any]:
    """The public functions and classes that a module defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    }


@cache
def exports() -> dict[str, str]:
    """Shorter names of public objects, such as ``ugradsl_core.unlearn``, and their full ones."""
    found = {}
    for package in (
        CORE,
        *(name for name in modules() if hasattr(import_module(name), "__path__")),
    ):
        for name, value in vars(import_module(package)).items():
            home = getattr(value, "__module__", None) or ""
            is_object = inspect.isclass(value) or inspect.isfunction(value)
            if is_object and not name.startswith("_") and home.startswith(ROOTS):
                alias, full = f"{package}.{name}", f"{home}.{value.__qualname__}"
                if alias != full:
                    found[alias] = full
    return found


def page(name: str) -> Callable[[Path], str]:
    """The fragment of one API page: a section for each module that defines something."""

    def fragment(_: Path) -> str:
        parts = []
        for module in filter(lambda module: page_of(module) == name, modules()):
            defines = own_objects(import_module(module)) or module in VARIABLES
            if defines:
                parts.append(f"## `{module}`\n\n{_automodule(module)}")
        return "\n\n".join(parts)

    return fragment


VARIABLES = {  # public values that are neither functions nor classes
    "ugradsl_core.methods": (
        "METHODS",
        "dict[str, Method]",
        "Every unlearning method by its name: what ``unlearn`` takes as ``method``.",
    ),
    "companion.backbones": (
        "BACKBONES",
        "Mapping[str, Backbone]",
        "Every backbone by its name: what a :class:`~companion.backbones.spec.ModelSpec` takes.",
    ),
}


def _automodule(module: str) -> str:
    lines = [f".. automodule:: {module}", "   :members:", "   :ignore-module-all:"]
    if module in VARIABLES:
        name, kind, text = VARIABLES[module]
        lines += ["", f".. py:data:: {name}", f"   :module: {module}", f"   :type: {kind}"]
        lines += ["", f"   {text}"]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def overview(_: Path) -> str:
    """What ``ugradsl_core`` itself exports: a row for each name."""
    rows = []
    for name in ugradsl_core.__all__:
        value = getattr(ugradsl_core, name)
        if name == "METHODS":
            text = VARIABLES["ugradsl_core.methods"][2].replace("``", "`")
        else:
            text = (inspect.getdoc(value) or "").split("\n\n")[0].replace("\n", " ")
        rows.append((f"`{name}`", ROLE.sub(r"`\1`", text.replace("``", "`"))))
    return list_table(("Name", "What it is"), rows, kind="records")


def show_fields(
    app: object, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Describe a configuration's fields as parameters, with rule and default; free bare bars."""
    if isinstance(value, type) and issubclass(value, Config) and value is not Config:
        if "Attributes:" in lines:
            start = lines.index("Attributes:")
            rest = range(start + 1, len(lines))
            end = next((i for i in rest if lines[i][:1].strip()), len(lines))
            del lines[start:end]
        lines += ["", "Args:"]
        for field in parameters(value).values():
            text = "; ".join(filter(None, (field.meaning, field.rule))) or "see the class"
            lines.append(f"    {field.name}: {_rst(text)}.")
        lines.append("")
    lines[:] = [_free_bars(line) for line in lines]


def _rst(markdown: str) -> str:
    return re.sub(r"`([^`]+)`", r"``\1``", markdown).rstrip(".")


def _free_bars(line: str) -> str:
    parts = LITERAL.split(line)
    return "".join(p if p.startswith("``") else BARS.sub(r"\\|\1\\|", p) for p in parts)


def short_signature(
    app: object,
    what: str,
    name: str,
    value: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str, str | None] | None:
    """A configuration's signature: fields, types and defaults, without pydantic's constraints."""
    if what != "class" or not (isinstance(value, type) and issubclass(value, Config)):
        return None
    fields = []
    for field, info in value.model_fields.items():
        kind = inspect.formatannotation(info.annotation).replace("typing.", "")
        default = "" if info.is_required() else f" = {info.default!r}"
        fields.append(f"{field}: {re.sub(r'(?:[a-z_]+[.])+', '', kind)}{default}")
    return f"(*, {', '.join(fields)})" if fields else "(**values)", returns


FRAGMENTS: dict[str, Callable[[Path], str]] = {
    "api-overview.md": overview,
    **{f"api-{name}.md": page(name) for name in GROUPS},
}
