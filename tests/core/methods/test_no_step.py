"""No step: what training mode does to a model that learns nothing."""

from typing import Any

import pytest
import torch
from torch import nn

from toys import SIDE, K, generator, problem, replaced, same_bits, seeded_model, unlearned
from ugradsl_core.errors import ConfigError, ModelError
from ugradsl_core.methods.common import spawn
from ugradsl_core.models import STATISTICS
from ugradsl_core.training import Execution

STILL = {"lr": 1e-30, "weight_decay": 0.0}  # no weight that is not 0 can move so little


def weights(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if "running" not in name}


def test_weights_stay_and_statistics_are_those_of_a_loop_written_by_hand() -> None:
    subject = problem("cnn", 24, 10)
    result = unlearned("no-step", subject, batch_size=4, epochs=3)
    model = seeded_model("cnn")
    model.load_state_dict(subject.trained_state)
    _, stream, _ = spawn(generator())
    mean, var = torch.zeros(4), torch.ones(4)
    with torch.no_grad():
        for _ in range(3):
            for rows in torch.split(torch.randperm(10, generator=stream), 4):
                ((x, _),) = subject.forget.batches([rows])
                y = model.features[0](x).transpose(0, 1).flatten(1)
                mean, var = 0.9 * mean + 0.1 * y.mean(1), 0.9 * var + 0.1 * y.var(1)
    torch.testing.assert_close(result.state_dict["features.1.running_mean"], mean)
    torch.testing.assert_close(result.state_dict["features.1.running_var"], var)
    assert int(result.state_dict["features.1.num_batches_tracked"]) == 9
    before = weights(dict(subject.trained_state))
    after = weights(result.state_dict)
    del before["features.1.num_batches_tracked"], after["features.1.num_batches_tracked"]
    assert same_bits(before, after)
    assert (result.steps, result.losses) == (0, ())
    assert (result.forward_samples, result.backward_samples) == (30, 0)


@pytest.mark.parametrize(
    ("over", "name", "changes"),
    [
        ("forget", "ga", {}),
        ("forget", "bs", {}),
        ("retain", "ft", {}),
        ("both", "scrub", {"msteps": 9, "forget_batch_size": 8}),
    ],
)
@pytest.mark.parametrize("augment", ["none", "crop-flip"])
def test_it_is_the_limit_of_methods_whose_rate_vanishes(
    over: str, name: str, changes: dict[str, Any], augment: str
) -> None:
    subject = problem("cnn", augmentable=True)
    still = unlearned(name, subject, augment=augment, **STILL, **changes).state_dict
    found = unlearned("no-step", subject, over=over, augment=augment).state_dict
    assert list(still) == list(found)
    for key, value in found.items():
        torch.testing.assert_close(value, still[key], rtol=0, atol=1e-25, msg=key)


def test_boundary_expansion_at_a_vanishing_rate_is_no_step_too() -> None:
    """Its batches are drawn after a fresh output, so that only those of all of D_f are alike."""
    subject = problem("cnn")
    still = unlearned("be", subject, **STILL).state_dict
    for key, value in unlearned("no-step", subject).state_dict.items():
        torch.testing.assert_close(value, still[key], rtol=1e-5, atol=1e-6, msg=key)


@pytest.mark.parametrize("kind", ["mlp", "linear", "vit", "bert"])
@pytest.mark.parametrize("over", ["forget", "retain", "both"])
def test_without_batchnorm_it_is_the_original(kind: str, over: str) -> None:
    subject = problem(kind)
    result = unlearned("no-step", subject, over=over)
    assert same_bits(dict(subject.trained_state), result.state_dict)


def test_frozen_norms_keep_their_statistics_as_in_every_method() -> None:
    def build() -> nn.Module:
        model = seeded_model("cnn")
        for module in model.modules():
            if isinstance(module, STATISTICS):
                module.requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    result = unlearned("no-step", subject)
    assert same_bits(dict(subject.trained_state), result.state_dict)


def normed() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(SIDE**2), nn.Linear(SIDE**2, K))


def test_what_cannot_be_done_is_said_in_a_sentence() -> None:
    one = problem("linear", 24, 1)
    one = replaced(one, make_model=normed, trained_state=normed().state_dict())
    with pytest.raises(ModelError, match="BatchNorm cannot train on a batch of one sample"):
        unlearned("no-step", one)
    cut = replaced(problem("cnn"), execution=Execution(device="cpu", accumulate=2))
    with pytest.raises(ConfigError) as caught:
        unlearned("no-step", cut)
    assert str(caught.value) == (
        "accumulate: No step cannot be cut into micro-batches, as it shows the statistics of whole "
        "batches"
    )
