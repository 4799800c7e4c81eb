"""The command ``ugradsl regime``: original and retrained models of reduced settings."""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from ugradsl_core import settings
from ugradsl_core.cli_options import (
    DataRoot,
    Device,
    Download,
    Parameters,
    Scale,
    StoreFolder,
    pairs,
)
from ugradsl_core.cli_publish import check_publish
from ugradsl_core.errors import ConfigError
from ugradsl_core.parameters import split_list
from ugradsl_core.plans import read_setting_alone

METRICS = ("UA", "MIA", "RA", "TA")


def regime(
    names: Annotated[str, typer.Argument(help="Comma-separated presets, or all.")],
    scale: Scale = "bench",
    parameter: Parameters = None,
    seed: Annotated[int, typer.Option(min=0, help="Of forget sets and models.")] = 0,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    publish: Annotated[Path | None, typer.Option(help="Add the records to this file.")] = None,
) -> None:
    """Train the original and the retrained model of settings and judge both; stops and resumes.

    -p training.epochs 5 or -p dataset folder:PATH change all these settings.
    """
    from ugradsl_core import regime as regimes
    from ugradsl_core.experiments import check_grid
    from ugradsl_core.problems import load_data
    from ugradsl_core.store import open_store
    from ugradsl_core.types import Execution

    given = pairs(parameter)
    if given and publish is not None:
        raise ConfigError(
            f"publish: -p {given[0][0]} makes it another setting than the preset, beside which "
            "it would be published; leave out one of them"
        )
    chosen = list(settings.load_presets(scale)) if names == "all" else split_list(names, "names")
    why = "both models are trained as the setting is; name training.… instead"
    found = {name: read_setting_alone(name, scale, given, why) for name in chosen}
    execution = Execution(device=device)
    check_publish(publish, added_to=regimes.KIND)
    for setting in found.values():  # all of them first: the last one's data may be missing
        loaded = load_data(setting, execution, data_root, download=download)
        check_grid(setting, loaded, {}, execution, [seed])
    opened = open_store(store)
    width = max(map(len, chosen))
    print(f"{'':{width}}  model     " + "".join(f"{metric:>11}" for metric in METRICS))
    for name, setting in found.items():
        if len(found) > 1:
            loaded = load_data(setting, execution, data_root)
        record = regimes.regime_record(
            setting, loaded, seed, opened, execution, lambda text: print(text, file=sys.stderr)
        )
        if publish is not None:
            regimes.publish(publish, record)
        for model, metrics in (
            ("original", regimes.original_metrics(record)),
            ("Retrain", record.metrics),
        ):
            cells = "".join(f"{_cell(metrics, m):>11}" for m in METRICS)
            print(f"{name:{width}}  {model:10}{cells}")
    if publish is not None:
        print(f"{len(found)} records written to {publish}")


def _cell(metrics: Mapping[str, float], name: str) -> str:
    """A metric; a dash where the run diverged, and ``no signal`` where its attack has none."""
    value = metrics.get(name)
    if value is None:
        return "–"
    return "no signal" if math.isnan(value) else f"{value:.2f}"
