"""Frozen, validated configuration objects whose errors name field, rule and value."""

import re
from collections.abc import Mapping
from numbers import Complex, Real
from typing import Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ugradsl_core.errors import ConfigError, is_truth, unknown_name

VERSION = "0.1.0"  # metadata are missing where a clone is on the path


class Config(BaseModel):
    """Base of all configuration objects: frozen, no unknown fields, no NaN or infinity.

    Attributes:
        YOUNGER: fields that are younger than the published records, and the value with which
            those were run. At that value a field is no part of the identity.

    Raises:
        ConfigError: a ``ValueError`` of one line for each broken rule.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    YOUNGER: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            field = type(self).model_fields.get(name)
            if is_truth(value) and field is not None and not _is_switch(field.annotation):
                raise ConfigError(f"{name}: should be a value, not a truth value; found {value}")
            if isinstance(value, Complex) and not isinstance(value, Real):
                raise ConfigError(f"{name}: should be a real number; found {value!r}")
        try:
            super().__init__(**values)
        except ValidationError as error:
            lines = [_sentence(detail, type(self)) for detail in error.errors()]
            raise ConfigError("; ".join(lines)) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated anew."""
        return type(self)(**{**self.model_dump(), **changes})

    def key_fields(self) -> dict[str, Any]:
        """The fields that name stored results: all but younger ones at their old value."""
        return {
            name: value
            for name, value in self.model_dump().items()
            if name not in self.YOUNGER or value != self.YOUNGER[name]
        }


def _is_switch(annotation: object) -> bool:
    return annotation is bool or bool in get_args(annotation)


def _sentence(detail: ErrorDetails, config: type[BaseModel]) -> str:
    field = ".".join(str(part) for part in detail["loc"]) or config.__name__
    if detail["type"] == "extra_forbidden":
        return str(unknown_name("parameter", field, config.model_fields))
    if detail["type"] == "literal_error":
        choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        return str(unknown_name(field, detail["input"], choices))
    if detail["type"] == "value_error":
        reason = str(detail["ctx"]["error"])
        named = () if detail["loc"] else tuple(f"{name}:" for name in config.model_fields)
        return reason if reason.startswith(("unknown", field, *named)) else f"{field}: {reason}"
    rule = detail["msg"]
    rule = rule[0].lower() + rule[1:]
    if rule.startswith("input should"):
        rule = "should" + rule.removeprefix("input should")
    return f"{field}: {rule}; found {detail['input']!r}"
