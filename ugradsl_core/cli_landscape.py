"""The command ``ugradsl landscape``: Figure 7 of a preset, as a record."""

import sys
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
    SettingName,
    StoreFolder,
    pairs,
)
from ugradsl_core.cli_publish import check_publish


def landscape(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the model and of the directions.")] = 0,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    publish: Annotated[Path | None, typer.Option(help="Also write the record to a file.")] = None,
) -> None:
    """The loss around the retrained model and its Hessian's spectrum; stops and resumes.

    -p points 31 or -p samples None change what is computed.
    """
    from ugradsl_core import experiments
    from ugradsl_core.landscape_records import LandscapeConfig, landscape_record
    from ugradsl_core.store import open_store, write_records
    from ugradsl_core.types import Execution

    given = {key: None if text == "None" else text for key, text in pairs(parameter)}
    config = LandscapeConfig(**given)
    setting = settings.preset_setting(name, scale)
    execution = Execution(device=device)
    check_publish(publish)
    loaded = experiments.load_data(setting, execution, data_root, download=download)
    record = landscape_record(
        setting,
        loaded,
        settings.preset_config("retrain", name, scale),
        config,
        seed,
        open_store(store),
        execution,
        lambda text: print(text, file=sys.stderr),
    )
    if publish is not None:
        write_records(publish, [record])
    values = record.metrics["spectra"][0]["values"]
    print(
        f"loss {record.metrics['loss']:.4g} on {record.metrics['samples']} retained samples; "
        f"eigenvalues from {values[0]:.4g} to {values[-1]:.4g}"
    )
    if publish is not None:
        print(f"record written to {publish}")
