"""Boundary shrink (BS) and boundary expand (BE) (Chen et al., 2023)."""

from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.errors import ModelError
from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    evaluation_model,
    first_input,
    in_order,
    one_set_plan,
    run_training,
    spawn,
    stopwatch,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.models import head_name, seeded, widen_head
from ugradsl_core.samples.inputs import Inputs
from ugradsl_core.samples.protocol import Samples
from ugradsl_core.training.loop import Passes


class BSConfig(UnlearnConfig):
    """Ten epochs at lr 1e-5, batch 64 and step 0.1, as published.

    Attributes:
        step: length of the sign step. The published 0.1 is a tenth of the range of a pixel, so it
            is a share of the input's range where the data set knows it (``input_range``), and in
            the unit of the model's input where it does not.
    """

    lr: float = Field(1e-5, gt=0, description="learning rate")
    batch_size: int = Field(64, ge=1, description="samples in a batch")
    step: float = Field(0.1, gt=0, description="length of the sign step, a share of the range")

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over D_f, after the passes that find its labels."""
        run = self.epochs_over(n_f)
        return replace(run, forward=run.forward + 2 * n_f, backward=run.backward + n_f, copies=1)


class BEConfig(UnlearnConfig):
    """Ten epochs at lr 1e-5 and batch 64, as published.

    Attributes:
        variant: ``dropped``: the extra output is removed at the end, as published. ``kept``: it
            stays, as in public benchmark code; samples of D_f that fall into it count as wrong,
            which inflates UA.
    """

    lr: float = Field(1e-5, gt=0, description="learning rate")
    batch_size: int = Field(64, ge=1, description="samples in a batch")
    variant: Literal["dropped", "kept"] = "dropped"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over D_f."""
        return self.epochs_over(n_f)


def _embedding(model: nn.Module) -> nn.Embedding:
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            return module
    raise ModelError(
        "model: boundary shrinking moves inputs along a gradient; these are whole numbers and the "
        "model has no nn.Embedding whose output could be moved instead"
    )


def nearest_labels(model: nn.Module, samples: Samples, step: float, batch_size: int) -> Tensor:
    """y' = argmax f(x'), x' = clip(x + step·sign ∇_x CE(f(x), y)): the class across the boundary.

    ``step`` is a share of the inputs' range, to which x' is clipped, where ``samples`` know it
    (``input_range``), else it is in the unit of the model's input. Inputs that are whole numbers,
    such as tokens, cannot move; their embeddings do. The model, in evaluation mode, is left as it
    was; each sample passes twice forward and once backward.

    Returns:
        int64, shape (N,), on the CPU; equal to y where the step does not cross a boundary.
    """
    found = []
    for inputs, labels in samples.batches(in_order(len(samples), batch_size)):
        if _movable(inputs):
            bounds = getattr(samples, "input_range", None)
            moved = _moved_inputs(model, inputs, labels, step, bounds)
            with torch.no_grad():
                found.append(model(moved).argmax(1))
        else:
            found.append(_moved_embeddings(model, inputs, labels, step).argmax(1))
    return torch.cat(found).cpu()


def _movable(inputs: Inputs) -> list[str]:
    """The names of the tensors that a gradient can move, ``""`` for the only one; masks stay."""
    named = {"": inputs} if isinstance(inputs, Tensor) else inputs
    return [name for name, x in named.items() if x.is_floating_point() and "mask" not in name]


def _moved_inputs(
    model: nn.Module,
    inputs: Inputs,
    labels: Tensor,
    step: float,
    bounds: tuple[Tensor, Tensor] | None,
) -> Inputs:
    single = isinstance(inputs, Tensor)
    named = {"": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    starts = {name: named[name].detach().requires_grad_() for name in _movable(inputs)}
    logits = model(starts[""] if single else {**named, **starts})
    value = F.cross_entropy(logits, labels, reduction="sum")
    gradients = torch.autograd.grad(value, list(starts.values()), materialize_grads=True)
    for name, gradient in zip(starts, gradients, strict=True):
        if bounds is None:
            named[name] = named[name] + step * gradient.sign()
        else:
            low, high = bounds
            named[name] = (named[name] + step * (high - low) * gradient.sign()).clamp(low, high)
    return named[""] if single else named


def _moved_embeddings(model: nn.Module, inputs: Inputs, labels: Tensor, step: float) -> Tensor:
    shift: list[Tensor] = []

    def move(_: nn.Module, __: tuple[Tensor, ...], output: Tensor) -> Tensor:
        if not shift:
            shift.append(torch.zeros_like(output, requires_grad=True))
        return output + shift[0]

    with _embedding(model).register_forward_hook(move):
        value = F.cross_entropy(model(inputs), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(value, shift[0])
        shift[0] = step * gradient.sign()
        with torch.no_grad():
            return model(inputs)  # type: ignore[no-any-return]


def _relabelled(
    problem: Problem, model: nn.Module, config: UnlearnConfig, labels: Tensor, generator: Generator
) -> UnlearnResult:
    """Minimise the cross-entropy of D_f with other labels."""
    _, stream, model_stream = spawn(generator)
    plan, steps = one_set_plan(problem.forget, config, stream, labels)
    return run_training(problem, model, plan, steps, cross_entropy, config, model_stream)


def bs(problem: Problem, config: BSConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_f with the labels of :func:`nearest_labels`.

    These come from the frozen original and inputs without augmentation, so they are found once
    and not in every epoch.
    """
    original = evaluation_model(problem)
    for parameter in original.parameters():
        parameter.requires_grad_(False)
    n_f = len(problem.forget)
    with stopwatch(problem.execution.resolve()) as seconds:
        labels = nearest_labels(original, problem.forget, config.step, config.batch_size)
    result = _relabelled(problem, problem.trained_model(), config, labels, generator)
    return result.after(2 * n_f, n_f, seconds[0])


def be(problem: Problem, config: BEConfig, *, generator: Generator) -> UnlearnResult:
    """Train D_f into a class K + 1 of its own, then drop that class (see ``variant``).

    Raises:
        ModelError: the classification layer is not linear, or was not found.
    """
    num_classes = problem.forget.num_classes
    model = problem.trained_model()
    name = head_name(model, num_classes, problem.head, first_input(problem.forget))
    with seeded(generator):
        widen_head(model, name, num_classes + 1)
    labels = torch.full((len(problem.forget),), num_classes)
    result = _relabelled(problem, model, config, labels, generator)
    if config.variant == "kept":
        return result
    state = dict(result.state_dict)
    for tensor in (f"{name}.weight", f"{name}.bias"):
        if tensor in state:
            state[tensor] = state[tensor][:num_classes].clone()
    return replace(result, state_dict=state)


BE = Method(
    "BE", be, BEConfig, "D_f", "send D_f to a class K + 1, then drop it", "n_f",
    memory="one more output",
)  # fmt: skip
BS = Method(
    "BS", bs, BSConfig, "D_f", "train D_f on the class across the nearest boundary",
    "n_f, and 2n_f forward and n_f backward once", memory="1: the original model",
)  # fmt: skip
