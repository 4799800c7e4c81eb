"""What an experiment will cost, before it starts: passes, FLOPs, memory and time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from companion.experiments.costs.footprint import Footprint, footprint
from companion.experiments.costs.sizes import Sizes, known_sizes, loaded_sizes
from companion.experiments.records.store import has_record, has_state
from companion.experiments.runs.problems import Bench, Judge
from companion.experiments.settings.setting import Setting, is_retrained
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import Passes, passes
from ugradsl_core.training import Execution

__all__ = [
    "Cost",
    "Sizes",
    "Speed",
    "check_memory",
    "costs",
    "free_memory",
    "known_sizes",
    "loaded_sizes",
    "missing_runs",
    "peak_bytes",
    "total_flops",
    "total_seconds",
]

FLOAT = 4


@dataclass(frozen=True)
class Speed:
    """Seconds of one sample on this machine, by a short calibration.

    Attributes:
        forward: with what the backward pass needs.
        backward: and its part of the optimiser's step.
        evaluate: forward in evaluation mode.
        fisher: one sample's Fisher in FF, all K backward passes of it; None where not measured.
    """

    forward: float
    backward: float
    evaluate: float
    fisher: float | None = None


@dataclass(frozen=True)
class Cost:
    """The cost of one run, and how many are to be done.

    Attributes:
        label: of a method, ``original`` or ``evaluation``.
        passes: samples forward and backward.
        flops: floating-point operations of all passes.
        parameters: trained ones.
        peak: estimated bytes at once on the device of one process; 0 where there is no estimate.
        seconds: of one run; None without a calibration.
        runs: how many the store does not have.
    """

    label: str
    passes: Passes
    flops: int
    parameters: int
    peak: int
    seconds: float | None
    runs: int


def peak_bytes(run: Passes, cost: Footprint, sizes: Sizes, execution: Execution) -> int:
    """Weights, gradient, momentum, further copies, activations, inputs, and the data set.

    4·[P·(1 + copies) + 2·P_trained] + s·A + 4·b·|x| + data, with A the bytes that one sample keeps
    for the backward pass, s the samples of a process that are alive at once (a micro-batch's share)
    and b those of a batch, which every process draws whole. Several processes send their gradients
    in one piece, 4·P_trained more. What the allocator and the libraries keep for themselves comes
    on top; bfloat16 autocast, which stores most activations in two bytes, is not counted on.
    """
    optimiser = (2 + (execution.world.size > 1)) * cost.trained if run.optimiser else 0
    shared = -(-run.alive // (execution.accumulate * execution.world.size))
    each = FLOAT
    for side in sizes.shape:
        each *= side
    weights = FLOAT * (cost.parameters * (1 + run.copies) + optimiser)
    return round(weights + shared * cost.saved + run.alive * each + sizes.stored)


def _seconds(run: Passes, cost: Footprint, whole: Footprint, speed: Speed, processes: int) -> float:
    if run.single and speed.fisher is not None:
        return run.forward * speed.fisher
    share = cost.backward / whole.backward if whole.backward else 1.0
    found = (run.forward + run.dual) * speed.forward + run.backward * speed.backward * share
    return found / processes


def costs(
    setting: Setting,
    configs: Mapping[str, Config],
    sizes: Sizes,
    execution: Execution,
    *,
    speed: Speed | None = None,
    runs: Mapping[str, int] | None = None,
) -> list[Cost]:
    """The cost of the original, of each method, and of the evaluation after it.

    Args:
        setting: what is learnt and forgotten.
        configs: of the methods, by label.
        sizes: of the data.
        execution: switches.
        speed: of this machine.
        runs: how many are to be done, by label; one each without it.
    """
    spec = (setting.model, sizes.classes, sizes.shape, sizes.vocabulary)
    whole = footprint(*spec)
    shallow: dict[int | None, Footprint] = {None: whole}
    n_r, n_f = sizes.retain, sizes.forget
    looked_at = n_r + n_f + sizes.judged
    evaluation = Passes(0, looked_at, 0, 0, optimiser=False)
    todo = {"original": setting.training.epochs_over(n_r + n_f)}
    todo |= {label: passes(config, n_r, n_f, sizes.classes) for label, config in configs.items()}
    todo["evaluation"] = evaluation
    rows = []
    for label, run in todo.items():
        if run.layers not in shallow:
            shallow[run.layers] = footprint(*spec, layers=run.layers)
        cost = shallow[run.layers]
        count = (runs or {}).get(label, 0 if label == "evaluation" else 1)
        if runs is None and label == "evaluation":
            count = len(configs)
        seconds = None
        if speed is not None:
            seconds = _seconds(run, cost, whole, speed, execution.world.size)
            if label == "evaluation":
                seconds = looked_at * speed.evaluate / execution.world.size
        rows.append(
            Cost(
                label,
                run,
                (run.forward + run.dual) * cost.forward + run.backward * cost.backward,
                cost.trained,
                peak_bytes(run, cost, sizes, execution) if run.alive else 0,
                seconds,
                count,
            )
        )
    return rows


def free_memory(device: torch.device) -> int | None:
    """Bytes that are free on a GPU; None for the CPU, whose memory others can give way in."""
    return int(torch.cuda.mem_get_info(device)[0]) if device.type == "cuda" else None


def check_memory(name: str, rows: Sequence[Cost], free: int) -> None:
    """Raise ConfigError where a run is estimated to need more memory than there is.

    Args:
        name: of the setting, for the message.
        rows: of :func:`costs`.
        free: bytes.
    """
    largest = max(rows, key=lambda row: row.peak)
    if largest.peak > free:
        raise ConfigError(
            f"memory: {largest.label} of {name} needs about {largest.peak / 2**30:.1f} GiB on the "
            f"device, as estimated before training; {free / 2**30:.1f} GiB are free; choose a "
            "smaller batch, --accumulate, or a larger GPU"
        )


def total_flops(rows: Sequence[Cost]) -> int:
    """Of all runs that are to be done."""
    return sum(row.flops * row.runs for row in rows)


def total_seconds(rows: Sequence[Cost]) -> float | None:
    """Of all runs that are to be done, or None without a calibration."""
    if any(row.seconds is None for row in rows):
        return None
    return sum((row.seconds or 0) * row.runs for row in rows)


def missing_runs(
    bench: Bench, configs: Mapping[str, Config], seeds: Sequence[int], judge: Judge = "test"
) -> dict[str, int]:
    """How many originals, methods and evaluations the store does not have, by label."""
    store, runs = bench.store, dict.fromkeys(["original", *configs, "evaluation"], 0)
    for seed in seeds:
        absent = [
            label
            for label, config in configs.items()
            if not has_record(store, bench.record_key(label, config, seed, judge))
        ]
        runs["evaluation"] += len(absent)
        for label in absent:
            key = bench.retrained_key(configs[label], seed)
            runs[label] += not (is_retrained(label) and has_state(store, key))
        original = has_state(store, bench.model_key("original", seed))
        runs["original"] += bool(absent) and not original
    return runs
