"""The training loop against closed forms, and what it and the inference loop leave alone."""

import itertools
import math
from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from toys import CPU, K, copied, generator, images, same_bits, seeded_model, whole_batch
from ugradsl_core.errors import ConfigError, DivergenceError
from ugradsl_core.methods.common import cross_entropy
from ugradsl_core.samples import Batch
from ugradsl_core.training import Execution, SGDConfig, cycled, predict, shuffled, train

SCHEDULES = ["constant", "one-cycle", "cosine"]


def repeat(*batches: Batch) -> Callable[[int], Iterable[tuple[Batch, ...]]]:
    return lambda _: [(batch,) for batch in batches]


def config(**values: object) -> SGDConfig:
    return SGDConfig(**{"lr": 0.05, "epochs": 3, "momentum": 0.0, "weight_decay": 0.0, **values})


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_linear_regression_steps_are_those_by_hand(momentum: float, decay: float) -> None:
    x = torch.randn(7, 3, generator=generator(), dtype=torch.float64)
    y = torch.randint(2, (7,), generator=generator())
    model = nn.Linear(3, 1, bias=False).double()
    w = model.weight.detach().clone()[0]
    velocity = torch.zeros(3, dtype=torch.float64)
    expected = []
    for _ in range(4):
        expected.append(float(((x @ w - y) ** 2).mean() / 2))
        gradient = x.T @ (x @ w - y) / 7 + decay * w
        velocity = momentum * velocity + gradient
        w = w - 0.05 * velocity

    def loss(network: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
        ((inputs, targets),) = batches
        return ((network(inputs)[:, 0] - targets) ** 2).mean() / 2

    chosen = config(epochs=4, momentum=momentum, weight_decay=decay)
    log = train(model, repeat((x, y)), 1, loss, chosen, CPU)
    torch.testing.assert_close(model.weight.detach()[0], w, rtol=1e-12, atol=1e-12)
    assert log.losses == pytest.approx(expected, rel=1e-6)
    assert (log.steps, log.samples) == (4, 28)


def rates_used(schedule: str, epochs: int, steps: int) -> list[float]:
    """Learning rates read off a weight whose gradient is always 1."""
    model = nn.Linear(1, 1, bias=False).double()
    seen: list[float] = []

    def loss(network: nn.Module, _: tuple[Batch, ...]) -> Tensor:
        seen.append(float(model.weight.detach()))
        return network.weight.sum()

    batch = torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)
    train(model, repeat(*[batch] * steps), steps, loss, config(
        schedule=schedule, epochs=epochs, lr=1.0), CPU)  # fmt: skip
    seen.append(float(model.weight.detach()))
    return [before - after for before, after in itertools.pairwise(seen)]


def test_cosine_schedule_by_its_formula() -> None:
    expected = [(1 + math.cos(math.pi * t / 6)) / 2 for t in range(6)]
    assert rates_used("cosine", 3, 2) == pytest.approx(expected)


def test_one_cycle_rises_to_its_peak_and_ends_when_training_does() -> None:
    rates = rates_used("one-cycle", 5, 4)
    assert len(rates) == 20
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) == pytest.approx(1, abs=0.02)
    assert rates[-1] == pytest.approx(1 / 25 / 1e4)
    peak = rates.index(max(rates))
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)


def test_constant_schedule_is_constant() -> None:
    assert rates_used("constant", 2, 3) == pytest.approx([1.0] * 6)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("epochs", [0, 1])
def test_schedules_of_no_or_one_step(schedule: str, epochs: int) -> None:
    assert len(rates_used(schedule, epochs, 1)) == epochs


@given(size=st.integers(1, 60), batch_size=st.integers(1, 20), seed=st.integers(0, 99))
def test_shuffled_covers_each_index_once(size: int, batch_size: int, seed: int) -> None:
    batches = shuffled(size, batch_size, generator(seed))
    assert sorted(torch.cat(batches).tolist()) == list(range(size))
    sizes = [len(batch) for batch in batches]
    if batch_size > 1 and size > 1:
        assert all(n == batch_size for n in sizes[:-1])
        assert 2 <= sizes[-1] <= batch_size + 1


def test_a_last_batch_of_one_joins_the_one_before() -> None:
    assert [len(b) for b in shuffled(9, 4, generator())] == [4, 5]
    assert [len(b) for b in shuffled(1, 4, generator())] == [1]


@given(
    size=st.integers(1, 12),
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    seed=st.integers(0, 99),
)
def test_cycled_gives_the_sizes_asked_for_and_uses_all_evenly(
    size: int, sizes: list[int], seed: int
) -> None:
    batches = list(cycled(size, sizes, generator(seed)))
    assert [len(batch) for batch in batches] == sizes
    used = torch.bincount(torch.cat(batches), minlength=size)
    assert int(used.max() - used.min()) <= 1


def test_cycled_reshuffles_each_round() -> None:
    first, second = cycled(20, [20, 20], generator())
    assert sorted(first.tolist()) == sorted(second.tolist())
    assert not torch.equal(first, second)


@pytest.mark.parametrize("frozen", [False, True])
def test_training_restores_flags_and_moves_statistics_only_if_not_frozen(frozen: bool) -> None:
    model = seeded_model("cnn")
    model.eval()
    model.head.train()
    flags = {name: module.training for name, module in model.named_modules()}
    before = copied(dict(model.named_buffers()))
    batch = whole_batch(images(8))
    train(model, repeat(batch), 1, cross_entropy, config(), CPU, frozen_statistics=frozen)
    assert {name: module.training for name, module in model.named_modules()} == flags
    assert same_bits(before, dict(model.named_buffers())) is frozen


def test_frozen_statistics_still_train_the_weights() -> None:
    model = seeded_model("cnn")
    before = copied(dict(model.named_parameters()))
    batch = whole_batch(images(8))
    train(model, repeat(batch), 1, cross_entropy, config(), CPU, frozen_statistics=True)
    assert not any(torch.equal(before[name], p) for name, p in model.named_parameters())


def test_parameters_without_gradient_stay() -> None:
    model = seeded_model("cnn")
    model.head.requires_grad_(False)
    before = copied(model.head.state_dict())
    train(model, repeat(whole_batch(images(8))), 1, cross_entropy, config(), CPU)
    assert same_bits(before, model.head.state_dict())


def test_divergence_is_an_error_that_names_epoch_and_step() -> None:
    def loss(network: nn.Module, _: tuple[Batch, ...]) -> Tensor:
        calls.append(0)
        return network.weight.sum() * (math.nan if len(calls) == 4 else 1)

    calls: list[int] = []
    batch = torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)
    with pytest.raises(DivergenceError, match="loss nan in epoch 2, step 2"):
        train(nn.Linear(1, 1), repeat(batch, batch), 2, loss, config(), CPU)


def test_weights_that_overflow_in_the_last_step_are_divergence() -> None:
    model = nn.Linear(1, 1, bias=False)

    def loss(network: nn.Module, _: tuple[Batch, ...]) -> Tensor:
        return 1e38 * network.weight.sum()

    batch = torch.zeros(1, 1), torch.zeros(1, dtype=torch.long)
    with pytest.raises(DivergenceError, match="weights are no longer finite"):
        train(model, repeat(batch), 1, loss, config(lr=1e3, epochs=1), CPU)


def test_on_epoch_hears_of_each_epoch_with_its_mean_loss() -> None:
    heard: list[tuple[int, float]] = []
    batch = whole_batch(images(8))
    log = train(
        seeded_model("mlp"), repeat(batch, batch), 2, cross_entropy, config(epochs=2), CPU,
        on_epoch=lambda epoch, loss: heard.append((epoch, loss)),
    )  # fmt: skip
    means = [sum(log.losses[:2]) / 2, sum(log.losses[2:]) / 2]
    assert [epoch for epoch, _ in heard] == [1, 2]
    assert [loss for _, loss in heard] == pytest.approx(means)


def test_memory_format_does_not_change_the_result() -> None:
    states = []
    for channels_last in (True, False):
        model = seeded_model("cnn")
        execution = Execution(device="cpu", channels_last=channels_last)
        train(model, repeat(whole_batch(images(16))), 1, cross_entropy, config(), execution)
        states.append(model.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=1e-4, atol=1e-5)


def test_amp_stays_near_full_precision() -> None:
    weights = []
    for amp in (False, True):
        model = seeded_model("linear")
        execution = Execution(device="cpu", amp=amp)
        train(model, repeat(whole_batch(images(16))), 1, cross_entropy, config(), execution)
        weights.append(model.state_dict()["1.weight"])
    torch.testing.assert_close(weights[0], weights[1], rtol=0, atol=0.02)


@pytest.mark.parametrize("kind", ["cnn", "mlp"])
def test_predictions_do_not_depend_on_the_batch_size_and_keep_the_order(kind: str) -> None:
    model, samples = seeded_model(kind), images(23)
    whole = predict(model, samples, CPU)
    assert torch.equal(whole.labels, samples.labels)
    assert whole.logits.shape == (23, K)
    for size in (1, 5, 22):
        found = predict(model, samples, CPU, batch_size=size)
        torch.testing.assert_close(found.logits, whole.logits, rtol=1e-5, atol=1e-5)
    order = torch.randperm(23, generator=generator())
    moved = predict(model, samples.take(order), CPU, batch_size=5)
    assert torch.equal(moved.labels, samples.labels[order])
    torch.testing.assert_close(moved.logits, whole.logits[order], rtol=1e-5, atol=1e-5)


def test_predictions_are_in_float32_whatever_the_run_was_trained_in() -> None:
    model, samples = seeded_model("cnn"), images(23)
    found = predict(model, samples, Execution(device="cpu", amp=True)).logits
    assert found.dtype == torch.float32
    assert torch.equal(found, predict(model, samples, Execution(device="cpu")).logits)
    assert not torch.equal(found, found.bfloat16().float())


def test_predict_evaluates_and_leaves_model_flags_and_random_state() -> None:
    model, samples = seeded_model("mlp"), images(8)
    model[3].eval()
    flags = [module.training for module in model.modules()]
    state, before = torch.get_rng_state(), copied(model.state_dict())
    logits = predict(model, samples, CPU).logits
    assert [module.training for module in model.modules()] == flags
    assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(before, model.state_dict())
    torch.testing.assert_close(logits, model.eval()(whole_batch(samples)[0]).detach())
    assert not logits.requires_grad


def test_predict_restores_flags_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, _: Tensor) -> Tensor:
            raise RuntimeError("broken")

    model = Broken().train()
    with pytest.raises(RuntimeError, match="broken"):
        predict(model, images(4), CPU)
    assert model.training


def test_train_from_data_on_the_device_is_a_bare_loop() -> None:
    """The loop with everything else switched off is the one that anybody would write."""
    model, bare = seeded_model("cnn"), seeded_model("cnn")
    batches = [whole_batch(images(8, seed)) for seed in range(3)]
    chosen = config(epochs=2, momentum=0.9, weight_decay=5e-4)
    train(model, repeat(*batches), 3, cross_entropy, chosen, Execution("cpu", channels_last=False))
    optimiser = torch.optim.SGD(
        bare.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4, fused=True
    )
    for _ in range(2):
        for inputs, labels in batches:
            optimiser.zero_grad()
            F.cross_entropy(bare(inputs), labels).backward()
            optimiser.step()
    assert same_bits(model.state_dict(), bare.state_dict())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, "lr: should be greater than or equal to 0; found -1.0"),
        ({"lr": math.nan}, "lr: should be a finite number; found nan"),
        ({"epochs": -1}, "epochs: should be greater than or equal to 0"),
        ({"batch_size": 0}, "batch_size: should be greater than or equal to 1"),
        ({"momentum": 1.0}, "momentum: should be less than 1"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"lrr": 1.0}, "unknown parameter 'lrr'. Did you mean 'lr'"),
    ],
)
def test_bad_values_name_field_rule_and_value(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SGDConfig(**values)


def test_all_broken_rules_are_named_at_once() -> None:
    with pytest.raises(ConfigError, match=r"lr: .*; epochs: "):
        SGDConfig(lr=-1, epochs=-1)


def test_configs_are_frozen_and_replace_validates() -> None:
    chosen = SGDConfig()
    with pytest.raises(ValueError, match="frozen"):
        chosen.lr = 1.0
    assert chosen.replace(lr=0.5).lr == 0.5
    with pytest.raises(ConfigError, match="lr"):
        chosen.replace(lr=-1)
