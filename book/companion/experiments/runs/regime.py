"""How near a reduced setting comes to the paper's: the original and the retrained model, judged."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from companion.experiments.records.record import Record
from companion.experiments.records.store import read_records, write_records
from companion.experiments.runs.problems import Bench
from companion.experiments.runs.run import evaluate_state, run_one
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import get_method

KIND = "regime"
ORIGINAL = "original"


def regime_record(bench: Bench, seed: int) -> Record:
    """Retrain's record of a seed, with the original model's metrics under ``"original"``.

    Both models are trained if the store does not have them. Of the original model UA and MIA say
    what it knows of D_f, RA and TA are those of the model before unlearning.
    """
    config = get_method("retrain").config(**bench.setting.training.model_dump())
    record, problem = run_one(bench, "retrain", config, seed), bench.problem(seed)
    before = evaluate_state(problem, problem.trained_state, bench.judged("test")).as_dict()
    return replace(record, kind=KIND, metrics={**record.metrics, ORIGINAL: before})


def load_regime(path: Path) -> list[Record]:
    """The records of a file; none where there is no file."""
    return read_records(path) if path.exists() else []


def publish(path: Path, record: Record) -> None:
    """Add a record to a file, in place of an older one of the same setting, scale and seed."""
    kept = [other for other in load_regime(path) if _place(other) != _place(record)]
    write_records(path, [*kept, record])


def _place(record: Record) -> tuple[str, str, int]:
    return record.setting_hash, record.scale, record.seed


def of_setting(records: Sequence[Record], setting_hash: str) -> Record | None:
    """The record of a setting with the smallest seed, or None.

    Raises:
        ConfigError: a record is of another kind.
    """
    for record in records:
        if record.kind != KIND:
            raise ConfigError(f"records: should be of kind {KIND}; found {record.kind!r}")
    found = [record for record in records if record.setting_hash == setting_hash]
    return min(found, key=lambda record: record.seed, default=None)


def original_metrics(record: Record) -> Mapping[str, float]:
    """The metrics of the original model in a record of this kind; empty if Retrain diverged."""
    before: Mapping[str, float] = record.metrics.get(ORIGINAL, {})
    return before
