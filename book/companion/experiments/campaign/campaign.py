"""A campaign: the plan of all results still wanted, cut into jobs that resume where they stopped.

A plan lists blocks: a search of methods in a setting, a transfer of another setting's best
configurations, a sweep of one parameter, or the fixed values of a preset. Each becomes jobs, of
which Snakemake, or one process on a GPU, starts the most valuable ones that can run; every job
publishes each record as soon as it is there, and what is published is never computed again.
"""

import itertools
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import Field, model_validator

from companion.experiments.grid.grid import WORKFLOW, file_stem
from companion.experiments.records import provenance
from companion.experiments.records.outputs import outputs_path, write_outputs
from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    Store,
    has_state,
    open_store,
    read_records,
    write_records,
)
from companion.experiments.records.summary import PROTOCOL, SWEEP, record_label
from companion.experiments.runs import protocol
from companion.experiments.runs.outputs import Pairs, State, retrained_at_hand, take_outputs
from companion.experiments.runs.problems import Bench, Data, Judge, Progress, load_data, silent
from companion.experiments.runs.run import predict_state, run_one, unlearned
from companion.experiments.runs.search import sizes_of
from companion.experiments.settings.changes import known_preset
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.preset import (
    load_presets,
    preset_config,
    preset_setting,
    store_winner,
)
from companion.experiments.settings.setting import Scale, Setting, digest
from companion.files import RESULTS
from ugradsl_core import metrics
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, StoreError, UGradSLError, unknown_name
from ugradsl_core.methods import get_method
from ugradsl_core.methods.problem import Problem
from ugradsl_core.samples import Samples
from ugradsl_core.training import Execution
from ugradsl_core.training.files import write_text

DEADLINE = "UGRADSL_DEADLINE"  # environment variable: seconds since the epoch
OUTPUT_SEEDS = (0, 1)  # whose models' outputs are kept: what pages show, at 65 kB a model
REFERENCES = ("retrain", "retrain:again", "no-step")
SEARCHED = tuple(protocol.SPACES)
JUDGED_LATER = 2  # methods that are searched before the first one is judged on the test set


__all__ = ["WORKFLOW", "Job", "Plan", "Worker"]


class OutOfTimeError(UGradSLError):
    """The time of the campaign is up; what is done is published."""


class Block(Config):
    """Some of a campaign's results.

    Attributes:
        kind: ``search``: each method is searched in this setting. ``transfer``: it runs with the
            best of its six best configurations in ``source``. ``sweep``: the winner of this
            setting's search with every combination of the values in ``grid``. ``fixed``: the
            values that the preset holds, with nothing searched; its records belong to no protocol
            and lie beside those of ``ugradsl experiment``.
        setting: preset.
        methods: labels; None is every method that has a search space. Those of ``fixed`` may
            name ``retrain`` and ``no-step``, too; Retrain comes first in any case.
        seeds: of the results on the test set.
        source: the searched setting of a transfer.
        grid: parameter → values of a sweep.
        priority: jobs of higher numbers run first.
    """

    kind: Literal["search", "transfer", "sweep", "fixed"]
    setting: str
    methods: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1)
    source: str | None = None
    grid: dict[str, tuple[bool | int | float | str | None, ...]] = Field(default_factory=dict)
    priority: int = 0

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.kind == "transfer") != (self.source is not None):
            raise ConfigError(f"source: is needed by a transfer, and by nothing else; {self.kind}")
        if (self.kind == "sweep") != bool(self.grid):
            raise ConfigError(f"grid: is needed by a sweep, and by nothing else; {self.kind}")
        if not all(self.grid.values()):
            empty = next(name for name, values in self.grid.items() if not values)
            raise ConfigError(f"grid: should have a value for {empty}; found none")
        if set(self.seeds) & set(protocol.SEARCH_SEEDS) or min(self.seeds) < 0:
            raise ConfigError(
                f"seeds: should be at least 0 and none of the search's {protocol.SEARCH_SEEDS}; "
                f"found {self.seeds}"
            )
        if len(set(self.seeds)) < len(self.seeds):
            raise ConfigError(f"seeds: names one twice; found {self.seeds}")
        for label in self.labels:
            if self.kind == "fixed":
                split_label(label)
            else:
                protocol.find_space(label)
            for name, values in self.grid.items():
                self._check_values(label, name, values)
        return self

    def _check_values(self, label: str, name: str, values: Sequence[Any]) -> None:
        method, variant = split_label(label)
        for value in values:
            get_method(method).config(**{**variant, name: value})

    @property
    def labels(self) -> tuple[str, ...]:
        """The methods of the block."""
        given = SEARCHED if self.methods is None else self.methods
        if self.kind != "fixed":
            return given
        return ("retrain", *(label for label in given if label != "retrain"))


class Plan(Config):
    """What a campaign computes.

    Attributes:
        protocol: the rules; a plan of other rules is refused.
        amp: bfloat16 autocast in training, for all records alike.
        blocks: what is wanted.
    """

    protocol: str
    scale: Scale = "bench"
    amp: bool = False
    blocks: tuple[Block, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _runnable(self) -> Self:
        if self.protocol != PROTOCOL:
            raise ConfigError(
                f"protocol: this version computes by {PROTOCOL!r}; found {self.protocol!r}"
            )
        searched = {(b.setting, x) for b in self.blocks if b.kind == "search" for x in b.labels}
        for block in self.blocks:
            known_preset(block.setting, self.scale)
            source = block.source if block.kind == "transfer" else block.setting
            for label in block.labels:
                if block.kind == "fixed":
                    self._check_fixed(block.setting, label)
                elif (source, label) not in searched:
                    raise ConfigError(f"blocks: {label} is not searched in {source}")
        return self

    def _check_fixed(self, name: str, label: str) -> None:
        known = load_presets(self.scale)[name]["methods"]
        if label not in {*REFERENCES, *known}:
            raise ConfigError(
                f"blocks: {name} has no fixed values of {label} at the {self.scale} scale"
            )

    def setting(self, name: str, *, fixed: bool = False) -> Setting:
        """A preset's setting; D_tr and validation set are drawn anew with each seed.

        Args:
            name: of the preset.
            fixed: leave it as ``ugradsl experiment`` has it.
        """
        setting = preset_setting(name, self.scale)
        return setting if fixed else setting.replace(resample=True)


def read_plan(path: Path) -> Plan:
    """The plan in a YAML file.

    Raises:
        ConfigError: the file cannot be read, is no YAML, or a value breaks its rule.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(f"plan: {path} cannot be read ({reason})") from error
    if not isinstance(values, Mapping) or "blocks" not in values or "protocol" not in values:
        raise ConfigError(f"plan: {path} should be a mapping with protocol and blocks")
    return Plan(**values)


@dataclass(frozen=True)
class Job:
    """A part of a campaign that one process computes.

    Attributes:
        name: unique, and a file's name.
        kind: ``original``, ``reference``, ``search``, ``transfer``, ``final``, ``sweep`` or
            ``fixed``.
        setting: preset.
        label: method; empty for an original model.
        seeds: of its runs.
        needs: names of the jobs that come first.
        priority: the higher, the sooner.
        source: setting of the configurations that are transferred.
        grid: of a sweep.
        fixed: whether it belongs to a block of fixed values, and so to no protocol.
    """

    name: str
    kind: str
    setting: str
    label: str
    seeds: tuple[int, ...]
    needs: tuple[str, ...]
    priority: int
    source: str = ""
    grid: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    fixed: bool = False

    @property
    def identity(self) -> str:
        """What determines the job's results."""
        what = [self.kind, self.setting, self.label, self.seeds, self.source, self.grid]
        return digest([PROTOCOL, *what])

    @property
    def runs(self) -> int:
        """Records that it publishes; of a search the most that there can be."""
        if self.kind == "original":
            return 0
        if self.kind == "search":
            return protocol.trials_of(protocol.find_space(self.label).points)
        if self.kind == "transfer":
            return protocol.FINALISTS
        return len(self.seeds) * max(1, len(list(self.combinations())))

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The combinations of a sweep's values."""
        names = [name for name, _ in self.grid]
        for values in itertools.product(*(values for _, values in self.grid)):
            yield dict(zip(names, values, strict=True))


def _original_name(plan: Plan, setting: str, seed: int, fixed: bool) -> str:
    """One name for all settings that share an original model."""
    chosen = plan.setting(setting, fixed=fixed)
    identity, forget = chosen.identity(), chosen.forget
    if forget.subset is None:
        for name in ("paradigm", *forget.identity()):
            del identity[name]
    return f"original-{digest(identity)}-{seed}"


def jobs_of(plan: Plan) -> list[Job]:
    """The jobs of a plan, each once, with the highest priority that a block gives it."""
    jobs: dict[str, Job] = {}

    def add(job: Job) -> str:
        known = jobs.get(job.name)
        if known is None or known.priority < job.priority or len(known.seeds) < len(job.seeds):
            seeds = max((known.seeds if known else (), job.seeds), key=len)
            priority = max(known.priority if known else 0, job.priority)
            jobs[job.name] = replace(job, priority=priority, seeds=seeds)
        return job.name

    def original(setting: str, seed: int, priority: int, *, fixed: bool = False) -> str:
        name = _original_name(plan, setting, seed, fixed)
        return add(Job(name, "original", setting, "", (seed,), (), priority, fixed=fixed))

    def fixed_values(block: Block) -> None:
        """A job for each method and seed, all methods of a seed before the next seed."""
        for round_, seed in enumerate(block.seeds):
            for place, label in enumerate(block.labels):
                own = block.priority - round_ * len(block.labels) - place
                needs = [original(block.setting, seed, own, fixed=True)]
                stem = f"fixed-{block.setting}"
                if label != "retrain":
                    needs.append(f"{stem}-retrain-{seed}")
                name = f"{stem}-{file_stem(label)}-{seed}"
                add(
                    Job(name, "fixed", block.setting, label, (seed,), tuple(needs), own, fixed=True)
                )

    def references(setting: str, seeds: Sequence[int], priority: int) -> list[str]:
        names = []
        # A search waits for all of its references, so those come before all else.
        priority += max(len(SEARCHED), 1) * (seeds[0] in protocol.SEARCH_SEEDS)
        for seed in seeds:
            first = original(setting, seed, priority)
            labels = REFERENCES if seed not in protocol.SEARCH_SEEDS else ("retrain",)
            for label in labels:
                later = priority if label == "retrain" else priority - 1
                name = f"reference-{setting}-{file_stem(label)}-{seed}"
                names.append(add(Job(name, "reference", setting, label, (seed,), (first,), later)))
        return names

    for block in plan.blocks:
        where, priority = block.setting, block.priority
        if block.kind == "fixed":
            fixed_values(block)
            continue
        for place, label in enumerate(block.labels):
            # Within a block the first methods are searched and judged before the last ones begin.
            own = priority - place
            stem = file_stem(label)
            if block.kind == "sweep":
                swept = "-".join(block.grid)
                needs = [f"search-{where}-{stem}", *references(where, block.seeds, own)]
                add(
                    Job(
                        f"sweep-{where}-{stem}-{swept}", "sweep", where, label, block.seeds,
                        tuple(needs), own, grid=tuple(block.grid.items()),
                    )
                )  # fmt: skip
                continue
            seeds = protocol.SEARCH_SEEDS if block.kind == "search" else protocol.SEARCH_SEEDS[:1]
            needs = references(where, seeds, own)
            if block.kind == "transfer":
                needs.append(f"search-{block.source}-{stem}")
            chosen = f"{block.kind}-{where}-{stem}"
            add(Job(chosen, block.kind, where, label, seeds, tuple(needs), own, block.source or ""))
            later = own - JUDGED_LATER
            needs = [chosen, *references(where, block.seeds, later)]
            name = f"final-{where}-{stem}"
            add(Job(name, "final", where, label, block.seeds, tuple(needs), later))
    return sorted(jobs.values(), key=lambda job: -job.priority)


def find_job(plan: Plan, name: str) -> Job:
    """The job of that name.

    Raises:
        ConfigError: the plan has no such job.
    """
    found = {job.name: job for job in jobs_of(plan)}
    if name not in found:
        raise unknown_name("job", name, found)
    return found[name]


def results_folder(setting: str, scale: str, root: Path | None = None) -> Path:
    """Where the campaign's records of a setting are published."""
    return (root or RESULTS) / PROTOCOL / f"{setting}-{scale}"


def record_file(job: Job, scale: str, root: Path) -> Path:
    """Where a job's records are published."""
    if job.fixed:
        return root / f"{job.setting}-{scale}.jsonl"
    name = file_stem(job.label)
    if job.kind == "sweep":
        name = f"{SWEEP}{name}-{'-'.join(parameter for parameter, _ in job.grid)}"
    return results_folder(job.setting, scale, root) / f"{name}.jsonl"


def published_sweep(
    setting: str, scale: str, label: str, parameters: Sequence[str], root: Path | None = None
) -> list[Record]:
    """The records of a sweep; none where it has not been run."""
    name = f"{SWEEP}{file_stem(label)}-{'-'.join(parameters)}.jsonl"
    path = results_folder(setting, scale, root) / name
    return read_records(path) if path.exists() else []


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Keep other processes from changing a file; the lock ends with the process.

    Args:
        path: file.
        busy: what to say where another process has the lock; empty waits for it.

    Raises:
        StoreError: another process has the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=not busy)
    except Timeout as error:
        raise StoreError(busy) from error
    try:
        yield
    finally:
        lock.release()


def _place(record: Record) -> tuple[Any, ...]:
    return record.kind, record.setting_hash, record.config_hash, record.seed, record.method


def publish(path: Path, record: Record) -> None:
    """Add a record to a file, whole or not at all; one that is there already stays."""
    with locked(path):
        known = read_records(path) if path.exists() else []
        if _place(record) not in {_place(other) for other in known}:
            write_records(path, [*known, record])


@dataclass(frozen=True, eq=False)
class Worker:
    """A job and what its runs have in common.

    Attributes:
        plan: of the campaign.
        job: of this process.
        store: models and records.
        root: folder of published records.
        data_root: folder of the data sets; None is the environment's.
        progress: told what is running.
        on_run: called after each run.
        device: of all runs; ``auto`` is the GPU where there is one.
        data: of the setting, where it is loaded already.
        deadline: seconds since the epoch; no run starts that would not end by then.
        rates: seconds for each sample that passes, as far as known; the largest counts.
    """

    plan: Plan
    job: Job
    store: Store
    root: Path
    data_root: str | None
    progress: Progress = silent
    on_run: Callable[[], Any] = lambda: None
    device: str = "auto"
    data: Data | None = None
    deadline: float = field(default_factory=lambda: float(os.environ.get(DEADLINE, "inf")))
    rates: list[float] = field(default_factory=list)

    @cached_property
    def setting(self) -> Setting:
        """The job's setting."""
        return self.plan.setting(self.job.setting, fixed=self.job.fixed)

    @cached_property
    def bench(self) -> Bench:
        """The setting with its data and the switches of all runs."""
        execution = Execution(self.device, amp=self.plan.amp)
        data = self.data or load_data(self.setting, execution, self.data_root)
        return Bench(self.setting, data, self.store, execution, self.progress)

    @cached_property
    def sizes(self) -> protocol.Sizes:
        """What costs depend on; the forget set's size is that of the first search seed."""
        return sizes_of(self.bench)

    @cached_property
    def path(self) -> Path:
        """The file of the job's records."""
        return record_file(self.job, self.plan.scale, self.root)

    @cached_property
    def _known(self) -> dict[tuple[Any, ...], Record]:
        return {_place(r): r for r in (read_records(self.path) if self.path.exists() else [])}

    def run(self, config: Config, seed: int, judge: Judge, note: str = "") -> Record:
        """A run's record: published already, in the store, or computed; published in any case.

        Raises:
            OutOfTimeError: it would not end before the deadline.
        """
        label = self.job.label
        kind = "result" if judge == "test" else "trial"
        hashes = digest(self.setting.identity()), digest(config.key_fields())
        known = self._known.get((kind, *hashes, seed, split_label(label)[0]))
        if known is not None:
            self.on_run()
            return known
        self.check_time(config)
        start = time.monotonic()
        keep = judge == "test" and self.job.kind != "sweep" and seed in OUTPUT_SEEDS
        record = run_one(
            self.bench, label, config, seed, judge=judge, warm=bool(self.rates),
            protocol="" if self.job.fixed else PROTOCOL,
            on_model=partial(self._keep_outputs, label, seed) if keep else None,
        )  # fmt: skip
        record = replace(record, note=" ".join(text for text in (note, record.note) if text))
        cost = max(1, record.forward_samples + record.backward_samples)
        self.rates.append((time.monotonic() - start) / cost)
        publish(self.path, record)
        self.on_run()
        return record

    def _keep_outputs(
        self, label: str, seed: int, problem: Problem, state: State, judged: Samples, pairs: Pairs
    ) -> None:
        """Write a model's outputs beside its record, and the original's with those of Retrain."""
        retrained = retrained_at_hand(self.bench, seed)
        models = [(label, state, pairs)]
        if label == REFERENCES[0]:
            original = problem.trained_state
            models.append(("original", original, predict_state(problem, original, judged)))
        for name, weights, found in models:
            facts = {
                "preset": self.job.setting, "scale": self.plan.scale, "label": name,
                "seed": str(seed), "commit": provenance.commit(),
                "setting_hash": digest(self.setting.identity()),
            }  # fmt: skip
            outputs = take_outputs(problem, weights, judged, found, retrained, facts)
            write_outputs(outputs_path(self.path.parent, file_stem(name), seed), outputs)

    def outputs_missing(self) -> list[Record]:
        """Published results of the job whose models' outputs should be there and are not."""
        if self.job.kind in {"original", "sweep"}:
            return []
        folder, stem = self.path.parent, file_stem(self.job.label)
        return [
            record
            for record in self._known.values()
            if record.kind == "result" and record.status == "ok" and record.seed in OUTPUT_SEEDS
            if record.seed in self.job.seeds and record_label(record) == self.job.label
            if not outputs_path(folder, stem, record.seed).exists()
        ]

    def fill_outputs(self, published: Record) -> bool:
        """Run a published result again for its model's outputs; False if it came out differently.

        The same seeds give other digits on another kind of processor, and outputs that do not
        belong to the published numbers are not written.
        """
        label, seed = self.job.label, published.seed
        bench = self.bench.of_seed(seed)
        problem, judged = bench.problem(seed), bench.judged("test")
        result = unlearned(bench, problem, label, _config_of(published), seed)
        pairs = predict_state(problem, result.state_dict, judged)
        found = metrics.report(*pairs).as_dict()
        if any(found[name] != published.metrics[name] for name in ("UA", "RA", "TA")):
            return False
        self._keep_outputs(label, seed, problem, result.state_dict, judged, pairs)
        return True

    def check_time(self, config: Config) -> None:
        """Raise OutOfTimeError where a run of ``config`` would not end before the deadline."""
        if math.isinf(self.deadline):
            return
        expected = max(self.rates) * self.sizes.cost(config) if self.rates else 0.0
        if self.deadline - time.time() <= expected:
            raise OutOfTimeError("campaign: the time is up")


def references_of(plan: Plan, setting: str, seeds: Sequence[int], root: Path) -> dict[int, Record]:
    """Retrain's published trial of each search seed.

    Raises:
        ConfigError: one is missing.
    """
    path = results_folder(setting, plan.scale, root) / "retrain.jsonl"
    records = read_records(path) if path.exists() else []
    found = {r.seed: r for r in records if r.kind == "trial" and r.seed in seeds}
    if set(found) != set(seeds):
        raise ConfigError(f"campaign: {setting} has no retrained model of every search seed yet")
    return found


def trials_of(plan: Plan, setting: str, label: str, root: Path) -> list[Record]:
    """The published trials of a method in a setting, in the order in which they ran."""
    path = results_folder(setting, plan.scale, root) / f"{file_stem(label)}.jsonl"
    records = read_records(path) if path.exists() else []
    return [r for r in records if r.kind == "trial" and record_label(r) == label]


def run_job(worker: Worker) -> None:
    """Compute what of a job is not published yet.

    Raises:
        OutOfTimeError: the deadline came first; the job goes on at the next call.
    """
    path = worker.store.root / "running" / worker.job.name
    write_text(path, f"{os.getpid()}\n")
    try:
        _RUNS[worker.job.kind](worker)
    finally:
        path.unlink(missing_ok=True)


def _config_of(record: Record) -> Config:
    return get_method(record.method).config(**record.config)


def _original(worker: Worker) -> None:
    (seed,) = worker.job.seeds
    if not has_state(worker.store, worker.bench.model_key("original", seed)):
        worker.check_time(worker.setting.training)
    worker.bench.original(seed)


def _reference(worker: Worker) -> None:
    (seed,) = worker.job.seeds
    method, variant = split_label(worker.job.label)
    training = worker.setting.training.model_dump()
    if method == "retrain":
        config = get_method(method).config(**{**training, **variant})
    else:
        shared = {name: training[name] for name in ("batch_size", "augment")}
        config = get_method(method).config(**shared, **variant)
    judge: Judge = "validation" if seed in protocol.SEARCH_SEEDS else "test"
    worker.run(config, seed, judge)


def _search(worker: Worker) -> None:
    job = worker.job
    references = references_of(worker.plan, job.setting, protocol.SEARCH_SEEDS, worker.root)
    configs = protocol.design(job.label, worker.setting, worker.sizes)
    protocol.search(
        configs, references, lambda config, seed: worker.run(config, seed, "validation")
    )


def _transfer(worker: Worker) -> None:
    job, plan, first = worker.job, worker.plan, protocol.SEARCH_SEEDS[0]
    references = references_of(plan, job.source, protocol.SEARCH_SEEDS, worker.root)
    trials = trials_of(plan, job.source, job.label, worker.root)
    factor = worker.setting.training.lr / plan.setting(job.source).training.lr
    for trial in protocol.best_of_first(trials, references):
        config = protocol.fitted(_config_of(trial), job.label, worker.setting, worker.sizes, factor)
        worker.run(config, first, "validation", f"{protocol.TRANSFERRED}{job.source}")


def winner_of(plan: Plan, setting: str, label: str, root: Path) -> tuple[Record, float]:
    """The winner of a method's published trials in a setting, and its mean validation gap.

    Raises:
        ConfigError: its trials are not complete.
    """
    trials = trials_of(plan, setting, label, root)
    transferred = protocol.is_transferred(trials)
    seeds = protocol.SEARCH_SEEDS[:1] if transferred else protocol.SEARCH_SEEDS
    return protocol.winner(trials, references_of(plan, setting, seeds, root))


def save_winners(plan: Plan, root: Path) -> list[str]:
    """Write the winners of all searches that are complete into the presets.

    Returns:
        One line for each winner.
    """
    lines = []
    for job in jobs_of(plan):
        if job.kind not in {"search", "transfer"} or job_done(job, plan, root) < job.runs:
            continue
        trials = trials_of(plan, job.setting, job.label, root)
        chosen, gap = winner_of(plan, job.setting, job.label, root)
        source = protocol.source_of(trials, chosen, gap)
        store_winner(job.label, job.setting, plan.scale, dict(chosen.config), source)
        lines.append(f"{job.setting} {job.label}: validation gap {gap:.2f}")
    return lines


def _final(worker: Worker) -> None:
    job = worker.job
    chosen, _ = winner_of(worker.plan, job.setting, job.label, worker.root)
    for seed in job.seeds:
        worker.run(_config_of(chosen), seed, "test", chosen.note)


def _sweep(worker: Worker) -> None:
    job = worker.job
    chosen, _ = winner_of(worker.plan, job.setting, job.label, worker.root)
    config = _config_of(chosen)
    for seed in job.seeds:
        for values in job.combinations():
            worker.run(config.replace(**values), seed, "test", "sweep")


def _fixed(worker: Worker) -> None:
    (seed,) = worker.job.seeds
    worker.run(preset_config(worker.job.label, worker.job.setting, worker.plan.scale), seed, "test")


_RUNS: dict[str, Callable[[Worker], None]] = {
    "original": _original,
    "reference": _reference,
    "search": _search,
    "transfer": _transfer,
    "final": _final,
    "sweep": _sweep,
    "fixed": _fixed,
}


def open_campaign_store(root: Path) -> Store:
    """Open the store of a campaign.

    Raises:
        StoreError: it holds runs of another protocol.
    """
    store = open_store(root)
    marker = root / "protocol.txt"
    found = marker.read_text("utf-8").strip() if marker.exists() else PROTOCOL
    used = (root / "records").exists() and not marker.exists()
    if used or found != PROTOCOL:
        raise StoreError(
            f"{root}: this store holds runs of {'no protocol' if used else repr(found)}; a "
            f"campaign by {PROTOCOL!r} needs one of its own, choose another directory "
            "with --store"
        )
    if not marker.exists():
        write_text(marker, PROTOCOL + "\n")
    return store


def mean_seconds(job: Job, plan: Plan, root: Path) -> float:
    """Seconds that a published run of the job's method took in its setting; 30 where none is."""
    seconds = [r.seconds for r in _published_of(job, plan, root) if r.status == "ok"]
    return sum(seconds) / len(seconds) if seconds else 30.0


def _published_of(job: Job, plan: Plan, root: Path) -> list[Record]:
    """The records in a job's file; of a file that methods share, those of its own."""
    path = record_file(job, plan.scale, root)
    records = read_records(path) if path.exists() else []
    return [r for r in records if not job.fixed or record_label(r) == job.label]


def marker(job_name: str, store: Path) -> Path:
    """The file that says that a job is done."""
    return store / "done" / job_name


def job_done(job: Job, plan: Plan, root: Path) -> int:
    """How many of a job's runs are published."""
    records = _published_of(job, plan, root)
    kind = "trial" if set(job.seeds) <= set(protocol.SEARCH_SEEDS) else "result"
    found = [r for r in records if r.kind == kind and r.seed in job.seeds]
    return min(len(found), job.runs)
