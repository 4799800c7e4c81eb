"""Ratios of two interleaved timings, printed, kept as JSON, and held to a limit."""

import gc
import json
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

import ugradsl_core.methods.common
import ugradsl_core.training.loop
from companion.experiments.records import provenance

Timed = Callable[[], float | None]


def size(name: str, default: int) -> int:
    """A size of the benchmarks: the environment variable ``UGRADSL_BENCHMARK_<NAME>``."""
    return int(os.environ.get(f"UGRADSL_BENCHMARK_{name}", default))


CHECK = os.environ.get("UGRADSL_BENCHMARK_CHECK", "1") != "0"
DEVICE = os.environ.get("UGRADSL_BENCHMARK_DEVICE", "cpu")
PROCESSOR = os.environ.get("UGRADSL_BENCHMARK_CLOCK", "wall") == "processor"
clock = time.process_time if PROCESSOR else time.perf_counter
if PROCESSOR:  # the seconds that results report, too
    for timed in (ugradsl_core.training.loop, ugradsl_core.methods.common):
        timed.time = SimpleNamespace(perf_counter=clock)  # type: ignore[attr-defined]


def seconds(call: Timed) -> float:
    """Time of ``call`` by :data:`clock`, or the seconds that it returns where it knows better."""
    gc.collect()
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()
    start = clock()
    own = call()
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()
    return clock() - start if own is None else own


def keep(measured: Mapping[str, Any]) -> None:
    """Append a measurement and where it was made to the file ``UGRADSL_BENCHMARK_JSON``, if any."""
    target = os.environ.get("UGRADSL_BENCHMARK_JSON")
    if not target:
        return
    line = {
        **measured,
        "device": DEVICE,
        "card": provenance.hardware(torch.device(DEVICE))["device"],
        "threads": torch.get_num_threads(),
        "clock": "processor" if PROCESSOR else "wall",
        "torch": torch.__version__,
        "processor": provenance.hardware(torch.device(DEVICE))["processor"],
        "commit": provenance.commit(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with Path(target).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")


def compare(
    name: str, ours: Timed, bare: Timed, limit: float, *, repeats: int | None = None
) -> None:
    """Time both in turn, in both orders, after one call each; compare the fastest of each.

    Other work on the machine only ever adds time, so the minimum is the steadiest estimate.

    ``UGRADSL_BENCHMARK_JSON`` names a file of one JSON line for each measurement.
    ``UGRADSL_BENCHMARK_CHECK=0`` measures without holding the ratio to its limit.
    ``UGRADSL_BENCHMARK_CLOCK=processor`` counts the process's own time on the CPU, which hardly
    feels what else a shared machine does; with it, take ``OMP_NUM_THREADS=1``.
    """
    times: dict[str, list[float]] = {"ours": [], "bare": []}
    calls = {"ours": ours, "bare": bare}
    for call in calls.values():
        call()
    for repeat in range(size("REPEATS", 7) if repeats is None else repeats):
        for which in ("ours", "bare") if repeat % 2 else ("bare", "ours"):
            times[which].append(seconds(calls[which]))
    fastest = {which: min(values) for which, values in times.items()}
    ratio = fastest["ours"] / fastest["bare"]
    print(
        f"\n{name}: {ratio:.3f} (limit {limit}): "
        f"{1e3 * fastest['ours']:.1f} ms against {1e3 * fastest['bare']:.1f} ms"
    )
    keep({"name": name, "ratio": ratio, "limit": limit, **times})
    if CHECK:
        assert ratio <= limit, f"{name}: {ratio:.3f} is above {limit}"
