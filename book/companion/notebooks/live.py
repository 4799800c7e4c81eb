"""The live run of a notebook: its parameters to records."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from companion.experiments.records.outputs import Outputs
from companion.experiments.records.record import Record
from companion.experiments.records.store import Store, open_store, parse_record, record_line
from companion.experiments.runs import run as experiments
from companion.experiments.runs.outputs import Pairs, State, take_outputs
from companion.experiments.runs.problems import Data, model_key, original_state
from companion.experiments.runs.run import record_key
from companion.experiments.settings import labels
from companion.experiments.settings import preset as presets
from companion.experiments.settings.changes import parse_seeds, split_list
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import Setting
from companion.notebooks.parameters import Experiment, MethodComparison, preset_name
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import METHODS
from ugradsl_core.methods.mixed import MixedConfig, SmoothedConfig
from ugradsl_core.methods.problem import Problem
from ugradsl_core.samples import Samples
from ugradsl_core.training import Execution

KEPT = "application/vnd.ugradsl.records+json"
SHARED = "UGRADSL_MODELS"  # a store for the notebooks of one build: each model is trained once


@contextmanager
def opened_store(named: str | None = None) -> Iterator[Store]:
    """The store of a live run: the one named, the one all notebooks share, or a temporary one.

    Raises:
        StoreError: the directory holds something else.
    """
    place = named or os.environ.get(SHARED)
    if place:
        yield open_store(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield open_store(folder)


def train_once(
    setting: Setting,
    loaded: Data,
    configs: Mapping[str, Config],
    seeds: Sequence[int],
    store: Store,
    execution: Execution,
) -> None:
    """Put the original and the retrained models into the store, each by one notebook alone.

    Another one that needs the same model at the same time waits for it.
    """
    locks = store.root / "locks"
    locks.mkdir(exist_ok=True)
    for seed in seeds:
        data = loaded.of_seed(seed)
        with FileLock(locks / model_key(setting, data, seed, "original", execution)):
            original_state(setting, loaded, seed, store, execution)
        for label, config in configs.items():
            if split_label(label)[0] == "retrain":
                key = record_key(setting, data, label, config, seed, "test", execution)
                with FileLock(locks / key):
                    experiments.run_one(setting, loaded, label, config, seed, store, execution)


def setting_of(parameters: Experiment) -> Setting:
    """The preset's setting with the parameters' forget set.

    Raises:
        ConfigError: the scale has no preset for the data set.
    """
    setting = presets.preset_setting(preset_name(parameters), parameters.scale)
    group = getattr(parameters, "forgotten_group", None)
    if group is not None:
        return setting.replace(forgotten_group=group, group_fraction=None)
    changes = {
        name: getattr(parameters, name)
        for name in ("fraction", "forgotten_class")
        if hasattr(parameters, name)
    }
    return setting.replace(**changes)


def labels_of(parameters: Experiment) -> list[str]:
    """The labels to run; ``all`` is Retrain and every method of the preset.

    In the comparison of methods it is every method, with its defaults where it was not searched.
    """
    parts = split_list(parameters.methods)
    if "all" not in parts:
        return parts
    every = _every(parameters)
    return list(dict.fromkeys(x for part in parts for x in (every if part == "all" else [part])))


def _every(parameters: Experiment) -> list[str]:
    if isinstance(parameters, MethodComparison):
        return list(METHODS)
    preset = presets.get_preset(preset_name(parameters), parameters.scale)
    if not preset["methods"]:
        raise ConfigError(
            f"methods: {preset_name(parameters)} at the {parameters.scale} scale has no searched "
            "methods yet; name those to run with their defaults"
        )
    return ["retrain", *preset["methods"]]


def configs_of(parameters: Experiment) -> dict[str, Config]:
    """The preset's config of each method, with α and p changed where they are given.

    α changes methods with a fixed rate only; p all methods of Eq. (8).
    """
    configs = {}
    for label in labels_of(parameters):
        config = presets.preset_config(label, preset_name(parameters), parameters.scale)
        changes: dict[str, Any] = {}
        if isinstance(config, MixedConfig) and parameters.p is not None:
            changes["p"] = parameters.p
        fixed_rate = isinstance(config, SmoothedConfig) and config.alpha is not None
        if fixed_rate and parameters.alpha is not None:
            changes["alpha"] = parameters.alpha
        configs[label] = config.replace(**changes)
    return configs


def run(parameters: Experiment, *, verbose: bool = True) -> list[Record]:
    """Records of all methods and seeds; a line for each as it ends."""
    setting, configs = setting_of(parameters), configs_of(parameters)
    seeds: Sequence[int] = parse_seeds(parameters.seeds)
    execution = Execution()
    loaded = experiments.load_data(setting, execution, parameters.data_root)
    total, done = len(configs) * len(seeds), 0

    def report(record: Record) -> None:
        nonlocal done
        done += 1
        title = labels.title_of(labels.label_of(record.method, dict(record.config)))
        if verbose:
            print(
                f"{done:3}/{total}  {title:29} seed {record.seed}  {record.status}  "
                f"{record.seconds:.1f} s"
            )

    experiments.check_grid(setting, loaded, configs, execution, seeds)
    with opened_store(parameters.store) as store:
        train_once(setting, loaded, configs, seeds, store, execution)
        return experiments.run_grid(
            setting, loaded, configs, seeds, store, execution, on_record=report
        )


def run_outputs(parameters: Experiment) -> Mapping[tuple[str, int], Outputs]:
    """(label, seed) → what the models of all methods and the original said of every sample."""
    setting, configs = setting_of(parameters), configs_of(parameters)
    execution = Execution()
    loaded = experiments.load_data(setting, execution, parameters.data_root)
    experiments.check_grid(setting, loaded, configs, execution)
    found: dict[tuple[str, int], Outputs] = {}

    def keep(
        label: str, seed: int, problem: Problem, state: State, judged: Samples, pairs: Pairs
    ) -> None:
        facts = {"label": label, "seed": str(seed)}
        found[label, seed] = take_outputs(problem, state, judged, pairs, {}, facts)
        if ("original", seed) not in found:
            weights = problem.trained_state
            said = experiments.predict_state(problem, weights, judged)
            facts = {"label": "original", "seed": str(seed)}
            found["original", seed] = take_outputs(problem, weights, judged, said, {}, facts)

    with tempfile.TemporaryDirectory() as folder:
        store = open_store(folder)  # its own: a run that a shared one had would say nothing
        for seed in parse_seeds(parameters.seeds):
            for label, config in configs.items():
                experiments.run_one(
                    setting, loaded, label, config, seed, store, execution,
                    on_model=partial(keep, label, seed),
                )  # fmt: skip
    return found


@dataclass(frozen=True)
class Kept:
    """Records as an output of a notebook, from where :func:`kept_records` reads them."""

    records: Sequence[Record]

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        text = f"{len(self.records)} records, kept for the method cards"
        return {KEPT: [record_line(record) for record in self.records], "text/plain": text}


def kept_records(notebook: Path) -> list[Record]:
    """The records that an executed notebook has kept; none where it has not been executed.

    Raises:
        StoreError: a record is damaged.
    """
    if not notebook.exists():
        return []
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    lines = [line for output in outputs for line in output.get("data", {}).get(KEPT, [])]
    return [parse_record(line) for line in lines]
