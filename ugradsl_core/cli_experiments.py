"""The commands that compute: ``ugradsl experiment`` and ``ugradsl tune``."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ugradsl_core import parameters, settings
from ugradsl_core.cli_estimate import announce, announce_search
from ugradsl_core.cli_options import (
    Accumulate,
    Amp,
    ChannelsLast,
    Compile,
    DataRoot,
    Device,
    Download,
    Methods,
    Parameters,
    Scale,
    SettingName,
    StoreFolder,
    make_execution,
    pairs,
)
from ugradsl_core.cli_plan import load, read_plan
from ugradsl_core.cli_publish import check_publish
from ugradsl_core.cli_tables import print_summary
from ugradsl_core.errors import ConfigError
from ugradsl_core.plans import read_setting_alone


def experiment(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    methods: Methods = "all",
    seeds: Annotated[str, typer.Option(help="Comma-separated whole numbers.")] = "0",
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    amp: Amp = False,
    compile_model: Compile = False,
    channels_last: ChannelsLast = True,
    accumulate: Accumulate = 1,
    publish: Annotated[
        Path | None, typer.Option(help="Also write all these records to a file.")
    ] = None,
) -> None:
    """Run one setting × methods × seeds into the store; what is there is not run again.

    -p fraction 0.2, -p training.epochs 5 or -p ugradsl.alpha -0.2 change the preset.
    """
    from tqdm import tqdm

    from ugradsl_core import experiments
    from ugradsl_core.store import open_store, write_records

    setting, configs = read_plan(name, scale, methods, pairs(parameter))
    seed_list = parameters.parse_seeds(seeds)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    quiet = not execution.world.is_first
    check_publish(publish, quiet=quiet)
    loaded = load(setting, execution, data_root, download)
    experiments.check_grid(setting, loaded, configs, execution, seed_list)
    opened = open_store(store, execution.world)
    announce(setting, loaded, configs, seed_list, opened, execution)
    with tqdm(
        total=len(configs) * len(seed_list), unit="run", file=sys.stderr, disable=quiet
    ) as bar:
        records = experiments.run_grid(
            setting,
            loaded,
            configs,
            seed_list,
            opened,
            execution,
            progress=bar.set_postfix_str,
            on_record=lambda _: bar.update(),
        )
    if publish is not None and not quiet:
        write_records(publish, records)
    print_summary(records)
    if publish is not None and not quiet:
        print(f"{len(records)} records written to {publish}")


def tune(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    methods: Methods = "all",
    trials: Annotated[int, typer.Option(help="Trials of each method.")] = 8,
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = "auto",
    amp: Amp = False,
    compile_model: Compile = False,
    channels_last: ChannelsLast = True,
    accumulate: Accumulate = 1,
    publish: Annotated[Path | None, typer.Option(help="Also write all trials to a file.")] = None,
    save: Annotated[bool, typer.Option(help="Write the winners into the presets.")] = False,
    incumbent: Annotated[
        bool, typer.Option(help="Try the preset's present values, too, after the trials.")
    ] = False,
) -> None:
    """Search hyperparameters with one budget for all methods, judged on validation data.

    -p dataset folder:PATH or -p training.epochs 5 change the preset's setting.
    """
    from tqdm import tqdm

    from ugradsl_core import experiments, provenance, search
    from ugradsl_core.store import open_store, write_records
    from ugradsl_core.types import Record

    given = pairs(parameter)
    why = "a search chooses the parameters of methods itself"
    setting = read_setting_alone(name, scale, given, why)
    if save and given:
        raise ConfigError(
            f"save: -p {given[0][0]} makes it another setting than the preset, whose winners it "
            "would replace; leave out one of them"
        )
    every = methods == "all"
    labels = list(search.SPACES) if every else parameters.split_list(methods, "methods")
    search.check_search(labels, trials)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    quiet = not execution.world.is_first
    check_publish(publish, quiet=quiet)
    loaded = load(setting, execution, data_root, download)
    firsts = {label: search.first_config(label, setting) for label in labels}
    seeds = (search.SEARCH_SEED,)
    experiments.check_grid(setting, loaded, firsts, execution, seeds, "validation")
    opened = open_store(store, execution.world)
    known = settings.get_preset(name, scale)["methods"] if incumbent else ()
    present = {x: settings.preset_config(x, name, scale) for x in labels if x in known}
    records: list[Record] = []
    announce_search(setting, loaded, labels, trials, execution)
    total = len(labels) * trials + len(present)
    with tqdm(total=total, unit="trial", file=sys.stderr, disable=quiet) as bar:
        for label in labels:
            best, gap, tried = search.search(
                label,
                setting,
                loaded,
                trials,
                opened,
                execution,
                incumbent=present.get(label),
                progress=bar.set_postfix_str,
                on_trial=lambda *_: bar.update(),
            )
            records += tried if not records else tried[1:]
            values = best.model_dump()
            if not quiet:
                bar.write(f"{label}: validation gap {gap:.2f} with {values}", file=sys.stderr)
            if save and not quiet:
                source = {
                    "kind": "search",
                    "trials": len(tried) - 1,
                    "seed": search.SEARCH_SEED,
                    "validation_gap": round(gap, 4),
                    "commit": provenance.commit(),
                }
                settings.store_winner(label, name, scale, values, source)
    if publish is not None and not quiet:
        write_records(publish, records)
