"""Options that several commands share."""

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from companion.experiments.records.store import Store
from companion.experiments.runs.problems import Bench
from companion.experiments.settings import preset
from companion.experiments.settings.changes import Plan, known_preset, make_plan, read_labels
from companion.experiments.settings.setting import Setting, is_retrained
from ugradsl_core.errors import ConfigError
from ugradsl_core.training import Execution
from ugradsl_core.training.processes import join

Seeds = Annotated[str, typer.Option(help="Comma-separated whole numbers.")]
ResultsFolder = Annotated[
    Path,
    typer.Option("--publish", help="Folder of published records; what is there is not run again."),
]
Methods = Annotated[str, typer.Option("--methods", "--method", help="Comma-separated, or all.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
SettingName = Annotated[str, typer.Argument(help="A preset, such as cifar10-random10.")]
Scale = Annotated[str, typer.Option(help="smoke, bench, full or paper.")]
StoreFolder = Annotated[Path, typer.Option("--store", help="Directory of models and records.")]
DataRoot = Annotated[
    str | None, typer.Option("--data-root", help="Directory of the data. Default: $UGRADSL_DATA.")
]
Download = Annotated[bool, typer.Option("--download", help="Fetch missing data.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, … or auto.")]
Amp = Annotated[
    bool, typer.Option("--amp", help="bfloat16 autocast in training; evaluation is in float32.")
]
Compile = Annotated[bool, typer.Option("--compile", help="torch.compile the model.")]
ChannelsLast = Annotated[
    bool, typer.Option("--channels-last/--no-channels-last", help="NHWC memory format of images.")
]
Accumulate = Annotated[
    int, typer.Option(min=1, help="Micro-batches of a step: less memory, the same gradient.")
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--parameter", metavar="NAME VALUE", help="Change a parameter; may be repeated."
    ),
]
OPTIONS = {"-p", "--parameter"}


def make_execution(
    device: str, amp: bool, compile_model: bool, channels_last: bool, accumulate: int
) -> Execution:
    """The execution that the options ask for, in the processes that torchrun started.

    Raises:
        ConfigError: no such device, or no compiler for ``torch.compile``.
    """
    compilers = (os.environ.get("CXX"), shutil.which("g++"), shutil.which("clang++"))
    if compile_model and not any(compilers):
        raise ConfigError("compile: torch.compile needs a C++ compiler; no g++ or clang++ is here")
    world = join(device)
    return Execution(device, amp, compile_model, channels_last, accumulate, world)


def join_pairs(arguments: list[str]) -> list[str]:
    """Turn ``-p NAME VALUE``, as papermill has it, into ``-p NAME=VALUE``."""
    joined, rest = [], list(arguments)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] in OPTIONS and len(rest) >= 2 and "=" not in rest[0]:
            joined.append(f"{rest.pop(0)}={rest.pop(0)}")
    return joined


def pairs(given: list[str] | None) -> list[tuple[str, str]]:
    """Names and values of ``NAME=VALUE``.

    Raises:
        ConfigError: a value is missing.
    """
    found = []
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError("-p: needs a name and a value, as in -p alpha -0.2")
        found.append((name, value))
    return found


def prints_unicode() -> bool:
    """Whether stdout takes every character, so that nothing is replaced by a question mark."""
    return (sys.stdout.encoding or "utf8").lower().replace("-", "") in {"utf8", "utf16", "utf32"}


def to_stderr(text: str) -> None:
    """Progress of a command that prints its results."""
    print(text, file=sys.stderr)


def print_json(value: Any) -> None:
    """Print JSON, with escapes where the console has no Unicode; they mean the same."""
    print(json.dumps(value, indent=2, ensure_ascii=not prints_unicode()))


def load(
    setting: Setting, execution: Execution, store: Path, root: str | None, download: bool
) -> Bench:
    """The setting with its data; of several processes the first downloads, before the others read.

    The store is not opened, so that nothing is written before everything is checked.
    """
    from companion.experiments.runs.problems import load_data

    world = execution.world
    if download and world.size > 1:
        world.from_first(lambda: len(load_data(setting, execution, root, download=True).train))
    data = load_data(setting, execution, root, download=download)
    return Bench(setting, data, Store(store, world), execution)


def read_plan(name: str, scale: str, methods: str, given: list[tuple[str, str]]) -> Plan:
    """The plan that the options ask for.

    Methods whose hyperparameters were not searched are named on stderr.

    Raises:
        ConfigError: an unknown name, or a value that breaks its rule.
    """
    known_preset(name, scale)
    labels = read_labels(methods, name, scale)
    plan = make_plan(name, scale, labels, given)
    tuned = preset.get_preset(name, scale)["methods"]
    defaulted = [x for x in labels if x not in tuned and not is_retrained(x)]
    if defaulted:
        print(
            f"{', '.join(defaulted)}: not searched for {name} at {scale} scale; their own defaults "
            "are used",
            file=sys.stderr,
        )
    return plan
