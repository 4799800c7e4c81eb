"""The command ``ugradsl figure6``: Theorem 2's condition over many forget sets, as records."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ugradsl_core.cli_options import DataRoot, Scale, StoreFolder
from ugradsl_core.cli_publish import check_publish
from ugradsl_core.errors import ConfigError
from ugradsl_core.parameters import split_list


def figure6(
    names: Annotated[str, typer.Argument(help="Comma-separated settings, or all.")] = "all",
    scale: Scale = "smoke",
    sets: Annotated[
        int | None, typer.Option(help="Forget sets. Default: the setting's number.")
    ] = None,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    publish: Annotated[Path | None, typer.Option(help="Also write the records to a file.")] = None,
) -> None:
    """Figure 6: the inner product of Theorem 2 over forget sets; what is there is not run again."""
    from tqdm import tqdm

    from ugradsl_core import figure6
    from ugradsl_core.store import open_store, write_records

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
