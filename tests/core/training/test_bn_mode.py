"""BatchNorm while a method takes its steps: batch statistics, shared ones, or none of either."""

from typing import Any

import pytest
import torch
from torch import Tensor

from toys import CNN, problem, replaced, same_bits, seeded_model, unlearned, whole_batch
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.problem import Problem

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name, method in METHODS.items() if "bn_mode" in method.config.model_fields),
    ("eu-k", {"k": 2}),
    ("eu-k", {"k": 2, "variant": "every-epoch"}),
    ("cf-k", {"k": 2}),
    ("rl", {"variant": "shuffled"}),
    ("salun", {"variant": "gradient"}),
    ("scrub", {"variant": "joint"}),
    ("neggrad+", {"epoch_over": "forget"}),
    ("ugradsl+", {"alpha": None}),
]
WITHOUT = ["retrain", "no-step", "ff", "iu"]


def used() -> Problem:
    """A problem whose running statistics are not those of a fresh model."""
    subject = problem("cnn")
    state = seeded_model("cnn").state_dict()
    state["features.1.running_mean"] = torch.linspace(-0.3, 0.4, 4)
    state["features.1.running_var"] = torch.linspace(0.5, 1.5, 4)
    state["features.1.num_batches_tracked"] = torch.tensor(7)
    return replaced(subject, trained_state=state)


def statistics(state: Any) -> dict[str, Tensor]:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    return {name: value for name, value in state.items() if name.endswith(buffers)}


def test_every_method_that_takes_steps_has_it_but_retrain() -> None:
    assert [name for name in METHODS if name not in {case[0] for case in CASES}] == WITHOUT


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_frozen_statistics_stay_bit_for_bit_while_weights_move(
    name: str, changes: dict[str, Any]
) -> None:
    subject = used()
    before = dict(subject.trained_state)
    frozen = unlearned(name, subject, bn_mode="frozen", **changes).state_dict
    assert len(statistics(before)) == 3
    assert same_bits(statistics(before), statistics(frozen))
    assert not torch.equal(before["head.weight"], frozen["head.weight"])
    free = unlearned(name, subject, **changes).state_dict
    if name not in {"eu-k", "cf-k"} or changes.get("k") == 2:  # k = 1 has no norm
        assert not same_bits(statistics(before), statistics(free))
        assert not same_bits(frozen, free)
    else:
        assert same_bits(frozen, free)
    assert same_bits(free, unlearned(name, subject, bn_mode="train", **changes).state_dict)


def test_frozen_layers_normalise_by_the_statistics_that_they_keep() -> None:
    subject = problem("cnn", 8, 8)
    result = unlearned("ga", subject, bn_mode="frozen", epochs=1, momentum=0.0, weight_decay=0.0)
    model = seeded_model("cnn")
    model.load_state_dict(subject.trained_state)
    x, y = whole_batch(subject.forget)
    (gradient,) = torch.autograd.grad(
        torch.nn.functional.cross_entropy(model.eval()(x), y), [model.head.weight]
    )
    expected = subject.trained_state["head.weight"] + 0.02 * gradient
    torch.testing.assert_close(result.state_dict["head.weight"], expected)


def test_joint_batches_of_scrub_share_their_statistics() -> None:
    subject = problem("cnn", 8, 8)
    same = {"variant": "joint", "epochs": 1, "forget_batch_size": 8}
    model = seeded_model("cnn")
    model.load_state_dict(subject.trained_state)
    with torch.no_grad():
        mean_r, mean_f = (
            model.features[0](whole_batch(part)[0]).mean((0, 2, 3))
            for part in (subject.retain, subject.forget)
        )
    key = "features.1.running_mean"
    joint = unlearned("scrub", subject, bn_mode="joint", **same)
    torch.testing.assert_close(joint.state_dict[key], 0.1 * (mean_r + mean_f) / 2)
    apart = unlearned("scrub", subject, **same)
    torch.testing.assert_close(apart.state_dict[key], 0.09 * mean_r + 0.1 * mean_f)
    assert joint.forward_samples == apart.forward_samples


def test_joint_batches_are_as_good_as_separate_ones_without_batchnorm() -> None:
    subject = problem("linear", 8, 8)
    for name, same in [("scrub", {"variant": "joint", "forget_batch_size": 8}), ("neggrad+", {})]:
        joint, apart = (unlearned(name, subject, bn_mode=m, **same) for m in ("joint", "train"))
        for key, value in joint.state_dict.items():
            torch.testing.assert_close(value, apart.state_dict[key], msg=key)


@pytest.mark.parametrize("name", ["neggrad+", "ugradsl", "ugradsl+"])
def test_separate_is_another_name_of_train_and_names_stored_results(name: str) -> None:
    config = make_config(name, bn_mode="separate")
    assert config == make_config(name) == make_config(name, bn_mode="train")
    assert config.model_dump()["bn_mode"] == "train"
    assert config.key_fields()["bn_mode"] == "separate"
    assert make_config(name, bn_mode="frozen").key_fields()["bn_mode"] == "frozen"


def test_keys_leave_out_younger_fields_as_long_as_they_say_what_was_always_done() -> None:
    assert make_config("ft").key_fields().keys() == make_config("ft").model_dump().keys() - {
        "bn_mode"
    }
    assert make_config("ft", bn_mode="frozen").key_fields()["bn_mode"] == "frozen"
    assert "epoch_over" not in make_config("neggrad+", epoch_over="forget").key_fields()
    assert make_config("neggrad+").key_fields()["epoch_over"] == "retain"
    assert "initialisation" not in make_config("retrain").key_fields()
    assert make_config("retrain", initialisation=1).key_fields()["initialisation"] == 1


def test_a_mode_that_a_method_cannot_have_is_refused() -> None:
    for name in ("ft", "ga", "eu-k", "pabi"):
        for mode in ("joint", "separate"):
            with pytest.raises(ConfigError, match=f"^unknown bn_mode '{mode}'. Valid: frozen, tr"):
                make_config(name, bn_mode=mode)
    with pytest.raises(ConfigError) as caught:
        make_config("scrub", bn_mode="joint")
    assert str(caught.value) == (
        "bn_mode: joint needs variant joint, in which two batches meet in a step; found variant "
        "alternating"
    )
    with pytest.raises(ConfigError, match="unknown parameter 'bn_mode'"):
        make_config("retrain", bn_mode="frozen")


def test_the_model_of_these_tests_has_one_batchnorm() -> None:
    assert isinstance(CNN().features[1], torch.nn.BatchNorm2d)
