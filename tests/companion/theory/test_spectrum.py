"""Lanczos against dense eigenvalues, other libraries, and closed forms, in float64."""

import math

import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.nn import functional as F

from companion.theory.risks import Risk, hessian, parameter_vector
from companion.theory.spectrum import (
    Ritz,
    lanczos,
    mean_eigenvalue,
    random_start,
    ritz,
    ritz_vector,
    share_below,
)
from ugradsl_core.errors import ConfigError


def symmetric(size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    half = torch.randn(size, size, generator=generator, dtype=torch.float64)
    return (half + half.T) / 2


def start(size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return random_start(size, torch.Generator().manual_seed(seed), dtype)


def network() -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Linear(5, 3))
        inputs, labels = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    return model.double().eval(), inputs, labels


def dense_hessian(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    """Row by row, by differentiating each entry of the gradient."""
    parameters = list(model.parameters())
    loss = F.cross_entropy(model(inputs), labels)
    gradient = torch.autograd.grad(loss, parameters, create_graph=True)
    flat = torch.cat([g.reshape(-1) for g in gradient])
    rows = [torch.autograd.grad(entry, parameters, retain_graph=True) for entry in flat]
    return torch.stack([torch.cat([p.reshape(-1) for p in row]) for row in rows])


def test_all_steps_give_all_eigenvalues() -> None:
    matrix = symmetric(12)
    found = ritz(lanczos(lambda v: matrix @ v, start(12), 12))
    torch.testing.assert_close(found.values, torch.linalg.eigvalsh(matrix), rtol=0, atol=1e-10)
    assert float(found.residuals.max()) < 1e-10
    assert float(found.weights.sum()) == pytest.approx(1, abs=1e-12)


def test_the_basis_is_orthonormal_and_satisfies_the_recursion() -> None:
    matrix = symmetric(60)
    space = lanczos(lambda v: matrix @ v, start(60), 25)
    identity = torch.eye(25, dtype=torch.float64)
    torch.testing.assert_close(space.basis @ space.basis.T, identity, rtol=0, atol=1e-12)
    inside = space.basis @ matrix @ space.basis.T
    torch.testing.assert_close(inside.diagonal(), space.diagonal, rtol=0, atol=1e-12)
    torch.testing.assert_close(inside.diagonal(1), space.offdiagonal[:-1], rtol=0, atol=1e-12)
    assert float((inside - inside.tril(1).triu(-1)).abs().max()) < 1e-12


def test_residuals_are_those_of_the_vectors_and_bound_the_error() -> None:
    matrix = symmetric(60)
    exact = torch.linalg.eigvalsh(matrix)
    space = lanczos(lambda v: matrix @ v, start(60), 25)
    found = ritz(space)
    for which in range(25):
        vector = ritz_vector(space, found, which)
        residual = (matrix @ vector - found.values[which] * vector).norm()
        assert float(residual) == pytest.approx(float(found.residuals[which]), abs=1e-10)
        nearest = (exact - found.values[which]).abs().min()
        assert float(nearest) <= float(residual) + 1e-10


def test_the_ends_of_the_spectrum_agree_with_arpack() -> None:
    matrix = symmetric(200)
    found = ritz(lanczos(lambda v: matrix @ v, start(200), 90))
    operator = LinearOperator((200, 200), lambda v: matrix.numpy() @ v, dtype="float64")
    low, high = eigsh(operator, k=2, which="BE", return_eigenvectors=False)
    assert float(found.values[0]) == pytest.approx(low, abs=1e-8)
    assert float(found.values[-1]) == pytest.approx(high, abs=1e-8)


def test_it_ends_where_the_space_is_complete() -> None:
    matrix = torch.diag(torch.tensor([1.0, 1.0, 1.0, 4.0, 4.0], dtype=torch.float64))
    found = ritz(lanczos(lambda v: matrix @ v, start(5), 5))
    torch.testing.assert_close(found.values, torch.tensor([1.0, 4.0], dtype=torch.float64))
    nothing = lanczos(lambda v: 0 * v, start(5), 4)
    assert nothing.steps == 1
    assert ritz(nothing).values.tolist() == [0]


@pytest.mark.parametrize("known", [1, 7, 12, 20])
def test_going_on_from_fewer_steps_is_bit_identical(known: int) -> None:
    matrix = symmetric(50).float()

    def product(v: Tensor) -> Tensor:
        return matrix @ v

    first = start(50, dtype=torch.float32)
    whole = lanczos(product, first, 20)
    resumed = lanczos(product, first, 20, known=lanczos(product, first, known))
    assert torch.equal(whole.basis, resumed.basis)
    assert torch.equal(whole.diagonal, resumed.diagonal)
    assert torch.equal(whole.offdiagonal, resumed.offdiagonal)


def test_every_step_is_reported() -> None:
    matrix, seen = symmetric(10), []
    lanczos(lambda v: matrix @ v, start(10), 4, on_step=lambda space: seen.append(space.steps))
    assert seen == [1, 2, 3, 4]


def test_no_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="steps: Lanczos should take at least 1; found 0"):
        lanczos(lambda v: v, start(3), 0)


def many(matrix: Tensor, starts: int, steps: int) -> list[Ritz]:
    size = len(matrix)
    return [ritz(lanczos(lambda v: matrix @ v, start(size, seed), steps)) for seed in range(starts)]


def test_the_share_of_negative_eigenvalues_within_three_standard_errors() -> None:
    matrix = symmetric(120) + 8 * torch.eye(120)
    exact = float((torch.linalg.eigvalsh(matrix) < 0).double().mean())
    mean, error = share_below(many(matrix, 40, 40), 0.0)
    assert 0.05 < exact < 0.4
    assert abs(mean - exact) < 3 * error + 0.01
    assert error < 0.02


def test_one_start_has_no_standard_error() -> None:
    mean, error = share_below(many(symmetric(10), 1, 10), 0.0)
    assert 0 <= mean <= 1
    assert math.isnan(error)


def test_the_mean_eigenvalue_is_the_trace_over_the_size() -> None:
    matrix = symmetric(30) + 2 * torch.eye(30)
    found = mean_eigenvalue(many(matrix, 300, 3))
    spread = (
        math.sqrt(2 * float((matrix - matrix.trace() / 30 * torch.eye(30)).square().sum())) / 30
    )
    assert abs(found - float(matrix.trace()) / 30) < 3 * spread / math.sqrt(300)


def test_lanczos_on_a_network_gives_its_dense_eigenvalues() -> None:
    model, inputs, labels = network()
    dense = dense_hessian(model, inputs, labels)
    product = hessian(Risk(model, [(inputs, labels)]), parameter_vector(model))
    size = len(dense)
    found = ritz(lanczos(lambda v: product(v) / len(labels), start(size), size))
    exact = torch.linalg.eigvalsh(dense)
    torch.testing.assert_close(found.values[[0, -1]], exact[[0, -1]], rtol=0, atol=1e-10)
    assert float(exact[0]) < 0 < float(exact[-1])
