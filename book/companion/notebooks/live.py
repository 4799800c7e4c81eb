"""The live run of a notebook: its parameters to records."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from companion.experiments.records.outputs import Outputs
from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    Store,
    load_state,
    open_store,
    parse_record,
    record_line,
    save_state,
)
from companion.experiments.records.summary import record_label
from companion.experiments.runs import run as experiments
from companion.experiments.runs.outputs import Pairs, State, take_outputs
from companion.experiments.runs.problems import Bench, load_data
from companion.experiments.settings import preset as presets
from companion.experiments.settings.changes import Plan, parse_seeds, split_list
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.setting import Setting, is_retrained
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
def store_folder(named: str | None = None) -> Iterator[Path]:
    """The store of a live run: the one named, the one all notebooks share, or a temporary one."""
    place = named or os.environ.get(SHARED)
    if place:
        yield Path(place)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def train_once(bench: Bench, configs: Mapping[str, Config], seeds: Sequence[int]) -> None:
    """Put the original and the retrained models into the store, each by one notebook alone.

    Another one that needs the same model at the same time waits for it.
    """
    locks = bench.store.root / "locks"
    locks.mkdir(exist_ok=True)
    for seed in seeds:
        with FileLock(locks / bench.model_key("original", seed)):
            bench.original(seed)
        for label, config in configs.items():
            if is_retrained(label):
                with FileLock(locks / bench.record_key(label, config, seed)):
                    experiments.run_one(bench, label, config, seed)


def plan_of(parameters: Experiment) -> Plan:
    """The preset's setting with the parameters' forget set, and the configs of their methods.

    α changes methods with a fixed rate only; p all methods of Eq. (8).

    Raises:
        ConfigError: the scale has no preset for the data set, or no searched methods.
    """
    name, scale = preset_name(parameters), parameters.scale
    setting = presets.preset_setting(name, scale)
    group = getattr(parameters, "forgotten_group", None)
    if group is not None:
        setting = setting.replace(forgotten_group=group, group_fraction=None)
    for field in {"fraction", "forgotten_class"} & set(type(parameters).model_fields):
        setting = setting.replace(**{field: getattr(parameters, field)})
    configs = {}
    for label in labels_of(parameters):
        config = presets.preset_config(label, name, scale)
        if isinstance(config, MixedConfig) and parameters.p is not None:
            config = config.replace(p=parameters.p)
        fixed_rate = isinstance(config, SmoothedConfig) and config.alpha is not None
        if fixed_rate and parameters.alpha is not None:
            config = config.replace(alpha=parameters.alpha)
        configs[label] = config
    return Plan(name, setting, configs)


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


def load_bench(setting: Setting, store: Path, data_root: str | None) -> Bench:
    """A setting with its data; the store is not opened."""
    execution = Execution()
    return Bench(setting, load_data(setting, execution, data_root), Store(store), execution)


def run(parameters: Experiment, *, verbose: bool = True) -> list[Record]:
    """Records of all methods and seeds; a line for each as it ends."""
    plan, seeds = plan_of(parameters), parse_seeds(parameters.seeds)
    total, done = len(plan.configs) * len(seeds), 0

    def report(record: Record) -> None:
        nonlocal done
        done += 1
        title = title_of(record_label(record))
        if verbose:
            print(
                f"{done:3}/{total}  {title:29} seed {record.seed}  {record.status}  "
                f"{record.seconds:.1f} s"
            )

    with store_folder(parameters.store) as folder:
        bench = load_bench(plan.setting, folder, parameters.data_root)
        experiments.check_grid(bench, plan.configs, seeds)
        open_store(folder)
        train_once(bench, plan.configs, seeds)
        return experiments.run_grid(bench, plan.configs, seeds, on_record=report)


def run_outputs(parameters: Experiment) -> Mapping[tuple[str, int], Outputs]:
    """(label, seed) → what the models of all methods and the original said of every sample."""
    plan = plan_of(parameters)
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

    seeds = parse_seeds(parameters.seeds)
    with store_folder(parameters.store) as shared, tempfile.TemporaryDirectory() as folder:
        bench = load_bench(plan.setting, shared, parameters.data_root)
        experiments.check_grid(bench, plan.configs)
        open_store(shared)
        train_once(bench, plan.configs, seeds)
        # a store without records: a run that has one says nothing more
        alone = replace(bench, store=open_store(folder))
        for seed in seeds:
            _take_models(bench, alone.store, plan.configs, seed)
            for label, config in plan.configs.items():
                on_model = partial(keep, label, seed)
                experiments.run_one(alone, label, config, seed, on_model=on_model)
    return found


def _take_models(bench: Bench, store: Store, configs: Mapping[str, Config], seed: int) -> None:
    """Copy the original and the retrained models of a seed into another store."""
    retrained = [bench.retrained_key(configs[x], seed) for x in configs if is_retrained(x)]
    for key in (bench.model_key("original", seed), *retrained):
        state = load_state(bench.store, key)
        if state is not None:  # damaged, it is trained again
            save_state(store, key, *state)


@dataclass(frozen=True)
class EmbeddedRecords:
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
