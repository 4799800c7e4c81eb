"""Whether a setting can run as it is asked to, found out before anything is computed or written."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress

import torch

from companion import backbones
from companion.backbones import ModelSpec
from companion.backbones.spec import is_own
from companion.experiments.runs.problems import Bench, Judge
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import Setting
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, DataError, DivergenceError
from ugradsl_core.methods import get_method, is_own_method
from ugradsl_core.methods.problem import Problem
from ugradsl_core.training import Execution
from ugradsl_core.training.steps import check_accumulation

REHEARSED = 16  # samples of each set


def check_methods(
    setting: Setting, configs: Mapping[str, Config], vocabulary: int | None, execution: Execution
) -> None:
    """Raise ConfigError where training or a method cannot run as ``execution`` asks.

    Args:
        setting: how the original model is trained.
        configs: of the methods, by label.
        vocabulary: of token ids, which no augmentation knows; None for images.
        execution: processes and micro-batches.
    """
    execution.world.check_batch(setting.training.batch_size)
    check_accumulation(execution, setting.training.batch_size)
    for config in (setting.training, *configs.values()):
        augment = getattr(config, "augment", "none")
        if vocabulary is not None and augment != "none":
            raise ConfigError(f"augment: should be 'none' for text; found {augment!r}")
    for label, config in configs.items():
        get_method(split_label(label)[0]).check(config, execution)


def rehearse_own(bench: Bench, configs: Mapping[str, Config]) -> None:
    """Let every method of the user's own take an epoch on a few samples and fresh weights.

    Raises:
        ConfigError: it fails, or breaks the contract; nothing has been trained by then.
    """
    own = {label: config for label, config in configs.items() if is_own_method(label)}
    if not own or bench.execution.world.size > 1:
        return
    seed = 0
    bench, few = bench.of_seed(seed), torch.arange(REHEARSED)
    retain, forget = (part.take(few[: len(part)]) for part in bench.split(seed))
    state = bench.make_model().state_dict()
    for label, config in own.items():
        problem = Problem(
            make_model=bench.make_model,
            trained_state={name: value.clone() for name, value in state.items()},
            retain=retain,
            forget=forget,
            execution=bench.execution,
        )
        short = config.replace(epochs=1) if hasattr(config, "epochs") else config
        with suppress(DivergenceError):  # weights that were never trained may diverge
            get_method(label)(problem, short, generator=torch.Generator().manual_seed(seed))


def check_model(
    spec: ModelSpec, num_classes: int, input_shape: Sequence[int], vocabulary: int | None
) -> None:
    """Build the model once: on the ``meta`` device, or as it is where weights or code are read.

    Raises:
        ConfigError: it does not fit the inputs, or is not on this machine.
        ModelError: its weights do not fit, or a factory does not work.
    """
    real = spec.pretrained is not None or is_own(spec.name)
    with torch.random.fork_rng(devices=[]), nullcontext() if real else torch.device("meta"):
        backbones.build(
            spec, num_classes=num_classes, input_shape=input_shape, vocabulary=vocabulary
        )


def check_problem(bench: Bench, seeds: Sequence[int], judge: Judge) -> None:
    """Raise where there is no model, or too few samples to keep, to forget or to judge by.

    Raises:
        ConfigError: no such model, or fewer samples than processes.
        DataError: an empty forget set, or nothing to judge by.
    """
    judged, train = bench.judged(judge), bench.data.train
    if len(judged) == 0:
        raise DataError(
            f"forgotten_class: class {bench.setting.forgotten_class} holds all of the {judge} set"
        )
    world = bench.execution.world
    world.check_batch(len(train), "training samples")
    world.check_batch(len(judged), f"{judge} samples")
    for seed in seeds:
        retain, forget = bench.split(seed)
        world.check_batch(len(retain), "samples to keep")
        world.check_batch(len(forget), "samples to forget")
    check_model(bench.setting.model, train.num_classes, train.input_shape, train.vocabulary)
