"""Records made by hand."""

from pathlib import Path
from typing import Any

from companion.experiments.campaign.campaign import publish
from companion.experiments.records.record import Record
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import Setting, digest
from ugradsl_core.methods import make_config
from ugradsl_core.metrics import GAP_METRICS

SETTING = Setting()


def record(label: str, seed: int, *values: float, **changes: Any) -> Record:
    """A record with UA, MIA, RA and TA; without them it is of a run that diverged."""
    method, fixed = split_label(label)
    fields: dict[str, Any] = {
        "kind": "result",
        "scale": "smoke",
        "setting": SETTING.identity(),
        "method": method,
        "config": make_config(method, **fixed).model_dump(),
        "seed": seed,
        "status": "ok" if values else "diverged",
        "metrics": dict(zip(GAP_METRICS, values, strict=True)) if values else {},
        "seconds": 1.5,
        "steps": 3,
        "forward_samples": 20,
        "backward_samples": 10,
        "setting_hash": digest(SETTING.identity()),
        "config_hash": "b",
        "data_checksum": "c",
        "versions": {"python": "3"},
        "hardware": {"device": "cpu"},
        "commit": "unknown",
        "created": "2020-01-01T00:00:00+00:00",
        "note": "α ≤ 1",
    }
    return Record(**{**fields, **changes})


def publish_every_second(path: Path, first: int, end: int) -> None:
    """Publish a record of Retrain for every second seed, from the first to before the end."""
    for seed in range(first, end, 2):
        publish(path, record("retrain", seed, 1, 2, 3, 4))
