"""The commands that compute: ``ugradsl experiment`` and ``ugradsl tune``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ugradsl_core import parameters, settings
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
from ugradsl_core.cli_tables import print_summary
from ugradsl_core.errors import ConfigError
from ugradsl_core.problems import Data
from ugradsl_core.types import Execution
from ugradsl_core.unlearning import METHODS


def _setting(name: str, scale: str, given: list[tuple[str, str]]) -> tuple[settings.Setting, Any]:
    """The preset's setting with changes, and changes of single methods by label."""
    setting = settings.preset_setting(name, scale).model_dump()
    changes: dict[str, dict[str, Any]] = {}
    for key, text in given:
        head, _, field = key.rpartition(".")
        value = None if text in {"None", "null"} else text
        if head in {"model", "training"}:
            setting[head][field] = value
        elif head:
            settings.split_label(head)
            changes.setdefault(head, {})[field] = value
        else:
            setting[field] = value
    return settings.Setting(**setting), changes


def _labels(text: str, name: str, scale: str) -> list[str]:
    if text != "all":
        return parameters.split_list(text)
    return ["retrain", *settings.get_preset(name, scale)["methods"]]


def load(setting: settings.Setting, execution: Execution, root: str | None, download: bool) -> Data:
    """The setting's data; of several processes the first downloads, before the others read."""
    from ugradsl_core.problems import load_data

    if download and execution.world.size > 1:
        execution.world.from_first(
            lambda: len(load_data(setting, execution, root, download=True).train)
        )
    return load_data(setting, execution, root, download=download)


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

    setting, changes = _setting(name, scale, pairs(parameter))
    labels = _labels(methods, name, scale)
    unused = set(changes) - set(labels)
    if unused:
        raise ConfigError(f"-p {min(unused)}.…: this method is not among --methods")
    configs = {
        label: settings.preset_config(label, name, scale, **changes.get(label, {}))
        for label in labels
    }
    tuned = settings.get_preset(name, scale)["methods"]
    defaulted = [label for label in labels if label not in {"retrain", *tuned}]
    if defaulted:
        print(
            f"{', '.join(defaulted)}: not searched for {name} at {scale} scale; their own defaults "
            "are used",
            file=sys.stderr,
        )
    if "retrain" in configs:
        trained = {**setting.training.model_dump(), **changes.get("retrain", {})}
        configs["retrain"] = METHODS["retrain"].config(**trained)
    seed_list = parameters.parse_seeds(seeds)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    loaded = load(setting, execution, data_root, download)
    opened = open_store(store, execution.world)
    quiet = not execution.world.is_first
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
) -> None:
    """Search hyperparameters with one budget for all methods, judged on validation data."""
    from tqdm import tqdm

    from ugradsl_core import provenance, search
    from ugradsl_core.store import open_store, write_records
    from ugradsl_core.types import Record

    setting = settings.preset_setting(name, scale)
    labels = list(search.SPACES) if methods == "all" else parameters.split_list(methods)
    search.check_search(labels, trials)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    loaded = load(setting, execution, data_root, download)
    opened = open_store(store, execution.world)
    records: list[Record] = []
    quiet = not execution.world.is_first
    with tqdm(total=len(labels) * trials, unit="trial", file=sys.stderr, disable=quiet) as bar:
        for label in labels:
            best, gap, tried = search.search(
                label,
                setting,
                loaded,
                trials,
                opened,
                execution,
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
                    "trials": trials,
                    "seed": search.SEARCH_SEED,
                    "validation_gap": round(gap, 4),
                    "commit": provenance.commit(),
                }
                settings.store_winner(label, name, scale, values, source)
    if publish is not None and not quiet:
        write_records(publish, records)
