"""What the command line asks for: a setting, the configs of its methods, and its data."""

import sys

from ugradsl_core import settings
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.plans import method_config, read_labels, read_setting
from ugradsl_core.problems import Data
from ugradsl_core.types import Execution


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
        label: method_config(label, name, scale, setting, changes.get(label, {}))
        for label in labels
    }
    tuned = settings.get_preset(name, scale)["methods"]
    defaulted = [x for x in labels if x not in tuned and not settings.is_retrained(x)]
    if defaulted:
        print(
            f"{', '.join(defaulted)}: not searched for {name} at {scale} scale; their own defaults "
            "are used",
            file=sys.stderr,
        )
    return setting, configs
