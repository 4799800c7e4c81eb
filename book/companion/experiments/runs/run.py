"""One setting, method and seed to one record; models trained once and shared by all methods."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from companion.experiments.records import provenance
from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    drop_state,
    keep_checkpoint,
    load_record,
    load_state,
    save_record,
    save_state,
)
from companion.experiments.runs.checks import check_methods, check_problem, rehearse_own
from companion.experiments.runs.outputs import OnModel
from companion.experiments.runs.problems import Bench, Judge
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.seeds import stream
from ugradsl_core import metrics
from ugradsl_core.config import Config
from ugradsl_core.errors import DivergenceError
from ugradsl_core.methods import get_method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import load_weights
from ugradsl_core.samples import Samples
from ugradsl_core.training import predict
from ugradsl_core.training.loop import in_memory_format


def warm_up(problem: Problem, batch_size: int) -> None:
    """Two training passes on a throw-away copy, so that timings leave out a first one's cost."""
    execution = problem.execution
    share = batch_size // (execution.accumulate * execution.world.size)
    size = min(share, len(problem.retain))
    plan = [torch.arange(size)] * 2 if size > 1 else []
    model = in_memory_format(problem.trained_model().train(), execution)
    for inputs, labels in problem.retain.batches(plan):
        with torch.autocast(labels.device.type, torch.bfloat16, enabled=execution.amp):
            value = nn.functional.cross_entropy(model(inputs), labels)
        value.backward()  # type: ignore[no-untyped-call]


def predict_state(
    problem: Problem, state: Mapping[str, torch.Tensor], judged: Samples
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and labels of D_r, D_f and ``judged`` by a model with weights ``state``.

    Raises:
        DivergenceError: a logit is not finite.
    """
    model = load_weights(problem.trained_model(), state)
    pairs = []
    for samples in (problem.retain, problem.forget, judged):
        out = predict(model, samples, problem.execution)
        if not bool(torch.isfinite(out.logits).all()):
            raise DivergenceError("the unlearned model's logits are no longer finite")
        pairs.append((out.logits, out.labels))
    return pairs


def evaluate_state(
    problem: Problem, state: Mapping[str, torch.Tensor], judged: Samples
) -> metrics.Report:
    """Metrics of a model with weights ``state``."""
    return metrics.report(*predict_state(problem, state, judged))


def unlearned(
    bench: Bench, problem: Problem, label: str, config: Config, seed: int
) -> UnlearnResult:
    """Run a method; the retrained model is kept in the store with its timings."""
    method, _ = split_label(label)
    if method != "retrain":
        return get_method(method)(problem, config, generator=stream(seed, "unlearn"))
    store, key = bench.store, bench.retrained_key(config, seed)
    stored = load_state(store, key)
    if stored is not None:
        return UnlearnResult(stored[0], **stored[1]["result"])
    unfinished = f"{key}-partial"
    kept = replace(problem, checkpoint=partial(keep_checkpoint, store, unfinished))
    again = getattr(config, "initialisation", 0)
    generator = stream(seed, f"retrain:{again}" if again else "retrain")
    result = get_method(method)(kept, config, generator=generator)
    facts = {
        "steps": result.steps,
        "forward_samples": result.forward_samples,
        "backward_samples": result.backward_samples,
        "seconds": result.seconds,
    }
    save_state(store, key, result.state_dict, {"result": facts, "seed": seed})
    drop_state(store, unfinished)
    return result


def retrained_state(
    bench: Bench, problem: Problem, config: Config, seed: int
) -> dict[str, torch.Tensor]:
    """Weights θ_r of the retrained model of a seed: from the store, or trained and stored."""
    return unlearned(bench, problem, "retrain", config, seed).state_dict


def signal_note(found: metrics.Report) -> str:
    """A record's note on attacks without a signal: one sentence, or nothing."""
    names = [name for name in ("MIA", "add_MIA") if math.isnan(getattr(found, name))]
    return f"no signal in {' and '.join(names)}: the attack has nothing to learn from" * bool(names)


def run_one(
    bench: Bench,
    label: str,
    config: Config,
    seed: int,
    *,
    judge: Judge = "test",
    protocol: str = "",
    warm: bool = False,
    on_model: OnModel | None = None,
) -> Record:
    """The record of one method and seed: from the store, or computed and stored.

    A diverging run ends with a record whose status says so. ``warm`` leaves out the warm-up, in a
    process that has made a run of the same model before. ``protocol`` is written into the record.
    ``on_model`` is given every model that is judged here, with its logits.
    """
    setting, store = bench.setting, bench.store
    key = bench.record_key(label, config, seed, judge, protocol)
    known = load_record(store, key)
    if known is not None:
        return replace(known, scale=setting.scale)
    bench = bench.of_seed(seed)
    problem = bench.problem(seed)
    if not warm:
        warm_up(problem, getattr(config, "batch_size", 256))
    bench.progress(f"{label}, seed {seed}")
    status, note, report = "ok", "", {}
    result = UnlearnResult({}, 0, 0, 0, 0.0)
    try:
        result = unlearned(bench, problem, label, config, seed)
        judged = bench.judged(judge)
        pairs = predict_state(problem, result.state_dict, judged)
        found = metrics.report(*pairs)
        report, note = found.as_dict(), signal_note(found)
        if on_model is not None:
            on_model(problem, result.state_dict, judged, pairs)
    except DivergenceError as error:
        status, note = "diverged", str(error)
    record = Record.stamped(
        device=bench.execution.resolve(),
        hashed=config.key_fields(),
        switches=bench.execution.switches(),
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
        data_checksum=bench.data.checksum,
        note=note,
        protocol=protocol,
    )
    save_record(store, key, record)
    return record


def check_grid(
    bench: Bench,
    configs: Mapping[str, Config],
    seeds: Sequence[int] = (0,),
    judge: Judge = "test",
) -> None:
    """Raise where a run cannot begin or a method cannot run so, before anything is computed.

    Raises:
        ConfigError: a model, a method, or processes that do not fit.
        DataError: an empty forget set, or nothing to judge by.
        ModelError: weights or a factory that do not fit.
    """
    check_methods(bench.setting, configs, bench.data.train.vocabulary, bench.execution)
    check_problem(bench, seeds, judge)
    rehearse_own(bench, configs)


def run_grid(
    bench: Bench,
    configs: Mapping[str, Config],
    seeds: Sequence[int],
    *,
    on_record: Callable[[Record], Any] = lambda _: None,
) -> list[Record]:
    """Records of all methods and seeds, seed by seed; what the store has is not computed again."""
    provenance.commit()  # now, as the code that runs is the code of now
    check_grid(bench, configs)
    records = []
    for seed in seeds:
        for label, config in configs.items():
            records.append(run_one(bench, label, config, seed))
            on_record(records[-1])
    return records
