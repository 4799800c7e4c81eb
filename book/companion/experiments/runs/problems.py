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
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import DATA_OPTIONS, Setting, digest
from ugradsl_core.config import Config
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


@dataclass(frozen=True, eq=False)
class Bench:
    """What every run in a setting has in common.

    Attributes:
        setting: what is learnt and forgotten.
        data: its data.
        store: of models and records; it need not be open where nothing is read or computed.
        execution: device and switches.
        progress: told what is running.
    """

    setting: Setting
    data: Data
    store: Store
    execution: Execution
    progress: Progress = silent

    def of_seed(self, seed: int) -> "Bench":
        """The same with the data that a seed has."""
        return replace(self, data=self.data.of_seed(seed))

    def make_model(self) -> nn.Module:
        """The setting's backbone with fresh weights."""
        train = self.data.train
        return backbones.build(
            self.setting.model,
            num_classes=train.num_classes,
            input_shape=train.input_shape,
            vocabulary=train.vocabulary,
        )

    def split(self, seed: int) -> tuple[NamedSamples, NamedSamples]:
        """D_r and D_f of a seed.

        Raises:
            ConfigError: no such group.
            DataError: no such class, or one of the two would be empty.
        """
        data = self.data.of_seed(seed)
        split = self.setting.split(data.train, seed, data.rows)
        return data.train.take(split.retain), data.train.take(split.forget)

    def judged(self, judge: Judge) -> NamedSamples:
        """The test or validation set; without the forgotten class in class-wise forgetting.

        Raises:
            DataError: there are no validation samples.
        """
        chosen = self.data.test if judge == "test" else self.data.validation
        if len(chosen) == 0:
            raise DataError("validation_size: a search needs validation samples; found 0")
        rows = self.setting.forget.judged(chosen.labels)
        return chosen if rows is None else chosen.take(rows)

    def model_key(self, kind: str, seed: int) -> str:
        """The name under which an original or retrained model is stored.

        An original model does not know what will be forgotten, unless D_tr was drawn with regard
        to it.
        """
        setting, identity = self.setting, self.setting.identity()
        if kind == "original":
            forget = setting.forget
            for field in ("paradigm", *forget.identity()):
                del identity[field]
            part = setting.train_size is not None or setting.validation_size > 0
            if part and forget.subset is not None:
                identity["subset"] = forget.subset
        switches = self.execution.identity()
        parts = [identity, self.data.checksum, seed, *([switches] if switches else [])]
        return f"{kind}-{digest(parts)}"

    def retrained_key(self, config: Config, seed: int) -> str:
        """The name under which the model that Retrain makes by ``config`` is stored."""
        return f"{self.model_key('retrain', seed)}-{digest(config.key_fields())}"

    def record_key(
        self, label: str, config: Config, seed: int, judge: Judge = "test", protocol: str = ""
    ) -> str:
        """The name under which a record is stored: a hash of all that determines it."""
        what = [self.setting.identity(), self.data.checksum, split_label(label)[0]]
        more = [part for part in (self.execution.identity(), protocol) if part]
        return digest([*what, config.key_fields(), seed, judge, *more])

    def original(self, seed: int) -> dict[str, Tensor]:
        """Weights of the original model of a seed: from the store, or trained and stored."""
        key = self.model_key("original", seed)
        stored = load_state(self.store, key)
        if stored is not None:
            return stored[0]
        bench, generator = self.of_seed(seed), stream(seed, "original")
        with seeded(generator):
            model = bench.make_model()
        model.to(self.execution.resolve())
        config = self.setting.training
        plan, steps = one_set_plan(bench.data.train, config, generator)

        def report(epoch: int, loss: float) -> None:
            self.progress(f"original, seed {seed}: epoch {epoch}/{config.epochs}, loss {loss:.3f}")

        unfinished = f"{key}-partial"
        with seeded(generator):
            train(
                model,
                plan,
                steps,
                cross_entropy,
                config,
                self.execution,
                on_epoch=report,
                checkpoint=keep_checkpoint(self.store, unfinished, [generator]),
            )
        state = {name: value.cpu() for name, value in model.state_dict().items()}
        facts = {"setting": self.setting.identity(), "seed": seed}
        save_state(self.store, key, state, facts)
        drop_state(self.store, unfinished)
        return state

    def problem(self, seed: int) -> Problem:
        """The unlearning problem of a seed; trains the original model if the store has none."""
        bench = self.of_seed(seed)
        state = bench.original(seed)
        retain, forget = bench.split(seed)
        return Problem(bench.make_model, state, retain, forget, execution=self.execution)
