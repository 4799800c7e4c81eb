"""A search by the protocol on one machine, for a setting of any kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from companion.experiments.records import provenance
from companion.experiments.records.record import Record
from companion.experiments.records.store import Store
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.runs import protocol
from companion.experiments.runs.problems import Data, Progress, judged_set, silent
from companion.experiments.runs.run import run_one
from companion.experiments.settings.setting import Setting
from ugradsl_core.config import Config
from ugradsl_core.methods import get_method
from ugradsl_core.training import Execution


def check_validation(setting: Setting, loaded: Data) -> None:
    """Raise DataError where a setting has no validation samples to judge by."""
    judged_set(setting, loaded, "validation")


def sizes_of(setting: Setting, loaded: Data) -> protocol.Sizes:
    """What the cost of a method depends on: the sets of the first search seed."""
    seed = protocol.SEARCH_SEEDS[0]
    drawn = loaded.of_seed(seed)
    split = setting.split(drawn.train, seed, drawn.rows)
    return protocol.Sizes(len(split.retain), len(split.forget), drawn.train.num_classes)


@dataclass(frozen=True, eq=False)
class Search:
    """What all trials of a setting share.

    Attributes:
        setting: that is searched.
        loaded: its data; the test set is never read.
        store: of models and trials.
        execution: switches.
        progress: told what is running.
        on_trial: called after each trial.
    """

    setting: Setting
    loaded: Data
    store: Store
    execution: Execution
    progress: Progress = silent
    on_trial: Callable[[], Any] = lambda: None

    def _trial(self, label: str, config: Config, seed: int) -> Record:
        return run_one(
            self.setting, self.loaded, label, config, seed, self.store, self.execution,
            judge="validation", progress=self.progress, protocol=PROTOCOL,
        )  # fmt: skip

    @cached_property
    def references(self) -> dict[int, Record]:
        """Retrain's trial of each search seed."""
        provenance.commit()  # now, as the code that runs is the code of now
        config = get_method("retrain").config(**self.setting.training.model_dump())
        return {seed: self._trial("retrain", config, seed) for seed in protocol.SEARCH_SEEDS}

    def run(self, label: str, configs: Sequence[Config]) -> list[Record]:
        """The trials of a method: its design on the first seed, its best six on the others."""

        def run(config: Config, seed: int) -> Record:
            record = self._trial(label, config, seed)
            self.on_trial()
            return record

        return protocol.search(configs, self.references, run)
