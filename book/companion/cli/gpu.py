"""``ugradsl gpu``: tests, a speed table and records of the scale ``full``, in the time given."""

import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from companion.cli.campaign import progress_line
from companion.cli.options import DataRoot, ResultsFolder, StoreFolder
from companion.experiments.campaign.campaign import jobs_of, read_plan
from companion.experiments.campaign.here import (
    check_cuda,
    check_minutes,
    in_order,
    prepare,
    run_here,
)
from companion.experiments.grid.grid import WORKFLOW
from companion.experiments.records.store import Store
from companion.files import BOOK
from ugradsl_core.errors import ConfigError, UGradSLError

ROOT = BOOK.parent
TESTS, TABLE = Path("tests/gpu"), Path("tests/benchmarks/gpu")
TEST_SECONDS = 150.0  # at most; they take less than 120
TEST_PROCESSES = 4  # of the tests, where pytest-xdist is there; they wait for the CPU's results
TABLE_SHARE, TABLE_SECONDS = 0.25, 180.0  # of the whole time, and at most
DEVICE = "UGRADSL_GPU_DEVICE"
UNTIL = "UGRADSL_BENCHMARK_UNTIL"  # seconds since the epoch; no measurement begins later


def gpu(
    minutes: Annotated[float, typer.Option(help="Time for all of it.")] = 12.0,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", help="Run all of it at tiny sizes on the CPU.")
    ] = False,
    plan: Annotated[
        Path | None, typer.Option(help="Of the records. Default: the package's full.yaml.")
    ] = None,
    store: StoreFolder = Path("gpu-store"),
    publish: ResultsFolder = Path("book/results"),
    measurements: Annotated[
        Path, typer.Option(help="File that the speed table's lines are added to.")
    ] = Path("book/measurements/gpu.jsonl"),
    data_root: DataRoot = None,
) -> None:
    """Test and time this machine's GPU, then compute records of the scale full on it.

    Each record is published as soon as it is there, the most valuable first. A run that is stopped
    goes on at the next call.
    """
    start = time.time()
    device = "cpu"
    if not rehearse:
        device = str(check_cuda())
    if not (ROOT / TESTS).is_dir():
        raise ConfigError("gpu: needs a clone of the project, which has the tests and benchmarks")
    chosen = plan or WORKFLOW / ("rehearsal.yaml" if rehearse else "full.yaml")
    read = read_plan(chosen)
    jobs = jobs_of(read)
    places = prepare(read, jobs, Store(store), device, data_root)
    check_minutes(minutes, read, in_order(jobs), places)
    del places
    end = start + 60 * minutes

    environment = {**os.environ, DEVICE: device, "UGRADSL_BENCHMARK_DEVICE": device}
    if rehearse:
        environment |= {"UGRADSL_BENCHMARK_CHECK": "0", "OMP_NUM_THREADS": "1"}
    limit = max(TEST_SECONDS, 30 * minutes) if rehearse else TEST_SECONDS  # a slow CPU has half
    processes = 1 if rehearse else TEST_PROCESSES  # to start one takes longer than its tests
    failed = [] if _run(TESTS, environment, limit, processes) else ["the tests"]
    measurements.parent.mkdir(parents=True, exist_ok=True)
    seconds = TABLE_SHARE * 60 * minutes
    if not rehearse:  # on a slow CPU it takes longer
        seconds = min(seconds, TABLE_SECONDS)
    environment |= {
        "UGRADSL_BENCHMARK_JSON": str(measurements.absolute()),
        UNTIL: str(time.time() + seconds),
    }
    failed += [] if _run(TABLE, environment, 2 * seconds, 1) else ["the speed table"]
    left = (end - time.time()) / 60
    print(f"gpu: {left:.1f} minutes left for records", flush=True)
    if left > 0:
        try:
            failed += run_here(read, jobs, store, publish, data_root, device=device, minutes=left)
        except ConfigError as error:  # the tests took longer than they should
            failed.append(str(error))
        print(progress_line(read, jobs, store, publish, 1))
    if failed:
        raise UGradSLError(f"gpu: some parts failed: {'; '.join(failed)}")


def _run(folder: Path, environment: dict[str, str], seconds: float, processes: int) -> bool:
    """Whether pytest passes on a folder in that time; what it prints is shown."""
    # nbval's imports take two seconds; no notebook is tested here
    plugins = ["-p", "no:cacheprovider", "-p", "no:nbval"]
    command = [sys.executable, "-m", "pytest", "-q", *plugins, str(folder)]
    cores = os.cpu_count() or 1
    if min(processes, cores) > 1 and find_spec("xdist"):
        command += ["--numprocesses", str(min(processes, cores))]
        environment = {"OMP_NUM_THREADS": str(max(cores // processes, 1)), **environment}
    print(f"gpu: {folder}", flush=True)
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        print(f"gpu: {folder} took more than {seconds:.0f} s and was stopped")
        return False
    return done.returncode == 0
