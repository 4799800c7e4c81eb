"""PABI: T and σ against exact fractions, its noisy steps by hand and in size."""

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import clip_grad_norm_

from toys import MODELS, images, problem, replaced, same_bits, seeded_model, unlearned
from ugradsl_core.errors import ConfigError, ModelError
from ugradsl_core.methods import make_config
from ugradsl_core.methods.common import spawn
from ugradsl_core.methods.pabi import (
    PABIConfig,
    certify,
    noise_scale,
    noisy_steps,
    project,
)
from ugradsl_core.methods.problem import Problem
from ugradsl_core.training import shuffled

# C₀, C₁, η, λ and T: the published settings of CIFAR-10 and of CIFAR-100's head, and others
POINTS = [
    ("0.1", "10", "0.001", "50", 10),  # ln(2λC₀/C₁) = 0 is not positive, so C₀/(C₁η) holds
    ("1", "1", "0.001", "100", 53),  # ln(200)/0.1 = 52.98 is smaller than 1000
    ("1", "1", "0.001", "0", 1000),
    ("5", "10", "0.01", "0", 50),
    ("1", "10", "0.01", "6", 4),  # ⌈3.04⌉
    ("0.25", "10", "0.01", "1", 3),  # ⌈2.5⌉; ln(0.05) is negative
    ("1", "10", "0.001", "50", 47),  # ⌈46.05⌉ against 100
    ("0.3", "1", "0.1", "2", 1),  # ⌈0.91⌉ against 3
]
points = pytest.mark.parametrize(("c0", "c1", "eta", "lam", "steps"), POINTS)


def exact_variance(
    c0: Fraction, c1: Fraction, eta: Fraction, lam: Fraction, eps: Fraction, steps: int
) -> Fraction:
    """σ² of the formula sheet, in exact fractions."""
    if lam == 0:
        return (2 * c0 + 2 * c1 * eta * steps) ** 2 / (4 * eps * steps)
    a = (1 - eta * lam) ** steps
    shift = 2 * c0 * a + 2 * c1 / lam * (1 - a)
    return shift**2 * eta * lam * (2 - eta * lam) / (2 * eps * (1 - a**2))


@points
def test_the_number_of_noisy_steps(c0: str, c1: str, eta: str, lam: str, steps: int) -> None:
    assert noisy_steps(*map(float, (c0, c1, eta, lam))) == steps
    bare = math.ceil(Fraction(c0) / (Fraction(c1) * Fraction(eta)))  # free of rounding
    assert steps <= bare
    if float(lam) > 0:
        decayed = math.log(2 * float(lam) * float(c0) / float(c1)) / (float(eta) * float(lam))
        assert steps == (min(bare, math.ceil(decayed)) if decayed > 0 else bare)
    else:
        assert steps == bare


@pytest.mark.parametrize("eps", ["1", "0.2", "8"])
@points
def test_the_noise_is_the_formula_in_exact_fractions(
    c0: str, c1: str, eta: str, lam: str, steps: int, eps: str
) -> None:
    numbers = [Fraction(value) for value in (c0, c1, eta, lam, eps)]
    expected = math.sqrt(exact_variance(*numbers, steps))
    found = noise_scale(*map(float, numbers), steps)
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_defaults_are_cifar_10s() -> None:
    config = PABIConfig()
    where = config.c0, config.c1, config.eta, config.lam
    assert noisy_steps(*where) == 10
    a = 0.95**10
    variance = (0.2 * a + 0.4 * (1 - a)) ** 2 * 0.05 * 1.95 / (2 * (1 - a**2))
    assert noise_scale(*where, config.epsilon_renyi, 10) == pytest.approx(variance**0.5)


def test_the_noise_without_decay_is_half_the_limit_in_variance() -> None:
    for c0, c1, eta, steps in [(0.1, 10.0, 1e-3, 10), (2.0, 1.0, 0.01, 40)]:
        bare = noise_scale(c0, c1, eta, 0.0, 1.0, steps)
        for lam in (1e-4, 1e-6):
            limit = noise_scale(c0, c1, eta, lam, 1.0, steps)
            assert limit**2 / bare**2 == pytest.approx(2, rel=20 * lam)


@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=4),
    scale=st.floats(1e-6, 1e6),
    radius=st.floats(1e-3, 1e3),
    seed=st.integers(0, 99),
)
def test_projection_bounds_the_joint_norm_and_keeps_the_direction(
    sizes: list[int], scale: float, radius: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensors = [scale * torch.randn(n, generator=generator) for n in sizes]
    before = torch.cat(tensors)
    project(tensors, radius)
    after = torch.cat(tensors)
    assert float(after.norm()) <= radius * (1 + 1e-5)
    expected = before * min(1.0, radius / float(before.norm()))
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=0.0)


def test_what_is_inside_stays_and_nothing_is_divided_by_zero() -> None:
    inside, zero = [torch.tensor([0.3, -0.4])], [torch.zeros(3)]
    project(inside, 0.6)
    project(zero, 1.0)
    assert torch.equal(inside[0], torch.tensor([0.3, -0.4]))
    assert torch.equal(zero[0], torch.zeros(3))


QUIET = {"epsilon_renyi": 1e30}  # noise far below rounding


def certified(subject: Problem, seed: int, **changes: Any) -> tuple[nn.Module, tuple[float, ...]]:
    config = make_config("pabi", batch_size=8, **changes)
    assert isinstance(config, PABIConfig)
    model = subject.trained_model().train()
    streams = [torch.Generator().manual_seed(seed + i) for i in range(2)]
    passed, losses = certify(model, subject, config, *streams)
    assert passed == 8 * len(losses)
    return model, losses


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("c1", [0.005, 1e3])
@pytest.mark.parametrize("kind", ["cnn", "linear"])
def test_noisy_steps_by_hand(kind: str, c1: float) -> None:
    """With a clip that binds, and one that does not; more steps than batches of an epoch."""
    changes = {"c0": 0.5, "c1": c1, "eta": 0.05 if c1 < 1 else 1e-4, "lam": 3.0, **QUIET}
    subject = problem(kind)
    found, losses = certified(subject, 4, **changes)
    model = subject.trained_model().train()
    parameters = list(model.parameters())
    with torch.no_grad():
        factor = min(1.0, 0.5 / float(flat(model).norm()))
        assert factor < 1
        for p in parameters:
            p.mul_(factor)
    stream = torch.Generator().manual_seed(4)
    order = [rows for _ in range(40) for rows in shuffled(24, 8, stream)]
    steps = noisy_steps(*(changes[name] for name in ("c0", "c1", "eta", "lam")))
    expected = []
    for rows in order[:steps]:
        ((x, y),) = subject.retain.batches([rows])
        model.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        expected.append(float(loss.detach()))
        norm = clip_grad_norm_(parameters, c1)
        assert (float(norm) > c1) is (c1 < 1)
        with torch.no_grad():
            for p in parameters:
                p.sub_(changes["eta"] * (p.grad + 3.0 * p))
    assert len(losses) == steps > (3 if c1 < 1 else 0)
    assert losses == pytest.approx(expected, rel=1e-4)
    torch.testing.assert_close(flat(found), flat(model), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("lam", [1e-9, 1e-13, 1e-14, 1e-17, 1e-300, 5e-324])
def test_the_noise_of_a_vanishing_decay_is_its_limit(lam: float) -> None:
    c0, c1, eta, steps = 0.1, 10.0, 1e-3, 10
    limit = 2 * (2 * c0 + 2 * c1 * eta * steps) ** 2 / (4 * steps)
    assert noise_scale(c0, c1, eta, lam, 1.0, steps) ** 2 == pytest.approx(limit, rel=1e-8)


@pytest.mark.parametrize(
    "changes", [{"eta": 1e-300, "c0": 1e12}, {"c0": 1e6, "c1": 1e-3}, {"eta": 5e-324, "c1": 0.1}]
)
def test_noisy_steps_without_end_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^c0: C₀/\(C₁η\), the number .* at most 10,000,000"):
        make_config("pabi", lam=0.0, **changes)


@pytest.mark.parametrize("lam", [0.0, 4.0])
def test_without_noise_the_norm_bounds_hold(lam: float) -> None:
    c0, c1, eta = 0.7, 0.9, 0.05
    for kind in MODELS:
        model, losses = certified(problem(kind), 1, c0=c0, c1=c1, eta=eta, lam=lam, **QUIET)
        steps = len(losses)
        a = (1 - eta * lam) ** steps
        bound = c0 * a + (c1 / lam * (1 - a) if lam else c1 * eta * steps)
        assert float(flat(model).norm()) <= bound * (1 + 1e-5)


@pytest.mark.parametrize("lam", [0.0, 20.0])
def test_the_noise_has_the_size_of_the_formula(lam: float) -> None:
    """Weights and gradients next to nothing leave Σ_t (1 − ηλ)^t N(0, σ²)."""
    tiny = {"c0": 1e-3, "c1": 1e-3, "eta": 0.01, "lam": lam, "epsilon_renyi": 1e-9}
    steps = noisy_steps(1e-3, 1e-3, 0.01, lam)
    sigma = noise_scale(1e-3, 1e-3, 0.01, lam, 1e-9, steps)
    variance = sigma**2 * sum((1 - 0.01 * lam) ** (2 * t) for t in range(steps))
    assert variance > 1e3 * (1e-3) ** 2
    values = torch.cat([flat(certified(problem("mlp"), 10 * s, **tiny)[0]) for s in range(8)])
    n = len(values)
    assert abs(float(values.mean())) < 3.5 * math.sqrt(variance / n)
    assert float((values**2).mean()) == pytest.approx(variance, rel=3.5 * math.sqrt(2 / n))


def test_the_whole_is_noisy_steps_and_then_fine_tuning() -> None:
    subject, seed = problem("linear"), 3
    found = unlearned("pabi", subject, seed, epochs=2, schedule="constant")
    retain_stream, noise, _ = spawn(torch.Generator().manual_seed(seed))
    model = subject.trained_model()
    config = make_config("pabi", batch_size=8)
    assert isinstance(config, PABIConfig)
    _, losses = certify(model, subject, config, retain_stream, noise)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    for _ in range(2):
        for x, y in subject.retain.batches(shuffled(24, 8, retain_stream)):
            optimiser.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimiser.step()
    assert found.losses[:10] == losses
    assert found.steps == len(found.losses) == 10 + 2 * 3
    torch.testing.assert_close(found.state_dict, dict(model.state_dict()), rtol=1e-4, atol=1e-6)


def test_nothing_of_the_forget_set_is_read() -> None:
    subject = problem("cnn")
    other = replaced(subject, forget=images(5, seed=9))
    a, b = (unlearned("pabi", s) for s in (subject, other))
    assert same_bits(a.state_dict, b.state_dict)


def test_running_statistics_of_the_original_are_forgotten() -> None:
    subject = problem("cnn")
    moved = {
        name: value + 1 if "running" in name else value
        for name, value in subject.trained_state.items()
    }
    a, b = (unlearned("pabi", s) for s in (subject, replaced(subject, trained_state=moved)))
    assert same_bits(a.state_dict, b.state_dict)


def test_frozen_layers_stay_and_so_do_their_statistics() -> None:
    def build() -> nn.Module:
        model = MODELS["cnn"]()
        model.features.requires_grad_(False)
        return model

    state = dict(problem("cnn").trained_state)
    state["features.1.running_mean"] = torch.arange(4.0)
    subject = replaced(problem("cnn"), make_model=build, trained_state=state)
    for epochs in (0, 2):
        found = unlearned("pabi", subject, epochs=epochs).state_dict
        moved = {name for name in found if not torch.equal(found[name], state[name])}
        assert moved == {"head.weight", "head.bias"}


def test_batchnorm_and_a_batch_of_one_is_one_sentence() -> None:
    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5), nn.Linear(5, 4))

    subject = replaced(problem("mlp"), make_model=build, trained_state=build().state_dict())
    with pytest.raises(ModelError, match="BatchNorm cannot train on a batch of one sample"):
        unlearned("pabi", subject, batch_size=1)


def test_the_random_state_of_dropout_follows_the_generator() -> None:
    a, b, c = (unlearned("pabi", problem("mlp"), seed, epochs=0) for seed in (0, 0, 1))
    assert same_bits(a.state_dict, b.state_dict)
    assert not same_bits(a.state_dict, c.state_dict)
    assert seeded_model("mlp")[3].p > 0
