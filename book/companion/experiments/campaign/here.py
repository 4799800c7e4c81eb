"""A plan's jobs in one process on one device, checked before anything is written."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from companion.experiments.campaign.campaign import (
    Job,
    OutOfTimeError,
    Plan,
    Worker,
    job_done,
    locked,
    marker,
    open_campaign_store,
    run_job,
)
from companion.experiments.costs.calibration import calibrate
from companion.experiments.costs.estimate import check_memory, costs, free_memory, loaded_sizes
from companion.experiments.records.store import Store
from companion.experiments.runs.problems import Bench, load_data
from companion.experiments.settings.preset import preset_config
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, UGradSLError
from ugradsl_core.methods import passes
from ugradsl_core.training import Execution
from ugradsl_core.training.files import write_text

BUSY = "campaign: another one is running on this store"
CALIBRATION_SECONDS = 2.0


def check_cuda() -> torch.device:
    """The first CUDA device.

    Raises:
        ConfigError: there is none, or its driver does not fit this PyTorch.
    """
    try:
        torch.empty(0, device="cuda")
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0].rstrip(".")
        raise ConfigError(
            f"gpu: no CUDA device can be used here ({reason}); --rehearse runs it all on the CPU"
        ) from error
    return torch.device("cuda", torch.cuda.current_device())


@dataclass(frozen=True, eq=False)
class Place:
    """What is known of a setting of a plan before its jobs run.

    Attributes:
        bench: its setting, data on the device, and the store, not opened yet.
        rate: seconds for each sample that passes, forward or backward, by a short calibration.
    """

    bench: Bench
    rate: float

    def seconds(self, config: Config) -> float:
        """Seconds that a run of a method, or of training, will take."""
        sizes = loaded_sizes(self.bench)
        counted = passes(config, sizes.retain, sizes.forget, sizes.classes)
        return self.rate * (counted.forward + counted.backward)


def prepare(
    plan: Plan, jobs: Sequence[Job], store: Store, device: str, data_root: str | None
) -> dict[tuple[str, bool], Place]:
    """The places of all jobs, by setting and whether it is one of fixed values; nothing is written.

    Raises:
        ConfigError: a method needs more memory than the device has free, by the estimate.
        DataError: data that are missing or damaged.
    """
    execution = Execution(device, amp=plan.amp)
    free = free_memory(execution.resolve())
    found: dict[tuple[str, bool], Place] = {}
    rates: dict[tuple[object, ...], float] = {}
    for name, fixed in dict.fromkeys((job.setting, job.fixed) for job in jobs):
        setting = plan.setting(name, fixed=fixed)
        bench = Bench(setting, load_data(setting, execution, data_root), store, execution)
        sizes = loaded_sizes(bench)
        labels = dict.fromkeys(job.label for job in jobs if job.setting == name and job.label)
        configs = {label: preset_config(label, name, plan.scale) for label in labels}
        if free is not None:
            check_memory(name, costs(setting, configs, sizes, execution), free)
        kind = (setting.model, sizes.shape, sizes.classes, setting.training.batch_size)
        if kind not in rates:
            speed = calibrate(setting, sizes, execution, budget=CALIBRATION_SECONDS)
            rates[kind] = (speed.forward + speed.backward) / 2
        found[name, fixed] = Place(bench, rates[kind])
    return found


def check_minutes(
    minutes: float, plan: Plan, jobs: Sequence[Job], places: Mapping[tuple[str, bool], Place]
) -> None:
    """Raise ConfigError where the time is too short for the first record that is missing.

    Args:
        minutes: that there are.
        plan: of the jobs.
        jobs: that are missing, in the order in which they run.
        places: of their settings.
    """
    needed = 0.0
    for job in jobs:
        place = places[job.setting, job.fixed]
        config: Config = place.bench.setting.training
        if job.label:
            config = preset_config(job.label, job.setting, plan.scale)
        needed += place.seconds(config)
        if job.runs:
            break
    else:
        return
    if 60 * minutes < needed:
        raise ConfigError(
            f"minutes: the first record, {job.label} of {job.setting}, takes about "
            f"{needed / 60:.2g} minutes here with the models that it needs; found {minutes:g}"
        )


def in_order(jobs: Sequence[Job]) -> list[Job]:
    """The jobs by priority, each after those that it needs."""
    waiting, ordered = sorted(jobs, key=lambda job: -job.priority), dict[str, Job]()
    while waiting:
        ready = next(job for job in waiting if set(job.needs) <= set(ordered))
        ordered[ready.name] = ready
        waiting.remove(ready)
    return list(ordered.values())


def run_here(
    plan: Plan,
    jobs: Sequence[Job],
    store: Path,
    publish: Path,
    data_root: str | None,
    *,
    device: str = "auto",
    minutes: float | None = None,
    tell: Callable[[str], None] = print,
) -> list[str]:
    """Run what is missing of a plan in this process; each record is published as it is finished.

    A job that would not end in time gives way to shorter ones; one that fails, to those that do not
    need it.

    Args:
        plan: of the jobs.
        jobs: of the plan.
        store: folder of models and records.
        publish: folder of published records.
        data_root: of the data sets; None is the environment's.
        device: of all runs.
        minutes: after which nothing more begins, counted from this call; None is any time.
        tell: hears a line for each job.

    Returns:
        A sentence for each job that failed.

    Raises:
        ConfigError: too little memory or time, before anything is written.
        DataError: data that are missing or damaged.
        StoreError: a store of other rules, or one that another campaign uses.
    """
    end = time.time() + 60 * minutes if minutes is not None else float("inf")
    missing = _missing(in_order(jobs), plan, publish)
    if not missing:
        tell("campaign: nothing is missing")
        return []
    places = prepare(plan, missing, Store(store), device, data_root)
    if minutes is not None:
        new = [job for job in missing if not marker(job.name, store).exists()]
        check_minutes(minutes, plan, new, places)
    opened = open_campaign_store(store)
    left, done = {job.name for job in missing}, set[str]()
    failed: list[str] = []
    with locked(store / "campaign", BUSY):
        for job in missing:
            if any(name in left and name not in done for name in job.needs):
                continue
            place, start = places[job.setting, job.fixed], time.perf_counter()
            worker = Worker(
                plan, job, opened, publish, data_root,
                device=device, data=place.bench.data, deadline=end, rates=[place.rate],
            )  # fmt: skip
            try:
                run_job(worker)
            except OutOfTimeError:
                tell(f"campaign: no time for {job.name}")
                continue
            except (UGradSLError, torch.OutOfMemoryError) as error:
                failed.append(f"{job.name}: {str(error).splitlines()[0]}")
                tell(f"campaign: {failed[-1]}")
                continue
            done.add(job.name)
            write_text(marker(job.name, store), f"{job.identity}\n")
            tell(f"campaign: {job.name}, {time.perf_counter() - start:.1f} s")
    return failed


def _missing(ordered: Sequence[Job], plan: Plan, publish: Path) -> list[Job]:
    """Jobs that have records to publish, and the original models that those need."""
    wanted: set[str] = set()
    for job in ordered:
        if job.runs and job_done(job, plan, publish) < job.runs:
            wanted |= {job.name, *job.needs}
    kept = [job for job in ordered if job.name in wanted]
    return [job for job in kept if not job.runs or job_done(job, plan, publish) < job.runs]
