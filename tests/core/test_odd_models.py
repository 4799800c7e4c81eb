"""Every method with models that lack what methods like to assume: it works, or says why not."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from toys import CNN, CPU, SIDE, SMALL, K, Pairs, mlp
from ugradsl_core import METHODS, unlearn
from ugradsl_core.errors import ModelError


class Scaled(nn.Module):
    """A parameter outside every layer, and without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.7))
        self.inner = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(self.scale * x)


class Unused(nn.Module):
    """A layer that the forward pass never asks."""

    def __init__(self) -> None:
        super().__init__()
        self.spare = nn.Linear(3, 3)
        self.inner = mlp()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


def normed(norm: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), norm(), nn.ReLU(), nn.Flatten(), nn.Linear(4 * (SIDE - 2) ** 2, K)
        )

    return build


def frozen(*names: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        model = CNN()
        for name in names:
            model.get_submodule(name).requires_grad_(False)
        return model

    return build


def biases_frozen() -> nn.Module:
    model = CNN()
    for name, p in model.named_parameters():
        p.requires_grad_(not name.endswith("bias"))
    return model


NOTHING_LEFT = "^model: has no trainable parameter; all are frozen$"
NO_HEAD = f"^model: no linear layer with {K} outputs was found; name the .* layer with head=…$"
NOT_INSIDE = f"^model: needs a linear classification layer inside it to give it {K + 1} outputs"
TOO_FEW = "^k: should be at most 1, the model's layers with weights; found 2$"


@dataclass
class Case:
    """A model, and the sentences of the methods that cannot work with it."""

    build: Callable[[], nn.Module]
    refusals: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    classes: int = K


CASES: dict[str, Case] = {
    "no convolution and no norm": Case(mlp),
    "no norm": Case(normed(nn.Identity)),
    "GroupNorm": Case(normed(lambda: nn.GroupNorm(2, 4))),
    "InstanceNorm with statistics": Case(
        normed(lambda: nn.InstanceNorm2d(4, affine=True, track_running_stats=True))
    ),
    "BatchNorm without weights": Case(normed(lambda: nn.BatchNorm2d(4, affine=False))),
    "BatchNorm without statistics": Case(
        normed(lambda: nn.BatchNorm2d(4, track_running_stats=False))
    ),
    "one output": Case(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3), nn.ReLU(), nn.Linear(3, 1)),
        classes=1,
    ),
    "one layer": Case(lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K))),
    "no linear layer": Case(
        lambda: nn.Sequential(nn.Conv2d(1, K, SIDE), nn.Flatten()), {"be": NO_HEAD, "ff": NO_HEAD}
    ),
    "a convolution as named head": Case(
        lambda: nn.Sequential(nn.Conv2d(1, K, SIDE), nn.Flatten()),
        {"be": NOT_INSIDE + "; found Conv2d$"},
        {"head": "0"},
    ),
    "a parameter of its own": Case(Scaled, options={"make_model": Scaled}),
    "a layer that is not used": Case(Unused),
    "frozen features": Case(frozen("features")),
    "a frozen norm": Case(frozen("features.1")),
    "a frozen head": Case(frozen("head"), {"eu-k": NOTHING_LEFT, "cf-k": NOTHING_LEFT}),
    "frozen biases": Case(biases_frozen),
    "all frozen": Case(frozen(""), dict.fromkeys(METHODS, NOTHING_LEFT)),
}


def run(name: str, case: Case, model: nn.Module, **changes: Any) -> dict[str, Tensor]:
    fields = METHODS[name].config.model_fields
    small = {key: value for key, value in SMALL.items() if key in fields}
    sets = {"retain": Pairs(24, 0, case.classes), "forget": Pairs(8, 1, case.classes)}
    found = unlearn(name, model, execution=CPU, **sets, **case.options, **{**small, **changes})
    return found.model.state_dict()


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("kind", CASES)
def test_a_method_works_or_says_in_a_sentence_why_not(kind: str, name: str) -> None:
    case = CASES[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = case.build()
    if name in case.refusals:
        with pytest.raises(ModelError, match=case.refusals[name]) as caught:
            run(name, case, model)
        assert "\n" not in str(caught.value)
        return
    found = run(name, case, model)
    assert all(bool(torch.isfinite(value).all()) for value in found.values())
    kept = {name for name, p in model.named_parameters() if not p.requires_grad}
    before = model.state_dict()
    if not METHODS[name].fresh:
        assert all(torch.equal(found[key], before[key]) for key in kept)
    assert set(found) == set(before)
    moved = {key for key, value in found.items() if not torch.equal(value, before[key])}
    if name == "no-step":  # which moves running statistics, if there are any that are not frozen
        assert not moved & {key for key, _ in model.named_parameters()}
    elif case.classes > 1:  # the loss of one class is zero
        assert moved


@pytest.mark.parametrize("name", ["eu-k", "cf-k"])
def test_more_layers_than_there_are(name: str) -> None:
    case = CASES["one layer"]
    with pytest.raises(ModelError, match=TOO_FEW):
        run(name, case, case.build(), k=2)


@pytest.mark.parametrize("name", ["retrain", "eu-k"])
def test_methods_that_need_a_fresh_model_ask_for_it(name: str) -> None:
    with pytest.raises(ModelError, match="cannot be initialised anew; pass make_model=…"):
        run(name, Case(Scaled), Scaled())


@pytest.mark.parametrize("variant", ["kept", "dropped"])
def test_boundary_expanding_of_one_output_gives_it_two(variant: str) -> None:
    case = CASES["one output"]
    found = run("be", case, case.build(), variant=variant, lr=0.5)
    assert len(found["3.weight"]) == (2 if variant == "kept" else 1)


@pytest.mark.parametrize("name", ["ga", "be", "bs", "rl", "scrub", "salun", "ugradsl"])
def test_one_forgotten_sample_and_batchnorm_is_one_sentence(name: str) -> None:
    build = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 5), nn.BatchNorm1d(5), nn.Linear(5, K))
    small = {key: value for key, value in SMALL.items() if key in METHODS[name].config.model_fields}
    with pytest.raises(ModelError, match="BatchNorm cannot train on a batch of one sample"):
        unlearn(name, build, retain=Pairs(24), forget=Pairs(1, 1), execution=CPU, **small)


@pytest.mark.parametrize("name", METHODS)
def test_one_forgotten_sample_is_enough_without_batchnorm(name: str) -> None:
    small = {key: value for key, value in SMALL.items() if key in METHODS[name].config.model_fields}
    unlearn(name, mlp(), retain=Pairs(24), forget=Pairs(1, 1), execution=CPU, **small)
