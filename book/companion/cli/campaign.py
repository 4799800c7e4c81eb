"""``ugradsl campaign``: fill in the most valuable missing results, for as long as there is time."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import torch
import typer
from tqdm import tqdm

from companion.cli.options import DataRoot, ResultsFolder, StoreFolder
from companion.experiments.campaign.campaign import (
    DEADLINE,
    Job,
    Plan,
    Worker,
    find_job,
    job_done,
    jobs_of,
    locked,
    marker,
    mean_seconds,
    open_campaign_store,
    read_plan,
    run_job,
    save_winners,
)
from companion.experiments.campaign.here import BUSY, run_here
from companion.experiments.grid.grid import WORKFLOW
from companion.experiments.records.store import Store
from ugradsl_core.errors import ConfigError, UGradSLError

WORKERS = 2  # without a GPU
LOWEST_PRIORITY = 19
GRACE_SECONDS = 300  # for the runs that are under way when the time is up
START_SECONDS = 20  # of Python, PyTorch and the data set
POLL_SECONDS = 1
REPORT_SECONDS = 60


def campaign(
    plan: Annotated[Path, typer.Argument(help="A YAML file of blocks; see the page Protocol.")],
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes, of one thread each; 0 is this one. Default: 0 with a GPU, else 2.",
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this time. Default: when all is done.")
    ] = None,
    store: StoreFolder = Path("campaign-store"),
    publish: ResultsFolder = Path("book/results"),
    data_root: DataRoot = None,
    dry_run: Annotated[
        bool, typer.Option("-n", "--dry-run", help="List the jobs, and what is done of each.")
    ] = False,
    save: Annotated[
        bool,
        typer.Option(
            "--save", help="Write the winners of complete searches into the presets; run nothing."
        ),
    ] = False,
    outputs: Annotated[
        bool,
        typer.Option(
            "--outputs", help="Run published results again whose models' outputs are missing."
        ),
    ] = False,
    only: Annotated[
        str | None, typer.Option("--only", help="Run this one job here, without Snakemake.")
    ] = None,
) -> None:
    """Compute a plan's missing results, the most valuable first; stops and resumes at any time.

    Every record is published as soon as it is there. Workers run at the lowest priority; with
    --workers 0 the jobs run in this process, one after the other, which suits a GPU of one's own.
    """
    read = read_plan(plan)
    if only is not None:
        job = find_job(read, only)
        opened = open_campaign_store(store)
        with tqdm(total=job.runs, unit="run", file=sys.stderr, disable=None) as bar:
            told = bar.set_postfix_str
            run_job(Worker(read, job, opened, publish, data_root, told, bar.update))
        return
    jobs = jobs_of(read)
    if dry_run:
        for job in jobs:
            print(f"{job.priority:5d}  {job_done(job, read, publish):3d}/{job.runs:3d}  {job.name}")
        return
    if save:
        for line in save_winners(read, publish) or ["campaign: no search is complete yet"]:
            print(line)
        return
    if outputs:
        _fill_outputs(read, jobs, open_campaign_store(store), publish, data_root)
        return
    if workers is None:
        workers = 0 if torch.cuda.is_available() else WORKERS
    if workers == 0:
        failed = run_here(read, jobs, store, publish, data_root, minutes=minutes)
        print(progress_line(read, jobs, store, publish, 1))
        if failed:
            raise UGradSLError(f"campaign: {len(failed)} jobs failed; the first is {failed[0]}")
        return
    if minutes is not None:
        _check_minutes(minutes, read, jobs, publish)
    if importlib.util.find_spec("snakemake") is None:
        raise ConfigError("campaign: needs Snakemake; install ugradsl-core[grid]")
    open_campaign_store(store)
    with locked(store / "campaign", BUSY):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Campaign.smk")]
        command += ["--cores", str(workers), "--keep-going", "--nolock", "--rerun-incomplete"]
        command += ["--rerun-triggers", "params", "--quiet", "all"]
        command += ["--directory", str(store.absolute() / "snakemake"), "--config"]
        places = {"plan": plan, "store": store, "publish": publish}
        if data_root is not None:
            places["data_root"] = Path(data_root)
        command += [f"{name}={place.absolute()}" for name, place in places.items()]
        drive(command, read, jobs, minutes, store, publish, workers)


def _fill_outputs(
    plan: Plan, jobs: list[Job], store: Store, publish: Path, data_root: str | None
) -> None:
    workers = [Worker(plan, job, store, publish, data_root) for job in jobs]
    missing = [(worker, record) for worker in workers for record in worker.outputs_missing()]
    for worker, record in tqdm(missing, unit="run", file=sys.stderr, disable=None):
        if not worker.fill_outputs(record):
            print(
                f"{worker.job.setting} {worker.job.label}, seed {record.seed}: came out "
                "differently on this machine, so nothing was written"
            )


def _check_minutes(minutes: float, plan: Plan, jobs: list[Job], publish: Path) -> None:
    missing = [job for job in jobs if job_done(job, plan, publish) < job.runs]
    shortest = min((mean_seconds(job, plan, publish) for job in missing), default=0.0)
    needed = (shortest + START_SECONDS) / 60
    if minutes < needed:
        raise ConfigError(
            f"minutes: the shortest run that is missing takes about {needed:.1f} minutes with its "
            f"start; found {minutes:g}"
        )


def drive(
    command: list[str],
    plan: Plan,
    jobs: list[Job],
    minutes: float | None,
    store: Path,
    publish: Path,
    workers: int,
) -> None:
    """Let Snakemake run the jobs until they are done or the time is up.

    Raises:
        UGradSLError: a job failed.
    """
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "passive",
        DEADLINE: str(time.time() + minutes * 60 if minutes is not None else "inf"),
    }
    end = float(environment[DEADLINE])
    if hasattr(os, "nice"):  # Windows has no such call
        os.nice(max(0, LOWEST_PRIORITY - os.nice(0)))
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True
    )
    reported = 0.0
    try:
        while process.poll() is None and time.time() < end:
            if time.monotonic() - reported > REPORT_SECONDS:
                reported = time.monotonic()
                print(progress_line(plan, jobs, store, publish, workers), flush=True)
            time.sleep(POLL_SECONDS)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)  # no new jobs; those that run end by themselves
            process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        print("campaign: runs under way were stopped; they go on at the next call")
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    print(progress_line(plan, jobs, store, publish, workers))
    if process.returncode and time.time() < end:
        raise UGradSLError(f"campaign: Snakemake ended with exit code {process.returncode}")


def progress_line(plan: Plan, jobs: list[Job], store: Path, publish: Path, workers: int) -> str:
    """What is done, running and left, with the time that it will take."""
    counted = [(job, job_done(job, plan, publish)) for job in jobs if job.runs]
    left = [
        (job, job.runs - done)
        for job, done in counted
        if done < job.runs and not marker(job.name, store).exists()
    ]
    seconds = sum(runs * mean_seconds(job, plan, publish) for job, runs in left)
    done = sum(done for _, done in counted)
    running = sorted(path.name for path in (store / "running").glob("*"))
    return (
        f"campaign: {done:,} runs done, {sum(runs for _, runs in left):,} left "
        f"(about {seconds / workers / 3600:.1f} h); running: {', '.join(running) or 'nothing'}"
    )
