"""What a config class says of itself: parameters, defaults, rules and meanings, as text."""

import inspect
import re
from dataclasses import asdict, dataclass
from typing import Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from ugradsl_core.config import Config

_ENTRY = re.compile(r"^(\w+): (.*)$")
SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


@dataclass(frozen=True)
class Parameter:
    """One field of a config.

    Attributes:
        name: as in the code.
        default: as it is shown.
        rule: the values that are allowed, or empty.
        meaning: from the class's docstring, else from the field's description.
        choices: the names to choose from, or empty.
    """

    name: str
    default: str
    rule: str
    meaning: str
    choices: tuple[str, ...]


def shown(value: object) -> str:
    """A hyperparameter as readers see it: ``1e−5``, ``−0.4``, ``None``."""
    if isinstance(value, float):
        value = re.sub(r"e([+-])0*(\d)", lambda m: f"e{m[1].strip('+')}{m[2]}", f"{value:g}")
    return str(value).replace("-", "−") if _is_number(str(value)) else str(value)


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?[\d.]+(e-?\d+)?", text) is not None


def summary_of(config: type[Config]) -> str:
    """The first sentence of the config's docstring: its defaults and where they come from."""
    return " ".join(inspect.cleandoc(config.__doc__ or "").split("\n\n")[0].split())


def parameters(config: type[Config]) -> dict[str, Parameter]:
    """The fields of a config class, in order."""
    documented = _attributes(config)
    found = {}
    for name, field in config.model_fields.items():
        choices = tuple(get_args(field.annotation)) if _is_choice(field.annotation) else ()
        rule = ", ".join(f"`{choice}`" for choice in choices) or _bounds(field.metadata)
        meaning = documented.get(name) or _description(config, name)
        found[name] = Parameter(name, shown(field.default), rule, meaning, choices)
    return found


def _description(config: type[Config], name: str) -> str:
    """A field's description; one that a subclass declares again keeps its base's."""
    bases = (base for base in config.__mro__ if issubclass(base, Config))
    fields = (base.model_fields[name] for base in bases if name in base.model_fields)
    return next((field.description for field in fields if field.description), "")


def _is_choice(annotation: object) -> bool:
    return get_origin(annotation) is Literal


def _bounds(metadata: list[object]) -> str:
    """``> 0``, ``[0, 1)`` and the like."""
    limits: dict[str, object] = {}
    for rule in metadata:
        if isinstance(rule, Ge | Gt | Le | Lt):
            limits |= asdict(rule)
    low, high = limits.keys() & {"ge", "gt"}, limits.keys() & {"le", "lt"}
    if not (low and high):
        return "".join(f"{SIGNS[name]} {shown(limit)}" for name, limit in limits.items())
    left, right = ("[" if "ge" in low else "("), ("]" if "le" in high else ")")
    return f"in {left}{shown(limits[low.pop()])}, {shown(limits[high.pop()])}{right}"


def _attributes(config: type[Config]) -> dict[str, str]:
    """The entries of the *Attributes* sections of the class and of its bases, as Markdown."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__):
        text = inspect.cleandoc(base.__dict__.get("__doc__") or "")
        _, _, section = text.partition("Attributes:\n")
        name = ""
        for line in inspect.cleandoc(section).splitlines():
            entry = _ENTRY.match(line)
            if entry and entry[1] in config.model_fields:
                name, start = entry[1], entry[2]
                found[name] = start
            elif name:
                found[name] += f" {line.strip()}"
    return {name: text.strip().replace("``", "`") for name, text in found.items()}
