"""A search by the protocol on one machine, for a setting of any kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from companion.experiments.records import provenance
from companion.experiments.records.record import Record
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.runs import protocol
from companion.experiments.runs.problems import Bench
from companion.experiments.runs.run import run_one
from ugradsl_core.config import Config
from ugradsl_core.methods import get_method


def sizes_of(bench: Bench) -> protocol.Sizes:
    """What the cost of a method depends on: the sets of the first search seed."""
    retain, forget = bench.split(protocol.SEARCH_SEEDS[0])
    return protocol.Sizes(len(retain), len(forget), retain.num_classes)


@dataclass(frozen=True, eq=False)
class Search:
    """The trials of a setting's methods.

    Attributes:
        bench: of the setting; its test set is never read.
        on_trial: called after each trial.
    """

    bench: Bench
    on_trial: Callable[[], Any] = lambda: None

    def _trial(self, label: str, config: Config, seed: int) -> Record:
        return run_one(self.bench, label, config, seed, judge="validation", protocol=PROTOCOL)

    @cached_property
    def references(self) -> dict[int, Record]:
        """Retrain's trial of each search seed."""
        provenance.commit()  # now, as the code that runs is the code of now
        config = get_method("retrain").config(**self.bench.setting.training.model_dump())
        return {seed: self._trial("retrain", config, seed) for seed in protocol.SEARCH_SEEDS}

    def run(self, label: str, configs: Sequence[Config]) -> list[Record]:
        """The trials of a method: its design on the first seed, its best six on the others."""

        def run(config: Config, seed: int) -> Record:
            record = self._trial(label, config, seed)
            self.on_trial()
            return record

        return protocol.search(configs, self.references, run)
