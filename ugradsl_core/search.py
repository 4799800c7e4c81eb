"""Hyperparameter search: one budget for every method, judged on validation data alone."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ugradsl_core import provenance
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.experiments import run_one
from ugradsl_core.metrics import average_gap
from ugradsl_core.problems import Data, Progress, judged_set, stream
from ugradsl_core.settings import Setting, shared_with_training, split_label
from ugradsl_core.store import Store
from ugradsl_core.types import Execution, Record
from ugradsl_core.unlearning import get_method

SEARCH_SEED = 1000
DIVERGED_GAP = 100.0
INCUMBENT = "the preset's values before this search"
MOST_REDRAWS = 20  # of a trial; only a space of a few points needs more

Space = Mapping[str, tuple[Any, ...]]

_LR = ("log", 0.01, 0.2)
_MIXED: Space = {"lr": _LR, "p": ("uniform", 0.8, 0.99)}
_SMOOTHED: Space = {**_MIXED, "alpha": ("uniform", -0.9, -0.1)}

_ADAPTIVE = {"epochs": 10}, {"lr": 0.05, "p": 0.9}, _MIXED
_ADAPTIVE_PLUS = {"epochs": 4}, {"lr": 0.05, "p": 0.9}, _MIXED

# label → (values that every trial has, first trial, space). The first trial is a configuration
# that one would try without a search; the others are drawn from the space.
SPACES: dict[str, tuple[dict[str, Any], dict[str, Any], Space]] = {
    "ft": ({"epochs": 10}, {"lr": 0.05}, {"lr": _LR}),
    "ga": ({"epochs": 5}, {"lr": 5e-3}, {"lr": ("log", 1e-3, 0.1)}),
    "ff": ({"samples": 1000}, {"alpha": 1e-6}, {"alpha": ("log", 1e-9, 1e-3)}),
    "iu": ({"samples": 1000}, {"alpha": 10.0}, {"alpha": ("log", 0.1, 1e4)}),
    "be": ({"epochs": 10}, {"lr": 1e-4}, {"lr": ("log", 1e-5, 0.1)}),
    "bs": ({"epochs": 10}, {"lr": 1e-4}, {"lr": ("log", 1e-5, 0.1)}),
    "l1-sparse": (
        {"epochs": 10},
        {"lr": 0.05, "gamma": 1e-4},
        {"lr": _LR, "gamma": ("log", 1e-5, 1e-2)},
    ),
    "rl": ({"epochs": 10}, {"lr": 0.05}, {"lr": ("log", 1e-3, 0.2)}),
    "eu-k": ({"epochs": 10}, {"lr": 0.05, "k": 1}, {"lr": _LR, "k": ("whole", 1, 8)}),
    "cf-k": ({"epochs": 10}, {"lr": 0.05, "k": 1}, {"lr": _LR, "k": ("whole", 1, 8)}),
    "scrub": (
        {"epochs": 3},
        {"lr": 5e-3, "alpha": 1e-3},
        {"lr": ("log", 5e-4, 0.1), "alpha": ("log", 1e-3, 1.0)},
    ),
    "salun": (
        {"epochs": 10},
        {"lr": 0.05, "mask_ratio": 0.5},
        {"lr": ("log", 1e-3, 0.2), "mask_ratio": ("uniform", 0.1, 0.9)},
    ),
    "pabi": (
        {"epochs": 10},
        {"lr": 0.1, "c0": 0.1},
        {"lr": ("log", 0.02, 0.4), "c0": ("log", 0.01, 10.0)},
    ),
    "neggrad+": ({"epochs": 4}, {"lr": 0.05, "p": 0.9}, _MIXED),
    "neggrad+:forget": ({"epochs": 10}, {"lr": 0.05, "p": 0.9}, _MIXED),
    "ugradsl": ({"epochs": 10}, {"lr": 0.05, "p": 0.9, "alpha": -0.4}, _SMOOTHED),
    "ugradsl:adaptive": _ADAPTIVE,
    "ugradsl:adaptive-positive": _ADAPTIVE,
    "ugradsl+": ({"epochs": 4}, {"lr": 0.05, "p": 0.9, "alpha": -0.4}, _SMOOTHED),
    "ugradsl+:adaptive": _ADAPTIVE_PLUS,
    "ugradsl+:adaptive-positive": _ADAPTIVE_PLUS,
}


def check_search(labels: Sequence[str], trials: int) -> None:
    """Raise ConfigError unless every label has a search space and there is at least one trial."""
    for label in labels:
        if label not in SPACES:
            raise unknown_name("method to tune", label, SPACES)
    if trials < 1:
        raise ConfigError(f"trials: should be at least 1; found {trials}")


def first_config(label: str, setting: Setting) -> Config:
    """The config of the first trial of a method."""
    fixed, first, _ = SPACES[label]
    method, variant = split_label(label)
    shared = shared_with_training(method, setting.training.model_dump())
    return get_method(method).config(**{**variant, **shared, **fixed, **first})


def trial_gap(record: Record, reference: Record) -> float:
    """The objective: Avg. Gap to Retrain on validation data; 100 for a run that diverged."""
    if record.status != "ok":
        return DIVERGED_GAP
    return average_gap(record.metrics, reference.metrics)


def _suggest(trial: Any, space: Space) -> dict[str, Any]:
    values = {}
    for name, (kind, low, high) in space.items():
        if kind == "whole":
            values[name] = trial.suggest_int(name, low, high)
        else:
            value = trial.suggest_float(name, low, high, log=kind == "log")
            values[name] = float(f"{value:.3g}")
    return values


def search(
    label: str,
    setting: Setting,
    loaded: Data,
    trials: int,
    store: Store,
    execution: Execution,
    *,
    incumbent: Config | None = None,
    progress: Progress = lambda _: None,
    on_trial: Callable[[int, Record, float], Any] = lambda *_: None,
) -> tuple[Config, float, list[Record]]:
    """The best config of a method, its validation gap, and the records of all trials.

    Optuna's Gaussian-process sampler after four random trials, seeded for each trial by its
    number, so that a search that was stopped ends as one that was not. A configuration that was
    tried already gives way to a random one, so that all trials differ. Models, forget set and
    batches are those of a seed that is used for nothing else; Retrain's is the reference. Every
    trial is a record of kind ``"trial"``. An ``incumbent`` is one more trial, after the others and
    unseen by the sampler, unless it was among them.

    Raises:
        ConfigError: no search space for ``label``, or fewer than one trial.
        DataError: the setting has no validation samples.
    """
    import optuna

    check_search([label], trials)
    provenance.commit()
    judged_set(setting, loaded, "validation")
    fixed, first, space = SPACES[label]
    method, variant = split_label(label)
    shared = shared_with_training(method, setting.training.model_dump())
    common = {**variant, **shared, **fixed}
    retrain = get_method("retrain").config(**setting.training.model_dump())

    def run(name: str, config: Config) -> Record:
        return run_one(
            setting, loaded, name, config, SEARCH_SEED, store, execution,
            judge="validation", progress=progress,
        )  # fmt: skip

    reference = run("retrain", retrain)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize")
    study.enqueue_trial(first)
    records: list[Record] = []
    configs: list[Config] = []
    gaps: list[float] = []

    def ask(name: str, make: Callable[[int], Any]) -> tuple[Any, Config]:
        seed = int(stream(SEARCH_SEED, f"search:{label}:{name}").initial_seed() % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.sampler = make(seed)
        trial = study.ask()
        suggested = execution.world.from_first(partial(_suggest, trial, space))
        return trial, get_method(method).config(**{**common, **suggested})

    def keep(config: Config, note: str = "") -> float:
        record = replace(run(label, config), note=note)
        records.append(record)
        configs.append(config)
        gaps.append(trial_gap(record, reference))
        on_trial(len(records), record, gaps[-1])
        return gaps[-1]

    for number in range(trials):
        trial, config = ask(f"{number}", _gaussian_process)
        again = 0
        while config in configs and again < MOST_REDRAWS:  # it would be the same run
            study.tell(trial, gaps[configs.index(config)])
            again += 1
            trial, config = ask(f"{number}:{again}", optuna.samplers.RandomSampler)
        study.tell(trial, keep(config))
    if incumbent is not None and incumbent not in configs:
        keep(incumbent, INCUMBENT)
    best = gaps.index(min(gaps))
    return configs[best], gaps[best], [reference, *records]


def _gaussian_process(seed: int) -> Any:
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=4, deterministic_objective=True)
