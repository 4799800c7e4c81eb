"""EU-k and CF-k: which layers are the last k, what stays bit-identical, how often is fresh."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from companion.backbones import resnet18
from toys import CNN, MODELS, SIDE, K, problem, replaced, same_bits, seeded_model, unlearned
from ugradsl_core.errors import ModelError
from ugradsl_core.methods.common import first_input
from ugradsl_core.methods.problem import Problem
from ugradsl_core.models import last_layers

HARD: dict[str, Any] = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "epochs": 3}
both = pytest.mark.parametrize("name", ["eu-k", "cf-k"])


def names(model: nn.Module, k: int, inputs: torch.Tensor) -> list[str]:
    found = {module: name for name, module in model.named_modules()}
    return [found[module] for module in last_layers(model, k, inputs)]


def test_the_last_layers_of_a_resnet() -> None:
    model, x = resnet18(10, 3, 2), torch.randn(1, 3, 8, 8)
    assert names(model, 1, x) == ["fc"]
    assert names(model, 2, x) == ["fc", "layer4.1.bn2", "layer4.1.conv2"]
    assert names(model, 3, x) == [*names(model, 2, x), "layer4.1.bn1", "layer4.1.conv1"]
    assert names(model, 4, x)[-2:] == ["layer4.0.downsample.1", "layer4.0.downsample.0"]
    assert names(model, 21, x)[-1] == "conv1"
    every = {m for m in model.modules() if next(m.parameters(recurse=False), None) is not None}
    assert set(last_layers(model, 21, x)) == every
    assert model.training


def test_the_last_layers_of_other_models() -> None:
    mlp, vit, bert = (seeded_model(kind) for kind in ("mlp", "vit", "bert"))
    picture, words = (first_input(problem(kind).retain) for kind in ("vit", "bert"))
    assert (names(mlp, 1, picture), names(mlp, 2, picture)) == (["4"], ["4", "1"])
    assert names(vit, 1, picture) == ["inner.classifier"]
    last = names(vit, 2, picture)
    assert last[0] == "inner.classifier"
    assert isinstance(vit.get_submodule(last[1]), nn.LayerNorm)
    assert isinstance(vit.get_submodule(last[2]), nn.Linear)
    assert len(last) == 3
    assert names(bert, 2, words) == ["inner.classifier", "inner.bert.pooler.dense"]


class Backwards(nn.Module):
    """Layers that are registered in the opposite order, one of them a part of attention."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE, K)
        self.attention = nn.MultiheadAttention(SIDE, 1, batch_first=True)
        self.body = nn.Linear(SIDE, SIDE)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.body(x[:, 0])
        return self.head(self.attention(rows, rows, rows)[0].mean(1))


def test_layers_come_in_the_order_in_which_they_are_called() -> None:
    x = torch.randn(2, 1, SIDE, SIDE)
    assert names(Backwards(), 1, x) == ["head"]
    assert names(Backwards(), 4, x) == ["head", "attention.out_proj", "attention", "body"]
    assert names(nn.Sequential(Backwards()), 4, x)[-1] == "0.body"


@both
def test_the_layer_that_is_called_last_is_trained(name: str) -> None:
    torch.manual_seed(0)
    subject = replaced(problem(), make_model=Backwards, trained_state=Backwards().state_dict())
    found = unlearned(name, subject, **HARD).state_dict
    moved = {key for key, v in subject.trained_state.items() if not torch.equal(found[key], v)}
    assert moved == {"head.weight", "head.bias"}


def normed() -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 8), nn.ReLU(), nn.Linear(8, K))
    nn.utils.parametrizations.spectral_norm(model[1])
    nn.utils.parametrizations.weight_norm(model[3])
    return model


@pytest.mark.parametrize(("k", "trained"), [(1, {"3"}), (2, {"1", "3"})])
@both
def test_parametrised_weights_belong_to_their_layer(name: str, k: int, trained: set[str]) -> None:
    torch.manual_seed(0)
    state = copy.deepcopy(normed().train().state_dict())
    subject = replaced(problem(), make_model=normed, trained_state=state)
    found = unlearned(name, subject, k=k, **HARD).state_dict
    for key, before in state.items():  # the vectors of the spectral norm included
        assert torch.equal(found[key], before) is (key.split(".")[0] not in trained), key
    fresh = unlearned(name, subject, k=k, epochs=0).state_dict
    moved = {key.split(".")[0] for key, v in state.items() if not torch.equal(fresh[key], v)}
    assert moved == (trained if name == "eu-k" else set())


@pytest.mark.parametrize(("kind", "most"), [("linear", 1), ("mlp", 2), ("cnn", 2)])
@both
def test_more_layers_than_the_model_has_are_refused(name: str, kind: str, most: int) -> None:
    unlearned(name, problem(kind), k=most)
    with pytest.raises(ModelError, match=f"^k: should be at most {most}, .* found {most + 1}$"):
        unlearned(name, problem(kind), k=most + 1)


class Deep(nn.Module):
    """Norms with and without weights of their own, before, between and after the layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(1, affine=False)
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(3)
        self.conv2 = nn.Conv2d(3, 3, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(3, affine=False)
        self.head = nn.Linear(3 * SIDE**2, K)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm1(self.conv1(self.first(x))).relu()
        return self.head(self.norm2(self.conv2(x)).relu().flatten(1))


def deep() -> Problem:
    """With statistics that are not those of a new model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Deep()
        model.train()(torch.randn(16, 1, SIDE, SIDE))
    return replaced(problem(), make_model=Deep, trained_state=copy.deepcopy(model.state_dict()))


@pytest.mark.parametrize(
    ("k", "trained"),
    [
        (1, {"head"}),
        (2, {"head", "norm2", "conv2"}),
        (3, {"head", "norm2", "conv2", "norm1", "conv1"}),
    ],
)
@both
def test_everything_before_the_last_layers_is_bit_identical(
    name: str, k: int, trained: set[str]
) -> None:
    subject = deep()
    found = unlearned(name, subject, k=k, **HARD).state_dict
    for key, before in subject.trained_state.items():
        assert torch.equal(found[key], before) is (key.split(".")[0] not in trained), key


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", ["vit", "bert"])
@both
def test_transformers_keep_their_earlier_layers(name: str, kind: str, k: int) -> None:
    subject = problem(kind)
    free = names(seeded_model(kind), k, first_input(subject.retain))
    found = unlearned(name, subject, k=k, **HARD).state_dict
    moved = {
        key.rpartition(".")[0]
        for key, before in subject.trained_state.items()
        if not torch.equal(found[key], before)
    }
    assert moved == set(free)


@pytest.mark.parametrize("kind", MODELS)
def test_cf_k_is_ft_with_the_other_layers_frozen(kind: str) -> None:
    def build() -> nn.Module:
        model = MODELS[kind]()
        last = last_layers(model, 1, first_input(subject.retain))
        kept = {id(p) for layer in last for p in layer.parameters()}
        for p in model.parameters():
            p.requires_grad_(id(p) in kept)
        return model

    subject = problem(kind)
    ft = unlearned("ft", replaced(subject, make_model=build), **HARD)
    cf = unlearned("cf-k", subject, **HARD)
    assert same_bits(ft.state_dict, cf.state_dict)
    assert ft.losses == cf.losses


def test_eu_k_is_cf_k_from_fresh_last_layers() -> None:
    subject = deep()
    for k in (1, 2):
        start = unlearned("eu-k", subject, k=k, epochs=0).state_dict
        fresh = {key for key, v in start.items() if not torch.equal(v, subject.trained_state[key])}
        layers = {"head"} if k == 1 else {"head", "norm2", "conv2"}
        assert {key.split(".")[0] for key in fresh} == layers
        if k == 2:  # statistics of a new model
            assert not bool(start["norm2.running_mean"].any())
            assert torch.equal(start["norm2.running_var"], torch.ones(3))
        eu = unlearned("eu-k", subject, k=k, **HARD)
        cf = unlearned("cf-k", replaced(subject, trained_state=start), k=k, **HARD)
        assert same_bits(eu.state_dict, cf.state_dict)
        assert eu.losses == cf.losses


def counted(subject: Problem) -> tuple[Problem, list[nn.Module]]:
    built: list[nn.Module] = []

    def build() -> nn.Module:
        built.append(subject.make_model())
        return built[-1]

    return replaced(subject, make_model=build), built


def test_the_last_layers_are_initialised_once_or_in_every_epoch() -> None:
    still = {"lr": 1e-30, "weight_decay": 0.0}  # training itself moves nothing
    for variant, fresh_models in [("once", 1), ("every-epoch", 4)]:
        subject, built = counted(deep())
        start = unlearned("eu-k", subject, epochs=0, variant=variant).state_dict
        assert len(built) == 2  # the original's copy, and one that gives its last layers
        built.clear()
        end = unlearned("eu-k", subject, epochs=4, variant=variant, **still).state_dict
        assert len(built) == 1 + fresh_models
        assert torch.equal(start["head.weight"], end["head.weight"]) is (variant == "once")
        assert not torch.equal(start["head.weight"], subject.trained_state["head.weight"])
    once, every = (unlearned("eu-k", deep(), variant=v).state_dict for v in ("once", "every-epoch"))
    assert not same_bits(once, every)


def test_every_epoch_starts_from_other_weights() -> None:
    heads = []
    for epochs in (1, 2, 3):
        found = unlearned(
            "eu-k", deep(), epochs=epochs, variant="every-epoch", lr=1e-30, weight_decay=0.0
        )
        heads.append(found.state_dict["head.weight"])
    assert not any(torch.equal(a, b) for a, b in [(heads[0], heads[1]), (heads[1], heads[2])])


def test_what_the_user_has_frozen_is_neither_trained_nor_initialised_anew() -> None:
    def build() -> nn.Module:
        model = CNN()
        model.features[1].requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    for name in ("eu-k", "cf-k"):
        found = unlearned(name, subject, k=2, **HARD).state_dict
        for key, before in subject.trained_state.items():
            assert torch.equal(found[key], before) is key.startswith("features.1"), (name, key)


@pytest.mark.parametrize("epochs", [0, 2])
def test_a_frozen_weight_of_a_free_layer_stays(epochs: int) -> None:
    def build() -> nn.Module:
        model = CNN()
        model.head.weight.requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    found = unlearned("eu-k", subject, **{**HARD, "epochs": epochs}).state_dict
    before = subject.trained_state
    assert torch.equal(found["head.weight"], before["head.weight"])
    assert not torch.equal(found["head.bias"], before["head.bias"])


def test_a_frozen_part_of_a_free_layer_stays() -> None:
    def build() -> nn.Module:
        model = Backwards()
        model.attention.out_proj.requires_grad_(False)
        return model

    torch.manual_seed(0)
    subject = replaced(problem(), make_model=build, trained_state=build().state_dict())
    found = unlearned("eu-k", subject, k=3, epochs=0).state_dict
    moved = {key for key, v in subject.trained_state.items() if not torch.equal(found[key], v)}
    assert {"attention.in_proj_weight", "head.weight"} <= moved
    assert not any("out_proj" in key or "body" in key for key in moved)


@both
def test_a_last_layer_that_is_frozen_leaves_nothing_to_train(name: str) -> None:
    def build() -> nn.Module:
        model = CNN()
        model.head.requires_grad_(False)
        return model

    with pytest.raises(ModelError, match="has no trainable parameter"):
        unlearned(name, replaced(problem("cnn"), make_model=build))
