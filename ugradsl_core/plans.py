"""Presets with changes by name: a setting, and the configs of its methods."""

from collections.abc import Mapping, Sequence
from typing import Any

from ugradsl_core import settings
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.parameters import split_list
from ugradsl_core.unlearning import METHODS

Changes = dict[str, dict[str, Any]]
PARTS = ("model", "training")
FIXED = {
    "scale": "is the preset's own; choose another one with --scale",
    "index_sha256": "is filled in from index_file; leave it out",
}


def known_preset(name: str, scale: str) -> None:
    """Raise ConfigError where a scale has no such preset; a preset that stands in is named."""
    presets = settings.load_presets(scale)
    standing = [other for other in presets if name in presets[other].get("stands_for", ())]
    if name in presets or not standing:
        settings.get_preset(name, scale)
        return
    scales = [other for other in settings.SCALES if name in settings.load_presets(other)]
    raise ConfigError(
        f"setting: {name!r} has no {scale} scale, where {standing[0]!r} stands in for it; name "
        "that one" + (f", or say --scale {' or '.join(scales)}" if scales else "")
    )


def read_setting(
    name: str, scale: str, given: Sequence[tuple[str, str]]
) -> tuple[settings.Setting, Changes]:
    """The preset's setting with changes, and changes of single methods by label.

    Raises:
        ConfigError: an unknown name, a value that breaks its rule, or one that is not to be set.
    """
    known_preset(name, scale)
    preset = settings.preset_setting(name, scale)
    setting = {**preset.model_dump(), "model": preset.model.identity()}
    backbone = dict(given).get("model.name", preset.model.name)
    if backbone != preset.model.name or "model.pretrained" in dict(given):
        setting["model"] = {"name": backbone}  # sizes of another model mean nothing here
    changes: Changes = {}
    for key, text in given:
        head, _, field = key.rpartition(".")
        value = None if text in {"None", "null"} else text
        if key in FIXED:
            raise ConfigError(f"{key}: {FIXED[key]}")
        if key in PARTS:
            example = "model.name" if key == "model" else "training.epochs"
            raise ConfigError(f"{key}: has parts, of which one is to be named, as in {example}")
        if head in PARTS:
            setting[head][field] = value
        elif head:
            settings.split_label(head)
            changes.setdefault(head, {})[field] = value
        else:
            setting[field] = value
    return settings.Setting(**setting), changes


def read_setting_alone(
    name: str, scale: str, given: Sequence[tuple[str, str]], why: str
) -> settings.Setting:
    """The preset's setting with changes, none of which may be of a method.

    Raises:
        ConfigError: as :func:`read_setting`, or a method's parameter; ``why`` there can be none.
    """
    setting, changes = read_setting(name, scale, given)
    if changes:
        raise ConfigError(f"-p {min(changes)}.…: {why}")
    return setting


def read_labels(text: str, name: str, scale: str) -> list[str]:
    """Labels of ``--methods``: those that are listed, or Retrain and all of the preset."""
    if text != "all":
        return split_list(text, "methods")
    return ["retrain", *settings.get_preset(name, scale)["methods"]]


def method_config(
    label: str, name: str, scale: str, setting: settings.Setting, changes: Mapping[str, Any]
) -> Config:
    """A method's config in a preset with its own changes; Retrain trains as the setting does."""
    config = settings.preset_config(label, name, scale, **changes)
    method, fixed = settings.split_label(label)
    if method != "retrain":
        return config
    return METHODS["retrain"].config(**{**setting.training.model_dump(), **fixed, **changes})
