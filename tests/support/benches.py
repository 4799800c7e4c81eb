"""A setting's bench, for tests that need little of it."""

from pathlib import Path

from companion.experiments.records.store import Store
from companion.experiments.runs.problems import Bench, Data
from companion.experiments.settings.setting import Setting
from toys import CPU
from ugradsl_core.training import Execution

UNUSED = Store(Path("unused"))


def bench_of(
    setting: Setting, data: Data, store: Store = UNUSED, execution: Execution = CPU
) -> Bench:
    """The bench of a setting on the CPU; ``UNUSED`` is no folder, so nothing is stored in it."""
    return Bench(setting, data, store, execution)
