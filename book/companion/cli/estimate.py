"""``ugradsl estimate``, and the line that says how long a long run will take."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from companion.cli.options import (
    Accumulate,
    Amp,
    AsJson,
    ChannelsLast,
    Compile,
    DataRoot,
    Device,
    Methods,
    Parameters,
    Scale,
    Seeds,
    SettingName,
    StoreFolder,
    load,
    make_execution,
    pairs,
    print_json,
    read_plan,
)
from companion.cli.printing import aligned
from companion.experiments.costs.sizes import is_absent, is_to_be_fetched, with_fresh_weights
from companion.experiments.records.store import open_store
from companion.experiments.runs.checks import check_methods, check_model
from companion.experiments.runs.problems import Bench, Judge
from companion.experiments.runs.run import check_grid
from companion.experiments.settings import changes
from companion.experiments.settings.setting import Setting
from ugradsl_core.config import Config
from ugradsl_core.methods import get_method, passes
from ugradsl_core.training import Execution

LONG_SECONDS = 60.0
LONG_FLOPS = 3e12  # below, no machine needs a minute, and nothing is timed
NOT_FETCHED = "not in this machine's Hugging Face cache yet; counted as a model of full size"
HEADERS = ("", "runs", "steps", "forward", "backward", "FLOPs", "trained", "memory", "time")


def in_words(seconds: float) -> str:
    """``40 s``, ``12 min``, ``3 h 20 min`` or ``5 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours / 24:.0f} days"


def _short(number: float, unit: str = "") -> str:
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


def _bytes(number: float) -> str:
    return f"{number / 2**30:.2f} GiB" if number >= 2**29 else f"{number / 2**20:.0f} MiB"


def as_dict(row: Any) -> dict[str, Any]:
    """A row of the estimate as JSON values."""
    run = row.passes
    return {
        "label": row.label,
        "runs": row.runs,
        "steps": run.steps,
        "forward_samples": run.forward,
        "backward_samples": run.backward,
        "at_most": run.at_most,
        "flops": row.flops,
        "trained_parameters": row.parameters,
        "peak_bytes": row.peak,
        "seconds": row.seconds,
    }


def _cells(row: Any) -> tuple[str, ...]:
    run, bound = row.passes, "≤ " if row.passes.at_most else ""
    return (
        row.label,
        str(row.runs),
        str(run.steps),
        bound + _short(run.forward),
        bound + _short(run.backward),
        bound + _short(row.flops),
        _short(row.parameters),
        _bytes(row.peak) if row.peak else "–",
        "–" if row.seconds is None else bound + in_words(row.seconds),
    )


def estimate(
    name: SettingName,
    scale: Scale = "smoke",
    parameter: Parameters = None,
    methods: Methods = "all",
    seeds: Seeds = "0",
    store: StoreFolder = Path("store"),
    data_root: DataRoot = None,
    device: Device = "auto",
    amp: Amp = False,
    compile_model: Compile = False,
    channels_last: ChannelsLast = True,
    accumulate: Accumulate = 1,
    calibrate: Annotated[bool, typer.Option(help="Time a few steps on this machine.")] = True,
    as_json: AsJson = False,
) -> None:
    """Estimate passes, FLOPs, memory and time of an experiment before it starts.

    Needs no data where the sizes of the data set are known. What the store has is not counted.
    """
    from companion.experiments.costs import estimate as costing

    plan = read_plan(name, scale, methods, pairs(parameter))
    setting, configs = plan.setting, plan.configs
    seed_list = changes.parse_seeds(seeds)
    execution = make_execution(device, amp, compile_model, channels_last, accumulate)
    fresh = with_fresh_weights(setting)
    to_fetch = is_to_be_fetched(setting.model)
    if to_fetch:
        print(f"{setting.model.pretrained}: {NOT_FETCHED}", file=sys.stderr)
    checked = fresh if to_fetch else setting
    absent = is_absent(setting.dataset, data_root)
    if absent:
        sizes = costing.known_sizes(setting)
        check_methods(setting, configs, sizes.vocabulary, execution)
        spec = (
            checked.model if sizes.vocabulary is None else fresh.model
        )  # its tokenizer is not read
        check_model(spec, sizes.classes, sizes.shape, sizes.vocabulary)
        each = dict.fromkeys(["original", *configs], len(seed_list))
        runs = {**each, "evaluation": len(configs) * len(seed_list)}
    else:
        bench = load(setting, execution, store, data_root, download=False)
        check_grid(replace(bench, setting=checked), configs, seed_list)
        sizes = costing.loaded_sizes(bench)
        if (store / "store.json").exists():
            open_store(store)
        runs = costing.missing_runs(bench, configs, seed_list)
    speed = _calibrated(fresh, sizes, execution, configs, 10.0) if calibrate else None
    rows = costing.costs(fresh, configs, sizes, execution, speed=speed, runs=runs)
    flops, seconds = costing.total_flops(rows), costing.total_seconds(rows)
    if as_json:
        facts = {
            "setting": setting.identity(),
            "scale": scale,
            "sizes": {**sizes.__dict__, "from_data": not absent},
            "rows": [as_dict(row) for row in rows],
            "total": {"flops": flops, "seconds": seconds},
        }
        print_json(facts)
        return
    print(
        f"{name}, scale {scale}: {sizes.retain} samples to keep, {sizes.forget} to forget, "
        f"{sizes.judged} to judge by" + ("; data not read, store not looked at" if absent else "")
    )
    for line in aligned([HEADERS, *map(_cells, rows)], str.rjust):
        print(line.rstrip())
    total = "" if seconds is None else f", about {in_words(seconds)} on this machine"
    print(f"Together, what is not in the store: {_short(flops, 'FLOP')}{total}.")
    print("Memory is estimated from the model in float32, without libraries and allocator.")


def _calibrated(
    setting: Setting,
    sizes: Any,
    execution: Execution,
    configs: Mapping[str, Config],
    budget: float,
) -> Any:
    """This machine's speed, with a line of progress; the first of several processes says it."""
    from tqdm import tqdm

    from companion.experiments.costs.calibration import calibrate

    counts = (sizes.retain, sizes.forget, sizes.classes)
    fisher = any(passes(config, *counts).single for config in configs.values())
    with tqdm(
        bar_format="{desc}", file=sys.stderr, leave=False, disable=not execution.world.is_first
    ) as bar:

        def progress(what: str) -> None:
            bar.set_description_str(f"Calibration: {what}")

        return calibrate(setting, sizes, execution, budget=budget, fisher=fisher, progress=progress)


def announce(bench: Bench, configs: Mapping[str, Config], seeds: Sequence[int]) -> None:
    """One line on stderr before a run of more than a minute: how long, and for how many runs."""
    from companion.experiments.costs import estimate as costing

    _announce(bench, configs, costing.missing_runs(bench, configs, seeds), "test")


def announce_search(bench: Bench, designs: Mapping[str, Sequence[Config]]) -> None:
    """As :func:`announce`, for a search; every trial is taken to be as long as the dearest one."""
    from companion.experiments.runs.protocol import SEARCH_SEEDS, trials_of

    seeds = len(SEARCH_SEEDS)
    configs: dict[str, Config] = {
        "retrain": get_method("retrain").config(**bench.setting.training.model_dump()),
        **{label: max(tried, key=_epochs) for label, tried in designs.items()},
    }
    runs = {"original": seeds, "retrain": seeds}
    runs |= {label: trials_of(len(tried)) for label, tried in designs.items()}
    runs["evaluation"] = sum(runs.values()) - seeds
    _announce(bench, configs, runs, "validation")


def _epochs(config: Config) -> int:
    return getattr(config, "epochs", 0)


def _announce(
    bench: Bench, configs: Mapping[str, Config], runs: Mapping[str, int], judge: Judge
) -> None:
    from companion.experiments.costs import estimate as costing

    execution, dataset = bench.execution, bench.setting.dataset
    if not any(runs.values()) or not execution.world.is_first:
        return
    sizes = costing.loaded_sizes(bench, judge)
    setting = with_fresh_weights(bench.setting)
    rows = costing.costs(setting, configs, sizes, execution, runs=runs)
    free = costing.free_memory(execution.resolve())
    if free is not None:
        costing.check_memory(dataset, rows, free)
    if costing.total_flops(rows) < LONG_FLOPS:
        return
    speed = _calibrated(setting, sizes, execution, configs, 2.0)
    rows = costing.costs(setting, configs, sizes, execution, speed=speed, runs=runs)
    seconds = costing.total_seconds(rows) or 0.0
    if seconds > LONG_SECONDS:
        number = sum(runs.values()) - runs["evaluation"]
        print(
            f"About {in_words(seconds)} on this machine for {number} runs; it stops and resumes. "
            "`ugradsl estimate` has the details.",
            file=sys.stderr,
        )
