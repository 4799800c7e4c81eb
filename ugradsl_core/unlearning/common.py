"""What the methods share: random streams, one-batch plans, and the result of a training loop."""

from collections.abc import Iterable

import torch
from pydantic import Field
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from ugradsl_core.checkpoint import Checkpoint
from ugradsl_core.errors import ModelError
from ugradsl_core.models import seeded
from ugradsl_core.training import EpochPlan, SGDConfig, StepLoss, TrainLog, shuffled, train
from ugradsl_core.types import Batch, Problem, Samples, UnlearnResult


class UnlearnConfig(SGDConfig):
    """SGD defaults of the published unlearning code: lr 0.01, 10 epochs, batch 256, constant."""

    lr: float = Field(0.01, gt=0, description="learning rate")


def spawn(generator: Generator) -> tuple[Generator, Generator, Generator]:
    """Independent streams for D_r, for D_f, and for layers that draw random numbers.

    Methods that read the same set with the same seed see the same batches, so that limits such
    as p = 1 hold step for step.
    """
    seeds = torch.randint(2**62, (3,), generator=generator).tolist()
    first, second, third = (torch.Generator().manual_seed(seed) for seed in seeds)
    return first, second, third


def one_set_plan(
    samples: Samples, config: SGDConfig, generator: Generator
) -> tuple[EpochPlan, int]:
    """Batches of one set, reshuffled each epoch, and the number of steps of an epoch."""

    def plan(_: int) -> Iterable[tuple[Batch, ...]]:
        order = shuffled(len(samples), config.batch_size, generator)
        for batch in samples.batches(order, augment=config.augment, generator=generator):
            yield (batch,)

    return plan, len(shuffled(len(samples), config.batch_size, torch.Generator()))


def cross_entropy(model: nn.Module, batches: tuple[Batch, ...]) -> Tensor:
    """Mean cross-entropy of the only batch of a step."""
    ((inputs, labels),) = batches
    return F.cross_entropy(model(inputs), labels)


def run_training(
    problem: Problem,
    model: nn.Module,
    plan: EpochPlan,
    steps: int,
    loss: StepLoss,
    config: SGDConfig,
    model_stream: Generator,
    *,
    frozen_statistics: bool = False,
    checkpoint: Checkpoint | None = None,
) -> UnlearnResult:
    """Train ``model`` and pack what came out; each sample of a step passes once each way.

    Raises:
        DivergenceError: a loss or a weight is NaN or infinite.
        ModelError: BatchNorm met a batch of one sample.
    """
    try:
        with seeded(model_stream):
            log = train(
                model,
                plan,
                steps,
                loss,
                config,
                problem.execution,
                frozen_statistics=frozen_statistics,
                checkpoint=checkpoint,
            )
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        raise ModelError(
            "model: its BatchNorm cannot train on a batch of one sample; forget more than one, or "
            "use bn_mode='joint' or 'frozen' where the method has it"
        ) from error
    return result_of(model, log)


def result_of(model: nn.Module, log: TrainLog) -> UnlearnResult:
    """The result of a loop whose samples each passed forward and backward once."""
    state = {
        name: value.detach().to("cpu", copy=True).contiguous()
        for name, value in model.state_dict().items()
    }
    return UnlearnResult(state, log.steps, log.samples, log.samples, log.seconds, log.losses)
