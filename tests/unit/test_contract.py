"""What every method promises, for every method and kind of model."""

import math
from typing import Any

import pytest
import torch
from toys import MODELS, copied, generator, problem, same_bits
from toys import Spy as Counting

from ugradsl_core.errors import ConfigError, DivergenceError, ModelError
from ugradsl_core.training import SGDConfig
from ugradsl_core.types import Problem, UnlearnResult
from ugradsl_core.unlearning import METHODS, get_method, make_config

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("ugradsl", {"alpha": None}),
    ("ugradsl+", {"alpha": None}),
    ("ugradsl", {"alpha": None, "distance": "euclidean", "beta": 0.3, "bn_mode": "joint"}),
]
every_method = pytest.mark.parametrize(
    ("name", "changes"), VARIANTS, ids=[n + ("-" + "-".join(c) if c else "") for n, c in VARIANTS]
)
every_model = pytest.mark.parametrize("kind", MODELS)


def run(subject: Problem, name: str, changes: dict[str, Any], seed: int = 0) -> UnlearnResult:
    config = make_config(name, **{"lr": 0.02, "batch_size": 8, "epochs": 2, **changes})
    return METHODS[name](subject, config, generator=generator(seed))


@every_model
@every_method
def test_contract(kind: str, name: str, changes: dict[str, Any]) -> None:
    subject = problem(kind)
    before, images = copied(dict(subject.trained_state)), subject.retain.inputs.clone()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    result = run(subject, name, changes)
    # inputs and the global random state are as they were
    assert same_bits(before, dict(subject.trained_state))
    assert torch.equal(images, subject.retain.inputs)
    assert torch.equal(torch.get_rng_state(), state)
    # the result is a whole, finite state and does not share memory with the input
    assert list(result.state_dict) == list(before)
    assert all(bool(torch.isfinite(value).all()) for value in result.state_dict.values())
    assert all(value.is_contiguous() for value in result.state_dict.values())
    assert not same_bits(result.state_dict, before)
    shared = {value.data_ptr() for value in subject.trained_state.values()}
    assert not shared & {value.data_ptr() for value in result.state_dict.values()}
    assert result.steps == len(result.losses) > 0
    assert result.forward_samples == result.backward_samples > 0
    assert result.seconds > 0
    # same seed, same bits, whatever the global random state is
    torch.manual_seed(2)
    again = run(subject, name, changes)
    assert same_bits(result.state_dict, again.state_dict)
    assert result.losses == again.losses


@every_method
def test_another_seed_gives_other_bits(name: str, changes: dict[str, Any]) -> None:
    # one batch of GA holds all of D_f, so batches have to be smaller
    small = {**changes, "batch_size": 4}
    a, b = (run(problem("mlp"), name, small, seed) for seed in (0, 1))
    assert not same_bits(a.state_dict, b.state_dict)


@every_method
def test_augmented_runs_of_one_seed_are_equal_and_differ_from_plain_ones(
    name: str, changes: dict[str, Any]
) -> None:
    subject = problem("cnn", augmentable=True)
    a, b = (run(subject, name, {**changes, "augment": "crop-flip"}) for _ in range(2))
    assert same_bits(a.state_dict, b.state_dict)
    assert not same_bits(a.state_dict, run(subject, name, changes).state_dict)


@every_method
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_every_schedule_runs_to_its_end(name: str, changes: dict[str, Any], schedule: str) -> None:
    result = run(problem("linear"), name, {**changes, "schedule": schedule})
    assert all(map(math.isfinite, result.losses))


@every_method
def test_hooks_do_not_outlive_the_run(name: str, changes: dict[str, Any]) -> None:
    built = []

    def build() -> torch.nn.Module:
        built.append(MODELS["cnn"]())
        return built[-1]

    subject = Problem(**{**problem().__dict__, "make_model": build})
    run(subject, name, changes)
    for model in built:
        assert not any(module._forward_pre_hooks for module in model.modules())


@every_method
def test_divergence_is_an_error(name: str, changes: dict[str, Any]) -> None:
    with pytest.raises(DivergenceError):
        run(problem("linear"), name, {**changes, "lr": 1e30, "epochs": 6})


def test_retrain_never_reads_the_original_weights() -> None:
    subject = problem()
    nothing = Problem(**{**subject.__dict__, "trained_state": {}})
    a, b = run(subject, "retrain", {}), run(nothing, "retrain", {})
    assert same_bits(a.state_dict, b.state_dict)


def test_head_can_be_named_and_a_wrong_name_is_refused() -> None:
    subject = Problem(**{**problem().__dict__, "head": "head"})
    named = run(subject, "ugradsl", {"alpha": None})
    assert same_bits(named.state_dict, run(problem(), "ugradsl", {"alpha": None}).state_dict)
    wrong = Problem(**{**subject.__dict__, "head": "heads"})
    with pytest.raises(ModelError, match=r"unknown layer 'heads'\. Did you mean 'head'"):
        run(wrong, "ugradsl", {"alpha": None})


BAD: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, values, message)
        for name in METHODS
        for values, message in [
            ({"epochs": -1}, "epochs: should be greater than or equal to 0; found -1"),
            ({"batch_size": 0}, "batch_size: should be greater than or equal to 1; found 0"),
            ({"lr": math.inf}, "lr: should be a finite number; found inf"),
            ({"momentum": -0.1}, "momentum"),
            ({"weight_decay": -1}, "weight_decay"),
            ({"schedule": "step"}, "unknown schedule 'step'. Valid: constant, cosine, one-cycle"),
            ({"epoch": 3}, "unknown parameter 'epoch'. Did you mean 'epochs'"),
        ]
    ),
    *(
        (name, values, message)
        for name in ("neggrad+", "ugradsl", "ugradsl+")
        for values, message in [
            ({"p": 1.5}, "p: should be less than or equal to 1; found 1.5"),
            ({"p": -0.1}, "p: should be greater than or equal to 0; found -0.1"),
            ({"p": math.nan}, "p: should be a finite number; found nan"),
            ({"reduction": "none"}, "unknown reduction 'none'. Valid: mean, sum"),
            ({"bn_mode": "eval"}, "unknown bn_mode 'eval'. Valid: frozen, joint, separate"),
            ({"epoch_count": "E+1"}, "unknown epoch_count 'E+1'"),
        ]
    ),
    *(
        (name, values, message)
        for name in ("ugradsl", "ugradsl+")
        for values, message in [
            ({"alpha": 1.1}, "alpha: should be less than or equal to 1; found 1.1"),
            ({"alpha": math.nan}, "alpha: should be a finite number; found nan"),
            ({"alpha": -math.inf}, "alpha: should be a finite number; found -inf"),
            ({"beta": 1.1}, "beta: should be less than or equal to 1; found 1.1"),
            ({"beta": -0.1}, "beta: should be greater than or equal to 0"),
            ({"distance": "cosin"}, "unknown distance 'cosin'. Did you mean 'cosine'?"),
            ({"adaptive_sign": "+"}, "unknown adaptive_sign '+'. Valid: inverse, negative"),
        ]
    ),
    ("ft", {"p": 0.9}, "unknown parameter 'p'"),
    ("ga", {"lr": 0}, "lr: should be greater than 0; found 0"),
]


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_bad_config_is_refused_at_construction(
    name: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(name, **values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "near"), [("ugradls", "ugradsl"), ("UGradSL+", "ugradsl+"), ("retrian", "retrain")]
)
def test_an_unknown_method_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_method(wrong)
    assert f"unknown method {wrong!r}. Did you mean {near!r}? Valid: " in str(caught.value)
    assert all(name in str(caught.value) for name in METHODS)


def test_the_registry_lists_the_names_of_the_command_line() -> None:
    assert list(METHODS) == ["retrain", "ft", "ga", "neggrad+", "ugradsl", "ugradsl+"]
    for name, method in METHODS.items():
        assert isinstance(make_config(name), SGDConfig)
        assert method.title
        assert method.summary


def test_defaults_are_those_of_paper_and_published_code() -> None:
    assert (make_config("retrain").lr, make_config("retrain").epochs) == (0.01, 160)
    assert make_config("ft").epochs == 10
    assert (make_config("ga").lr, make_config("ga").epochs) == (1e-4, 5)
    ugradsl = make_config("ugradsl").model_dump()
    assert (ugradsl["p"], ugradsl["alpha"], ugradsl["beta"]) == (0.9, -0.4, None)
    assert ugradsl["bn_mode"] == "separate"
    assert ugradsl["reduction"] == "mean"
    assert make_config("neggrad+").model_dump()["p"] == 0.95


def test_samples_may_be_of_any_class_with_the_right_methods() -> None:
    subject = problem("linear")
    wrapped = Problem(**{**subject.__dict__, "retain": Counting(subject.retain)})
    assert same_bits(
        run(subject, "ugradsl+", {}).state_dict, run(wrapped, "ugradsl+", {}).state_dict
    )
