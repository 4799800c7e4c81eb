"""An empirical risk as a function of the parameter vector θ: value, gradient, curvature, minimum.

The theory of Section 3 moves a single vector θ through several risks: R_tr, R_r and R_f. Here a
risk is a value that can be asked for R(θ), ∇R(θ) and products with ∇²R(θ) at any θ.
"""

import copy
import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from ugradsl_core.errors import ConfigError, DataError, ModelError
from ugradsl_core.samples.inputs import Inputs, cat
from ugradsl_core.samples.protocol import Batch, Samples

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Risk:
    """R(θ) = Σ_{z∈D} ℓ(h_θ, z) + (λ/2)‖θ‖²: a sum over samples, as everywhere in Section 3.2.

    The paper has no ridge; λ > 0 makes the minimum unique. It belongs to R_tr and to R_r, so that
    R_tr = R_r + R_f holds with λ = 0 in R_f.

    Attributes:
        model: returns logits; copied, and used in evaluation mode.
        batches: inputs and labels, read anew for each evaluation.
        l2: λ.
        loss: of logits and labels, with reduction ``"sum"``.
    """

    model: nn.Module
    batches: Iterable[Batch]
    l2: float = 0.0
    loss: nn.Module = field(default_factory=lambda: nn.CrossEntropyLoss(reduction="sum"))

    def __post_init__(self) -> None:
        if not (math.isfinite(self.l2) and self.l2 >= 0):
            raise ConfigError(f"l2: should be a finite number of at least 0; found {self.l2!r}")
        if getattr(self.loss, "reduction", None) != "sum":
            raise ConfigError("loss: should have reduction 'sum', as the risks of Section 3.2 do")
        if isinstance(self.batches, Iterator):
            raise DataError("batches: should be readable more than once; found an iterator")
        if next(iter(self.batches), None) is None:
            raise DataError("batches: needs at least one sample; found none")
        object.__setattr__(self, "model", copy.deepcopy(self.model).eval())
        if not self.parameters:
            raise ModelError("model: has no trainable parameter; all are frozen")

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name; their order is that of θ."""
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def on(
        self, batches: Iterable[Batch], *, l2: float | None = None, loss: nn.Module | None = None
    ) -> "Risk":
        """The same model on other data, and with another ridge or loss where one is given."""
        kept = self.l2 if l2 is None else l2
        return replace(self, batches=batches, l2=kept, loss=self.loss if loss is None else loss)


def one_tensor(inputs: Inputs) -> Tensor:
    """The inputs as the tensor that they are.

    Raises:
        DataError: they are several, by name.
    """
    if not isinstance(inputs, Tensor):
        raise DataError(f"inputs: should be one tensor; found {', '.join(inputs)}")
    return inputs


def whole(samples: Samples, dtype: torch.dtype = torch.float64) -> list[Batch]:
    """All samples as one batch of ``dtype``, for data that fit into memory."""
    ((inputs, labels),) = samples.batches([torch.arange(len(samples))])
    return [(one_tensor(inputs).to(dtype).contiguous(), labels)]


def rows(batches: Iterable[Batch], index: Tensor) -> list[Batch]:
    """The samples ``index`` of data in memory, as one batch."""
    parts = list(batches)
    inputs = one_tensor(cat([x for x, _ in parts]))
    labels = torch.cat([y for _, y in parts])
    return [(inputs[index], labels[index])]


def parameter_vector(model: nn.Module) -> Tensor:
    """θ: the trainable parameters of a model as one vector, (P,)."""
    return torch.cat([p.detach().flatten() for p in model.parameters() if p.requires_grad])


def model_at(risk: Risk, theta: Tensor) -> nn.Module:
    """A copy of the risk's model with parameters θ.

    Raises:
        ModelError: θ has another number of entries than the model has parameters.
    """
    model = copy.deepcopy(risk.model)
    chosen = [p for p in model.parameters() if p.requires_grad]
    _check_size(risk, theta)
    torch.nn.utils.vector_to_parameters(theta.detach().clone(), chosen)
    return model


def _check_size(risk: Risk, theta: Tensor) -> None:
    size = sum(p.numel() for p in risk.parameters.values())
    if theta.shape != (size,):
        raise ModelError(
            f"theta: should have shape ({size},), one entry for each trainable parameter; "
            f"found {tuple(theta.shape)}"
        )


def _loss(risk: Risk, theta: Tensor, batch: Batch) -> Tensor:
    """The summed loss of one batch, without the ridge."""
    parts = torch.split(theta, [p.numel() for p in risk.parameters.values()])
    named = {
        name: part.view(p.shape)
        for part, (name, p) in zip(parts, risk.parameters.items(), strict=True)
    }
    inputs, labels = batch
    return risk.loss(torch.func.functional_call(risk.model, named, (inputs,)), labels)  # type: ignore[no-any-return]


def value(risk: Risk, theta: Tensor) -> float:
    """R(θ), Eq. (1) without the division by n."""
    _check_size(risk, theta)
    with torch.no_grad():
        losses = [float(_loss(risk, theta, batch)) for batch in risk.batches]
    return sum(losses) + risk.l2 / 2 * float(theta.square().sum())


def value_and_gradient(risk: Risk, theta: Tensor) -> tuple[float, Tensor]:
    """R(θ) and ∇R(θ), (P,), from one pass; memory for the graph of one batch at a time."""
    _check_size(risk, theta)
    total, slope = risk.l2 / 2 * float(theta.square().sum()), risk.l2 * theta
    for batch in risk.batches:
        variable = theta.detach().clone().requires_grad_()
        loss = _loss(risk, variable, batch)
        slope = slope + torch.autograd.grad(loss, variable)[0]
        total += float(loss.detach())
    return total, slope


def gradient(risk: Risk, theta: Tensor) -> Tensor:
    """∇R(θ), (P,)."""
    return value_and_gradient(risk, theta)[1]


@contextmanager
def twice_differentiable() -> Iterator[None]:
    """Attention by a kernel that has derivatives of its derivatives; TorchScript's notes unheard.

    PyTorch itself still compiles functions with TorchScript when it first differentiates forward.
    """
    with sdpa_kernel(SDPBackend.MATH), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=FutureWarning)
        yield


def hessian(risk: Risk, theta: Tensor) -> Product:
    """v ↦ ∇²R(θ)·v for v of shape (P,) or (P, m), by curvlinops; O(P) memory for one vector."""
    with twice_differentiable():
        from curvlinops import HessianLinearOperator
    model = model_at(risk, theta)
    chosen = [p for p in model.parameters() if p.requires_grad]
    operator = HessianLinearOperator(
        model, risk.loss, chosen, risk.batches, check_deterministic=False
    )

    def product(vector: Tensor) -> Tensor:
        with twice_differentiable():
            return operator @ vector + risk.l2 * vector  # type: ignore[no-any-return]

    return product


def sampled_hessian(risk: Risk, theta: Tensor, generator: Generator) -> Product:
    """An unbiased estimate of :func:`hessian`: at each call another random one of the batches.

    The batch is drawn uniformly and counts as many times as there are batches.
    """
    batches = list(risk.batches)
    parts = [hessian(risk.on([batch], l2=0.0), theta) for batch in batches]

    def product(vector: Tensor) -> Tensor:
        drawn = int(torch.randint(len(parts), (), generator=generator))
        return len(parts) * parts[drawn](vector) + risk.l2 * vector

    return product
