"""Influence unlearning against closed forms, dense solves and exact Sherman–Morrison."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from toys import (
    ALL_MODELS,
    MODELS,
    K,
    generator,
    images,
    problem,
    replaced,
    seeded_model,
    unlearned,
)
from ugradsl_core.errors import ModelError
from ugradsl_core.methods.common import gradient_sum
from ugradsl_core.methods.iu import (
    FewSamples,
    fisher_product,
    inverse_fisher_product,
    removal_gradient,
    upstream_recursion,
)
from ugradsl_core.samples import Batch, Samples


@dataclass
class Rows:
    """Inputs and targets of any kind as samples."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, plan: Iterable[Tensor], **_: Any) -> Iterator[Batch]:
        for rows in plan:
            yield self.x[rows], self.y[rows]


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def doubles(n: int, seed: int = 0) -> Rows:
    samples = images(n, seed)
    x, y = next(iter(samples.batches([torch.arange(n)])))
    return Rows(x.double(), y)


def every_row(samples: Rows | Samples, batch_size: int = 5) -> FewSamples:
    return FewSamples(samples, torch.arange(len(samples)), batch_size)  # type: ignore[arg-type]


def flat(tensors: Iterable[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def gradient_matrix(model: nn.Module, samples: Rows) -> Tensor:
    """Gradients of single samples, (N, P), one backward pass each."""
    rows = []
    for i in range(len(samples)):
        model.zero_grad()
        F.cross_entropy(model(samples.x[i : i + 1]), samples.y[i : i + 1]).backward()
        rows.append(flat(p.grad for p in model.parameters() if p.grad is not None).clone())
    model.zero_grad()
    return torch.stack(rows)


def test_on_a_quadratic_loss_the_step_is_exact_removal() -> None:
    """Residuals ±1/√2 on D_r make the empirical Fisher of (f − y)² its Hessian."""
    d, n_r = 4, 24
    x_r, x_f = normal(n_r, d), normal(d, d, seed=1)
    signs = torch.randint(2, (n_r,), generator=generator(2)).double() * 2 - 1
    residual_r = signs / 2**0.5
    residual_f = -torch.linalg.solve(x_f.T, x_r.T @ residual_r)  # so that θ₀ minimises over D_tr
    theta = normal(d, seed=3)
    y_r, y_f = x_r @ theta - residual_r, x_f @ theta - residual_f
    whole = torch.linalg.lstsq(torch.cat([x_r, x_f]), torch.cat([y_r, y_f])[:, None]).solution
    torch.testing.assert_close(whole[:, 0], theta)
    expected = torch.linalg.lstsq(x_r, y_r[:, None]).solution[:, 0]
    assert float((expected - theta).norm()) > 0.01

    model = nn.Linear(d, 1, bias=False).double()
    model.weight.data = theta[None].clone()
    sums = [[2 * (r[:, None] * x).sum(0, keepdim=True)]
            for r, x in ((residual_f, x_f), (residual_r, x_r))]  # fmt: skip
    vector = removal_gradient(*sums, n_f=d, n_r=n_r)
    step, _, converged = inverse_fisher_product(
        model,
        {"weight": model.weight},
        every_row(Rows(x_r, y_r[:, None])),
        vector,
        damping=0.0,
        tolerance=1e-10,
        max_iterations=50,
        loss=nn.MSELoss(),
    )
    assert converged
    torch.testing.assert_close(theta + step[0][0], expected, rtol=1e-8, atol=1e-8)


def test_the_vector_is_minus_the_gradient_of_the_retain_loss_at_the_minimum() -> None:
    forget = [normal(3, 2), normal(5, seed=1)]
    retain = [-g for g in forget]  # the sums over D_tr vanish
    for v, r in zip(removal_gradient(forget, retain, 6, 10), retain, strict=True):
        torch.testing.assert_close(v, -r / 10)


def test_the_vector_by_its_formula() -> None:
    f, r = normal(7), normal(7, seed=1)
    (v,) = removal_gradient([f], [r], 3, 5)
    torch.testing.assert_close(v, f / 8 - 3 / (8 * 5) * r)


@pytest.mark.parametrize("damping", [1.0, 0.05])
@pytest.mark.parametrize("kind", MODELS)
def test_the_product_agrees_with_a_dense_solve_and_with_woodbury(kind: str, damping: float) -> None:
    model, samples = seeded_model(kind).double().eval(), doubles(12)
    gradients = gradient_matrix(model, samples)
    n, size = gradients.shape
    v = normal(size, seed=4)
    dense = torch.linalg.solve(
        damping * torch.eye(size, dtype=torch.float64) + gradients.T @ gradients / n, v
    )
    small = n * damping * torch.eye(n, dtype=torch.float64) + gradients @ gradients.T
    woodbury = (v - gradients.T @ torch.linalg.solve(small, gradients @ v)) / damping
    torch.testing.assert_close(dense, woodbury)

    named = dict(model.named_parameters())
    parameters = list(named.values())
    parts = [t.view_as(p) for t, p in zip(v.split([p.numel() for p in parameters]), parameters,
                                          strict=True)]  # fmt: skip
    for batch_size in (12, 5):
        found, products, converged = inverse_fisher_product(
            model, named, every_row(samples, batch_size), parts,
            damping=damping, tolerance=1e-8, max_iterations=100,
        )  # fmt: skip
        assert converged
        assert 1 < products <= n + 5  # I plus a matrix of rank n
        torch.testing.assert_close(flat(found), dense, rtol=1e-6, atol=1e-6)


def test_the_whole_method_is_a_dense_step() -> None:
    subject = problem("linear")
    result = unlearned("iu", subject, alpha=3.0, damping=0.5, tolerance=1e-6)
    model = seeded_model("linear").double().eval()
    matrices = []
    for samples in (subject.forget, subject.retain):
        x, y = next(iter(samples.batches([torch.arange(len(samples))])))
        matrices.append(gradient_matrix(model, Rows(x.double(), y)))
    g_f, g_r = matrices
    v = g_f.sum(0) / 32 - 8 / (32 * 24) * g_r.sum(0)
    h = 0.5 * torch.eye(len(v), dtype=torch.float64) + g_r.T @ g_r / 24
    start = flat(subject.trained_state.values()).double()
    expected = start + 3.0 * torch.linalg.solve(h, v)
    found = flat(result.state_dict.values()).double()
    assert float((expected - start).norm()) > 0.05
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_only_single_retain_samples_as_many_as_asked_for_make_up_the_fisher() -> None:
    full = unlearned("iu", problem("linear"), samples=24).state_dict["1.weight"]
    more = unlearned("iu", problem("linear"), samples=1000).state_dict["1.weight"]
    few = unlearned("iu", problem("linear"), samples=3).state_dict["1.weight"]
    assert torch.equal(full, more)
    assert not torch.allclose(full, few)


def test_a_search_that_stops_early_says_so() -> None:
    with pytest.warns(UserWarning, match="did not reach the relative residual 1e-06 in 1 products"):
        unlearned("iu", problem("mlp"), damping=1e-6, max_iterations=1, tolerance=1e-6)


def test_the_product_with_nothing_is_nothing() -> None:
    model = seeded_model("linear")
    zeros = [torch.zeros_like(p) for p in model.parameters()]
    found, products, converged = inverse_fisher_product(
        model, dict(model.named_parameters()), every_row(images(8)), zeros,
        damping=1.0, tolerance=1e-3, max_iterations=10,
    )  # fmt: skip
    assert (products, converged) == (0, True)
    assert not any(bool(t.any()) for t in found)


def sherman_morrison(gradients: list[Tensor], v: Tensor, total: int) -> Tensor:
    """(I + (1/total) Σ g·gᵀ)⁻¹v by rank-one updates of the whole inverse."""
    inverse = torch.eye(len(v), dtype=v.dtype)
    for g in gradients:
        o = inverse @ g
        inverse = inverse - torch.outer(o, o) / (total + g @ o)
    return inverse @ v


def test_the_upstream_recursion_is_sherman_morrison_only_where_it_sees_one_direction() -> None:
    g, h, v = normal(6), normal(6, seed=1), normal(6, seed=2)
    for total in (1, 5, 1000):
        # o is λ⁻¹g with λ = 1: the product with the inverse of I + g·gᵀ/N, applied at the second g
        found = upstream_recursion(iter([g, g]), v, total)
        torch.testing.assert_close(found, sherman_morrison([g], v, total))
        dense = torch.eye(6, dtype=torch.float64) + torch.outer(g, g) / total
        torch.testing.assert_close(found, torch.linalg.solve(dense, v))
    # the first gradient alone leaves v as it is
    assert torch.equal(upstream_recursion(iter([g]), v, 1), v)
    assert not torch.allclose(sherman_morrison([g], v, 1), v)
    # beyond one direction it is something else
    exact = sherman_morrison([g, h], v, 2)
    dense = torch.eye(6, dtype=torch.float64) + (torch.outer(g, g) + torch.outer(h, h)) / 2
    torch.testing.assert_close(exact, torch.linalg.solve(dense, v))
    for gradients in ([g, h], [g, g, h]):
        assert not torch.allclose(upstream_recursion(iter(gradients), v, 2), exact, rtol=0.01)


def test_the_upstream_recursion_by_a_loop_over_its_formula() -> None:
    gradients, v = list(normal(4, 6)), normal(6, seed=2)
    k, o = v, gradients[0]
    for g in gradients[1:]:
        t = float(o @ g)
        k, o = k - float(k @ g) / (4 + t) * o, o - t / (4 + t) * o
    torch.testing.assert_close(upstream_recursion(iter(gradients), v, 4), k)


def test_the_model_is_in_evaluation_mode_and_its_statistics_stay() -> None:
    subject = problem("cnn")
    for variant in ("exact", "upstream"):
        state = unlearned("iu", subject, variant=variant).state_dict
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            key = f"features.1.{name}"
            assert torch.equal(state[key], subject.trained_state[key])


def test_sums_of_gradients_do_not_depend_on_the_batch_size() -> None:
    subject, model = problem("cnn"), seeded_model("cnn").eval()
    parameters = list(model.parameters())
    sums = [flat(gradient_sum(model, parameters, subject.retain, size)) for size in (1, 7, 24)]
    for other in sums[1:]:
        torch.testing.assert_close(other, sums[0], rtol=1e-4, atol=1e-5)
    x, y = next(iter(subject.retain.batches([torch.arange(24)])))
    F.cross_entropy(model(x), y).backward()
    torch.testing.assert_close(flat(p.grad for p in parameters) * 24, sums[0], rtol=1e-4, atol=1e-5)


def test_frozen_parameters_are_left_out() -> None:
    def build() -> nn.Module:
        model = MODELS["cnn"]()
        model.features.requires_grad_(False)
        return model

    subject = replaced(problem("cnn"), make_model=build)
    for variant in ("exact", "upstream"):
        state = unlearned("iu", subject, variant=variant).state_dict
        moved = {
            name for name in state if not torch.equal(state[name], subject.trained_state[name])
        }
        assert moved == {"head.weight", "head.bias"}
    assert len(state["head.bias"]) == K


@pytest.mark.parametrize("kind", ALL_MODELS)
def test_the_product_with_the_fisher_is_that_of_curvlinops_and_of_single_gradients(
    kind: str,
) -> None:
    with warnings.catch_warnings():  # of TorchScript and vmap, which it uses
        warnings.simplefilter("ignore")
        from curvlinops import EFLinearOperator

        samples, model = problem(kind, 10, 4).retain, seeded_model(kind).eval()
        named = dict(model.named_parameters())
        vector = [
            torch.randn(p.shape, generator=generator(i)) for i, p in enumerate(named.values())
        ]
        batches = every_row(samples, 4)
        with sdpa_kernel(SDPBackend.MATH):
            operator = EFLinearOperator(
                model, nn.CrossEntropyLoss(), list(named.values()), batches,
                check_deterministic=False, num_data=10,
            )  # fmt: skip
            theirs = operator @ flat(vector)
    ours = flat(fisher_product(model, named, batches, vector, nn.CrossEntropyLoss()))
    gradients = []
    for x, y in samples.batches(torch.arange(10).split(1)):
        loss = F.cross_entropy(model(x), y)
        gradients.append(
            flat(torch.autograd.grad(loss, list(named.values()), materialize_grads=True))
        )
    matrix = torch.stack(gradients)
    torch.testing.assert_close(ours, matrix.T @ (matrix @ flat(vector)) / 10, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


class Cube(torch.autograd.Function):
    """A user's own function, without a forward-mode derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * g


class Cubic(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        return self[2](Cube.apply(self[1](self[0](x))))


def test_a_layer_without_forward_mode_is_one_sentence() -> None:
    def build() -> nn.Module:
        return Cubic(nn.Flatten(), nn.Linear(36, 3), nn.Linear(3, K))

    subject = replaced(problem("mlp"), make_model=build, trained_state=build().state_dict())
    with pytest.raises(ModelError, match=r"lacks \(.*\); use variant='upstream'$") as caught:
        unlearned("iu", subject)
    assert "\n" not in str(caught.value)
    assert unlearned("iu", subject, variant="upstream").steps == 1
