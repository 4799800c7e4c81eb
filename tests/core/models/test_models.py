"""Backbones against torchvision's, heads, feature taps, and seeded initialisation."""

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from companion.backbones import ModelSpec, build, resnet18
from toys import CNN, K, generator, images, mlp, same_bits, whole_batch
from ugradsl_core import unlearn
from ugradsl_core.errors import (
    ConfigError,
    DataError,
    ModelError,
    check_finite,
    check_labels,
    check_logits,
)
from ugradsl_core.models import FeatureTap, find_head, head_name, seeded


@pytest.fixture(scope="module")
def pair() -> tuple[nn.Module, nn.Module]:
    """Our ResNet-18 of width 64, and torchvision's with a CIFAR stem and the same weights."""
    torch.manual_seed(0)
    ours = resnet18(10)
    theirs = torchvision.models.resnet18(num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    theirs.maxpool = nn.Identity()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def test_resnet18_has_torchvisions_parameters(pair: tuple[nn.Module, nn.Module]) -> None:
    ours, theirs = pair
    assert list(ours.state_dict()) == list(theirs.state_dict())
    counts = [sum(p.numel() for p in model.parameters()) for model in pair]
    assert counts[0] == counts[1] == 11_173_962


def test_resnet18_computes_what_torchvisions_does(pair: tuple[nn.Module, nn.Module]) -> None:
    x = torch.randn(2, 3, 32, 32, generator=generator())
    for training in (False, True):
        with torch.no_grad():
            ours, theirs = (model.train(training)(x) for model in pair)
        assert torch.equal(ours, theirs)
        assert ours.shape == (2, 10)


@pytest.mark.parametrize(("channels", "width", "classes"), [(1, 2, 7), (3, 1, 2)])
def test_reduced_models(channels: int, width: int, classes: int) -> None:
    spec = ModelSpec(width=width)
    model = build(spec, num_classes=classes, input_shape=(channels, 8, 8))
    assert model(torch.randn(2, channels, 8, 8)).shape == (2, classes)
    assert model.fc.in_features == 8 * width
    x = torch.randn(1, channels, 32, 32)
    stem = model.layer1(model.relu(model.bn1(model.conv1(x))))
    assert stem.shape == (1, width, 32, 32)  # stride 1, no pooling


def test_convolutions_start_as_torchvisions_do() -> None:
    torch.manual_seed(0)
    weight = resnet18(10, 3, 32).layer2[0].conv2.weight
    expected = (2 / (64 * 9)) ** 0.5  # Kaiming, fan out, ReLU
    assert float(weight.detach().std()) == pytest.approx(expected, rel=0.03)


def test_unknown_models_and_widths_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown model 'resnet50'\. Did you mean 'resnet18'"):
        ModelSpec(name="resnet50")
    with pytest.raises(ConfigError, match="width: should be greater than or equal to 1; found 0"):
        ModelSpec(width=0)


def test_head_is_the_last_linear_layer_with_k_outputs() -> None:
    model = resnet18(10, 1, 2)
    assert find_head(model, 10) is model.fc
    two = nn.Sequential(nn.Linear(3, K), nn.Linear(K, K), nn.Linear(K, 2))
    assert find_head(two, K) is two[1]
    assert find_head(two, K, "0") is two[0]


class Misleading(nn.Module):
    """Two more layers of K outputs, registered after the head."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Linear(K, K)
        self.hidden = nn.Linear(3, K)
        self.unused = nn.Linear(K, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.head(self.hidden(x).relu())


def test_with_inputs_the_head_is_the_layer_that_gives_the_logits() -> None:
    model, x = Misleading(), torch.randn(5, 3)
    assert find_head(model, K, None, x) is model.head
    assert head_name(model, K, None, x) == "head"
    assert model.training
    scaled = Misleading(2.0)
    with pytest.raises(ModelError, match=r"\(head, hidden, unused\); name .* head=…"):
        find_head(scaled, K, None, x)
    assert find_head(scaled, K, "head", x) is scaled.head


@pytest.mark.parametrize("name", ["be", "ff", "ugradsl"])
def test_methods_find_the_head_wherever_it_is_registered(name: str) -> None:
    x = torch.randn(40, 3)
    y = torch.arange(40) % K
    sets = [TensorDataset(x[rows], y[rows]) for rows in (slice(8, 40), slice(8))]
    more = {"alpha": None} if name == "ugradsl" else {"alpha": 1e-9} if name == "ff" else {}
    result = unlearn(name, Misleading(), retain=sets[0], forget=sets[1], **more)
    assert result.model(x).shape == (40, K)
    with pytest.raises(ModelError, match="name the classification layer"):
        unlearn(name, Misleading(2.0), retain=sets[0], forget=sets[1], **more)


def test_a_head_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"no linear layer with 3 outputs .* head=…"):
        find_head(CNN(), 3)
    with pytest.raises(ModelError, match="unknown layer 'fc'"):
        find_head(CNN(), K, "fc")


@pytest.mark.parametrize("build_model", [CNN, lambda: resnet18(K, 1, 2)])
def test_the_tap_sees_the_penultimate_features(build_model) -> None:
    model = build_model().eval()
    x, _ = whole_batch(images(5))
    tap = FeatureTap(find_head(model, K))
    logits = model(x)
    head = find_head(model, K)
    assert tap.features.shape == (5, head.in_features)
    assert not tap.features.requires_grad
    torch.testing.assert_close(tap.features @ head.weight.T + head.bias, logits)
    if isinstance(model, CNN):
        assert torch.equal(tap.features, model.features(x))
    kept = tap.features
    tap.close()
    model(x[:2])
    assert tap.features is kept


def test_seeded_follows_its_generator_and_restores_the_global_state() -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    weights = []
    for seed in (0, 0, 1):
        with seeded(generator(seed)):
            weights.append(mlp().state_dict())
        assert torch.equal(torch.get_rng_state(), state)
    assert same_bits(weights[0], weights[1])
    assert not same_bits(weights[0], weights[2])


def test_seeded_restores_the_global_state_after_an_error() -> None:
    def draw_and_fail() -> None:
        with seeded(generator()):
            torch.rand(1)
            raise RuntimeError("inside")

    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="inside"):
        draw_and_fail()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    state = {"a": torch.zeros(2), "b.weight": torch.tensor([0.0, value]), "n": torch.tensor(3)}
    with pytest.raises(ModelError, match=r"model: the weights 'b\.weight' hold NaN or infinite"):
        check_finite(state, "model")


@pytest.mark.parametrize(
    "logits",
    [(1, 2), torch.zeros(2), torch.zeros(3, 4), torch.zeros(2, 4, 1), torch.zeros(2, 4).long()],
)
def test_outputs_that_are_no_logits_are_refused(logits: object) -> None:
    with pytest.raises(ModelError, match="model: should return"):
        check_logits(logits, 2)


def test_checks_pass_what_is_right() -> None:
    assert check_logits(torch.zeros(2, 4), 2) == 4
    check_labels(torch.tensor([0, 3]), 4)
    check_finite({"a": torch.zeros(1)}, "model")


@pytest.mark.parametrize("label", [-1, 4])
def test_labels_out_of_range_are_named(label: int) -> None:
    with pytest.raises(DataError, match=f"retain: labels should lie in 0…3; found {label}"):
        check_labels(torch.tensor([1, label]), 4, "retain")
