"""The chapters' worked examples: minima, removals, weights and paths of ascent."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from companion.experiments.theory import worked
from companion.theory import risks
from companion.theory.losses import AscentLoss, SmoothedLoss
from companion.theory.minima import minimise
from companion.theory.solvers import dense_matrix
from ugradsl_core.errors import ConfigError, DataError


@pytest.fixture(scope="module")
def original() -> worked.TrainedExample:
    return worked.worked("linear", 60, 1.0)


def test_the_original_is_at_a_minimum(original: worked.TrainedExample) -> None:
    assert original.minimum.converged
    assert float(risks.gradient(original.risk, original.theta).norm()) <= 1e-6
    assert float(original.train[0][1].bincount().max()) <= 7  # stratified


@pytest.mark.parametrize("kind", ["mlp", "resnet18"])
def test_networks_are_functions_of_theta_alone(kind: worked.Kind) -> None:
    made = [worked.worked(kind, 40, 1.0, hidden=1, max_iterations=3) for _ in range(2)]
    torch.testing.assert_close(made[0].theta, made[1].theta, rtol=0, atol=0)
    risk = made[0].risk
    before = {name: value.clone() for name, value in risk.model.state_dict().items()}
    first, second = (risks.value(risk, made[0].theta) for _ in range(2))
    assert first == second
    assert all(torch.equal(v, before[n]) for n, v in risk.model.state_dict().items())


def test_retraining_a_convex_model_ends_in_the_same_place_from_everywhere(
    original: worked.TrainedExample,
) -> None:
    index = torch.arange(6)
    warm, fresh = (
        worked.remove(original, index, fresh=f, tolerance=1e-10).theta for f in (False, True)
    )
    torch.testing.assert_close(warm, fresh, rtol=0, atol=1e-9)
    removal = worked.remove(original, index)
    assert len(removal.retain.batches[0][1]) == 54
    assert removal.retain.l2 == 1.0
    assert removal.forget.l2 == 0.0


def test_a_weight_of_minus_one_is_removal(original: worked.TrainedExample) -> None:
    index = torch.tensor([3, 17, 40])
    removal = worked.remove(original, index)
    for epsilon, risk in ((-1.0, removal.retain), (0.0, original.risk)):
        weighted = worked.reweigh(original, index, epsilon)
        torch.testing.assert_close(
            risks.gradient(weighted, original.theta), risks.gradient(risk, original.theta)
        )
        v = torch.ones_like(original.theta)
        torch.testing.assert_close(
            risks.hessian(weighted, original.theta)(v), risks.hessian(risk, original.theta)(v)
        )


def test_ascent_follows_the_gradient(original: worked.TrainedExample) -> None:
    forget = worked.remove(original, torch.arange(6)).forget
    path = worked.ascend(forget, original.theta, 0.1, 2)
    assert len(path) == 3
    for before, after in itertools.pairwise(path):
        torch.testing.assert_close(after, before + 0.1 * risks.gradient(forget, before))


def test_forget_sets_are_what_they_say(original: worked.TrainedExample) -> None:
    labels = original.train[0][1]
    assert labels[worked.class_rows(original, 3)].unique().tolist() == [3]
    drawn = worked.random_rows(original, 9, torch.Generator().manual_seed(0))
    assert len(drawn.unique()) == 9


def test_the_smoothed_loss_is_that_of_eq_6() -> None:
    logits, labels = torch.randn(4, 10), torch.tensor([1, 2, 3, 4])
    alpha = -0.3
    each = torch.stack([F.cross_entropy(logits, torch.full((4,), k)) * 4 for k in range(10)])
    own = F.cross_entropy(logits, labels) * 4
    expected = (1 - 0.9 * alpha) * own + alpha / 10 * (each.sum() - own)
    torch.testing.assert_close(SmoothedLoss(alpha)(logits, labels), expected)


def test_ascent_without_smoothing_is_removal_and_with_it_has_another_minimum(
    original: worked.TrainedExample,
) -> None:
    """Smoothing adds a function that is linear in θ: the Hessian stays, the minimum moves."""
    index = torch.tensor([3, 17, 40])
    removal = worked.remove(original, index, tolerance=1e-9)
    v = torch.ones_like(original.theta)
    for alpha in (0.0, -0.5):
        risk = original.risk.on(original.train, loss=AscentLoss(index, alpha))
        torch.testing.assert_close(
            risks.hessian(risk, original.theta)(v), risks.hessian(removal.retain, original.theta)(v)
        )
        far = float((minimise(risk, original.theta, tolerance=1e-9).theta - removal.theta).norm())
        assert far < 1e-7 if alpha == 0 else far > 0.1


def test_softmax_regression_pays_with_the_worst_direction(original: worked.TrainedExample) -> None:
    """The same vector for every class: the loss does not bend along it, only the ridge does."""
    values = torch.linalg.eigvalsh(
        dense_matrix(risks.hessian(original.risk, original.theta), original.theta)
    )
    torch.testing.assert_close(values[:65], torch.ones(65, dtype=torch.float64), atol=1e-9, rtol=0)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda _: worked.worked("linear", 60, 0.0), ConfigError, "l2: should be positive, as"),
        (lambda _: worked.worked("cnn", 60, 1.0), ConfigError, "unknown model 'cnn'"),
        (lambda _: worked.worked("mlp", 60, 1.0, hidden=0), ConfigError, "hidden: should be at l"),
        (lambda _: worked.worked("linear", 9999, 1.0), DataError, "train_size: should lie in 2…"),
        (lambda o: worked.remove(o, torch.arange(0)), DataError, "forget set: should have 1…59"),
        (lambda o: worked.remove(o, torch.arange(60)), DataError, "1…59 samples; found 60"),
    ],
)
def test_bad_input_is_named(
    original: worked.TrainedExample, make: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(original)  # type: ignore[operator]
