"""``unlearn`` and ``evaluate`` on a user's own network and data sets."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate

from api_cases import FORGET, RETAIN, TEST, model, run
from toys import (
    CNN,
    CPU,
    K,
    Pairs,
    copied,
    generator,
    images,
    mlp,
    problem,
    same_bits,
)
from toys import whole_batch as whole
from ugradsl_core import (
    METHODS,
    ConfigError,
    DataError,
    ModelError,
    Report,
    UGradSLError,
    evaluate,
    unlearn,
)
from ugradsl_core.methods import make_config
from ugradsl_core.metrics import accuracy

every_method = pytest.mark.parametrize(
    ("method", "changes"),
    [
        *((name, {}) for name in METHODS),
        ("ugradsl", {"alpha": None}),
        ("ugradsl+", {"alpha": None}),
    ],
)


@every_method
def test_a_users_network_and_data_sets(method: str, changes: dict[str, Any]) -> None:
    network = model().train()
    network.head.eval()
    network.head.bias.requires_grad_(False)
    before = copied(network.state_dict())
    flags = {name: module.training for name, module in network.named_modules()}
    gradients = {name: p.requires_grad for name, p in network.named_parameters()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    result = run(method, network, **changes)
    # the caller's model and the global random state are as they were
    assert same_bits(before, network.state_dict())
    assert {name: module.training for name, module in network.named_modules()} == flags
    assert {name: p.requires_grad for name, p in network.named_parameters()} == gradients
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in network.modules())
    assert torch.equal(state, torch.get_rng_state())
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in result.model.modules())
    # the result is a model of the same class, ready for use, that shares nothing
    assert isinstance(result.model, CNN)
    assert not any(module.training for module in result.model.modules())
    assert not same_bits(before, result.model.state_dict())
    frozen = {name for name, wanted in gradients.items() if not wanted}
    assert frozen == {"head.bias"}
    if not METHODS[method].fresh:
        assert torch.equal(result.model.head.bias, network.head.bias)
    assert {name: p.requires_grad for name, p in result.model.named_parameters()} == gradients
    assert same_bits(result.model.state_dict(), result.result.state_dict)
    assert result.method == method
    assert type(result.config) is METHODS[method].config
    assert result.seconds > 0
    # same seed, same bits
    torch.manual_seed(6)
    assert same_bits(result.model.state_dict(), run(method, network, **changes).model.state_dict())


def test_frozen_weights_are_not_initialised_anew() -> None:
    """Whole layers, and one tensor of a layer."""
    network = model()
    network.features[0].requires_grad_(False)
    network.head.weight.requires_grad_(False)
    before = copied(network.state_dict())
    after = run("retrain", network, epochs=0).model.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(after[name], value)}
    assert moved == {"head.bias"}


def test_iu_works_in_bfloat16() -> None:
    network = model().to(torch.bfloat16)
    sets = {}
    for name, pairs in (("retain", RETAIN), ("forget", FORGET)):
        x, y = default_collate([pairs[i] for i in range(len(pairs))])
        sets[name] = TensorDataset(x.bfloat16(), y)
    found = run("iu", network, max_iterations=5, tolerance=0.5, **sets).model.state_dict()
    assert found["head.weight"].dtype == torch.bfloat16
    assert not torch.equal(found["head.weight"], network.state_dict()["head.weight"])


def test_another_seed_gives_other_weights() -> None:
    a, b = (run("ft", seed=seed).model.state_dict() for seed in (0, 1))
    assert not same_bits(a, b)


def test_defaults_are_those_of_the_method() -> None:
    result = unlearn("ugradsl", model(), retain=RETAIN, forget=FORGET)
    assert result.config == make_config("ugradsl")


def test_the_result_is_that_of_the_method_on_the_same_problem() -> None:
    """Nothing is lost or added between a user's data sets and a method's Samples."""
    subject = problem("mlp")
    network = mlp()
    network.load_state_dict(subject.trained_state)
    sets = {
        name: TensorDataset(*whole(samples))
        for name, samples in [("retain", subject.retain), ("forget", subject.forget)]
    }
    found = run("ugradsl", network, seed=3, **sets).result
    config = make_config("ugradsl", lr=0.05, epochs=2, batch_size=8)
    expected = METHODS["ugradsl"](subject, config, generator=generator(3))
    assert same_bits(found.state_dict, expected.state_dict)


def test_frozen_parameters_stay_frozen() -> None:
    network = model()
    network.features.requires_grad_(False)
    found = run("ugradsl", network).model
    assert torch.equal(found.features[0].weight, network.features[0].weight)
    assert not torch.equal(found.head.weight, network.head.weight)
    assert not found.features[0].weight.requires_grad


@pytest.mark.parametrize("epochs", [1, 2])
def test_workers_do_not_change_the_result(epochs: int) -> None:
    found = [
        run("ugradsl", epochs=epochs, batch_size=4, workers=workers).model.state_dict()
        for workers in (0, 1)
    ]
    assert same_bits(*found)


def test_workers_do_not_change_the_evaluation() -> None:
    sets = {"retain": RETAIN, "forget": FORGET, "test": TEST, "execution": CPU}
    assert evaluate(model(), **sets) == evaluate(model(), **sets, workers=1)


def test_evaluate_reports_percentages_that_a_loop_confirms() -> None:
    network = model().train()
    before = copied(network.state_dict())
    report = evaluate(network, retain=RETAIN, forget=FORGET, test=TEST, execution=CPU)
    assert same_bits(before, network.state_dict())
    assert network.training
    network.eval()
    right = {}
    for name, samples in [("RA", RETAIN), ("UA", FORGET), ("TA", TEST)]:
        with torch.no_grad():
            hits = [
                int(network(x[None]).argmax()) == y
                for x, y in (samples[i] for i in range(len(samples)))
            ]
        right[name] = 100 * sum(hits) / len(hits)
    assert right["RA"] == report.RA
    assert 100 - right["UA"] == report.UA
    assert right["TA"] == report.TA
    assert isinstance(report, Report)
    assert [field.name for field in fields(report)] == ["UA", "MIA", "RA", "TA", "add_MIA", "mia"]
    assert all(0 <= value <= 100 for value in [report.MIA, report.add_MIA, *report.mia.values()])
    again = evaluate(network, retain=RETAIN, forget=FORGET, test=TEST, batch_size=3, execution=CPU)
    assert again == report


def test_evaluate_after_unlearn_reads_like_the_paper() -> None:
    result = run("ugradsl", lr=0.05, epochs=1)
    report = evaluate(result.model, retain=RETAIN, forget=FORGET, test=TEST)
    logits = result.model(whole(images(8, 1))[0])
    assert pytest.approx(100 - accuracy(logits, whole(images(8, 1))[1])) == report.UA


class WithTargets(Dataset):
    """Labels in an attribute, as torchvision has them; items are made on demand."""

    def __init__(self, targets: object, n: int = 24) -> None:
        self.targets, self.n = targets, n
        self.x = whole(images(n))[0]

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], int(self.targets[index])


@pytest.mark.parametrize("kind", [list, tuple, torch.tensor, "numpy"])
def test_labels_are_found_in_the_usual_places(kind: Any) -> None:
    labels = [i % K for i in range(24)]
    targets = torch.tensor(labels).numpy() if kind == "numpy" else kind(labels)
    expected = run("ft").model.state_dict()
    assert same_bits(run("ft", retain=WithTargets(targets)).model.state_dict(), expected)


def test_subsets_of_one_data_set_may_be_used_side_by_side() -> None:
    both = Pairs(32)
    retain, forget = Subset(both, range(8, 32)), Subset(both, range(8))
    nested = Subset(Subset(both, range(31, -1, -1)), range(24))
    run("ugradsl", retain=retain, forget=forget)
    run("ugradsl", retain=nested, forget=forget)


def changed_labels(function: Callable[[int], Any]) -> Pairs:
    class Changed(Pairs):
        def __getitem__(self, index: int) -> Any:
            x, y = super().__getitem__(index)
            return x, function(y)

    return Changed(24)


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = CNN()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner(x), x


class OwnParameter(nn.Module):
    """A layer that nobody can initialise anew without knowing it."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = mlp()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * self.scale)


def nan_weights() -> nn.Module:
    network = model()
    network.head.weight.data[0, 0] = math.nan
    return network


BOTH = Pairs(32)
REFUSED: dict[str, tuple[Callable[[], Any], type[UGradSLError], str]] = {
    "empty retain": (lambda: run(retain=Pairs(0)), DataError, "retain: is empty"),
    "empty forget": (lambda: run(forget=Subset(BOTH, [])), DataError, "forget: is empty"),
    "same object": (
        lambda: run(retain=RETAIN, forget=RETAIN), DataError, "24 samples are shared"
    ),
    "overlapping subsets": (
        lambda: run(retain=Subset(BOTH, range(20)), forget=Subset(BOTH, range(18, 32))),
        DataError, "retain and forget: should be disjoint; 2 samples are shared",
    ),
    "subset and whole": (
        lambda: run(retain=BOTH, forget=Subset(BOTH, [3])), DataError, "1 sample is shared"
    ),
    "nested subsets": (
        lambda: run(
            retain=Subset(Subset(BOTH, range(10, 32)), [0, 1, 2]),
            forget=Subset(Subset(BOTH, range(12)), [11, 10]),
        ),
        DataError, "2 samples are shared",
    ),
    "no map-style data set": (
        lambda: run(retain=iter([])), DataError, "retain: should be a map-style data set"
    ),
    "label too large": (
        lambda: run(retain=changed_labels(lambda y: y + 1)),
        DataError, "retain: labels should lie in 0…3; found 4",
    ),
    "negative label": (
        lambda: run(forget=changed_labels(lambda y: y - 1)),
        DataError, "forget: labels should lie in 0…3; found -1",
    ),
    "text label": (
        lambda: run(retain=changed_labels(lambda y: "cat")),
        DataError, r"retain: items should be \(input, integer label\) pairs",
    ),
    "too few targets": (
        lambda: run(retain=WithTargets([0] * 23)), DataError, "item 23 cannot be read"
    ),
    "one-hot labels": (
        lambda: run(retain=changed_labels(lambda y: torch.eye(K)[y])), DataError, "integer label"
    ),
    "wrong input": (
        lambda: run(network=nn.Linear(7, K)), ModelError, "cannot process an item of retain"
    ),
    "a tuple": (
        lambda: run(network=TwoOutputs()), ModelError, "should return a tensor of logits; found tup"
    ),
    "images as output": (
        lambda: run(network=nn.Conv2d(1, K, 1)), ModelError, r"float logits of shape \(1, K\)"
    ),
    "NaN weights": (
        lambda: run(network=nan_weights()), ModelError, "'head.weight' hold NaN or infinite"
    ),
    "unknown method": (
        lambda: run("ugradls"), ConfigError, "unknown method 'ugradls'. Did you mean 'ugradsl'"
    ),
    "unknown parameter": (
        lambda: run(alhpa=0.1), ConfigError, "unknown parameter 'alhpa'. Did you mean 'alpha'"
    ),
    "p": (lambda: run(p=1.5), ConfigError, "p: should be less than or equal to 1; found 1.5"),
    "model": (lambda: run(network="resnet18"), ModelError, "model: should be a torch.nn.Module"),
    "method": (lambda: unlearn(["ft"], model(), retain=RETAIN, forget=FORGET), ConfigError,
               "unknown method"),
    "execution": (lambda: run(execution="cpu"), ConfigError, "execution: should be an Execution"),
    "workers": (lambda: run(workers=-1), ConfigError, "workers: should be a whole number from 0"),
    "workers a": (lambda: run(workers="a"), ConfigError, "workers: should be a whole number"),
    "make_model": (lambda: run("retrain", make_model=model()), ModelError,
                   "make_model: should be a function that returns a fresh model; found CNN"),
    "made none": (lambda: run("retrain", make_model=lambda: None), ModelError,
                  "make_model: should return a torch.nn.Module; found NoneType"),
    "made other": (lambda: run("eu-k", make_model=mlp), ModelError,
                   r"make_model: should return a model like .* features.0.weight is missing there"),
    "seed": (lambda: run(seed=-1), ConfigError, "seed: should be a whole number from 0; found -1"),
    "fresh weights": (
        lambda: run("retrain", OwnParameter()), ModelError,
        "cannot be initialised anew; pass make_model=…",
    ),
    "no head": (
        lambda: run("ugradsl", nn.Sequential(nn.Conv2d(1, K, 6), nn.Flatten()), alpha=None),
        ModelError, "name the classification layer with head=…",
    ),
    "wrong head": (
        lambda: run("ugradsl", alpha=None, head="fc"), ModelError, "unknown layer 'fc'"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_with_a_sentence(case: str) -> None:
    call, error, message = REFUSED[case]
    with pytest.raises(error, match=message):
        call()


LATER = {  # what only the model's layers or the items themselves can tell
    "no head", "wrong head", "fresh weights", "label too large", "too few targets"
}  # fmt: skip


@pytest.mark.parametrize("case", [c for c in REFUSED if c not in LATER])
def test_bad_input_is_refused_before_any_training(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ugradsl_core.methods import common

    def train(*_: Any, **__: Any) -> None:
        raise AssertionError("training has started")

    monkeypatch.setattr(common, "train", train)
    with pytest.raises(REFUSED[case][1]):
        REFUSED[case][0]()


@pytest.mark.parametrize("kept", ["retain", "forget", "test"])
def test_evaluate_refuses_empty_and_overlapping_sets(kept: str) -> None:
    sets = {"retain": RETAIN, "forget": FORGET, "test": TEST, "execution": CPU}
    with pytest.raises(DataError, match=f"{kept}: is empty"):
        evaluate(model(), **{**sets, kept: Pairs(0)})
    other = "forget" if kept != "forget" else "test"
    with pytest.raises(DataError, match="samples are shared"):
        evaluate(model(), **{**sets, kept: sets[other]})
    with pytest.raises(ModelError, match="NaN"):
        evaluate(nan_weights(), **sets)


def test_retrain_of_any_network_works_with_make_model() -> None:
    result = run("retrain", OwnParameter(), make_model=OwnParameter)
    assert isinstance(result.model, OwnParameter)


def test_retrain_starts_from_fresh_weights() -> None:
    network = model()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.5)
    found = run("retrain", network, epochs=0).model
    assert float(found.head.weight.detach().std()) > 0.01


class LabelNames(Pairs):
    """``labels`` are the names of the classes here, not the labels of the items."""

    labels = ("cat", "dog", "bird", "fish")


class Dictionaries(Pairs):
    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return {"image": x, "label": y}


class Triples(Pairs):
    def __getitem__(self, index: int) -> Any:
        return (*super().__getitem__(index), index)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_float_labels_are_refused(shift: float) -> None:
    with pytest.raises(DataError, match="integer label"):
        run("ga", forget=changed_labels(lambda y: y + shift))


def test_items_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(DataError, match="pairs"):
        run("ft", retain=Triples(24))


def test_mappings_with_one_input_are_pairs() -> None:
    expected = run("ft").model.state_dict()
    assert same_bits(run("ft", retain=Dictionaries(24)).model.state_dict(), expected)


def test_an_attribute_with_names_of_classes_is_not_taken_for_labels() -> None:
    run("ft", retain=LabelNames(24))


@pytest.mark.parametrize("seed", [1.5, "x", None])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(ConfigError, match="seed"):
        run("ft", seed=seed)


def test_a_network_without_trainable_parameters_is_refused() -> None:
    with pytest.raises(ModelError):
        run("ft", model().requires_grad_(False))


class Normalised(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(36, 5), nn.BatchNorm1d(5), nn.Linear(5, K))


@pytest.mark.parametrize("changes", [{"forget": Pairs(1)}, {"batch_size": 1}])
def test_batches_of_one_and_batchnorm_are_refused_with_a_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="BatchNorm cannot train on a batch of one sample"):
        run("ga", Normalised(), **changes)


@pytest.mark.parametrize("bn_mode", ["joint", "frozen"])
def test_one_sample_can_be_forgotten_where_statistics_come_from_more(bn_mode: str) -> None:
    result = run("ugradsl", Normalised(), forget=Pairs(1), bn_mode=bn_mode)
    assert result.result.steps == 2
