"""What the command line asks for: a setting, the configs of its methods, and its data."""

import sys
from typing import Any

from ugradsl_core import parameters, settings
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.problems import Data
from ugradsl_core.types import Execution
from ugradsl_core.unlearning import METHODS


def read_setting(
    name: str, scale: str, given: list[tuple[str, str]]
) -> tuple[settings.Setting, dict[str, dict[str, Any]]]:
    """The preset's setting with changes, and changes of single methods by label."""
    preset = settings.preset_setting(name, scale)
    setting = {**preset.model_dump(), "model": preset.model.identity()}
    backbone = dict(given).get("model.name", preset.model.name)
    if backbone != preset.model.name or "model.pretrained" in dict(given):
        setting["model"] = {"name": backbone}  # sizes of another model mean nothing here
    changes: dict[str, dict[str, Any]] = {}
    for key, text in given:
        head, _, field = key.rpartition(".")
        value = None if text in {"None", "null"} else text
        if head in {"model", "training"}:
            setting[head][field] = value
        elif head:
            settings.split_label(head)
            changes.setdefault(head, {})[field] = value
        else:
            setting[field] = value
    return settings.Setting(**setting), changes


def read_labels(text: str, name: str, scale: str) -> list[str]:
    """Labels of ``--methods``: those that are listed, or Retrain and all of the preset."""
    if text != "all":
        return parameters.split_list(text, "methods")
    return ["retrain", *settings.get_preset(name, scale)["methods"]]


def load(setting: settings.Setting, execution: Execution, root: str | None, download: bool) -> Data:
    """The setting's data; of several processes the first downloads, before the others read."""
    from ugradsl_core.problems import load_data

    if download and execution.world.size > 1:
        execution.world.from_first(
            lambda: len(load_data(setting, execution, root, download=True).train)
        )
    return load_data(setting, execution, root, download=download)


def read_plan(
    name: str, scale: str, methods: str, given: list[tuple[str, str]]
) -> tuple[settings.Setting, dict[str, Config]]:
    """The setting, and the config of each method by label.

    Methods whose hyperparameters were not searched are named on stderr.

    Raises:
        ConfigError: an unknown name, or a value that breaks its rule.
    """
    setting, changes = read_setting(name, scale, given)
    labels = read_labels(methods, name, scale)
    unused = set(changes) - set(labels)
    if unused:
        raise ConfigError(f"-p {min(unused)}.…: this method is not among --methods")
    configs = {
        label: settings.preset_config(label, name, scale, **changes.get(label, {}))
        for label in labels
    }
    tuned = settings.get_preset(name, scale)["methods"]
    defaulted = [label for label in labels if label not in {"retrain", *tuned}]
    if defaulted:
        print(
            f"{', '.join(defaulted)}: not searched for {name} at {scale} scale; their own defaults "
            "are used",
            file=sys.stderr,
        )
    if "retrain" in configs:
        trained = {**setting.training.model_dump(), **changes.get("retrain", {})}
        configs["retrain"] = METHODS["retrain"].config(**trained)
    return setting, configs
