"""Commands that measure what the theorems say, as records: Figure 6, Label-LDP, the landscape."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from companion.cli.options import (
    DataRoot,
    Device,
    Download,
    Parameters,
    Scale,
    SettingName,
    StoreFolder,
    load,
    pairs,
    to_stderr,
)
from companion.cli.targets import check_publish
from companion.experiments.settings import preset
from companion.experiments.settings.changes import split_list
from ugradsl_core.errors import ConfigError, unknown_name

SmallScale = Annotated[str, typer.Option(help="smoke or bench.")]


def figure6(
    names: Annotated[str, typer.Argument(help="Comma-separated settings, or all.")] = "all",
    scale: SmallScale = "smoke",
    sets: Annotated[
        int | None, typer.Option(help="Forget sets. Default: the setting's number.")
    ] = None,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    publish: Annotated[Path | None, typer.Option(help="Also write the records to a file.")] = None,
) -> None:
    """Figure 6: the inner product of Theorem 2 over forget sets; what is there is not run again."""
    from tqdm import tqdm

    from companion.experiments.records.store import open_store, write_records
    from companion.experiments.theory import figure6

    if sets is not None and sets < 1:
        raise ConfigError(f"sets: should be at least 1; found {sets}")
    chosen = figure6.setting_names(scale) if names == "all" else split_list(names, "names")
    settings = {key: figure6.get_setting(key, scale) for key in chosen}
    numbers = {key: sets or figure6.SETS[scale][key] for key in settings}
    check_publish(publish)
    opened, records = open_store(store), []
    with tqdm(total=sum(numbers.values()), unit="set", file=sys.stderr) as bar:
        for key, config in settings.items():
            bar.set_postfix_str(key)
            original = figure6.original_model(config, data_root)
            for number in range(numbers[key]):
                records.append(
                    figure6.forget_set_record(original, config, key, scale, number, opened)
                )
                bar.update()
    if publish is not None:
        write_records(publish, records)
    for key, config in settings.items():
        own = [record for record in records if record.config["name"] == key]
        for damping in (*config.dampings, None):
            valid, counted = figure6.share_valid(own, damping)
            what = "gradients" if damping is None else f"damping {damping:g} λ_max"
            print(f"{key:18} {what:22} condition holds for {valid} of {counted} forget sets")
    if publish is not None:
        print(f"{len(records)} records written to {publish}")


def label_ldp(
    scale: SmallScale = "smoke",
    store: StoreFolder = Path("store"),
    publish: Annotated[Path | None, typer.Option(help="Also write the records to a file.")] = None,
) -> None:
    """Theorem 3: the privacy of labels, measured over its domain of rates; stops and resumes."""
    from tqdm import tqdm

    from companion.experiments.records.store import open_store, write_records
    from companion.experiments.theory import label_ldp

    if scale not in label_ldp.WIDTHS:
        raise unknown_name("scale of label-ldp", scale, label_ldp.WIDTHS)
    check_publish(publish)
    opened = open_store(store)
    records = [
        label_ldp.label_ldp_record(config, seed, scale, opened)
        for config, seed in tqdm(label_ldp.settings(scale), unit="record", file=sys.stderr)
    ]
    if publish is not None:
        write_records(publish, records)
    for name, grid in label_ldp.means(records).items():
        print(f"{name}: " + ", ".join(f"ε {e:.2f} at α {a:.2f}" for a, e in grid.items()))
    if publish is not None:
        print(f"{len(records)} records written to {publish}")


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
    from companion.experiments.records.store import open_store, write_records
    from companion.experiments.theory.landscape import LandscapeConfig, landscape_record
    from ugradsl_core.training import Execution

    given = {key: None if text == "None" else text for key, text in pairs(parameter)}
    config = LandscapeConfig(**given)
    setting = preset.preset_setting(name, scale)
    execution = Execution(device=device)
    check_publish(publish)
    bench = load(setting, execution, store, data_root, download)
    open_store(store)
    retrain = preset.preset_config("retrain", name, scale)
    record = landscape_record(replace(bench, progress=to_stderr), retrain, config, seed)
    if publish is not None:
        write_records(publish, [record])
    values = record.metrics["spectra"][0]["values"]
    print(
        f"loss {record.metrics['loss']:.4g} on {record.metrics['samples']} retained samples; "
        f"eigenvalues from {values[0]:.4g} to {values[-1]:.4g}"
    )
    if publish is not None:
        print(f"record written to {publish}")
