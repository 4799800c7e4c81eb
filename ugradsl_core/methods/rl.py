"""Random label (RL): D_f with labels drawn at random, D_r with its own (Golatkar et al., 2020)."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Generator

from ugradsl_core.methods.common import (
    UnlearnConfig,
    cross_entropy,
    one_set_plan,
    relabelled,
    run_training,
    spawn,
)
from ugradsl_core.methods.method import Method
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.samples.inputs import cat
from ugradsl_core.samples.protocol import Batch
from ugradsl_core.training.loop import EpochPlan, Passes, SGDConfig, batch_count, shuffled

Order = Literal["sequential", "shuffled"]


class RLConfig(UnlearnConfig):
    """Ten epochs; the published learning rates lie in [1e-4, 1e-1].

    Attributes:
        variant: a pass over D_f, then one over D_r (``sequential``, what the public code does for
            CIFAR-10 and SVHN), or both sets in one random order (``shuffled``, CIFAR-100 and
            Tiny-ImageNet).
    """

    variant: Order = "sequential"

    def passes(self, n_r: int, n_f: int, num_classes: int) -> Passes:
        """E epochs over both sets."""
        return random_label_passes(self, self.variant, n_r, n_f)


def random_label_passes(config: SGDConfig, order_of_sets: Order, n_r: int, n_f: int) -> Passes:
    """The passes of :func:`random_label_plan`'s epochs."""
    sets = [n_r + n_f] if order_of_sets == "shuffled" else [n_f, n_r]
    runs = [config.epochs_over(n) for n in sets]
    return Passes(
        sum(run.steps for run in runs),
        sum(run.forward for run in runs),
        sum(run.backward for run in runs),
        max(run.alive for run in runs),
    )


def random_label_plan(
    problem: Problem,
    config: UnlearnConfig,
    order_of_sets: Order,
    retain_stream: Generator,
    forget_stream: Generator,
) -> tuple[EpochPlan, int]:
    """Batches of an epoch, and their number.

    Labels of D_f are uniform on 0…K−1, the true one allowed, and drawn anew in each epoch.
    """
    retain, forget = problem.retain, problem.forget
    size, n_r, n_f = config.batch_size, len(retain), len(forget)
    num_classes = forget.num_classes

    def draw() -> torch.Tensor:
        return torch.randint(num_classes, (n_f,), generator=forget_stream)

    def sequential(epoch: int) -> Iterable[tuple[Batch, ...]]:
        yield from one_set_plan(forget, config, forget_stream, draw())[0](epoch)
        yield from one_set_plan(retain, config, retain_stream)[0](epoch)

    def mixed(_: int) -> Iterable[tuple[Batch, ...]]:
        drawn, order = draw(), shuffled(n_r + n_f, size, retain_stream)
        retain_rows = [rows[rows < n_r] for rows in order]
        forget_rows = [rows[rows >= n_r] - n_r for rows in order]
        from_retain = retain.batches(
            (rows for rows in retain_rows if len(rows)),
            augment=config.augment,
            generator=retain_stream,
        )
        rows_f = [rows for rows in forget_rows if len(rows)]
        from_forget = relabelled(
            forget.batches(rows_f, augment=config.augment, generator=forget_stream), rows_f, drawn
        )
        for kept, forgotten in zip(retain_rows, forget_rows, strict=True):
            parts = [next(iter(from_retain))] if len(kept) else []
            if len(forgotten):
                parts.append(next(from_forget))
            yield ((cat([x for x, _ in parts]), torch.cat([y for _, y in parts])),)

    if order_of_sets == "shuffled":
        return mixed, batch_count(n_r + n_f, size)
    return sequential, batch_count(n_f, size) + batch_count(n_r, size)


def rl(problem: Problem, config: RLConfig, *, generator: Generator) -> UnlearnResult:
    """Minimise the cross-entropy of D_f with random labels and of D_r with true ones."""
    retain_stream, forget_stream, model_stream = spawn(generator)
    plan, steps = random_label_plan(problem, config, config.variant, retain_stream, forget_stream)
    model = problem.trained_model()
    return run_training(problem, model, plan, steps, cross_entropy, config, model_stream)


METHOD = Method("RL", rl, RLConfig, "D_r, D_f", "random labels on D_f, true ones on D_r", "n")
