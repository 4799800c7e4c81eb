"""Settings of an experiment and the presets that hold every final hyperparameter."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from ugradsl_core.config import Config
from ugradsl_core.data import DATASETS
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.files import write_text
from ugradsl_core.models import ModelSpec
from ugradsl_core.training import SGDConfig
from ugradsl_core.unlearning import METHODS, get_method

SCALES = ("smoke", "bench", "paper")
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{method}:adaptive{suffix}": (method, {"alpha": None, "adaptive_sign": sign})
    for method in ("ugradsl", "ugradsl+")
    for suffix, sign in (("", "negative"), ("-positive", "positive"), ("-inverse", "inverse"))
}
LABELS = tuple(
    label
    for method in METHODS
    for label in (method, *(name for name, (base, _) in VARIANTS.items() if base == method))
)
VARIANT_TITLES = {
    "adaptive": "adaptive",
    "adaptive-positive": "adaptive, positive",
    "adaptive-inverse": "adaptive, inverse",
}


class Setting(Config):
    """A data set, a paradigm, a model and how the original and retrained models are trained.

    The training subset and the validation set are the same for all seeds; the forget set, the
    initialisation and the batches follow the seed. Validation samples are training images outside
    the training subset.
    """

    scale: Literal["smoke", "bench", "paper"] = "smoke"
    dataset: str = "digits"
    train_size: int | None = Field(None, ge=2, description="training images; None is all")
    validation_size: int = Field(0, ge=0)
    paradigm: Literal["random", "class-wise"] = "random"
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr, for random forgetting")
    forgotten_class: int = Field(0, ge=0, description="for class-wise forgetting")
    model: ModelSpec = ModelSpec()
    training: SGDConfig = SGDConfig()

    @field_validator("dataset")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in DATASETS:
            raise unknown_name("data set", value, DATASETS)
        return value

    def identity(self) -> dict[str, Any]:
        """The fields that determine results: all but the label ``scale``."""
        kept = {**self.model_dump(exclude={"scale"}), "model": self.model.identity()}
        del kept["fraction" if self.paradigm == "class-wise" else "forgotten_class"]
        return kept


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that identify a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def split_label(label: str) -> tuple[str, dict[str, Any]]:
    """Method name and fixed parameters of a label such as ``ugradsl:adaptive``.

    Raises:
        ConfigError: unknown label.
    """
    if label in VARIANTS:
        return VARIANTS[label]
    if label not in METHODS:
        raise unknown_name("method", label, [*METHODS, *VARIANTS])
    return label, {}


def label_of(method: str, config: dict[str, Any]) -> str:
    """The label of a method with that config: the inverse of :func:`split_label`."""
    for label, (name, fixed) in VARIANTS.items():
        if name == method and all(config.get(key) == value for key, value in fixed.items()):
            return label
    return method


def title_of(label: str) -> str:
    """How a label is printed in tables and figures."""
    method, _ = split_label(label)
    variant = label.partition(":")[2]
    return METHODS[method].title + (f" ({VARIANT_TITLES[variant]})" if variant else "")


def preset_path(scale: str) -> Path:
    """The preset file of a scale, inside the package."""
    return Path(__file__).parent / "presets" / f"{scale}.json"


def load_presets(scale: str) -> dict[str, Any]:
    """All presets of a scale: name → setting, method configs with their source, search.

    Raises:
        ConfigError: unknown scale.
    """
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    presets: dict[str, Any] = json.loads(preset_path(scale).read_text("utf-8"))
    return presets


def get_preset(name: str, scale: str) -> dict[str, Any]:
    """One preset.

    Raises:
        ConfigError: unknown scale or name.
    """
    presets = load_presets(scale)
    if name not in presets:
        raise unknown_name(f"{scale} setting", name, presets)
    preset: dict[str, Any] = presets[name]
    return preset


def preset_setting(name: str, scale: str) -> Setting:
    """The setting of a preset."""
    return Setting(**{"scale": scale, **get_preset(name, scale)["setting"]})


def shared_with_training(method: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Batch size and augmentation of the original training, where the method has them."""
    known = get_method(method).config.model_fields
    return {k: training[k] for k in ("batch_size", "augment") if k in training and k in known}


def preset_config(label: str, name: str, scale: str, **changes: Any) -> Config:
    """The config of a method in a preset, with ``changes`` on top.

    Retrain is trained as the original was. Where a preset has no entry for the method, the method's
    own defaults hold, with the batch size and augmentation of training.

    Raises:
        ConfigError: unknown names, or a value that breaks its rule.
    """
    method, fixed = split_label(label)
    preset = get_preset(name, scale)
    if method == "retrain":
        stored = preset["setting"]["training"]
    else:
        shared = shared_with_training(method, preset["setting"]["training"])
        stored = preset["methods"].get(label, {}).get("config", shared)
    return get_method(method).config(**{**stored, **fixed, **changes})


def store_winner(
    label: str, name: str, scale: str, config: dict[str, Any], source: dict[str, Any]
) -> None:
    """Write a method's config and where it comes from into its preset."""
    presets = load_presets(scale)
    if name not in presets:
        raise ConfigError(f"preset: {name!r} is not a preset of scale {scale!r}")
    presets[name]["methods"][label] = {"config": config, "source": source}
    write_text(preset_path(scale), json.dumps(presets, indent=2, ensure_ascii=False) + "\n")
