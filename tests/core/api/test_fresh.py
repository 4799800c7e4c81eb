"""Retrain's fresh weights: proven to be fresh, or asked for in a sentence."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

from api_cases import model, run
from toys import CNN, SIDE, K, mlp, same_bits
from ugradsl_core import ModelError, evaluate, unlearn
from ugradsl_core.api.fresh import fresh_copy

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*parametrizations.*:UserWarning"),
]
ASKED = r"cannot be initialised anew.*; pass make_model=…, a function that returns a fresh model$"


def dense(change: Callable[[nn.Linear], Any]) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 6), nn.ReLU(), nn.Linear(6, K))
        change(network[1])  # type: ignore[arg-type]
        return network

    return build


class Half(nn.Linear):
    """Resets its weight and forgets its bias."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        nn.init.zeros_(self.bias)

    def reset_parameters(self) -> None:
        nn.init.normal_(self.weight)


class Failing(nn.Linear):
    started = False

    def reset_parameters(self) -> None:
        if self.started:
            raise KeyError("spread")
        super().reset_parameters()


class Centred(nn.Module):
    """Keeps a running mean under a name of its own, which its reset leaves."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))
        self.register_buffer("centre", torch.zeros(6))

    def reset_parameters(self) -> None:
        nn.init.ones_(self.scale)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.centre.lerp_(x.detach().mean(0), 0.5)
        return self.scale * (x - self.centre)


def with_layer(layer: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(SIDE**2, 6), nn.ReLU(), layer(), nn.Linear(6, K)
    )


def failing() -> nn.Module:
    layer = Failing(6, 6)
    layer.started = True
    return layer


HIDDEN: dict[str, Callable[[], nn.Module]] = {
    "pruned": dense(lambda layer: prune.l1_unstructured(layer, "weight", 0.3)),
    "weight norm": dense(nn.utils.weight_norm),
    "spectral norm": dense(nn.utils.spectral_norm),
    "new weight norm": dense(parametrizations.weight_norm),
    "new spectral norm": dense(parametrizations.spectral_norm),
    "orthogonal": dense(parametrizations.orthogonal),
    "half a reset": with_layer(lambda: Half(6, 6)),
    "a reset that fails": with_layer(failing),
    "a running mean": with_layer(Centred),
}


@pytest.mark.parametrize("kind", HIDDEN)
@pytest.mark.parametrize("method", ["retrain", "eu-k"])
def test_weights_that_no_reset_reaches_are_asked_for(kind: str, method: str) -> None:
    network = HIDDEN[kind]()
    with torch.no_grad():
        for p in network.parameters():  # as training does; orthogonal weights start alike
            p.mul_(1 + torch.rand_like(p) / 100)
    with pytest.raises(ModelError, match=ASKED) as caught:
        run(method, network)
    assert "\n" not in str(caught.value)
    again = run(method, network, make_model=HIDDEN[kind], epochs=1).model
    assert not same_bits(again.state_dict(), network.state_dict())


def lazily_built() -> nn.Module:
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(6), nn.ReLU(), nn.Linear(6, K))
    network(torch.zeros(2, 1, SIDE, SIDE))
    return network


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(SIDE, 2, 8, batch_first=True)
    return nn.Sequential(
        nn.Flatten(1, 2),
        nn.TransformerEncoder(layer, 1, enable_nested_tensor=False),
        nn.Flatten(),
        nn.Linear(SIDE**2, K),
    )


class TwoResets(nn.Module):
    """The parent has the last word on the layers inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.flat, self.fc = nn.Flatten(), nn.Linear(SIDE**2, K)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.constant_(self.fc.bias, 0.25)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flat(x))


@pytest.mark.parametrize("build", [CNN, mlp, lazily_built, encoder, TwoResets])
def test_nothing_of_the_trained_weights_is_left(build: Callable[[], nn.Module]) -> None:
    network = build()
    with torch.no_grad():
        for tensor in [*network.parameters(), *network.buffers()]:
            if tensor.is_floating_point():
                tensor.add_(1000)
    fresh = fresh_copy(network)
    assert all(bool((p.abs() < 10).all()) for p in fresh.parameters())
    statistics = [b for b in fresh.buffers() if b.is_floating_point()]
    assert all(bool((b.abs() <= 1).all()) for b in statistics)
    assert all(bool((p > 100).all()) for p in network.parameters())


def test_a_parent_sets_the_weights_of_its_parts_last() -> None:
    assert torch.equal(fresh_copy(TwoResets()).fc.bias, torch.full((K,), 0.25))  # type: ignore[union-attr,arg-type]


def test_ordinary_layers_draw_in_the_order_of_the_model() -> None:
    torch.manual_seed(3)
    fresh = fresh_copy(mlp())
    torch.manual_seed(3)
    mlp()  # what mlp() drew above
    expected = mlp()
    assert same_bits(fresh.state_dict(), expected.state_dict())


def test_retrain_forgets_what_was_memorised() -> None:
    """Random labels can only be memorised: after Retrain, D_f is as good as unseen."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 64), nn.ReLU(), nn.Linear(64, K))
    x, y = torch.randn(60, 1, SIDE, SIDE), torch.randint(K, (60,))
    whole = torch.utils.data.TensorDataset(x, y)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(200):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimiser.step()
    sets = {
        "retain": torch.utils.data.Subset(whole, range(20, 60)),
        "forget": torch.utils.data.Subset(whole, range(20)),
    }
    test = torch.utils.data.TensorDataset(torch.randn(8, 1, SIDE, SIDE), torch.arange(8) % K)
    assert evaluate(network, test=test, **sets).UA == 0
    again = unlearn("retrain", network, epochs=5, lr=0.05, batch_size=8, **sets).model
    assert evaluate(again, test=test, **sets).UA > 50


# --- make_model ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda m: m, nn.DataParallel])
@pytest.mark.parametrize("method", ["retrain", "eu-k"])
def test_a_make_model_that_returns_the_users_model_is_refused(
    method: str, wrap: Callable[[nn.Module], nn.Module]
) -> None:
    network = model()
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(ModelError, match=r"make_model: .* shares its weights with the model"):
        run(method, network, make_model=lambda: wrap(network))
    assert same_bits(before, network.state_dict())


def test_a_make_model_that_shares_a_layer_is_refused() -> None:
    network = model()

    def make() -> nn.Module:
        other = CNN()
        other.head.weight = network.head.weight  # type: ignore[union-attr]
        return other

    with pytest.raises(ModelError, match="shares its weights"):
        run("retrain", network, make_model=make)


def test_a_frozen_part_may_be_shared() -> None:
    network = model()
    network.features.requires_grad_(False)  # type: ignore[operator]
    before = copy.deepcopy(network.state_dict())

    def make() -> nn.Module:
        other = CNN()
        other.features = network.features
        return other

    found = run("retrain", network, make_model=make).model
    assert same_bits(before, network.state_dict())
    assert torch.equal(found.features[0].weight, network.features[0].weight)  # type: ignore[index,union-attr]


def test_a_make_model_with_the_trained_weights_is_refused() -> None:
    network = model()
    with pytest.raises(ModelError, match="fresh weights; found the trained ones"):
        run("retrain", network, make_model=lambda: copy.deepcopy(network))


def changed(change: Callable[[nn.Module], Any]) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        found = CNN()
        change(found)
        return found

    return make


UNLIKE: dict[str, tuple[Callable[..., Any], str]] = {
    "fails": (lambda: 1 // 0, r"fails \(integer division or modulo by zero\)$"),
    "needs arguments": (lambda x: x, r"fails \(.*missing 1 required positional argument"),
    "float64": (changed(nn.Module.double), "weight is torch.float64 of shape .* and torch.float32"),
    "frozen": (
        changed(lambda m: m.features.requires_grad_(False)),
        r"features.0.weight is .*, frozen, there and .*\) here$",
    ),
    "meta": (changed(lambda m: m.to("meta")), "the weights .* are on the meta device"),
    "NaN": (changed(lambda m: m.head.bias.data.fill_(math.nan)), "'head.bias' hold NaN"),
}


@pytest.mark.parametrize("kind", UNLIKE)
@pytest.mark.parametrize("method", ["retrain", "eu-k"])
def test_a_make_model_that_makes_another_model_is_refused(kind: str, method: str) -> None:
    make, said = UNLIKE[kind]
    with pytest.raises(ModelError, match=f"^make_model: .*{said}") as caught:
        run(method, model(), make_model=make)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
def test_a_make_model_that_scripts_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^make_model: is TorchScript"):
        run("retrain", model(), make_model=lambda: torch.jit.script(CNN()))


def test_a_make_model_that_loads_a_part_of_the_trained_weights_is_refused() -> None:
    network = model()

    def make() -> nn.Module:
        other = CNN()
        other.features.load_state_dict(network.features.state_dict())  # type: ignore[operator]
        return other

    with pytest.raises(ModelError, match=r"found the trained ones of 'features.0.weight'$"):
        run("retrain", network, make_model=make)


def test_a_model_that_make_model_keeps_is_not_trained() -> None:
    kept = CNN()
    before = copy.deepcopy(kept.state_dict())
    run("eu-k", model(), make_model=lambda: kept, variant="every-epoch")
    assert same_bits(before, kept.state_dict())


class BuiltOnFirstCall(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        if self.fc is None:
            self.fc = nn.Linear(x.shape[1], K)
        return self.fc(x)


@pytest.mark.parametrize(
    "make", [BuiltOnFirstCall, lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(K))]
)
def test_models_that_their_first_call_builds(make: Callable[[], nn.Module]) -> None:
    network = make()
    with torch.no_grad():
        network(torch.zeros(2, 1, SIDE, SIDE))
    run("retrain", network, make_model=make)


def test_layers_without_a_shape_are_refused() -> None:
    network = nn.Sequential(nn.Flatten(), nn.LazyLinear(K))
    with pytest.raises(ModelError, match=r"the lazy weights '1.weight' have no shape yet"):
        run("ft", network)
