"""Per-sample outputs: what follows from margins, similarity of layers, files, and real models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benches import bench_of
from companion.experiments.records.outputs import outputs_path, read_outputs, write_outputs
from companion.experiments.records.store import open_store
from companion.experiments.runs.outputs import (
    retrained_at_hand,
    set_outputs,
    take_outputs,
)
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.run import run_one
from companion.experiments.settings.preset import preset_config, preset_setting
from toys import CPU
from ugradsl_core.errors import StoreError


def test_confidence_and_loss_follow_from_the_margin() -> None:
    logits = torch.randn(200, 7, generator=torch.Generator().manual_seed(0)) * 4
    labels = torch.arange(200) % 7
    found = set_outputs(logits, labels)
    p = logits.double().softmax(1)[torch.arange(200), labels]
    assert np.allclose(found.confidence, p, atol=2e-3)
    assert np.allclose(found.losses, -p.log(), rtol=2e-3, atol=1e-3)
    assert (found.predictions == logits.argmax(1).numpy()).all()
    assert found.labels.dtype == np.uint8
    assert (found.labels == labels.numpy()).all()


def test_certain_models_have_finite_margins_and_many_classes_fit() -> None:
    logits = torch.zeros(2, 300)
    logits[0, 299], logits[1, 299] = 1e6, 1e6
    found = set_outputs(logits, torch.tensor([299, 0]))
    assert found.predictions.tolist() == [299, 299]
    assert np.isfinite(found.margins).all()
    assert found.confidence[0] == 1
    assert found.confidence[1] == 0


def test_the_outputs_of_a_run_are_those_that_its_metrics_saw(tmp_path: Path) -> None:
    setting = preset_setting("digits-random10", "smoke")
    setting = setting.replace(training=setting.training.replace(epochs=2))
    loaded, store = load_data(setting, CPU), open_store(tmp_path / "store")
    kept = []

    def keep(problem, state, judged, pairs):  # type: ignore[no-untyped-def]
        retrained = retrained_at_hand(bench_of(setting, loaded, store), 0)
        kept.append(take_outputs(problem, state, judged, pairs, retrained, {"label": "any"}))

    retrain = setting.training
    run_one(bench_of(setting, loaded, store), "retrain", _retrain(retrain), 0, on_model=keep)
    config = preset_config("ft", "digits-random10", "smoke", epochs=1)
    record = run_one(bench_of(setting, loaded, store), "ft", config, 0, on_model=keep)
    reference, outputs = kept
    for name, metric, sign in (("forget", "UA", -1), ("retain", "RA", 1), ("test", "TA", 1)):
        found = outputs.sets[name]
        share = 100 * float((found.labels == found.predictions).mean())
        assert record.metrics[metric] == pytest.approx(share if sign > 0 else 100 - share)
    assert set(outputs.similarity) == {"original", "retrain"}
    assert all(0 <= x <= 1 + 1e-9 for of in outputs.similarity.values() for x in of.values())
    assert all(x == pytest.approx(1) for x in reference.similarity["retrain"].values())
    again = run_one(bench_of(setting, loaded, store), "ft", config, 0)
    assert again == record  # outputs are no part of a record's identity
    path = outputs_path(tmp_path, "ft", 0)
    write_outputs(path, outputs)
    back = read_outputs(path)
    assert back.facts == {"label": "any"}
    assert back.similarity == outputs.similarity
    for name, found in outputs.sets.items():
        assert (back.sets[name].margins == found.margins).all()
        assert (back.sets[name].predictions == found.predictions).all()
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(StoreError, match="cannot be read"):
        read_outputs(path)


def _retrain(training):  # type: ignore[no-untyped-def]
    from ugradsl_core.methods import get_method

    return get_method("retrain").config(**training.model_dump())
