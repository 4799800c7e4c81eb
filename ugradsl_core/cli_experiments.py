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
    print_summary(records)
    if publish is not None and not quiet:
        write_records(publish, records)
        print(f"{len(records)} records written to {publish}")


def tune(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    methods: Methods = "all",
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
) -> None:
    """Search hyperparameters by the protocol: one budget of passes, judged on validation data.

    -p dataset folder:PATH or -p training.epochs 5 change the preset's setting.
    """
    from tqdm import tqdm

    from ugradsl_core import experiments, protocol, search
    from ugradsl_core.store import open_store, write_records

    given = pairs(parameter)
    why = "a search chooses the parameters of methods itself"
    setting = read_setting_alone(name, scale, given, why)
    if save and given:
        raise ConfigError(
            f"save: -p {given[0][0]} makes it another setting than the preset, whose winners it "
            "would replace; leave out one of them"
        )
    every = methods == "all"
    labels = list(protocol.SPACES) if every else parameters.split_list(methods, "methods")
    for label in labels:
        protocol.find_space(label)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    quiet = not execution.world.is_first
    check_publish(publish, quiet=quiet)
    loaded = load(setting, execution, data_root, download)
    search.check_validation(setting, loaded)
    sizes = search.sizes_of(setting, loaded)
    designs = {label: protocol.design(label, setting, sizes) for label in labels}
    firsts = {label: configs[0] for label, configs in designs.items()}
    experiments.check_grid(setting, loaded, firsts, execution, protocol.SEARCH_SEEDS, "validation")
    opened = open_store(store, execution.world)
    announce_search(setting, loaded, designs, execution)
    total = sum(protocol.trials_of(len(configs)) for configs in designs.values())
    with tqdm(total=total, unit="trial", file=sys.stderr, disable=quiet) as bar:
        bench = search.Search(setting, loaded, opened, execution, bar.set_postfix_str, bar.update)
        records = list(bench.references.values())
        for label, configs in designs.items():
            trials = bench.run(label, configs)
            records += trials
            best, gap = protocol.winner(trials, bench.references)
            if not quiet:
                bar.write(f"{label}: validation gap {gap:.2f} with {best.config}", file=sys.stderr)
            if save and not quiet:
                source = protocol.source_of(trials, best, gap)
                settings.store_winner(label, name, scale, dict(best.config), source)
    if publish is not None and not quiet:
        write_records(publish, records)
