"""Many models of one small task: originals, retrained ones, and those that each method makes.

What asks about the distribution of models needs many of them, so the task is one that trains in a
fraction of a second: a perceptron with two hidden layers on scikit-learn's digits.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from companion.experiments import data
from companion.experiments.data.images import NamedSamples
from companion.experiments.settings import forget_sets
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.seeds import stream
from ugradsl_core import metrics
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, DivergenceError
from ugradsl_core.methods import METHODS, get_method
from ugradsl_core.methods.ft import FTConfig
from ugradsl_core.methods.problem import Problem
from ugradsl_core.methods.retrain import RetrainConfig
from ugradsl_core.models import load_weights
from ugradsl_core.samples import StateDict
from ugradsl_core.training import predict
from ugradsl_core.training.progress import Progress

CLASSES, PIXELS = 10, 64
EPOCHS, LEARNING_RATE = 20, 0.1  # of training from scratch
HELD_OUT = 300  # validation samples, by which learning rates are chosen
BATCH = 32
RATES = (0.003, 0.01, 0.03, 0.1, 0.3)
REFERENCES = ("original", "retrain", "retrain:again")
SEARCH_SEED = 1000


@dataclass(frozen=True, eq=False)
class Task:
    """Data and network; all models of a task share them and differ by their seed alone.

    Attributes:
        retain: D_r.
        forget: D_f.
        training: D_tr, both of them.
        validation: samples for the choice of learning rates.
        test: D_te.
        hidden: units of each of the two hidden layers.
        config: of training from scratch.
    """

    retain: NamedSamples
    forget: NamedSamples
    training: NamedSamples
    validation: NamedSamples
    test: NamedSamples
    hidden: int
    config: RetrainConfig

    def make_model(self) -> nn.Sequential:
        """The network with fresh weights."""
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(PIXELS, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, CLASSES),
        )

    def problem(self, state: StateDict, retain: NamedSamples | None = None) -> Problem:
        """Unlearning from a model; ``retain`` in place of D_r."""
        return Problem(self.make_model, state, retain or self.retain, self.forget)


def digits_task(train_size: int, fraction: float, hidden: int, seed: int) -> Task:
    """A random ``fraction`` of ``train_size`` digits to forget, drawn from every class alike."""
    bundle = data.load("digits")
    generator = stream(seed, "split")
    labels = bundle.train.labels
    chosen = forget_sets.stratified_sample(labels, train_size, generator)
    rest = forget_sets.complement(len(labels), chosen)
    held = forget_sets.stratified_sample(labels[rest], HELD_OUT, generator)
    split = forget_sets.random_split(labels[chosen], fraction, generator)
    training = bundle.train.take(chosen)
    return Task(
        training.take(split.retain),
        training.take(split.forget),
        training,
        bundle.train.take(rest[held]),
        bundle.test,
        hidden,
        RetrainConfig(lr=LEARNING_RATE, epochs=EPOCHS, batch_size=BATCH, schedule="one-cycle"),
    )


def config_of(label: str, lr: float) -> Config:
    """A method's defaults with the batch size of the task and a learning rate.

    Raises:
        ConfigError: unknown label, or a method without a learning rate.
    """
    method, fixed = split_label(label)
    config = get_method(method).config
    if "lr" not in config.model_fields or method in REFERENCES:
        raise ConfigError(f"{label}: has no learning rate of unlearning to choose")
    return config(**fixed, lr=lr, batch_size=BATCH)


def scratch(task: Task, seed: int, purpose: str) -> StateDict:
    """Weights trained from scratch: on D_tr for ``original``, on D_r for any other purpose."""
    over = task.training if purpose == "original" else task.retain
    generator = stream(seed, purpose)
    return METHODS["retrain"](task.problem({}, over), task.config, generator=generator).state_dict


def unlearned(task: Task, label: str, lr: float, original: StateDict, seed: int) -> StateDict:
    """Weights of a method, from those of the original model of the same seed.

    Raises:
        DivergenceError: they are no longer finite.
    """
    method, _ = split_label(label)
    generator = stream(seed, "unlearn")
    problem = task.problem(original)
    return get_method(method)(problem, config_of(label, lr), generator=generator).state_dict


def logits_of(task: Task, states: Sequence[StateDict], samples: NamedSamples) -> Tensor:
    """Logits of each model, (N, n, K)."""
    execution = task.problem({}).execution
    model = task.make_model()
    return torch.stack(
        [predict(load_weights(model, state), samples, execution).logits for state in states]
    )


def measures(task: Task, state: StateDict, judged: NamedSamples) -> dict[str, Any]:
    """UA, MIA, RA and TA of a model, in percent, with ``judged`` in the place of D_te.

    Raises:
        DivergenceError: finite weights whose logits are not.
    """
    sets = (task.retain, task.forget, judged)
    pairs = [(logits_of(task, [state], samples)[0], samples.labels) for samples in sets]
    if not all(bool(torch.isfinite(logits).all()) for logits, _ in pairs):
        raise DivergenceError("the unlearned model's logits are no longer finite")
    return metrics.report(*pairs).as_dict()


def chosen_rate(task: Task, label: str, rates: Sequence[float] = RATES) -> float:
    """The learning rate with the smallest validation gap to Retrain on one seed.

    Every method has the same number of trials; the seed is none of those that are judged.
    """
    gaps = dict.fromkeys(rates, metrics.NO_SIGNAL_GAP)
    original, retrained = (scratch(task, SEARCH_SEED, kind) for kind in ("original", "retrain"))
    reference = measures(task, retrained, task.validation)
    for lr in rates:
        with contextlib.suppress(DivergenceError):
            state = unlearned(task, label, lr, original, SEARCH_SEED)
            gaps[lr] = metrics.average_gap(measures(task, state, task.validation), reference)
    return min(gaps, key=gaps.__getitem__)


def populations(
    task: Task, rates: Mapping[str, float], count: int, progress: Progress
) -> dict[str, list[StateDict]]:
    """Label → weights of ``count`` models, seeds 0, 1, …: the references, then each method's.

    Args:
        task: data and network.
        rates: label → learning rate of its method.
        count: N.
        progress: of the bar.
    """
    found: dict[str, list[StateDict]] = {label: [] for label in (*REFERENCES, *rates)}
    with progress.bar("", count * len(found), "model") as advance:
        for seed in range(count):
            for label in REFERENCES:
                found[label].append(scratch(task, seed, label))
                advance()
            for label, lr in rates.items():
                state = unlearned(task, label, lr, found["original"][seed], seed)
                found[label].append(state)
                advance()
    return found


def relearning_losses(task: Task, state: StateDict, lr: float, steps: int) -> tuple[float, ...]:
    """Mean loss on D_f before each of ``steps`` steps of plain gradient descent on all of it."""
    size = len(task.forget)
    config = FTConfig(lr=lr, epochs=steps, batch_size=size, momentum=0, weight_decay=0)
    problem = task.problem(state, task.forget)
    return METHODS["ft"](problem, config, generator=stream(0, "relearn")).losses


def features_of(task: Task, state: StateDict, samples: NamedSamples) -> dict[str, Tensor]:
    """Layer → its outputs on the samples, (n, d)."""
    model = load_weights(task.make_model(), state).eval()
    ((values, _),) = samples.batches([torch.arange(len(samples))])
    found = {}
    names = {2: "first layer", 4: "second layer", 5: "logits"}
    with torch.inference_mode():
        for number, layer in enumerate(model.children()):
            values = layer(values)
            if number in names:
                found[names[number]] = values
    return found
