"""Metrics, rates, switches, a user's own model, and a store, on the device."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from subjects import REHEARSAL, SIDE, STEPS, distance, make_model, make_problem, on_cpu, run
from torch.utils.data import TensorDataset

from benches import bench_of
from companion import backbones
from companion.experiments.records.store import open_store
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.run import evaluate_state, run_one
from companion.experiments.settings.preset import preset_config, preset_setting
from ugradsl_core import metrics
from ugradsl_core.api import evaluate, unlearn
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.models import seeded
from ugradsl_core.smoothing import adaptive_alpha, gls_labels, gls_loss
from ugradsl_core.training import Execution, SGDConfig, predict, train
from ugradsl_core.training.checkpoint import Checkpoint

EPOCHS = 1 if REHEARSAL else 20


def _close(a: Mapping[str, Any], b: Mapping[str, Any], by: float) -> None:
    for name in ("UA", "MIA", "RA", "TA", "add_MIA"):
        assert a[name] == pytest.approx(b[name], abs=by, nan_ok=True), name


@pytest.mark.parametrize("kind", ["resnet", "vit", "bert"])
def test_metrics_of_one_state_agree_with_the_cpu(kind: str, device: torch.device) -> None:
    subject = make_problem(kind, device)
    state = run("ft", subject).state_dict
    cpu = on_cpu(subject)
    found, expected = (
        evaluate_state(each, state, each.forget).as_dict()  # type: ignore[arg-type]
        for each in (subject, cpu)
    )
    _close(found, expected, 0.1)


def test_logits_on_the_device_have_the_same_scores(device: torch.device) -> None:
    generator = torch.Generator().manual_seed(0)
    sets = []
    for n, sharp in ((300, 3.0), (100, 2.0), (200, 1.5)):
        labels = torch.randint(10, (n,), generator=generator)
        logits = torch.randn(n, 10, generator=generator)
        logits[torch.arange(n), labels] += sharp
        sets.append((logits, labels))
    here, there = (
        metrics.report(*[(logits.to(place), labels.to(place)) for logits, labels in sets])
        for place in (torch.device("cpu"), device)
    )
    _close(here.as_dict(), there.as_dict(), 0.1)
    assert dict(here.mia) == pytest.approx(dict(there.mia), abs=0.1)


@pytest.mark.parametrize("distance_", ["cosine", "euclidean"])
@pytest.mark.parametrize("beta", [None, 0.3])
def test_self_adaptive_rates_agree_with_the_cpu(
    distance_: Any, beta: float | None, device: torch.device
) -> None:
    generator = torch.Generator().manual_seed(0)
    features = [torch.randn(16, 8, generator=generator) for _ in range(2)]
    expected = adaptive_alpha(*features, beta, distance_)
    found = adaptive_alpha(*(f.to(device) for f in features), beta, distance_)
    assert found.device.type == device.type
    assert (found.cpu() - expected).abs().max() <= 1 / 16  # one pair at the threshold
    labels = torch.arange(16, device=device) % 8
    logits = features[0].to(device)
    smooth = -(gls_labels(labels, -found, 8) * logits.log_softmax(1)).sum(1).mean()
    assert gls_loss(logits, labels, -found).item() == pytest.approx(smooth.item(), rel=1e-5)


def _digits(device: torch.device, **switches: Any) -> float:
    """TA after the training of the smoke preset, shorter in a rehearsal."""
    setting = preset_setting("digits-random10", "smoke")
    execution = Execution(device=str(device), **switches)
    loaded = load_data(setting, execution)
    config = SGDConfig(**{**setting.training.model_dump(), "epochs": EPOCHS})
    generator = torch.Generator().manual_seed(0)
    with seeded(generator):
        model = backbones.build(
            setting.model,
            num_classes=loaded.train.num_classes,
            input_shape=loaded.train.input_shape,
        ).to(device)
    plan, steps = one_set_plan(loaded.train, config, generator)
    log = train(model, plan, steps, cross_entropy, config, execution)
    assert all(map(math.isfinite, log.losses))
    out = predict(model, loaded.test, execution)
    return metrics.accuracy(out.logits, out.labels)


def test_amp_and_memory_formats_learn_the_digits_alike(device: torch.device) -> None:
    plain = _digits(device, channels_last=False)
    by = 10.0 if REHEARSAL else 1.0  # one epoch has learnt little yet
    tried = [{"amp": True}, {"channels_last": True}, {"amp": True, "channels_last": False}]
    for switches in tried[: 1 if REHEARSAL else None]:
        assert _digits(device, **switches) == pytest.approx(plain, abs=by), switches


@pytest.mark.parametrize(("name", "alpha"), [("ft", 0.0), ("ugradsl", -0.4), ("ugradsl", None)])
def test_compiling_changes_rounding_only(
    name: str, alpha: float | None, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    if REHEARSAL:  # a compiler would take minutes
        monkeypatch.setattr(torch, "compile", lambda model: model)
    subject = make_problem("resnet", device)
    compiled = replace(subject, execution=replace(subject.execution, compile=True))
    changes = {} if name == "ft" else {"alpha": alpha}
    found, expected = (run(name, each, **changes).state_dict for each in (compiled, subject))
    assert list(found) == list(expected)
    assert distance(found, expected) <= 1e-3


def test_bf16_gradients_are_finite_for_each_model(device: torch.device) -> None:
    for kind in ("resnet", "vit", "bert"):
        result = run("ugradsl", make_problem(kind, device, amp=True))
        assert all(bool(torch.isfinite(v).all()) for v in result.state_dict.values())
        assert result.steps == STEPS


@pytest.mark.parametrize("place", ["the device", "cpu"])
def test_a_users_model_stays_where_and_as_it_is(place: str, device: torch.device) -> None:
    home = device if place == "the device" else torch.device("cpu")
    model = make_model("resnet").to(home)
    kept = copy.deepcopy(model.state_dict())
    images = torch.randn(24, 3, SIDE, SIDE)
    sets = {
        name: TensorDataset(images[rows], torch.arange(8) % 4)
        for name, rows in zip(("retain", "forget", "test"), torch.arange(24).split(8), strict=True)
    }
    execution = Execution(device=str(device))
    given = {name: sets[name] for name in ("retain", "forget")}
    result = unlearn(
        "ugradsl", model, **given, epochs=1, batch_size=4, alpha=None, execution=execution
    )
    assert {p.device.type for p in model.parameters()} == {home.type}
    assert {p.device.type for p in result.model.parameters()} == {home.type}
    assert all(torch.equal(kept[name], value) for name, value in model.state_dict().items())
    report = evaluate(result.model, **sets, execution=execution)
    assert 0 <= report.UA <= 100
    assert {p.device.type for p in result.model.parameters()} == {home.type}


def test_a_store_of_the_device_goes_on_on_the_cpu(tmp_path: Path, device: torch.device) -> None:
    setting = preset_setting("digits-random10", "smoke")
    training = {**setting.training.model_dump(), "epochs": 1}
    setting = setting.replace(training=training, train_size=200, validation_size=0)
    store = open_store(tmp_path)
    retrain = preset_config("retrain", "digits-random10", "smoke", **training)
    ft = preset_config("ft", "digits-random10", "smoke", epochs=1)
    here, cpu = Execution(device=str(device)), Execution(device="cpu")
    first = run_one(bench_of(setting, load_data(setting, here), store, here), "retrain", retrain, 0)
    elsewhere = load_data(setting, cpu)
    again = run_one(bench_of(setting, elsewhere, store, cpu), "retrain", retrain, 0)
    assert again == first  # read, not computed
    # the original is the store's
    record = run_one(bench_of(setting, elsewhere, store, cpu), "ft", ft, 0)
    assert record.status == "ok"
    assert record.hardware["device"] == "cpu"
    originals = [path for path in tmp_path.rglob("*original*") if path.is_file()]
    assert len({path.stem for path in originals}) == 1


def test_an_unfinished_training_goes_on_on_the_cpu(device: torch.device) -> None:
    subject = make_problem("resnet", device)
    kept: list[dict[str, torch.Tensor]] = []

    def keep(tensors: dict[str, torch.Tensor]) -> None:
        kept.append({name: value.clone() for name, value in tensors.items()})

    def halves(where: torch.device, load: Any) -> Any:
        execution = Execution(device=str(where))
        generator = torch.Generator().manual_seed(0)
        samples = subject.retain.to(where)  # type: ignore[attr-defined]
        config = SGDConfig(lr=2e-3, epochs=2, batch_size=8)
        model = make_model("resnet")
        model.load_state_dict(dict(subject.trained_state))
        plan, steps = one_set_plan(samples, config, generator)
        checkpoint = Checkpoint(load, keep, [generator], every=1)
        log = train(
            model.to(where), plan, steps, cross_entropy, config, execution, checkpoint=checkpoint
        )
        return {name: value.cpu() for name, value in model.state_dict().items()}, log.losses

    whole, losses = halves(device, lambda: None)
    assert all(value.device.type == "cpu" for value in kept[0].values())
    state, found = halves(torch.device("cpu"), lambda: kept[0])
    assert distance(state, whole) <= 1e-4
    assert found == pytest.approx(losses, rel=1e-4)
