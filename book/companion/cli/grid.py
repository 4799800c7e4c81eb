"""``ugradsl grid`` and the commands of its jobs: ``ugradsl original`` and ``ugradsl merge``."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from companion.cli.options import (
    Accumulate,
    Amp,
    ChannelsLast,
    Compile,
    DataRoot,
    Device,
    Download,
    Parameters,
    Scale,
    Seeds,
    SettingName,
    StoreFolder,
    load,
    make_execution,
    pairs,
)
from companion.cli.targets import check_models, check_records
from companion.experiments.grid.grid import PROFILES, WORKFLOW, read_grid
from companion.experiments.settings import changes
from companion.experiments.settings.changes import read_setting_alone
from ugradsl_core.errors import ConfigError, UGradSLError, unknown_name
from ugradsl_core.training.files import write_text


def original(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
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
        Path | None, typer.Option(help="Also write the names of the models to a file.")
    ] = None,
) -> None:
    """Train the original models of a setting into the store, and nothing else."""
    from tqdm import tqdm

    from companion.experiments.records.store import open_store
    from companion.experiments.runs.run import check_grid

    given = pairs(parameter)
    setting = read_setting_alone(name, scale, given, "an original model has no method")
    seed_list = changes.parse_seeds(seeds)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    check_models(publish)
    bench = load(setting, execution, store, data_root, download)
    check_grid(bench, {}, seed_list)
    open_store(store, execution.world)
    quiet = not execution.world.is_first
    keys = {}
    with tqdm(total=len(seed_list), unit="model", file=sys.stderr, disable=quiet) as bar:
        bench = replace(bench, progress=bar.set_postfix_str)
        for seed in seed_list:
            bench.original(seed)
            keys[str(seed)] = bench.model_key("original", seed)
            bar.update()
    if publish is not None and not quiet:
        write_text(publish, json.dumps({"setting": setting.identity(), "models": keys}) + "\n")


def merge(
    output: Annotated[Path, typer.Argument(help="File of records to write.")],
    files: Annotated[list[Path], typer.Argument(help="Files of records to read.")],
) -> None:
    """Put the records of several files into one, seed by seed."""
    from companion.experiments.records.store import read_records, write_records
    from companion.experiments.records.summary import one_setting
    from companion.experiments.settings.labels import label_of, place_of

    check_records(output, "merge")
    found = {}
    for path in files:
        if not path.exists():
            raise ConfigError(f"merge: {path} does not exist")
        for record in read_records(path):
            found[record.seed, label_of(record.method, dict(record.config))] = record
    keys = sorted(found, key=lambda key: (key[0], place_of(key[1])))
    one_setting([found[key] for key in keys])
    write_records(output, [found[key] for key in keys])


def grid(
    file: Annotated[Path, typer.Argument(help="A YAML file; see book/companion/experiments/grid.")],
    profile: Annotated[str, typer.Option(help="local, slurm, kubernetes, or a folder.")] = "local",
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="Only say what would run.")
    ] = False,
    snakemake: Annotated[
        list[str] | None, typer.Argument(help="Options for Snakemake, after --.")
    ] = None,
) -> None:
    """Run a grid of settings × methods × seeds by Snakemake, here or on a cluster."""
    read_grid(file)
    chosen = Path(profile)
    if profile in PROFILES:
        chosen = WORKFLOW / "profiles" / profile
    elif not chosen.is_dir():
        raise unknown_name("profile", profile, PROFILES)
    if importlib.util.find_spec("snakemake") is None:
        raise ConfigError("grid: needs Snakemake; install ugradsl-core[grid]")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile")]
    command += ["--configfile", str(file), "--profile", str(chosen)]
    command += ["--dry-run"] if dry_run else []
    done = subprocess.run([*command, *(snakemake or [])], check=False)
    if done.returncode:
        raise UGradSLError(f"grid: Snakemake ended with exit code {done.returncode}")
