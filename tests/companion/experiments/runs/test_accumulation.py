"""Micro-batches add up to the step of the whole batch, or are refused by name."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from benches import bench_of
from companion.experiments.records.store import all_records, open_store
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.run import run_one
from companion.experiments.settings.setting import Setting
from toys import CPU, METHODS, generator, images, problem, replaced, seeded_model, unlearned
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import make_config
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.training import Execution, SGDConfig, train
from ugradsl_core.training.steps import micro_batches

Cli = Callable[..., tuple[int, str, str]]

THREE = Execution(device="cpu", accumulate=3)
CUT = [name for name in METHODS if not getattr(METHODS[name].config(), "coupled", str)()]


@pytest.mark.parametrize("name", CUT)
def test_micro_batches_take_the_step_of_the_whole_batch(name: str) -> None:
    """Batches of 8 in parts of 3, 3 and 2, and a last batch of 3."""
    whole = problem("linear", 27, 11)
    options = {"max_iterations": 3, "damping": 1e4} if name == "iu" else {}
    expected = unlearned(name, whole, **options)
    found = unlearned(name, replaced(whole, execution=THREE), **options)
    for key, value in expected.state_dict.items():
        torch.testing.assert_close(found.state_dict[key], value, rtol=1e-5, atol=1e-6)
    assert found.losses == pytest.approx(expected.losses, rel=1e-4, abs=1e-6)
    counts = ("steps", "forward_samples", "backward_samples")
    assert [getattr(found, c) for c in counts] == [getattr(expected, c) for c in counts]


def test_less_is_alive_at_once() -> None:
    sizes: list[int] = []
    model = seeded_model("linear")
    model.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    config = SGDConfig(epochs=1, batch_size=8)
    plan, steps = one_set_plan(images(16), config, generator())
    train(model, plan, steps, cross_entropy, config, THREE)
    assert sizes == [3, 3, 2, 3, 3, 2]


def test_batchnorm_sees_micro_batches() -> None:
    """With it a step is another one, as the switch says."""
    states = []
    for execution in (CPU, THREE):
        states.append(unlearned("ft", replaced(problem("cnn"), execution=execution)).state_dict)
    assert not torch.allclose(states[0]["head.weight"], states[1]["head.weight"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("ugradsl", {"alpha": None}, "UGradSL cannot be cut .* self-adaptive rate"),
        ("ugradsl+", {"reduction": "sum"}, "UGradSL\\+ cannot be cut .* is no mean"),
        ("scrub", {"variant": "joint"}, "SCRUB cannot be cut .* different sizes"),
        ("pabi", {}, "PABI cannot be cut .* clip the gradient"),
    ],
)
def test_losses_that_couple_a_batch_refuse_by_name(
    name: str, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"^accumulate: {reason}"):
        unlearned(name, replaced(problem("linear"), execution=THREE), **changes)


def test_more_micro_batches_than_samples_are_refused() -> None:
    with pytest.raises(ConfigError, match="accumulate: should be at most 2, the samples"):
        unlearned("ft", replaced(problem("linear"), execution=THREE), batch_size=2)
    with pytest.raises(ConfigError, match="accumulate: should be a whole number from 1; found 0"):
        Execution(accumulate=0)


def test_parts_have_their_share_of_the_samples() -> None:
    batch = torch.arange(7.0)[:, None], torch.arange(7)
    nothing = torch.empty(0), torch.empty(0, dtype=torch.long)
    cut = list(micro_batches((batch, nothing), 3))
    assert [share for _, share in cut] == pytest.approx([3 / 7, 2 / 7, 2 / 7])
    assert torch.cat([part[0][1] for part, _ in cut]).tolist() == list(range(7))
    assert all(len(part[1][1]) == 0 for part, _ in cut)
    assert len(list(micro_batches((batch,), 20))) == 7
    with pytest.raises(ConfigError, match="should have one size; found \\[2, 7\\]"):
        list(micro_batches((batch, (torch.zeros(2, 1), torch.zeros(2))), 2))


SETTING = Setting(
    train_size=60,
    model={"width": 2},
    training={"lr": 0.1, "epochs": 1, "batch_size": 32},
)


def test_switches_that_change_results_have_keys_and_records_of_their_own(tmp_path) -> None:
    loaded = load_data(SETTING, CPU)
    config = make_config("ft", epochs=1, batch_size=16)
    amp = Execution(device="cpu", amp=True)
    cut = Execution(device="cpu", accumulate=2)
    plain = Execution(device="cpu", channels_last=False)
    benches = [bench_of(SETTING, loaded, execution=e) for e in (CPU, amp, cut, plain)]
    keys = [bench.record_key("ft", config, 0) for bench in benches[:3]]
    assert len(set(keys)) == 3
    assert keys[0] == benches[3].record_key("ft", config, 0)
    for kind in ("original", "retrain"):
        named = [bench.model_key(kind, 0) for bench in benches]
        assert len(set(named)) == 3
        assert named[0] == named[3]
    store = open_store(tmp_path / "store")
    first = run_one(bench_of(SETTING, loaded, store), "ft", config, 0)
    second = run_one(bench_of(SETTING, loaded, store, cut), "ft", config, 0)
    assert "accumulate" not in first.hardware
    assert second.hardware["accumulate"] == 2
    assert first.config_hash == second.config_hash
    assert len(all_records(store)) == 2


def test_the_command_hands_the_switches_over(cli: Cli, tmp_path, monkeypatch) -> None:
    from companion.experiments.runs import run

    seen = []
    monkeypatch.setattr(run, "run_grid", lambda bench, *_, **__: seen.append(bench.execution))
    monkeypatch.setattr("companion.cli.experiments.print_summary", lambda _: None)
    code, _, err = cli(
        "experiment", "digits-random10", "--methods", "ft", "--store", tmp_path / "s", "--amp",
        "--compile", "--no-channels-last", "--accumulate", "2", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, err
    assert seen == [Execution("cpu", True, True, False, 2)]
    code, _, err = cli("experiment", "digits-random10", "--accumulate", "0")
    assert code == 2
    assert "accumulate" in err


def test_compilation_without_a_compiler_is_refused(
    cli: Cli, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    code, _, err = cli("experiment", "digits-random10", "--methods", "ft", "--compile")
    assert code == 2
    assert "compile: torch.compile needs a C++ compiler" in err


def test_compilation_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[nn.Module] = []
    monkeypatch.setattr(torch, "compile", lambda model: asked.append(model) or model)
    config = SGDConfig(epochs=2, batch_size=8)
    plan, steps = one_set_plan(images(16), config, generator())
    model = seeded_model("linear")
    train(model, plan, steps, cross_entropy, config, Execution("cpu", compile=True))
    assert asked == [model]
