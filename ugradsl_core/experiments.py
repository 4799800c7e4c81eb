"""One setting, method and seed to one record; models trained once and shared by all methods."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Generator, nn

from ugradsl_core import data, metrics, models, provenance, splits
from ugradsl_core.config import Config
from ugradsl_core.errors import DataError, DivergenceError
from ugradsl_core.settings import Setting, digest, split_label
from ugradsl_core.store import Store, load_record, load_state, save_record, save_state
from ugradsl_core.training import SGDConfig, predict, train
from ugradsl_core.types import Execution, Problem, Record, Split, UnlearnResult
from ugradsl_core.unlearning import get_method
from ugradsl_core.unlearning.common import cross_entropy, one_set_plan

Judge = Literal["test", "validation"]
Progress = Callable[[str], None]
SUBSET_SEED = 0


def _silent(_: str) -> None:
    pass


def stream(seed: int, purpose: str) -> Generator:
    """The generator of a purpose under a seed; different purposes are independent."""
    hashed = hashlib.sha256(f"{seed}:{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(hashed[:7], "big"))


@dataclass(frozen=True, eq=False)
class Data:
    """The data of a setting: the same for all seeds."""

    train: data.Dataset
    validation: data.Dataset
    test: data.Dataset
    checksum: str


def load_data(
    setting: Setting, execution: Execution, root: str | None = None, *, download: bool = False
) -> Data:
    """Load a setting's data set and cut its training subset and validation set.

    Raises:
        DataError: fewer images than the setting asks for.
    """
    bundle = data.load(setting.dataset, root, download=download, device=execution.resolve())
    labels, total = bundle.train.labels, len(bundle.train)
    size = total - setting.validation_size if setting.train_size is None else setting.train_size
    if size < 2 or size + setting.validation_size > total:
        raise DataError(
            f"train_size + validation_size: should be at most {total}, the training images of "
            f"{setting.dataset}; found {size} + {setting.validation_size}"
        )
    if setting.paradigm == "class-wise" and setting.forgotten_class >= bundle.train.num_classes:
        raise DataError(
            f"forgotten_class: should lie in 0…{bundle.train.num_classes - 1}; "
            f"found {setting.forgotten_class}"
        )
    generator = torch.Generator().manual_seed(SUBSET_SEED)
    chosen = splits.stratified_sample(labels, size, generator)
    rest = splits.complement(total, chosen)
    drawn = splits.stratified_sample(labels[rest], setting.validation_size, generator)
    return Data(
        bundle.train.take(chosen),
        bundle.train.take(rest[drawn]),
        bundle.test,
        digest([bundle.train.checksum, bundle.test.checksum]),
    )


def make_split(setting: Setting, train: data.Dataset, seed: int) -> Split:
    """The forget set of a seed."""
    if setting.paradigm == "class-wise":
        return splits.class_split(train.labels, setting.forgotten_class, train.num_classes)
    return splits.random_split(train.labels, setting.fraction, stream(seed, "split"))


def make_model(setting: Setting, train: data.Dataset) -> nn.Module:
    """The setting's backbone with fresh weights."""
    channels = train.inputs.shape[-1]
    return models.build(setting.model.name, train.num_classes, channels, setting.model.width)


def judged_set(setting: Setting, loaded: Data, judge: Judge) -> data.Dataset:
    """The test or validation set; without the forgotten class in class-wise forgetting."""
    chosen = loaded.test if judge == "test" else loaded.validation
    if len(chosen) == 0:
        raise DataError("validation_size: a search needs validation samples; found 0")
    if setting.paradigm == "class-wise":
        return chosen.take(splits.without_class(chosen.labels, setting.forgotten_class))
    return chosen


def _model_key(setting: Setting, loaded: Data, seed: int, kind: str) -> str:
    identity = setting.identity()
    if kind == "original":
        for field in ("paradigm", "fraction", "forgotten_class"):
            identity.pop(field, None)
    return f"{kind}-{digest([identity, loaded.checksum, seed])}"


def original_state(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = _silent,
) -> dict[str, torch.Tensor]:
    """Weights of the original model of a seed: from the store, or trained and stored."""
    key = _model_key(setting, loaded, seed, "original")
    stored = load_state(store, key)
    if stored is not None:
        return stored[0]
    generator = stream(seed, "original")
    with models.seeded(generator):
        model = make_model(setting, loaded.train)
    model.to(execution.resolve())
    config = setting.training
    plan, steps = one_set_plan(loaded.train, config, generator)

    def report(epoch: int, loss: float) -> None:
        progress(f"original, seed {seed}: epoch {epoch}/{config.epochs}, loss {loss:.3f}")

    with models.seeded(generator):
        train(model, plan, steps, cross_entropy, config, execution, on_epoch=report)
    state = {name: value.cpu() for name, value in model.state_dict().items()}
    save_state(store, key, state, {"setting": setting.identity(), "seed": seed})
    return state


def make_problem(
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = _silent,
) -> Problem:
    """The unlearning problem of a seed; trains the original model if the store has none."""
    state = original_state(setting, loaded, seed, store, execution, progress)
    split = make_split(setting, loaded.train, seed)
    return Problem(
        make_model=lambda: make_model(setting, loaded.train),
        trained_state=state,
        retain=loaded.train.take(split.retain),
        forget=loaded.train.take(split.forget),
        execution=execution,
    )


def warm_up(problem: Problem) -> None:
    """One forward and backward pass on a throw-away copy, so that timings leave it out."""
    plan = [torch.arange(min(2, len(problem.forget)))]
    model = problem.trained_model().eval()
    for inputs, labels in problem.forget.batches(plan):
        nn.functional.cross_entropy(model(inputs), labels).backward()  # type: ignore[no-untyped-call]


def evaluate_state(
    problem: Problem, state: Mapping[str, torch.Tensor], judged: data.Dataset
) -> metrics.Report:
    """Metrics of a model with weights ``state``."""
    model = problem.trained_model()
    model.load_state_dict(dict(state))
    pairs = []
    for samples in (problem.retain, problem.forget, judged):
        out = predict(model, samples, problem.execution)
        pairs.append((out.logits, out.labels))
    return metrics.report(*pairs)


def _unlearn(
    problem: Problem,
    label: str,
    config: SGDConfig,
    setting: Setting,
    loaded: Data,
    seed: int,
    store: Store,
) -> UnlearnResult:
    """Run a method; the retrained model is kept in the store with its timings."""
    method, _ = split_label(label)
    if method != "retrain":
        return get_method(method)(problem, config, generator=stream(seed, "unlearn"))
    key = _model_key(setting, loaded, seed, "retrain") + f"-{digest(config.model_dump())}"
    stored = load_state(store, key)
    if stored is not None:
        return UnlearnResult(stored[0], **stored[1]["result"])
    result = get_method(method)(problem, config, generator=stream(seed, "retrain"))
    facts = {
        "steps": result.steps,
        "forward_samples": result.forward_samples,
        "backward_samples": result.backward_samples,
        "seconds": result.seconds,
    }
    save_state(store, key, result.state_dict, {"result": facts, "seed": seed})
    return result


def record_key(
    setting: Setting, loaded: Data, label: str, config: Config, seed: int, judge: Judge
) -> str:
    """The name under which a record is stored: a hash of all that determines it."""
    what = [setting.identity(), loaded.checksum, split_label(label)[0], config.model_dump()]
    return f"{digest([*what, seed, judge])}"


def run_one(
    setting: Setting,
    loaded: Data,
    label: str,
    config: SGDConfig,
    seed: int,
    store: Store,
    execution: Execution,
    *,
    judge: Judge = "test",
    progress: Progress = _silent,
) -> Record:
    """The record of one method and seed: from the store, or computed and stored.

    A diverging run ends with a record whose status says so.
    """
    key = record_key(setting, loaded, label, config, seed, judge)
    known = load_record(store, key)
    if known is not None:
        return known
    problem = make_problem(setting, loaded, seed, store, execution, progress)
    warm_up(problem)
    progress(f"{label}, seed {seed}")
    status, note, report = "ok", "", {}
    result = UnlearnResult({}, 0, 0, 0, 0.0)
    try:
        result = _unlearn(problem, label, config, setting, loaded, seed, store)
        judged = judged_set(setting, loaded, judge)
        report = evaluate_state(problem, result.state_dict, judged).as_dict()
    except DivergenceError as error:
        status, note = "diverged", str(error)
    record = Record(
        kind="result" if judge == "test" else "trial",
        scale=setting.scale,
        setting=setting.identity(),
        method=split_label(label)[0],
        config=config.model_dump(),
        seed=seed,
        status=status,
        metrics=report,
        seconds=result.seconds,
        steps=result.steps,
        forward_samples=result.forward_samples,
        backward_samples=result.backward_samples,
        setting_hash=digest(setting.identity()),
        config_hash=digest(config.model_dump()),
        data_checksum=loaded.checksum,
        versions=provenance.versions(),
        hardware=provenance.hardware(execution.resolve()),
        commit=provenance.commit(),
        created=provenance.now(),
        note=note,
    )
    save_record(store, key, record)
    return record


def run_grid(
    setting: Setting,
    loaded: Data,
    configs: Mapping[str, SGDConfig],
    seeds: Sequence[int],
    store: Store,
    execution: Execution,
    *,
    progress: Progress = _silent,
    on_record: Callable[[Record], Any] = lambda _: None,
) -> list[Record]:
    """Records of all methods and seeds, seed by seed; what the store has is not computed again."""
    records = []
    for seed in seeds:
        for label, config in configs.items():
            record = run_one(
                setting, loaded, label, config, seed, store, execution, progress=progress
            )
            records.append(record)
            on_record(record)
    return records
