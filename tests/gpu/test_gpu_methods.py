"""Every method and variant on the device: as on the CPU, and without making the host wait."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch
from subjects import BATCH, CASES, IDS, REHEARSAL, SPECS, STEPS, distance, make_problem, on_cpu, run
from torch import Tensor

from ugradsl_core.methods import METHODS, common
from ugradsl_core.samples import Batch

pabi = importlib.import_module("ugradsl_core.methods.pabi")  # whose function has its name

KINDS = list(SPECS)
# A rehearsal takes each method once, the models in turn: tests/core tries every variant on the CPU.
FIRST = {name: place for place, (name, _) in reversed(list(enumerate(CASES)))}
PAIRS = [
    pytest.param(kind, name, changes, id=f"{kind}-{IDS[place]}")
    for place, (name, changes) in enumerate(CASES)
    if not REHEARSAL or place == FIRST[name]
    for kind in (KINDS if not REHEARSAL else [KINDS[place % len(KINDS)]])
]
every_pair = pytest.mark.parametrize(("kind", "name", "changes"), PAIRS)


@every_pair
def test_three_steps_agree_with_the_cpu(
    kind: str, name: str, changes: dict[str, Any], device: torch.device
) -> None:
    subject = make_problem(kind, device)
    before = {key: value.clone() for key, value in subject.trained_state.items()}
    stored = subject.retain.inputs.clone()  # type: ignore[attr-defined]
    random = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    found = run(name, subject, **changes)
    # what the caller has is as it was, its device's random state included
    assert all(torch.equal(before[key], value) for key, value in subject.trained_state.items())
    assert torch.equal(stored, subject.retain.inputs)  # type: ignore[attr-defined]
    after = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    assert torch.equal(random, after)
    assert {value.device.type for value in found.state_dict.values()} == {"cpu"}
    expected = run(name, on_cpu(subject), **changes)
    counted = (expected.steps, expected.forward_samples, expected.backward_samples)
    assert (found.steps, found.forward_samples, found.backward_samples) == counted
    assert distance(found.state_dict, expected.state_dict) <= 1e-4
    assert found.losses == pytest.approx(expected.losses, rel=1e-4, abs=1e-5)


def _quiet(device: torch.device, mode: str) -> None:
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode(mode)


def _watched(device: torch.device, steps: Iterable[Any]) -> Iterator[Any]:
    """The batches of an epoch; from the first on, whatever waits for the device is an error."""
    _quiet(device, "error")
    try:
        yield from steps
    finally:
        _quiet(device, "default")


@pytest.mark.parametrize(("kind", "name", "changes"), PAIRS[:: 4 if REHEARSAL else 1])
def test_no_step_makes_the_host_wait(
    kind: str,
    name: str,
    changes: dict[str, Any],
    device: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "lr" not in METHODS[name].config.model_fields:
        pytest.skip("no training loop")
    seen: list[int] = []

    def train(model: Any, plan: Any, *rest: Any, **named: Any) -> Any:
        def counted(epoch: int) -> Iterator[tuple[Batch, ...]]:
            for batches in _watched(device, plan(epoch)):
                seen.append(epoch)
                yield batches

        return original(model, counted, *rest, **named)

    def endless(*rest: Any) -> Iterator[Batch]:
        return _watched(device, batches(*rest))

    original, batches = common.train, pabi._endless
    monkeypatch.setattr(common, "train", train)
    monkeypatch.setattr(pabi, "_endless", endless)
    try:
        run(name, make_problem(kind, device), **changes)
    finally:
        _quiet(device, "default")
    assert len(seen) >= STEPS


def test_an_epoch_comes_from_the_device_without_a_wait(device: torch.device) -> None:
    samples = make_problem("resnet", device).retain
    plan = torch.arange(len(samples)).split(BATCH)
    generator = torch.Generator().manual_seed(0)
    found: list[Tensor] = []
    ready = samples.batches(plan, augment="crop-flip", generator=generator)
    for inputs, labels in _watched(device, ready):
        assert inputs.device == labels.device == samples.inputs.device  # type: ignore[attr-defined]
        found.append(labels)
    assert torch.equal(torch.cat(found).cpu(), samples.labels)
