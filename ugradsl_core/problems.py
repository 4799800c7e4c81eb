"""A setting and a seed to an unlearning problem: data, split, and the original model."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, nn

from ugradsl_core import data, models, splits
from ugradsl_core.errors import DataError
from ugradsl_core.settings import Setting, digest
from ugradsl_core.store import Store, drop_state, keep_checkpoint, load_state, save_state
from ugradsl_core.training import train
from ugradsl_core.types import Execution, NamedSamples, Problem, Split
from ugradsl_core.unlearning.common import cross_entropy, one_set_plan

Judge = Literal["test", "validation"]
Progress = Callable[[str], None]
SUBSET_SEED = 0


def silent(_: str) -> None:
    """Progress that nobody watches."""


def stream(seed: int, purpose: str) -> Generator:
    """The generator of a purpose under a seed; different purposes are independent."""
    hashed = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(hashed[:7], "big"))


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a setting: the same for all seeds."""

    train: NamedSamples
    validation: NamedSamples
    test: NamedSamples
    checksum: str


def load_data(
    setting: Setting, execution: Execution, root: str | None = None, *, download: bool = False
) -> Data:
    """Load a setting's data set and cut its training subset and validation set.

    Raises:
        DataError: fewer images than the setting asks for.
    """
    bundle = data.load(setting.dataset, root, download=download, device=execution.resolve())
    labels, total = bundle.train.labels, len(bundle.train)
    size = total - setting.validation_size if setting.train_size is None else setting.train_size
    if size < 2 or size + setting.validation_size > total:
        raise DataError(
            f"train_size + validation_size: should be at most {total}, the training images of "
            f"{setting.dataset}; found {size} + {setting.validation_size}"
        )
    if setting.paradigm == "class-wise" and setting.forgotten_class >= bundle.train.num_classes:
        raise DataError(
            f"forgotten_class: should lie in 0…{bundle.train.num_classes - 1}; "
            f"found {setting.forgotten_class}"
        )
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    chosen = splits.stratified_sample(labels, size, generator)
    rest = splits.complement(total, chosen)
    drawn = splits.stratified_sample(labels[rest], setting.validation_size, generator)
    return Data(
        bundle.train.take(chosen),
        bundle.train.take(rest[drawn]),
        bundle.test,
        digest([bundle.train.checksum, bundle.test.checksum]),
    )


def make_split(setting: Setting, train: NamedSamples, seed: int) -> Split:
    """The forget set of a seed."""
    if setting.paradigm == "class-wise":
        return splits.class_split(train.labels, setting.forgotten_class, train.num_classes)
    return splits.random_split(train.labels, setting.fraction, stream(seed, "split"))


def make_model(setting: Setting, train: NamedSamples) -> nn.Module:
    """The setting's backbone with fresh weights."""
    return models.build(
        setting.model,
        num_classes=train.num_classes,
        input_shape=train.input_shape,
        vocabulary=train.vocabulary,
    )


def judged_set(setting: Setting, loaded: Data, judge: Judge) -> NamedSamples:
    """The test or validation set; without the forgotten class in class-wise forgetting."""
    chosen = loaded.test if judge == "test" else loaded.validation
    if len(chosen) == 0:
        raise DataError("validation_size: a search needs validation samples; found 0")
    if setting.paradigm == "class-wise":
        return chosen.take(splits.without_class(chosen.labels, setting.forgotten_class))
    return chosen


def model_key(setting: Setting, loaded: Data, seed: int, kind: str) -> str:
    """The name under which an original or retrained model is stored."""
    identity = setting.identity()
    if kind == "original":
        for field in ("paradigm", "fraction", "forgotten_class"):
            identity.pop(field, None)
    return f"{kind}-{digest([identity, loaded.checksum, seed])}"


def original_state(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Weights of the original model of a seed: from the store, or trained and stored."""
    key = model_key(setting, loaded, seed, "original")
    stored = load_state(store, key)
    if stored is not None:
        return stored[0]
    generator = stream(seed, "original")
    with models.seeded(generator):
        model = make_model(setting, loaded.train)
    model.to(execution.resolve())
    config = setting.training
    plan, steps = one_set_plan(loaded.train, config, generator)

    def report(epoch: int, loss: float) -> None:
        progress(f"original, seed {seed}: epoch {epoch}/{config.epochs}, loss {loss:.3f}")

    unfinished = f"{key}-partial"
    with models.seeded(generator):
        train(
            model,
            plan,
            steps,
            cross_entropy,
            config,
            execution,
            on_epoch=report,
            checkpoint=keep_checkpoint(store, unfinished, [generator]),
        )
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    save_state(store, key, state, {"setting": setting.identity(), "seed": seed})
    drop_state(store, unfinished)
    return state


def make_problem(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> Problem:
    """The unlearning problem of a seed; trains the original model if the store has none."""
    state = original_state(setting, loaded, seed, store, execution, progress)
    split = make_split(setting, loaded.train, seed)
    return Problem(
        make_model=lambda: make_model(setting, loaded.train),
        trained_state=state,
        retain=loaded.train.take(split.retain),
        forget=loaded.train.take(split.forget),
        execution=execution,
    )
