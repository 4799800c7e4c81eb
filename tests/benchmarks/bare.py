"""Each method as the forward and backward passes that its definition needs, in plain PyTorch.

A loop has ready batches in memory and keeps no log. Its losses are the method's as far as passes
go: what is not a pass, such as a mask, a penalty or noise, is left out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp
from torch.nn import functional as F

from setting import sgd
from ugradsl_core.samples import Batch

LR = 1e-3
Batches = list[Batch]
Loop = Callable[[nn.Module, nn.Module, Batches, Batches, dict[str, Any]], None]


def _train(model: nn.Module, losses: Callable[[], Iterator[Tensor]]) -> None:
    """A step for each loss, which is computed when it is asked for."""
    optimiser = sgd(model, LR)
    for loss in losses():
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()


def _descend(model: nn.Module, *sets: Batches, sign: float = 1.0) -> None:
    model.train()
    _train(model, lambda: (sign * F.cross_entropy(model(x), y) for s in sets for x, y in s))


def _gradient_sum(model: nn.Module, batches: Iterable[Batch]) -> list[Tensor]:
    parameters = [p for p in model.parameters() if p.requires_grad]
    total = [torch.zeros_like(p) for p in parameters]
    for x, y in batches:
        loss = F.cross_entropy(model(x), y, reduction="sum")
        torch._foreach_add_(total, torch.autograd.grad(loss, parameters))
    return total


def fine_tuning(model: nn.Module, _: nn.Module, retain: Batches, __: Batches, ___: Any) -> None:
    _descend(model, retain)


def ascent(model: nn.Module, _: nn.Module, __: Batches, forget: Batches, ___: Any) -> None:
    _descend(model, forget, sign=-1.0)


def other_labels(model: nn.Module, _: nn.Module, __: Batches, forget: Batches, ___: Any) -> None:
    _descend(model, forget)


def both_sets(model: nn.Module, _: nn.Module, retain: Batches, forget: Batches, __: Any) -> None:
    _descend(model, forget, retain)


def saliency_and_both_sets(
    model: nn.Module, original: nn.Module, retain: Batches, forget: Batches, _: Any
) -> None:
    _gradient_sum(original.eval(), forget)
    _descend(model, forget, retain)


def shrinking(model: nn.Module, original: nn.Module, _: Batches, forget: Batches, __: Any) -> None:
    original.eval().requires_grad_(False)
    for x, y in forget:
        start = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(F.cross_entropy(original(start), y), start)
        with torch.no_grad():
            original(x + 0.1 * gradient.sign()).argmax(1)
    _descend(model, forget)


def last_layer(model: nn.Module, _: nn.Module, retain: Batches, __: Batches, ___: Any) -> None:
    model.eval().requires_grad_(False)
    model.fc.requires_grad_(True)
    _train(model, lambda: (F.cross_entropy(model(x), y) for x, y in retain))


def student_and_teacher(
    model: nn.Module, teacher: nn.Module, retain: Batches, forget: Batches, config: dict[str, Any]
) -> None:
    model.train()
    teacher.eval()

    def distance(x: Tensor, logits: Tensor) -> Tensor:
        with torch.no_grad():
            target = (teacher(x) / 4).log_softmax(1)
        found = (logits / 4).log_softmax(1)
        return F.kl_div(found, target, reduction="batchmean", log_target=True)

    def losses() -> Iterator[Tensor]:
        for epoch in range(config["epochs"]):
            if epoch < config["msteps"]:
                for x, _ in forget:
                    yield -distance(x, model(x))
            for x, y in retain:
                logits = model(x)
                yield F.cross_entropy(logits, y) + distance(x, logits)

    _train(model, losses)


def mixed(
    model: nn.Module, _: nn.Module, retain: Batches, forget: Batches, config: dict[str, Any]
) -> None:
    """Eq. (8) over the set that ends the epoch; the other one is as long."""
    model.train()
    steps = len(retain) if config["over"] == "retain" else len(forget)

    def losses() -> Iterator[Tensor]:
        for i in range(steps):
            (x_r, y_r), (x_f, y_f) = retain[i % len(retain)], forget[i % len(forget)]
            yield 0.9 * F.cross_entropy(model(x_r), y_r) - 0.1 * F.cross_entropy(model(x_f), y_f)

    _train(model, losses)


def noisy_and_fine_tuning(
    model: nn.Module, _: nn.Module, retain: Batches, __: Batches, config: dict[str, Any]
) -> None:
    model.train()
    parameters = list(model.parameters())
    for i in range(config["noisy_steps"]):
        x, y = retain[i % len(retain)]
        gradients = torch.autograd.grad(F.cross_entropy(model(x), y), parameters)
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-1e-3)
    _descend(model, retain)


def fisher_diagonal(
    model: nn.Module, _: nn.Module, retain: Batches, __: Batches, config: dict[str, Any]
) -> None:
    model.eval()
    parameters = list(model.parameters())
    total = [torch.zeros_like(p) for p in parameters]
    samples = torch.cat([x for x, _ in retain])[: config["samples"]]
    for sample in samples.split(1):
        log_p = model(sample)[0].log_softmax(0)
        for y, p in enumerate(log_p.detach().exp()):
            gradients = torch.autograd.grad(log_p[y], parameters, retain_graph=True)
            torch._foreach_addcmul_(total, gradients, [p * g for g in gradients])


def inverse_fisher(
    model: nn.Module, _: nn.Module, retain: Batches, forget: Batches, config: dict[str, Any]
) -> None:
    """Two sums of gradients, and as many products with the Fisher as the method took.

    A product is Σ g·(gᵀv): gᵀv by forward mode, then a weighted gradient.
    """
    model.eval()
    sums = [_gradient_sum(model, s) for s in (forget, retain)]
    names, parameters = zip(*model.named_parameters(), strict=True)
    vector = dict(zip(names, sums[0], strict=True))
    values = {name: p.detach() for name, p in zip(names, parameters, strict=True)}
    inputs, labels = (torch.cat(part)[: config["samples"]] for part in zip(*retain, strict=True))
    size = len(retain[0][1])
    for _product in range(config["products"]):
        total = [torch.zeros_like(p) for p in parameters]
        for x, y in zip(inputs.split(size), labels.split(size), strict=True):
            with torch.no_grad():
                logits, tangent = jvp(
                    lambda p, x=x: functional_call(model, p, (x,)), (values,), (vector,)
                )
                slope = logits.softmax(1) - F.one_hot(y, logits.shape[1])
                weights = slope * (slope * tangent).sum(1, keepdim=True)
            torch._foreach_add_(total, torch.autograd.grad((model(x) * weights).sum(), parameters))


LOOPS: dict[str, Loop] = {
    "retrain": fine_tuning,
    "ft": fine_tuning,
    "ga": ascent,
    "ff": fisher_diagonal,
    "iu": inverse_fisher,
    "be": other_labels,
    "bs": shrinking,
    "l1-sparse": fine_tuning,
    "rl": both_sets,
    "eu-k": last_layer,
    "cf-k": last_layer,
    "scrub": student_and_teacher,
    "salun": saliency_and_both_sets,
    "pabi": noisy_and_fine_tuning,
    "neggrad+": mixed,
    "ugradsl": mixed,
    "ugradsl+": mixed,
}
