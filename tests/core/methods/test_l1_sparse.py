"""ℓ1-sparse: the schedule of its penalty, the penalty's gradient, FT as a limit."""

import pytest
import torch
from torch.nn import functional as F

from toys import ALL_MODELS, MODELS, problem, replaced, same_bits, unlearned
from ugradsl_core.methods import make_config
from ugradsl_core.methods.l1_sparse import L1SparseConfig, penalty_weights


def config(**changes: object) -> L1SparseConfig:
    return L1SparseConfig(**{"epochs": 4, "gamma": 0.2, **changes})


def test_the_penalty_shrinks_with_every_step_and_reaches_zero() -> None:
    weights = penalty_weights(config(), 3)
    assert weights == pytest.approx([0.2 * (1 - t / 11) for t in range(12)])
    assert (weights[0], weights[-1]) == (0.2, 0.0)


def test_the_penalty_of_the_public_code_shrinks_with_every_epoch_and_ends_at_a_share() -> None:
    weights = penalty_weights(config(variant="epochs"), 3)
    expected = [0.2 * (1 - t / 4) for t in range(4) for _ in range(3)]
    assert weights == pytest.approx(expected)
    assert weights[-1] == pytest.approx(0.2 / 4)


@pytest.mark.parametrize("variant", ["steps", "epochs"])
def test_schedules_of_no_or_one_step(variant: str) -> None:
    assert penalty_weights(config(variant=variant, epochs=0), 3) == []
    assert penalty_weights(config(variant=variant, epochs=1), 1) == [0.2]


@pytest.mark.parametrize("variant", ["steps", "epochs"])
@pytest.mark.parametrize("kind", ["cnn", "linear", "mlp"])
def test_steps_by_hand(kind: str, variant: str) -> None:
    """One batch holds all of D_r. The gradient of the penalty is γ_t times the sign."""
    subject = problem(kind)
    if kind == "mlp":  # without its dropout, which would draw other numbers

        def build() -> torch.nn.Module:
            model = MODELS["mlp"]()
            model[3].p = 0.0
            return model

        subject = replaced(subject, make_model=build)
    model = subject.trained_model().train()
    ((x, y),) = subject.retain.batches([torch.arange(24)])
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    losses = []
    for step in range(4):
        gamma = 0.03 * (1 - step / (3 if variant == "steps" else 4))
        optimiser.zero_grad()
        value = F.cross_entropy(model(x), y)
        value.backward()
        norm = 0.0
        with torch.no_grad():
            for p in model.parameters():
                norm += float(p.abs().sum())
                p.grad += gamma * p.sign()
        losses.append(float(value.detach()) + gamma * norm)
        optimiser.step()
    found = unlearned(
        "l1-sparse", subject, lr=0.05, epochs=4, batch_size=32, gamma=0.03, variant=variant
    )
    assert found.losses == pytest.approx(losses, rel=1e-4)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(found.state_dict[name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("variant", ["steps", "epochs"])
@pytest.mark.parametrize("kind", ALL_MODELS)
def test_without_a_penalty_it_is_ft(kind: str, variant: str) -> None:
    subject = problem(kind)
    sparse = unlearned("l1-sparse", subject, gamma=0.0, variant=variant)
    ft = unlearned("ft", subject)
    assert same_bits(sparse.state_dict, ft.state_dict)
    assert sparse.losses == ft.losses
    assert sparse.forward_samples == ft.forward_samples


def test_a_larger_penalty_leaves_a_smaller_norm() -> None:
    def norm(gamma: float) -> float:
        state = unlearned("l1-sparse", problem("cnn"), gamma=gamma, epochs=5).state_dict
        return sum(float(state[name].abs().sum()) for name, _ in MODELS["cnn"]().named_parameters())

    norms = [norm(gamma) for gamma in (0.0, 1e-3, 1e-2, 5e-2)]
    assert norms == sorted(norms, reverse=True)
    assert norms[-1] < 0.8 * norms[0]


def test_frozen_parameters_feel_no_penalty() -> None:
    def build() -> torch.nn.Module:
        model = MODELS["cnn"]()
        model.features.requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    state = unlearned("l1-sparse", subject, gamma=0.1).state_dict
    moved = {n for n, v in state.items() if not torch.equal(v, subject.trained_state[n])}
    assert moved == {"head.weight", "head.bias"}


def test_the_published_range_of_gamma_is_valid() -> None:
    for gamma in (1e-5, 1e-4, 5e-4, 1e-1):
        assert make_config("l1-sparse", gamma=gamma).model_dump()["gamma"] == gamma
