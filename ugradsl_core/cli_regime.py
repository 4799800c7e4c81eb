"""The command ``ugradsl regime``: original and retrained models of reduced settings."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ugradsl_core import settings
from ugradsl_core.cli_options import DataRoot, Device, Download, Scale, StoreFolder
from ugradsl_core.parameters import split_list

METRICS = ("UA", "MIA", "RA", "TA")


def regime(
    names: Annotated[str, typer.Argument(help="Comma-separated presets, or all.")],
    scale: Scale = "bench",
    seed: Annotated[int, typer.Option(min=0, help="Of forget sets and models.")] = 0,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    publish: Annotated[Path | None, typer.Option(help="Add the records to this file.")] = None,
) -> None:
    """Train the original and the retrained model of settings and judge both; stops and resumes."""
    from ugradsl_core import regime as regimes
    from ugradsl_core.problems import load_data
    from ugradsl_core.store import open_store
    from ugradsl_core.types import Execution

    presets = settings.load_presets(scale)
    chosen = list(presets) if names == "all" else split_list(names, "names")
    found = {name: settings.preset_setting(name, scale) for name in chosen}
    execution, opened = Execution(device=device), open_store(store)
    width = max(map(len, chosen))
    print(f"{'':{width}}  model     " + "".join(f"{metric:>8}" for metric in METRICS))
    for name, setting in found.items():
        loaded = load_data(setting, execution, data_root, download=download)
        record = regimes.regime_record(
            setting, loaded, seed, opened, execution, lambda text: print(text, file=sys.stderr)
        )
        for model, metrics in (
            ("original", regimes.original_metrics(record)),
            ("Retrain", record.metrics),
        ):
            cells = "".join(f"{metrics.get(m, float('nan')):8.2f}" for m in METRICS)
            print(f"{name:{width}}  {model:10}{cells}")
        if publish is not None:
            regimes.publish(publish, record)
    if publish is not None:
        print(f"{len(found)} records written to {publish}")
