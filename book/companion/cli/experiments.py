"""The commands that compute: ``ugradsl experiment`` and ``ugradsl tune``."""

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from companion.cli.estimate import announce, announce_search
from companion.cli.options import (
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
    Seeds,
    SettingName,
    StoreFolder,
    load,
    make_execution,
    pairs,
    read_plan,
    to_stderr,
)
from companion.cli.printing import print_summary
from companion.cli.targets import check_publish
from companion.experiments.settings import changes, preset
from companion.experiments.settings.changes import read_setting_alone, split_list
from ugradsl_core.errors import ConfigError
from ugradsl_core.metrics import GAP_METRICS


def experiment(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    methods: Methods = "all",
    seeds: Seeds = "0",
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

    from companion.experiments.records.store import open_store, write_records
    from companion.experiments.runs import run

    plan = read_plan(name, scale, methods, pairs(parameter))
    seed_list = changes.parse_seeds(seeds)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    quiet = not execution.world.is_first
    check_publish(publish, quiet=quiet)
    bench = load(plan.setting, execution, store, data_root, download)
    run.check_grid(bench, plan.configs, seed_list)
    open_store(store, execution.world)
    announce(bench, plan.configs, seed_list)
    total = len(plan.configs) * len(seed_list)
    with tqdm(total=total, unit="run", file=sys.stderr, disable=quiet) as bar:
        records = run.run_grid(
            replace(bench, progress=bar.set_postfix_str),
            plan.configs,
            seed_list,
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

    from companion.experiments.records.store import open_store, write_records
    from companion.experiments.runs import protocol, run, search

    given = pairs(parameter)
    why = "a search chooses the parameters of methods itself"
    setting = read_setting_alone(name, scale, given, why)
    if save and given:
        raise ConfigError(
            f"save: -p {given[0][0]} makes it another setting than the preset, whose winners it "
            "would replace; leave out one of them"
        )
    every = methods == "all"
    labels = list(protocol.SPACES) if every else changes.split_list(methods, "methods")
    for label in labels:
        protocol.find_space(label)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    quiet = not execution.world.is_first
    check_publish(publish, quiet=quiet)
    bench = load(setting, execution, store, data_root, download)
    bench.judged("validation")
    sizes = search.sizes_of(bench)
    designs = {label: protocol.design(label, setting, sizes) for label in labels}
    firsts = {label: configs[0] for label, configs in designs.items()}
    run.check_grid(bench, firsts, protocol.SEARCH_SEEDS, "validation")
    open_store(store, execution.world)
    announce_search(bench, designs)
    total = sum(protocol.trials_of(len(configs)) for configs in designs.values())
    with tqdm(total=total, unit="trial", file=sys.stderr, disable=quiet) as bar:
        told = replace(bench, progress=bar.set_postfix_str)
        tried = search.Search(told, on_trial=bar.update)
        records = list(tried.references.values())
        for label, configs in designs.items():
            trials = tried.run(label, configs)
            records += trials
            best, gap = protocol.winner(trials, tried.references)
            if not quiet:
                bar.write(f"{label}: validation gap {gap:.2f} with {best.config}", file=sys.stderr)
            if save and not quiet:
                source = protocol.source_of(trials, best, gap)
                preset.store_winner(label, name, scale, dict(best.config), source)
    if publish is not None and not quiet:
        write_records(publish, records)


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
    from companion.experiments.records.store import open_store
    from companion.experiments.runs import regime as regimes
    from companion.experiments.runs.run import check_grid
    from ugradsl_core.training import Execution

    given = pairs(parameter)
    if given and publish is not None:
        raise ConfigError(
            f"publish: -p {given[0][0]} makes it another setting than the preset, beside which "
            "it would be published; leave out one of them"
        )
    chosen = list(preset.load_presets(scale)) if names == "all" else split_list(names, "names")
    why = "both models are trained as the setting is; name training.… instead"
    found = {name: read_setting_alone(name, scale, given, why) for name in chosen}
    execution = Execution(device=device)
    check_publish(publish, added_to=regimes.KIND)
    for setting in found.values():  # all of them first: the last one's data may be missing
        bench = load(setting, execution, store, data_root, download)
        check_grid(bench, {}, [seed])
    open_store(store)
    width = max(map(len, chosen))
    print(f"{'':{width}}  model     " + "".join(f"{metric:>11}" for metric in GAP_METRICS))
    for name, setting in found.items():
        if len(found) > 1:
            bench = load(setting, execution, store, data_root, download=False)
        record = regimes.regime_record(replace(bench, progress=to_stderr), seed)
        if publish is not None:
            regimes.publish(publish, record)
        for model, metrics in (
            ("original", regimes.original_metrics(record)),
            ("Retrain", record.metrics),
        ):
            cells = "".join(f"{_cell(metrics, m):>11}" for m in GAP_METRICS)
            print(f"{name:{width}}  {model:10}{cells}")
    if publish is not None:
        print(f"{len(found)} records written to {publish}")


def _cell(metrics: Mapping[str, float], name: str) -> str:
    """A metric; a dash where the run diverged, and ``no signal`` where its attack has none."""
    value = metrics.get(name)
    if value is None:
        return "–"
    return "no signal" if math.isnan(value) else f"{value:.2f}"
