"""Directions and planes against models whose loss around a point is known."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from companion.theory.landscape import (
    along,
    coordinates,
    filter_normalised,
    flatten,
    mean_loss,
    moved,
    unflatten,
)
from toys import CPU, images, seeded_model, whole_batch
from ugradsl_core.errors import ConfigError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_every_filter_is_as_long_as_the_models_own() -> None:
    model = seeded_model("cnn")
    direction = filter_normalised(model, generator())
    weights = dict(model.named_parameters())
    convolution, head = direction["features.0.weight"], direction["head.weight"]
    for drawn, own in ((convolution, "features.0.weight"), (head, "head.weight")):
        lengths = drawn.flatten(1).norm(dim=1)
        torch.testing.assert_close(lengths, weights[own].detach().flatten(1).norm(dim=1))
    for name in ("features.0.bias", "features.1.weight", "features.1.bias", "head.bias"):
        assert not direction[name].any()


def test_a_direction_follows_the_scale_of_each_filter() -> None:
    """Rescaling a filter rescales the direction with it, so that the landscape stays the same."""
    model = nn.Sequential(nn.Linear(6, 4, bias=False))
    before = filter_normalised(model, generator())["0.weight"]
    with torch.no_grad():
        model[0].weight[2] *= 7
    after = filter_normalised(model, generator())["0.weight"]
    torch.testing.assert_close(after[2], 7 * before[2])
    torch.testing.assert_close(after[[0, 1, 3]], before[[0, 1, 3]])


def test_the_landscape_of_a_relu_network_does_not_see_a_rescaling() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
        x = torch.randn(7, 5)
    same = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3, bias=False))
    with torch.no_grad():
        same[0].weight.copy_(10 * model[0].weight)
        same[2].weight.copy_(model[2].weight / 10)
    outputs = []
    for network in (model, same):
        state = moved(network.state_dict(), [(0.7, filter_normalised(network, generator()))])
        network.load_state_dict(state)
        outputs.append(network(x).detach())
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)


def test_directions_of_one_seed_are_the_same_and_of_two_nearly_orthogonal() -> None:
    model = nn.Linear(1000, 10)
    first, again = filter_normalised(model, generator()), filter_normalised(model, generator())
    other = flatten(model, filter_normalised(model, generator(1)))
    assert torch.equal(first["weight"], again["weight"])
    cosine = F.cosine_similarity(flatten(model, first), other, dim=0)
    assert abs(float(cosine)) < 0.05


def test_flatten_and_unflatten_are_inverse() -> None:
    model = seeded_model("cnn")
    size = sum(p.numel() for p in model.parameters())
    vector = torch.randn(size, generator=generator())
    assert torch.equal(flatten(model, unflatten(model, vector)), vector)


def test_moving_leaves_the_state_and_its_statistics_alone() -> None:
    model = seeded_model("cnn")
    state = {name: value.clone() for name, value in model.state_dict().items()}
    direction = filter_normalised(model, generator())
    changed = moved(state, [(2.0, direction), (-0.5, direction)])
    expected = state["head.weight"] + 1.5 * direction["head.weight"]
    torch.testing.assert_close(changed["head.weight"], expected)
    assert torch.equal(changed["features.1.running_var"], state["features.1.running_var"])
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


def test_the_mean_loss_is_that_of_evaluation_mode() -> None:
    model, samples = seeded_model("cnn"), images(10)
    inputs, labels = whole_batch(samples)
    found = mean_loss(model, model.state_dict(), samples, CPU, batch=4)
    model.eval()
    with torch.no_grad():
        expected = float(F.cross_entropy(model(inputs), labels))
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_quadratic_along_a_direction() -> None:
    state = {"w": torch.tensor([1.0, 2.0])}
    direction, other = {"w": torch.tensor([0.0, 1.0])}, {"w": torch.tensor([1.0, 0.0])}

    def loss(state) -> float:
        return float(state["w"].square().sum())

    assert along(loss, state, direction, [-2.0, 0.0, 1.0]) == [1.0, 5.0, 10.0]
    assert along(loss, state, direction, [-2.0], [(-1.0, other)]) == [0.0]


def test_places_are_odd_in_number_and_centred() -> None:
    assert coordinates(5, 2.0) == [-2.0, -1.0, 0.0, 1.0, 2.0]


@pytest.mark.parametrize("points", [4, 1, 0, -3])
def test_an_even_number_of_places_is_refused(points: int) -> None:
    with pytest.raises(ConfigError, match="points: should be odd and at least 3; found"):
        coordinates(points, 1.0)


def test_a_radius_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ConfigError, match="radius: should be positive; found 0"):
        coordinates(5, 0)
