"""Load data, train the original model, and make the unlearning problem of a seed."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from companion import backbones
from companion.experiments import data
from companion.experiments.data.images import NamedSamples
from companion.experiments.records.store import (
    Store,
    drop_state,
    keep_checkpoint,
    load_state,
    save_state,
)
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import DATA_OPTIONS, Setting, digest
from ugradsl_core.errors import DataError
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.methods.problem import Problem
from ugradsl_core.models import seeded
from ugradsl_core.training import Execution, train

Judge = Literal["test", "validation"]
Progress = Callable[[str], None]
SUBSET_SEED = 0


def silent(_: str) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a setting: the same for all seeds, unless the setting draws them anew.

    Attributes:
        train: D_tr.
        validation: training samples outside D_tr.
        test: D_te.
        checksum: of the data set.
        rows: which training samples of the data set are D_tr, sorted, int64, (N,).
        redraw: the data of a seed, for a setting that draws them anew; None keeps these for all.
    """

    train: NamedSamples
    validation: NamedSamples
    test: NamedSamples
    checksum: str
    rows: Tensor
    redraw: Callable[[int], "Data"] | None = None

    def of_seed(self, seed: int) -> "Data":
        """The data that a seed has."""
        return self if self.redraw is None else self.redraw(seed)


def load_data(
    setting: Setting, execution: Execution, root: str | None = None, *, download: bool = False
) -> Data:
    """Load a setting's data set and cut its training subset and validation set.

    Raises:
        ConfigError: unknown group, or an option that the data set does not know.
        DataError: fewer samples than the setting asks for, no groups, or a wrong index file.
    """
    options = {name: getattr(setting, name) for name in DATA_OPTIONS}
    device = execution.resolve()
    bundle = data.load(setting.dataset, root, download=download, device=device, **options)
    size = training_size(setting, len(bundle.train))
    setting.forget.check(bundle.train, setting.dataset)
    checksum = digest([bundle.train.checksum, bundle.test.checksum])

    def draw(generator: Generator) -> Data:
        chosen, held = setting.forget.draw(bundle.train, size, setting.validation_size, generator)
        return Data(
            bundle.train.take(chosen), bundle.train.take(held), bundle.test, checksum, chosen
        )

    fixed = draw(torch.Generator().manual_seed(SUBSET_SEED))
    if not setting.resample:
        return fixed
    return replace(fixed, redraw=lambda seed: draw(stream(seed, "subset")))


def training_size(setting: Setting, total: int) -> int:
    """The samples of D_tr, of ``total`` training samples.

    Raises:
        DataError: the data set has fewer than the setting asks for.
    """
    size = total - setting.validation_size if setting.train_size is None else setting.train_size
    if size < 2 or size + setting.validation_size > total:
        raise DataError(
            f"train_size + validation_size: should be at most {total}, the training images of "
            f"{setting.dataset}; found {size} + {setting.validation_size}"
        )
    return size


def make_model(setting: Setting, train: NamedSamples) -> nn.Module:
    """The setting's backbone with fresh weights."""
    return backbones.build(
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
    rows = setting.forget.judged(chosen.labels)
    return chosen if rows is None else chosen.take(rows)


def model_key(
    setting: Setting,
    loaded: Data,
    seed: int,
    kind: str,
    execution: Execution | None = None,
) -> str:
    """The name under which an original or retrained model is stored.

    An original model does not know what will be forgotten, unless D_tr was drawn with regard to
    it.
    """
    identity = setting.identity()
    if kind == "original":
        forget = setting.forget
        for field in ("paradigm", *forget.identity()):
            del identity[field]
        part = setting.train_size is not None or setting.validation_size > 0
        if part and forget.subset is not None:
            identity["subset"] = forget.subset
    switches = execution.identity() if execution else {}
    return f"{kind}-{digest([identity, loaded.checksum, seed, *([switches] if switches else [])])}"


def original_state(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> dict[str, torch.Tensor]:
    """Weights of the original model of a seed: from the store, or trained and stored."""
    loaded = loaded.of_seed(seed)
    key = model_key(setting, loaded, seed, "original", execution)
    stored = load_state(store, key)
    if stored is not None:
        return stored[0]
    generator = stream(seed, "original")
    with seeded(generator):
        model = make_model(setting, loaded.train)
    model.to(execution.resolve())
    config = setting.training
    plan, steps = one_set_plan(loaded.train, config, generator)

    def report(epoch: int, loss: float) -> None:
        progress(f"original, seed {seed}: epoch {epoch}/{config.epochs}, loss {loss:.3f}")

    unfinished = f"{key}-partial"
    with seeded(generator):
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
    loaded = loaded.of_seed(seed)
    state = original_state(setting, loaded, seed, store, execution, progress)
    split = setting.split(loaded.train, seed, loaded.rows)
    return Problem(
        make_model=lambda: make_model(setting, loaded.train),
        trained_state=state,
        retain=loaded.train.take(split.retain),
        forget=loaded.train.take(split.forget),
        execution=execution,
    )
