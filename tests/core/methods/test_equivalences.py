"""Limits in which one method is another, bit for bit, and steps of Eq. (8) written by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toys import MODELS, K, Spy, problem, replaced, same_bits, seeded_model, unlearned, whole_batch
from ugradsl_core.methods import METHODS, mixed
from ugradsl_core.methods.pabi import noisy_steps
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import heads, layers
from ugradsl_core.smoothing import adaptive_alpha, signed_alpha, smoothed_cross_entropy

SMALL = {"lr": 0.05, "batch_size": 8, "epochs": 2}


def run(name: str, subject: Problem, seed: int = 0, **parameters: Any) -> UnlearnResult:
    fields = METHODS[name].config.model_fields
    small = {key: value for key, value in SMALL.items() if key in fields}
    return unlearned(name, subject, seed, **{**small, **parameters})


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("alpha", [-0.4, None])
@pytest.mark.parametrize("augment", ["none", "flip", "crop-flip"])
def test_p_one_is_ft_step_for_step(kind: str, alpha: float | None, augment: str) -> None:
    subject = problem(kind, augmentable=True)
    ft = run("ft", subject, augment=augment)
    plus = run("ugradsl+", subject, p=1.0, alpha=alpha, augment=augment)
    assert same_bits(ft.state_dict, plus.state_dict)
    assert ft.losses == plus.losses
    assert ft.forward_samples == plus.forward_samples


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", ["ugradsl", "neggrad+"])
def test_p_zero_alpha_zero_is_ga_step_for_step(kind: str, name: str) -> None:
    subject = problem(kind)
    ga = run("ga", subject)
    changes = {"p": 0.0, **({"alpha": 0.0} if name == "ugradsl" else {"epoch_over": "forget"})}
    mixed = run(name, subject, **changes)
    assert same_bits(ga.state_dict, mixed.state_dict)
    assert ga.losses == mixed.losses
    assert ga.backward_samples == mixed.backward_samples


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("bn_mode", ["train", "joint", "frozen"])
@pytest.mark.parametrize(("name", "over"), [("ugradsl", "forget"), ("ugradsl+", "retain")])
def test_alpha_zero_is_neggrad_plus(kind: str, bn_mode: str, name: str, over: str) -> None:
    """The smoothing ablation: the same seed, batches, losses and bits."""
    subject = problem(kind, augmentable=True)
    same = {"p": 0.8, "bn_mode": bn_mode, "augment": "crop-flip"}
    smoothed = run(name, subject, alpha=0.0, **same)
    plain = run("neggrad+", subject, epoch_over=over, **same)
    assert same_bits(smoothed.state_dict, plain.state_dict)
    assert smoothed.losses == plain.losses
    assert smoothed.backward_samples == plain.backward_samples
    other = run(name, subject, alpha=-0.4, **same)
    assert not same_bits(other.state_dict, plain.state_dict)


TRAINED = [name for name, method in METHODS.items() if "epochs" in method.config.model_fields]


@pytest.mark.parametrize("name", [n for n in TRAINED if n not in {"retrain", "eu-k", "pabi"}])
def test_zero_epochs_is_the_identity(name: str) -> None:
    subject = problem()
    result = run(name, subject, epochs=0)
    assert same_bits(result.state_dict, dict(subject.trained_state))
    assert (result.steps, result.losses) == (0, ())
    before = {"bs": (2 * 8, 8), "salun": (8, 8)}  # passes over D_f that come before the first epoch
    assert (result.forward_samples, result.backward_samples) == before.get(name, (0, 0))


@pytest.mark.parametrize("variant", ["exact", "upstream"])
@pytest.mark.parametrize("name", ["ff", "iu"])
def test_a_step_of_length_zero_is_the_identity(name: str, variant: str) -> None:
    subject = problem(n_forget=6)  # as large as no class, whose row FF's upstream rule erases
    result = run(name, subject, alpha=0, variant=variant)
    assert same_bits(result.state_dict, dict(subject.trained_state))


def test_zero_epochs_of_retrain_is_a_fresh_model() -> None:
    subject = problem()
    assert not same_bits(run("retrain", subject, epochs=0).state_dict, dict(subject.trained_state))


@pytest.mark.parametrize("name", ["neggrad+", "ugradsl", "ugradsl+"])
def test_algorithm_1_as_printed_runs_one_epoch_less(name: str) -> None:
    subject = problem()
    for epochs in (1, 3):
        printed = run(name, subject, epochs=epochs, epoch_count="E-1")
        shorter = run(name, subject, epochs=epochs - 1)
        assert same_bits(printed.state_dict, shorter.state_dict)
    assert run(name, subject, epochs=0, epoch_count="E-1").steps == 0


@pytest.mark.parametrize("name", ["neggrad+", "ugradsl", "ugradsl+"])
def test_sums_are_means_at_batch_size_times_the_rate(name: str) -> None:
    subject = problem()  # 24 and 8 samples: all batches hold 8, a power of two
    means = run(name, subject, lr=0.05, weight_decay=0.0)
    sums = run(name, subject, lr=0.05 / 8, weight_decay=0.0, reduction="sum")
    for key, value in means.state_dict.items():
        torch.testing.assert_close(value, sums.state_dict[key], rtol=1e-5, atol=1e-6)
    assert sums.losses[0] == pytest.approx(8 * means.losses[0], rel=1e-5)


@pytest.mark.parametrize(("n_retain", "n_forget", "size"), [(24, 8, 8), (21, 6, 4), (9, 20, 8)])
def test_where_an_epoch_ends(n_retain: int, n_forget: int, size: int) -> None:
    subject = problem("linear", n_retain, n_forget)
    for name, leader, changes in [
        ("ugradsl", n_forget, {}),
        ("ugradsl+", n_retain, {}),
        ("neggrad+", n_retain, {}),
        ("neggrad+", n_forget, {"epoch_over": "forget"}),
    ]:
        result = run(name, subject, batch_size=size, epochs=3, **changes)
        steps = math.ceil(leader / size) - (leader % size == 1)  # a last one joins
        assert result.steps == len(result.losses) == 3 * steps
        assert result.forward_samples == result.backward_samples == 3 * 2 * leader


@pytest.mark.parametrize("name", ["ugradsl", "ugradsl+"])
def test_the_leading_set_is_seen_once_and_the_other_is_cycled_evenly(name: str) -> None:
    subject = problem("linear", 22, 6)
    retain, forget = Spy(subject.retain), Spy(subject.forget)
    run(name, replaced(subject, retain=retain, forget=forget), epochs=1)
    assert [len(a) for a in retain.seen] == [len(b) for b in forget.seen]
    leader, other = (retain, forget) if name == "ugradsl+" else (forget, retain)
    assert torch.bincount(torch.cat(leader.seen)).tolist() == [1] * len(leader)
    used = torch.bincount(torch.cat(other.seen), minlength=len(other))
    assert int(used.max() - used.min()) <= 1


@pytest.mark.parametrize("name", METHODS)
def test_methods_read_only_the_sets_that_they_say(name: str) -> None:
    subject = problem("linear")
    retain, forget = Spy(subject.retain), Spy(subject.forget)
    run(name, replaced(subject, retain=retain, forget=forget))
    read = [symbol for symbol, samples in [("D_r", retain), ("D_f", forget)] if samples.seen]
    assert METHODS[name].reads == ", ".join(read)


COUNTED: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("iu", {"variant": "upstream"}),
    ("ff", {"samples": 5}),
    ("iu", {"samples": 5}),
    ("eu-k", {"variant": "every-epoch"}),
    ("rl", {"variant": "shuffled"}),
    ("salun", {"order": "shuffled"}),
    ("scrub", {"variant": "joint"}),
    ("scrub", {"alpha": 0.0}),
    ("scrub", {"msteps": 0}),
    ("ugradsl+", {"alpha": None}),
    ("ugradsl", {"bn_mode": "joint", "alpha": None}),
    ("ugradsl", {"p": 0.0, "alpha": None}),
    ("ugradsl", {"p": 0.0}),
    ("ugradsl+", {"p": 1.0}),
]


@pytest.mark.parametrize(("name", "changes"), COUNTED)
def test_sample_counts_are_those_that_the_model_saw(
    name: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {"forward": 0, "backward": 0}
    pass_of_two = layers.forward

    def uncounted(model: nn.Module, inputs: Tensor, *handles: Any) -> Tensor:
        before = dict(seen)
        logits = pass_of_two(model, inputs, *handles)
        assert seen["forward"] == before["forward"] + 2
        seen.update(before)
        return logits

    for module in (heads, layers):  # the pass that a model's layers are found with
        monkeypatch.setattr(module, "forward", uncounted)

    def note(_: nn.Module, __: tuple[Tensor, ...], logits: Tensor) -> None:
        seen["forward"] += len(logits)
        if logits.requires_grad:
            logits.register_hook(lambda g: seen.update(backward=seen["backward"] + len(g)))

    def build() -> nn.Module:
        model = MODELS["cnn"]()
        model.register_forward_hook(note)
        return model

    result = run(name, replaced(problem(), make_model=build), **changes)
    if name == "ff":  # K labels in one call
        seen["backward"] *= K
    if name == "iu" and "variant" not in changes:  # torch.func calls no hooks of its own backward
        assert result.forward_samples == seen["forward"] > 32
        assert 2 * (result.backward_samples - 32) == result.forward_samples - 32
    else:
        assert (result.forward_samples, result.backward_samples) == tuple(seen.values())


def test_passes_are_those_of_the_registry() -> None:
    """n_r = 24, n_f = 8, two epochs."""
    n_r, n_f, size = 24, 8, 8
    n = n_r + n_f
    expected = {
        "retrain": (2 * n_r, 2 * n_r), "ft": (2 * n_r, 2 * n_r), "ga": (2 * n_f, 2 * n_f),
        "ff": (n_r, K * n_r), "be": (2 * n_f, 2 * n_f), "bs": (4 * n_f, 3 * n_f),
        "l1-sparse": (2 * n_r, 2 * n_r), "rl": (2 * n, 2 * n), "eu-k": (2 * n_r, 2 * n_r),
        "cf-k": (2 * n_r, 2 * n_r), "scrub": (4 * n, 2 * n),
        "salun": (2 * n + n_f, 2 * n + n_f), "neggrad+": (4 * n_r, 4 * n_r),
        "ugradsl": (4 * n_f, 4 * n_f), "ugradsl+": (4 * n_r, 4 * n_r), "no-step": (2 * n_f, 0),
    }  # fmt: skip
    noisy = size * noisy_steps(0.1, 10.0, 1e-3, 50.0)
    expected["pabi"] = 2 * n_r + noisy, 2 * n_r + noisy
    assert set(list(METHODS)[:18]) - set(expected) == {"iu"}  # later ones have tests of their own
    for name, passes in expected.items():
        result = run(name, problem())
        assert (result.forward_samples, result.backward_samples) == passes, name


def eq_6(logits: Tensor, labels: Tensor, alpha: Tensor) -> Tensor:
    """Mean of Eq. (6) by a loop over samples and labels."""
    k = logits.shape[1]
    losses = []
    for row, y, a in zip(logits, labels.tolist(), alpha, strict=True):
        ell = [row.exp().sum().log() - row[j] for j in range(k)]
        others = sum(ell[j] for j in range(k) if j != y)
        losses.append((1 + (1 - k) / k * a) * ell[y] + a / k * others)
    return torch.stack(losses).mean()


def by_hand(bn_mode: str, p: float, alpha: float | None, sign: str = "negative") -> nn.Module:
    """One step of Eq. (8) on all of D_r and D_f (8 samples each), in plain PyTorch."""
    subject = problem("cnn", 8, 8)
    model = seeded_model("cnn")
    model.load_state_dict(subject.trained_state)
    model.train()
    if bn_mode == "frozen":
        model.features[1].eval()
    (x_r, y_r), (x_f, y_f) = whole_batch(subject.retain), whole_batch(subject.forget)
    if bn_mode == "joint":
        both = model.features(torch.cat([x_r, x_f]))
        feature_r, feature_f = both[:8], both[8:]
    else:
        feature_r, feature_f = model.features(x_r), model.features(x_f)
    if alpha is None:
        density = adaptive_alpha(feature_f.detach(), feature_r.detach())
        assert float(density.std()) > 0
        rate = signed_alpha(density, sign)
    else:
        rate = torch.full((8,), alpha)
    retain_loss = F.cross_entropy(model.head(feature_r), y_r)
    forget_loss = eq_6(model.head(feature_f), y_f, rate)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    (p * retain_loss - (1 - p) * forget_loss).backward()
    optimiser.step()
    return model


@pytest.mark.parametrize("bn_mode", ["train", "joint", "frozen"])
@pytest.mark.parametrize("alpha", [-0.4, 0.3, None])
@pytest.mark.parametrize("name", ["ugradsl", "ugradsl+"])
def test_a_step_is_eq_8_by_hand(name: str, bn_mode: str, alpha: float | None) -> None:
    result = run(name, problem("cnn", 8, 8), epochs=1, p=0.7, alpha=alpha, bn_mode=bn_mode)
    assert result.steps == 1
    expected = by_hand(bn_mode, 0.7, alpha).state_dict()
    for key, value in result.state_dict.items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("sign", ["positive", "inverse"])
def test_an_adaptive_step_by_hand_in_the_other_readings_of_the_sign(sign: str) -> None:
    result = run("ugradsl", problem("cnn", 8, 8), epochs=1, p=0.7, alpha=None, adaptive_sign=sign)
    expected = by_hand("train", 0.7, None, sign).state_dict()
    for key, value in result.state_dict.items():
        torch.testing.assert_close(value, expected[key], rtol=1e-4, atol=1e-6, msg=key)


@pytest.mark.parametrize("name", ["ugradsl", "ugradsl+"])
def test_shuffled_rates_are_those_of_the_batch_in_another_order(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def heard(logits: Tensor, labels: Tensor, alpha: Tensor, reduction: Any) -> Tensor:
        seen.append((logits.detach(), labels, alpha))
        return smoothed_cross_entropy(logits, labels, alpha, reduction)

    monkeypatch.setattr(mixed, "smoothed_cross_entropy", heard)
    found = {}
    for rates in ("own", "shuffled"):
        run(name, problem("cnn", 8, 8), epochs=1, alpha=None, rates=rates)
        found[rates], seen = seen[0], []
    for own, shuffled in zip(found["own"][:2], found["shuffled"][:2], strict=True):
        assert torch.equal(own, shuffled), "the first batch is the same"
    own, shuffled = (found[rates][2] for rates in ("own", "shuffled"))
    assert torch.equal(own.sort().values, shuffled.sort().values)
    assert not torch.equal(own, shuffled)


@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_where_all_rates_are_equal_shuffling_changes_nothing(beta: float) -> None:
    states = [
        run(
            "ugradsl+", problem("cnn", 24, 16), epochs=2, alpha=None, beta=beta, rates=rates
        ).state_dict
        for rates in ("own", "shuffled")
    ]
    assert same_bits(*states)
    different = [
        run("ugradsl+", problem("cnn", 24, 16), epochs=2, alpha=None, rates=rates).state_dict
        for rates in ("own", "shuffled")
    ]
    assert not same_bits(*different)


def test_own_rates_leave_the_identity_of_published_configs_as_it_was() -> None:
    config = METHODS["ugradsl"].config(alpha=None)
    assert "rates" not in config.key_fields()
    assert config.replace(rates="shuffled").key_fields()["rates"] == "shuffled"


def test_batchnorm_sees_what_each_mode_says() -> None:
    subject = problem("cnn", 8, 8)
    convolution = seeded_model("cnn")
    convolution.load_state_dict(subject.trained_state)
    first = convolution.features[0]
    x_r, x_f = whole_batch(subject.retain)[0], whole_batch(subject.forget)[0]
    means = {}
    for mode in ("train", "joint", "frozen"):
        result = run("ugradsl", subject, epochs=1, bn_mode=mode)
        means[mode] = result.state_dict["features.1.running_mean"]
    with torch.no_grad():
        mean_r, mean_f = (first(x).mean((0, 2, 3)) for x in (x_r, x_f))
    torch.testing.assert_close(means["joint"], 0.1 * (mean_r + mean_f) / 2)
    torch.testing.assert_close(means["train"], 0.9 * (0.1 * mean_r) + 0.1 * mean_f)
    assert torch.equal(means["frozen"], torch.zeros(4))


def test_gradient_ascent_raises_the_forget_loss_and_fine_tuning_lowers_the_retain_loss() -> None:
    subject = problem("linear")
    assert run("ga", subject, epochs=5).losses[-1] < run("ga", subject, epochs=5).losses[0]
    ft = run("ft", subject, epochs=10).losses
    assert sum(ft[-3:]) < sum(ft[:3])


def test_seed_is_split_so_that_sets_do_not_disturb_each_other() -> None:
    """Another forget set leaves the batches of D_r as they were."""
    subject, other = problem("linear"), problem("linear", 24, 12)
    other = replaced(subject, forget=other.forget)
    seen = []
    for one in (subject, other):
        spy = Spy(one.retain)
        run("ugradsl+", replaced(one, retain=spy))
        seen.append(torch.cat(spy.seen))
    assert torch.equal(*seen)
