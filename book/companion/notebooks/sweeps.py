"""The live sweep of a notebook: every method with every value of a grid, to records."""

import itertools
from collections.abc import Mapping, Sequence

from companion.experiments.records.record import Record
from companion.experiments.records.store import open_store
from companion.experiments.records.summary import record_label
from companion.experiments.records.sweeps import OF_SETTINGS, REFERENCES, text_of, value_of
from companion.experiments.runs import run as experiments
from companion.experiments.runs.problems import Bench
from companion.experiments.settings.changes import parse_seeds
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.setting import Setting, digest
from companion.notebooks import live
from companion.notebooks.parameters import Sweep, Value
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError

Grid = Mapping[str, Sequence[Value]]


def runs_of(parameters: Sweep, grid: Grid) -> list[tuple[Setting, str, Config]]:
    """Every setting, label and config of a sweep, each once; references are not varied.

    Raises:
        ConfigError: an empty grid, or a value that breaks its rule.
    """
    empty = [name for name, values in grid.items() if not values]
    if empty or not grid:
        raise ConfigError(f"grid: should have a value for {' and '.join(empty) or 'a parameter'}")
    plan = live.plan_of(parameters)
    found: list[tuple[Setting, str, Config]] = []
    for values in itertools.product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        here = plan.setting.replace(**{n: v for n, v in chosen.items() if n in OF_SETTINGS})
        own = {name: value for name, value in chosen.items() if name not in OF_SETTINGS}
        for label, config in plan.configs.items():
            each = (here, label, config if label in REFERENCES else config.replace(**own))
            found += [] if each in found else [each]
    return found


def run(parameters: Sweep, *grids: Grid, verbose: bool = True) -> list[list[Record]]:
    """Records of each sweep, seed by seed; what two of them share runs once.

    Args:
        parameters: of the notebook.
        grids: parameter → values, one mapping for each sweep.
        verbose: print a line for each run as it ends.

    Raises:
        ConfigError: see :func:`runs_of`.
        DataError: data that cannot be had, or an empty forget set.
    """
    plans, seeds = [runs_of(parameters, grid) for grid in grids], parse_seeds(parameters.seeds)
    with live.store_folder(parameters.store) as folder:
        benches: dict[str, Bench] = {}
        for setting, label, config in itertools.chain(*plans):
            place = digest(setting.identity())
            if place not in benches:
                benches[place] = live.load_bench(setting, folder, parameters.data_root)
            experiments.check_grid(benches[place], {label: config}, seeds)
        open_store(folder)
        for setting, label, config in itertools.chain(*plans):
            if label in REFERENCES:
                live.train_once(benches[digest(setting.identity())], {label: config}, seeds)
        found: list[list[Record]] = []
        for grid, runs in zip(grids, plans, strict=True):
            records: list[Record] = []
            for seed, (setting, label, config) in itertools.product(seeds, runs):
                bench, warm = benches[digest(setting.identity())], bool(found or records)
                record = experiments.run_one(bench, label, config, seed, warm=warm)
                records.append(record)
                if verbose:
                    print(_line(record, list(grid), len(records), len(runs) * len(seeds)))
            found.append(records)
    return found


def _line(record: Record, names: Sequence[str], done: int, total: int) -> str:
    own = record_label(record)
    found = [value_of(record, name) for name in names]
    values = "" if own in REFERENCES and None in found else text_of(found, names)
    return (
        f"{done:4}/{total}  {title_of(own):29} {values:32} seed {record.seed}  {record.status}  "
        f"{record.seconds:.1f} s"
    )
