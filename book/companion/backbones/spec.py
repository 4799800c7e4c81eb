"""Names of backbones, and the sizes that they can be given."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Backbone:
    """A backbone's inputs and its sizes: field of :class:`ModelSpec` → value at full size."""

    inputs: Literal["images", "token ids"]
    sizes: Mapping[str, Any]


TRANSFORMER = {"width": 768, "depth": 12, "heads": 12}
BACKBONES = {
    "resnet18": Backbone("images", {"width": 64, "stem": "cifar"}),
    "vgg16": Backbone("images", {"width": 64, "dropout": 0.5}),
    "vgg16-bn": Backbone("images", {"width": 64, "dropout": 0.5}),
    "vit": Backbone("images", {**TRANSFORMER, "patch_size": None, "dropout": 0.0}),
    "bert": Backbone("token ids", {**TRANSFORMER, "dropout": 0.1}),
}
SIZES = ("width", "depth", "heads", "patch_size", "stem", "dropout")
OWN = re.compile(r"[^\W\d][\w.]*:[^\W\d][\w.]*")
HEAD_WIDTH = 64
FULL_WIDTH, FULL_SPREAD = 768, 0.02


def initial_spread(width: int) -> float:
    """Standard deviation of a transformer's first weights: 0.02 √(768 / width).

    At 768 it is the published 0.02; a narrower one starts with outputs of the same size, where
    with 0.02 it would start, and under SGD stay, close to a constant.
    """
    return float(FULL_SPREAD * (FULL_WIDTH / width) ** 0.5)


def is_own(name: str) -> bool:
    """Tell whether a model's name is that of a user's factory, ``module:function``."""
    return ":" in name


class ModelSpec(Config):
    """A backbone and its reduction; what is left out has the backbone's full size."""

    name: str = Field("resnet18", description="a backbone, or your own factory module:function")
    width: int | None = Field(
        None, ge=1, description="channels of the first stage, or a transformer's hidden size"
    )
    depth: int | None = Field(None, ge=1, description="layers of a transformer")
    heads: int | None = Field(None, ge=1, description="of a transformer's attention; width / 64")
    patch_size: int | None = Field(
        None, ge=1, description="pixels; about an eighth of the side, at most 16"
    )
    stem: Literal["cifar", "imagenet"] | None = Field(
        None, description="cifar: 3×3, stride 1; imagenet: 7×7, stride 2, and max-pooling"
    )
    dropout: float | None = Field(None, ge=0, lt=1, description="probability of a zero")
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="Hugging Face name, folder, package:NAME or .safetensors file",
    )

    @field_validator("name")
    @classmethod
    def _known(cls, value: str) -> str:
        if is_own(value):
            if not OWN.fullmatch(value):
                raise ConfigError(f"name: should read module:function; found {value!r}")
        elif value not in BACKBONES:
            raise unknown_name("model", value, BACKBONES)
        return value

    @model_validator(mode="before")
    @classmethod
    def _at_full_size(cls, values: Any) -> Any:
        name = values.get("name", "resnet18") if isinstance(values, dict) else None
        if not isinstance(name, str) or name not in BACKBONES:
            return values
        given = {key: value for key, value in values.items() if value is not None}
        if takes_its_own_sizes(name, given.get("pretrained")):
            return given
        return {**full_sizes(name, given.get("width")), **given}

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        given = [field for field in SIZES if getattr(self, field) is not None]
        if is_own(self.name):
            if self.pretrained is not None:
                raise ConfigError(
                    f"pretrained: {self.name} loads its own weights; leave pretrained out"
                )
            return self
        known = BACKBONES[self.name].sizes
        for field in given:
            if field not in known:
                raise ConfigError(
                    f"{field}: {self.name} has no such size; it takes {', '.join(known)}"
                )
            if field != "dropout" and takes_its_own_sizes(self.name, self.pretrained):
                raise ConfigError(f"{field}: is the pretrained model's own; leave it out")
        if self.width and self.heads and self.width % self.heads:
            raise ConfigError(
                f"width: should be a multiple of heads; found {self.width} and {self.heads}"
            )
        return self

    def identity(self) -> dict[str, Any]:
        """The fields that determine results: what is not at its full size, and ``width``.

        So a field that is added later leaves the names of stored models as they were.
        """
        full = {} if is_own(self.name) else full_sizes(self.name, self.width)
        kept = {"name": self.name, "width": self.width}
        for field in (*SIZES[1:], "pretrained"):
            value = getattr(self, field)
            if value is not None and value != full.get(field):
                kept[field] = value
        return {field: value for field, value in kept.items() if value is not None}


def full_sizes(name: str, width: object) -> dict[str, Any]:
    """A backbone's full sizes; attention heads follow a ``width`` that was given."""
    full = dict(BACKBONES[name].sizes)
    if "heads" in full and str(width).isdecimal():
        full["heads"] = max(1, int(str(width)) // HEAD_WIDTH)
    return full


def takes_its_own_sizes(name: str, pretrained: object) -> bool:
    """Tell whether a backbone's pretrained weights bring its sizes with them."""
    return pretrained is not None and "depth" in BACKBONES[name].sizes
