"""The names under which models and records are stored: a store from before resumes after.

``keys.json`` was written by the code that the published records come from. Its rows are the
setting's identity, the original and the retrained model of seed 0, Retrain's record, a record of
a variant on the validation set under a protocol, and both models and a record in mixed precision.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benches import bench_of
from companion.experiments.settings.preset import SCALES, preset_config, preset_setting
from companion.experiments.settings.setting import digest
from ugradsl_core.methods import METHODS
from ugradsl_core.training import Execution

KEYS = json.loads((Path(__file__).parent / "keys.json").read_text("utf-8"))
AMP = Execution(device="cpu", amp=True)


def keys_of(name: str, scale: str) -> list[str]:
    setting, retrain = preset_setting(name, scale), preset_config("retrain", name, scale)
    loaded: Any = SimpleNamespace(checksum="data")
    bench, mixed = bench_of(setting, loaded), bench_of(setting, loaded, execution=AMP)
    variant = METHODS["ugradsl+"].config(alpha=None, lr=0.003)
    return [
        digest(setting.identity()),
        bench.model_key("original", 0),
        bench.model_key("retrain", 0),
        bench.record_key("retrain", retrain, 0),
        bench.record_key("ugradsl+:adaptive", variant, 3, "validation", "passes-1"),
        mixed.model_key("original", 1),
        mixed.model_key("retrain", 1),
        mixed.record_key("retrain", retrain, 1),
    ]


@pytest.mark.parametrize("scale", SCALES)
def test_stored_models_and_records_keep_their_names(scale: str) -> None:
    found = {name: keys_of(name, scale) for name in KEYS[scale]}
    assert found == KEYS[scale]


def test_a_preset_has_keys_of_its_own() -> None:
    rows = [row for scale in KEYS.values() for row in scale.values()]
    for records in (0, 3, 4, 7):  # of the identity and of records; models may be shared
        assert len({row[records] for row in rows}) == len(rows)
