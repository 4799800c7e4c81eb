"""Read settings and method configs from the presets of a scale, and write a search's winner."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import Scale, Setting
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.methods import get_method
from ugradsl_core.training.files import write_text

SCALES: tuple[str, ...] = get_args(Scale)


def preset_path(scale: str) -> Path:
    """The preset file of a scale, inside the package."""
    return Path(__file__).parent / "presets" / f"{scale}.json"


def load_presets(scale: str) -> dict[str, Any]:
    """All presets of a scale: name → setting, method configs with their source, note.

    A preset that says ``like`` another one has that one's methods where it has none of its own:
    its batch size and augmentation hold, and learning rates are scaled with that of training.
    One that says ``differs_from`` an earlier one is stored as its differences, see
    :func:`merged`. Calls share what they return: copy it to change it.

    Raises:
        ConfigError: unknown scale.
    """
    return _resolved(_preset_text(scale))


@cache
def _resolved(text: str) -> dict[str, Any]:
    presets = _expanded(text)
    own = {name: dict(preset["methods"]) for name, preset in presets.items()}
    for preset in presets.values():
        if "like" in preset:
            carried = {
                label: _carried(label, entry["config"], preset, presets)
                for label, entry in own[preset["like"]].items()
            }
            preset["methods"] = {**carried, **preset["methods"]}
    return presets


def _expanded(text: str) -> dict[str, Any]:
    presets: dict[str, Any] = json.loads(text)
    for name, entry in presets.items():
        if "differs_from" in entry:
            presets[name] = merged(presets[entry.pop("differs_from")], entry)
    return presets


def factored(presets: Mapping[str, Any]) -> dict[str, Any]:
    """Presets, each as its differences from the nearest one before it."""
    found: dict[str, Any] = {}
    for name, preset in presets.items():
        candidates = [
            {"differs_from": before, **differences(presets[before], preset)} for before in found
        ]
        found[name] = min(candidates, key=lambda entry: len(json.dumps(entry)), default=preset)
    return found


def merged(base: Any, changes: Any) -> Any:
    """A JSON value with changes: as in RFC 7386, null removes a key; ``{"=": x}`` is x as it is."""
    if not isinstance(changes, dict):
        return changes
    if "=" in changes:
        return changes["="]
    base = base if isinstance(base, dict) else {}
    both = {**base, **{key: merged(base.get(key), value) for key, value in changes.items()}}
    return {key: value for key, value in both.items() if changes.get(key, base) is not None}


def differences(base: Any, value: Any) -> Any:
    """The changes from which :func:`merged` makes ``value``, keys in its order."""
    if not isinstance(value, dict):
        return {"=": None} if value is None else value
    base = base if isinstance(base, dict) else {}
    removed = {key: None for key in base if key not in value}
    changed = {
        key: differences(base.get(key), part)
        for key, part in value.items()
        if key not in base or base[key] != part
    }
    changes = {**removed, **changed}
    return changes if list(merged(base, changes)) == list(value) else {"=": value}


def _preset_text(scale: str) -> str:
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    return preset_path(scale).read_text("utf-8")


def _carried(
    label: str, config: Mapping[str, Any], preset: Mapping[str, Any], presets: Mapping[str, Any]
) -> dict[str, Any]:
    """A method of the preset ``preset["like"]``, fitted to the training of ``preset``."""
    like, training = preset["like"], preset["setting"]["training"]
    ratio = training["lr"] / presets[like]["setting"]["training"]["lr"]
    values = {**config, **shared_with_training(split_label(label)[0], training)}
    note = f"not searched; as for {like}"
    if "lr" in values and ratio != 1:
        values["lr"] = float(f"{values['lr'] * ratio:.3g}")
        note += f", learning rate × {ratio:g}"
    return {"config": values, "source": {"kind": "carried", "from": like, "note": note}}


def get_preset(name: str, scale: str) -> dict[str, Any]:
    """One preset.

    Raises:
        ConfigError: unknown scale or name.
    """
    presets = load_presets(scale)
    if name not in presets:
        others = " or ".join(other for other in SCALES if name in load_presets(other))
        if others:
            raise ConfigError(f"setting: {name!r} has no {scale} scale; say --scale {others}")
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
    text = _preset_text(scale)
    presets = _expanded(text)
    if name not in presets:
        raise ConfigError(f"preset: {name!r} is not a preset of scale {scale!r}")
    methods = {**presets[name]["methods"], label: {"config": config, "source": source}}
    presets[name] = {**presets[name], "methods": methods}
    if any("differs_from" in entry for entry in json.loads(text).values()):
        presets = factored(presets)
    write_text(preset_path(scale), json.dumps(presets, indent=2, ensure_ascii=False) + "\n")
