"""Presets with changes by name: a setting, and the configs of its methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from companion.experiments.settings import labels
from companion.experiments.settings import preset as settings_preset
from companion.experiments.settings.setting import Setting
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import METHODS


def split_list(text: str, what: str = "") -> list[str]:
    """The parts of a comma-separated list, without blanks; ``what`` it lists, for the error.

    Raises:
        ConfigError: nothing in it.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        field = f"{what}: " if what else ""
        raise ConfigError(f"{field}should be a comma-separated list; found {text!r}")
    return parts


def parse_seeds(text: str) -> list[int]:
    """Whole numbers from 0 of a comma-separated list.

    Raises:
        ConfigError: something else in it.
    """
    parts = split_list(text, "seeds")
    wrong = [part for part in parts if not part.isdecimal()]
    if wrong:
        raise ConfigError(f"seeds: should be whole numbers from 0; found {wrong[0]!r}")
    if len({int(part) for part in parts}) < len(parts):
        raise ConfigError(f"seeds: should be different; found {text!r}")
    return [int(part) for part in parts]


Changes = dict[str, dict[str, Any]]
PARTS = ("model", "training")
FIXED = {
    "scale": "is the preset's own; choose another one with --scale",
    "index_sha256": "is filled in from index_file; leave it out",
}


def known_preset(name: str, scale: str) -> None:
    """Raise ConfigError where a scale has no such preset; a preset that stands in is named."""
    presets = settings_preset.load_presets(scale)
    standing = [other for other in presets if name in presets[other].get("stands_for", ())]
    if name in presets or not standing:
        settings_preset.get_preset(name, scale)
        return
    scales = [
        other for other in settings_preset.SCALES if name in settings_preset.load_presets(other)
    ]
    raise ConfigError(
        f"setting: {name!r} has no {scale} scale, where {standing[0]!r} stands in for it; name "
        "that one" + (f", or say --scale {' or '.join(scales)}" if scales else "")
    )


def read_setting(
    name: str, scale: str, given: Sequence[tuple[str, str]]
) -> tuple[Setting, Changes]:
    """The preset's setting with changes, and changes of single methods by label.

    Raises:
        ConfigError: an unknown name, a value that breaks its rule, or one that is not to be set.
    """
    known_preset(name, scale)
    preset = settings_preset.preset_setting(name, scale)
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
            labels.split_label(head)
            changes.setdefault(head, {})[field] = value
        else:
            setting[field] = value
    return Setting(**setting), changes


def read_setting_alone(
    name: str, scale: str, given: Sequence[tuple[str, str]], why: str
) -> Setting:
    """The preset's setting with changes, none of which may be of a method.

    Raises:
        ConfigError: as :func:`read_setting`, or a method's parameter; ``why`` there can be none.
    """
    setting, changes = read_setting(name, scale, given)
    if changes:
        raise ConfigError(f"-p {min(changes)}.…: {why}")
    return setting


def read_labels(text: str, name: str, scale: str) -> list[str]:
    """Labels of ``--methods``: those that are listed; ``all`` is Retrain and all of the preset."""
    every = ["retrain", *settings_preset.get_preset(name, scale)["methods"]]
    parts = split_list(text, "methods")
    return list(dict.fromkeys(x for part in parts for x in (every if part == "all" else [part])))


@dataclass(frozen=True)
class Plan:
    """A preset with changes: its setting, and the config of each method that is to run in it."""

    name: str
    setting: Setting
    configs: Mapping[str, Config]


def make_plan(
    name: str, scale: str, labels: Sequence[str], given: Sequence[tuple[str, str]]
) -> Plan:
    """The plan of a preset, methods and changes.

    Raises:
        ConfigError: as :func:`read_setting`, or a change of a method that is not to run.
    """
    setting, changes = read_setting(name, scale, given)
    for label in changes:
        if label not in labels:
            raise ConfigError(
                f"{label} is not among the methods of {name}; name it in methods, or leave out "
                f"{label}.…"
            )
    configs = {
        label: method_config(label, name, scale, setting, changes.get(label, {}))
        for label in labels
    }
    return Plan(name, setting, configs)


def method_config(
    label: str, name: str, scale: str, setting: Setting, changes: Mapping[str, Any]
) -> Config:
    """A method's config in a preset with its own changes; Retrain trains as the setting does."""
    config = settings_preset.preset_config(label, name, scale, **changes)
    method, fixed = labels.split_label(label)
    if method != "retrain":
        return config
    return METHODS["retrain"].config(**{**setting.training.model_dump(), **fixed, **changes})
