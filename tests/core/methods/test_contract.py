"""What every method promises, for every method and kind of model."""

import math
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

from companion.experiments.data import Dataset
from toys import ALL_MODELS, MODELS, copied, problem, replaced, same_bits
from toys import Spy as Counting
from toys import unlearned as run
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, DivergenceError, ModelError
from ugradsl_core.methods import METHODS, get_method, make_config
from ugradsl_core.models import load_weights
from ugradsl_core.samples import Samples
from ugradsl_core.training import SGDConfig

CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("ff", {"variant": "upstream"}),
    ("iu", {"variant": "upstream"}),
    ("be", {"variant": "kept"}),
    ("l1-sparse", {"variant": "epochs"}),
    ("rl", {"variant": "shuffled"}),
    ("eu-k", {"variant": "every-epoch"}),
    ("eu-k", {"k": 2}),
    ("cf-k", {"k": 2}),
    ("scrub", {"variant": "joint"}),
    ("salun", {"variant": "gradient", "order": "shuffled"}),
    ("ugradsl", {"alpha": None}),
    ("ugradsl+", {"alpha": None}),
    ("ugradsl", {"alpha": None, "distance": "euclidean", "beta": 0.3, "bn_mode": "joint"}),
]
WITHOUT_TRAINING = [n for n in METHODS if not issubclass(METHODS[n].config, SGDConfig)]


def cases(chosen: list[tuple[str, dict[str, Any]]]) -> pytest.MarkDecorator:
    ids = ["-".join([name, *map(str, changes.values())]) for name, changes in chosen]
    return pytest.mark.parametrize(("name", "changes"), chosen, ids=ids)


every_case = cases(CASES)
every_optimisation = cases([case for case in CASES if case[0] != "no-step"])
every_training = cases([case for case in CASES if case[0] not in WITHOUT_TRAINING])
every_model = pytest.mark.parametrize("kind", ALL_MODELS)


def stored(samples: Samples) -> torch.Tensor:
    return samples.inputs if isinstance(samples, Dataset) else samples.source.dataset.tensors[0]


def test_every_variant_of_every_method_is_a_case() -> None:
    for name, method in METHODS.items():
        field = method.config.model_fields.get("variant")
        if field is not None:
            tried = {changes.get("variant", field.default) for n, changes in CASES if n == name}
            assert tried == set(get_args(field.annotation)), name


@every_model
@every_case
def test_contract(kind: str, name: str, changes: dict[str, Any]) -> None:
    subject = problem(kind)
    if kind == "linear" and "k" in changes:
        with pytest.raises(ModelError, match=r"k: should be at most 1, .* found 2"):
            run(name, subject, **changes)
        return
    before, inputs = copied(dict(subject.trained_state)), stored(subject.retain).clone()
    torch.manual_seed(1)
    state = torch.get_rng_state()
    result = run(name, subject, **changes)
    # inputs and the global random state are as they were
    assert same_bits(before, dict(subject.trained_state))
    assert torch.equal(inputs, stored(subject.retain))
    assert torch.equal(torch.get_rng_state(), state)
    # the result is a whole, finite state and does not share memory with the input
    assert list(result.state_dict) == list(before)
    assert all(bool(torch.isfinite(value).all()) for value in result.state_dict.values())
    assert all(value.is_contiguous() for value in result.state_dict.values())
    if name != "no-step" or kind == "cnn":  # without BatchNorm it changes nothing
        assert not same_bits(result.state_dict, before)
    shared = {value.data_ptr() for value in subject.trained_state.values()}
    assert not shared & {value.data_ptr() for value in result.state_dict.values()}
    load_weights(subject.make_model(), result.state_dict)
    if name in WITHOUT_TRAINING:
        assert (result.steps, result.losses) == (int(name != "no-step"), ())
    else:
        assert result.steps == len(result.losses) > 0
    assert all(map(math.isfinite, result.losses))
    assert result.forward_samples > 0
    assert (result.backward_samples > 0) is (name != "no-step")
    assert result.seconds > 0
    # same seed, same bits, whatever the global random state is
    torch.manual_seed(2)
    again = run(name, subject, **changes)
    assert same_bits(result.state_dict, again.state_dict)
    assert result.losses == again.losses


@every_case
def test_another_seed_gives_other_bits(name: str, changes: dict[str, Any]) -> None:
    # all of D_f in one batch of GA, or of D_r in IU's Fisher, leaves nothing to chance
    few = {"samples": 8} if name == "iu" else {}
    small = {**changes, **few, "batch_size": 4}
    kind = "cnn" if name == "no-step" else "mlp"  # it moves nothing but BatchNorm's statistics
    a, b = (run(name, problem(kind), seed, **small) for seed in (0, 1))
    assert not same_bits(a.state_dict, b.state_dict)


@every_training
def test_augmented_runs_of_one_seed_are_equal_and_differ_from_plain_ones(
    name: str, changes: dict[str, Any]
) -> None:
    subject = problem("cnn", augmentable=True)
    a, b = (run(name, subject, **{**changes, "augment": "crop-flip"}) for _ in range(2))
    assert same_bits(a.state_dict, b.state_dict)
    assert not same_bits(a.state_dict, run(name, subject, **changes).state_dict)


@every_training
@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_every_schedule_runs_to_its_end(name: str, changes: dict[str, Any], schedule: str) -> None:
    result = run(name, problem("mlp"), **{**changes, "schedule": schedule})
    assert all(map(math.isfinite, result.losses))


@every_case
def test_hooks_do_not_outlive_the_run(name: str, changes: dict[str, Any]) -> None:
    built = []

    def build() -> torch.nn.Module:
        built.append(MODELS["cnn"]())
        return built[-1]

    run(name, replaced(problem(), make_model=build), **changes)
    for model in built:
        for module in model.modules():
            assert not module._forward_pre_hooks
            assert not module._forward_hooks


@every_optimisation
def test_divergence_is_an_error(name: str, changes: dict[str, Any]) -> None:
    far = {"alpha": 1e300} if name in WITHOUT_TRAINING else {"lr": 1e30, "epochs": 6}
    with pytest.raises(DivergenceError):
        run(name, problem("cnn"), **{**changes, **far})


@pytest.mark.parametrize("name", METHODS)
def test_fresh_says_whether_the_weights_of_a_new_model_matter(name: str) -> None:
    subject = problem("mlp")

    def other() -> torch.nn.Module:
        model = MODELS["mlp"]()
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(2)
        return model

    a, b = (run(name, replaced(subject, make_model=m)) for m in (subject.make_model, other))
    assert same_bits(a.state_dict, b.state_dict) is not METHODS[name].fresh


def test_retrain_never_reads_the_original_weights() -> None:
    subject = problem()
    nothing = replaced(subject, trained_state={})
    a, b = run("retrain", subject), run("retrain", nothing)
    assert same_bits(a.state_dict, b.state_dict)


def test_head_can_be_named_and_a_wrong_name_is_refused() -> None:
    for name, changes in [("ugradsl", {"alpha": None}), ("be", {}), ("ff", {})]:
        named = run(name, replaced(problem(), head="head"), **changes)
        assert same_bits(named.state_dict, run(name, problem(), **changes).state_dict)
        with pytest.raises(ModelError, match=r"unknown layer 'heads'\. Did you mean 'head'"):
            run(name, replaced(problem(), head="heads"), **changes)


BAD: list[tuple[str, dict[str, Any], str]] = [
    *(
        (name, values, message)
        for name in METHODS
        for values, message in [
            ({"epochs": -1}, "epochs: should be greater than or equal to 0; found -1"),
            ({"batch_size": 0}, "batch_size: should be greater than or equal to 1; found 0"),
            ({"lr": math.inf}, "lr: should be a finite number; found inf"),
            ({"momentum": -0.1}, "momentum: should be greater than or equal to 0; found -0.1"),
            ({"weight_decay": -1}, "weight_decay: should be greater than or equal to 0; found -1"),
            ({"schedule": "step"}, "unknown schedule 'step'. Valid: constant, cosine, one-cycle"),
        ]
        if next(iter(values)) in METHODS[name].config.model_fields
    ),
    *((n, {"epoch": 3}, "unknown parameter 'epoch'") for n in METHODS),
    *(
        (n, {"lr": 0}, "lr: should be greater than 0; found 0")
        for n in METHODS
        if n != "retrain" and n not in WITHOUT_TRAINING
    ),
    *((n, {"alpha": -1}, "alpha: should be greater than or equal to 0") for n in ("ff", "iu")),
    *((n, {"samples": 0}, "samples: should be greater than or equal to 1") for n in ("ff", "iu")),
    ("ff", {"samples": 1.5}, "samples: should be a valid integer"),
    ("iu", {"damping": 0}, "damping: should be greater than 0; found 0"),
    ("iu", {"tolerance": 0}, "tolerance: should be greater than 0; found 0"),
    ("iu", {"tolerance": 1}, "tolerance: should be less than 1; found 1"),
    ("iu", {"max_iterations": 0}, "max_iterations: should be greater than or equal to 1; found 0"),
    ("bs", {"step": 0}, "step: should be greater than 0; found 0"),
    ("l1-sparse", {"gamma": -1e-9}, "gamma: should be greater than or equal to 0; found -1e-09"),
    ("eu-k", {"k": 0}, "k: should be greater than or equal to 1; found 0"),
    ("cf-k", {"k": True}, "k: should be a value, not a truth value; found True"),
    ("salun", {"mask_ratio": True}, "mask_ratio: should be a value, not a truth value; found True"),
    ("cf-k", {"k": 0.5}, "k: should be a valid integer"),
    ("cf-k", {"variant": "once"}, "unknown parameter 'variant'"),
    ("scrub", {"gamma": -1}, "gamma: should be greater than or equal to 0; found -1"),
    ("scrub", {"alpha": -1}, "alpha: should be greater than or equal to 0; found -1"),
    ("scrub", {"temperature": 0}, "temperature: should be greater than 0; found 0"),
    ("scrub", {"msteps": -1}, "msteps: should be greater than or equal to 0; found -1"),
    ("scrub", {"forget_batch_size": 0}, "forget_batch_size: should be greater than or equal to 1"),
    ("salun", {"mask_ratio": 0}, "mask_ratio: should be greater than 0; found 0"),
    ("salun", {"mask_ratio": 1.01}, "mask_ratio: should be less than or equal to 1; found 1.01"),
    ("pabi", {"c0": 0}, "c0: should be greater than 0; found 0"),
    ("pabi", {"c1": -1}, "c1: should be greater than 0; found -1"),
    ("pabi", {"eta": 0}, "eta: should be greater than 0; found 0"),
    ("pabi", {"lam": -1}, "lam: should be greater than or equal to 0; found -1"),
    ("pabi", {"eta": 0.1, "lam": 10}, "eta: η·λ should be below 1; found 1"),
    ("pabi", {"epsilon_renyi": 0}, "epsilon_renyi: should be greater than 0; found 0"),
    ("pabi", {"delta": 0}, "delta: should be greater than 0; found 0"),
    ("pabi", {"delta": 1}, "delta: should be less than 1; found 1"),
    *(
        (name, values, message)
        for name in ("neggrad+", "ugradsl", "ugradsl+")
        for values, message in [
            ({"p": 1.5}, "p: should be less than or equal to 1; found 1.5"),
            ({"p": -0.1}, "p: should be greater than or equal to 0; found -0.1"),
            ({"p": math.nan}, "p: should be a finite number; found nan"),
            ({"reduction": "none"}, "unknown reduction 'none'. Valid: mean, sum"),
            ({"bn_mode": "eval"}, "unknown bn_mode 'eval'. Valid: frozen, joint, train"),
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
]


@pytest.mark.parametrize(("name", "values", "message"), BAD)
def test_bad_config_is_refused_at_construction(
    name: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(name, **values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


CHOICES = [
    (name, field, get_args(info.annotation))
    for name, method in METHODS.items()
    for field, info in method.config.model_fields.items()
    if get_origin(info.annotation) is Literal
]


@pytest.mark.parametrize(("name", "field", "valid"), CHOICES)
def test_an_unknown_choice_lists_the_valid_ones(
    name: str, field: str, valid: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(name, **{field: "qqq"})
    assert str(caught.value) == f"unknown {field} 'qqq'. Valid: {', '.join(sorted(valid))}"
    for value in valid:
        both = name == "scrub" and value == "joint"  # batches of variant joint alone can meet
        given = {"variant": "joint", field: value} if both else {field: value}
        assert getattr(make_config(name, **given), field) == value


@pytest.mark.parametrize("name", METHODS)
def test_every_field_refuses_what_is_no_value_of_it_by_name(name: str) -> None:
    for field, info in METHODS[name].config.model_fields.items():
        wrong: list[Any] = [object(), "one", [1]]
        if get_origin(info.annotation) is not Literal:
            wrong += [math.nan, math.inf, -math.inf]
        for value in wrong:
            with pytest.raises(ConfigError, match=rf"^(unknown )?{field}\b"):
                make_config(name, **{field: value})


@pytest.mark.parametrize(
    ("wrong", "near"), [("ugradls", "ugradsl"), ("UGradSL+", "ugradsl+"), ("retrian", "retrain")]
)
def test_an_unknown_method_names_the_nearest(wrong: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get_method(wrong)
    assert f"unknown method {wrong!r}. Did you mean {near!r}? Valid: " in str(caught.value)
    *listed, rest = str(caught.value).partition("Valid: ")[2].split(", ")
    assert listed[0] == near
    assert set(listed) < set(METHODS)
    assert rest == f"and {len(METHODS) - len(listed)} more"


def test_the_registry_lists_the_names_of_the_command_line() -> None:
    names = (
        "retrain no-step ft ga ff iu be bs l1-sparse rl eu-k cf-k scrub salun pabi neggrad+ ugradsl"
    )
    first = [*names.split(), "ugradsl+"]
    assert list(METHODS)[: len(first)] == first
    assert WITHOUT_TRAINING == ["no-step", "ff", "iu"]
    for name, method in METHODS.items():
        assert isinstance(make_config(name), Config)
        assert all([method.title, method.summary, method.passes, method.memory, method.guarantee])
        assert method.reads in {"D_r", "D_f", "D_r, D_f"}


def test_defaults_are_those_of_paper_and_published_code() -> None:
    def check(name: str, **expected: Any) -> None:
        config = make_config(name).model_dump()
        assert {key: config[key] for key in expected} == expected, name

    check("retrain", lr=0.01, epochs=160, batch_size=256)
    check("ft", lr=0.01, epochs=10, batch_size=256, momentum=0.9, weight_decay=5e-4)
    check("ga", lr=1e-4, epochs=5)
    check("rl", epochs=10, variant="sequential")
    check("salun", mask_ratio=0.5, epochs=10, variant="exact", order="sequential")
    check("l1-sparse", lr=0.01, gamma=5e-4, epochs=10, variant="steps")
    check("iu", samples=1000, damping=1.0, variant="exact")
    check("ff", samples=None, variant="exact")
    assert 1e-9 <= make_config("ff").model_dump()["alpha"] <= 1e-6
    check("bs", lr=1e-5, epochs=10, batch_size=64, step=0.1)
    check("be", lr=1e-5, epochs=10, batch_size=64, variant="dropped")
    check("eu-k", k=1, epochs=10, variant="once")
    check("cf-k", k=1, epochs=10)
    check("scrub", gamma=0.99, alpha=0.001, temperature=4.0, msteps=2, epochs=3, lr=5e-4)
    check("scrub", weight_decay=5e-4, forget_batch_size=32, batch_size=128, variant="alternating")
    check("pabi", c0=0.1, c1=10.0, eta=1e-3, lam=50.0, epsilon_renyi=1.0, delta=1e-5)
    check("pabi", schedule="one-cycle", lr=0.1, weight_decay=5e-4, epochs=50)
    check("neggrad+", p=0.95, epoch_over="retain")
    check("no-step", over="forget", epochs=5, batch_size=256)
    check("ugradsl", p=0.9, alpha=-0.4, beta=None, bn_mode="train", reduction="mean")


@pytest.mark.parametrize("name", METHODS)
def test_samples_may_be_of_any_class_with_the_right_methods(name: str) -> None:
    subject = problem("linear")
    wrapped = replaced(subject, retain=Counting(subject.retain), forget=Counting(subject.forget))
    expected = run(name, subject)
    found = run(name, wrapped)
    if name != "bs":  # whose step is a share of a range that the wrapping does not know
        assert same_bits(expected.state_dict, found.state_dict)
