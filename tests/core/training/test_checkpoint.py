"""A training that is stopped between two epochs and resumed ends as one that was not."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from torch import Tensor, nn

from toys import CPU, generator, images, same_bits, seeded_model
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.models import seeded
from ugradsl_core.training import SGDConfig, train
from ugradsl_core.training.checkpoint import Checkpoint
from ugradsl_core.training.loop import TrainLog


class Stopped(Exception):
    """Stands for the end of the process."""


def run(
    kind: str, config: SGDConfig, kept: list[dict[str, Tensor]], stop_after: int | None = None
) -> tuple[nn.Module, TrainLog]:
    """Train from the same start; ``kept`` is the disk."""
    batches = generator(1)
    plan, steps = one_set_plan(images(20, augmentable=True), config, batches)
    model = seeded_model(kind)
    checkpoint = Checkpoint(
        lambda: kept[-1] if kept else None,
        lambda tensors: kept.append({k: v.clone() for k, v in tensors.items()}),
        [batches],
        every=2,
    )

    def on_epoch(epoch: int, _: float) -> None:
        if epoch == stop_after:
            raise Stopped

    with seeded(generator(2)):
        log = train(
            model, plan, steps, cross_entropy, config, CPU, on_epoch=on_epoch, checkpoint=checkpoint
        )
    return model, log


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cosine"])
@pytest.mark.parametrize(("kind", "momentum"), [("cnn", 0.9), ("mlp", 0.9), ("mlp", 0.0)])
@pytest.mark.parametrize("stop_after", [1, 2, 5])
def test_a_resumed_training_has_the_same_bits(
    kind: str, momentum: float, schedule: str, stop_after: int
) -> None:
    config = SGDConfig(
        lr=0.1, epochs=6, batch_size=8, momentum=momentum, schedule=schedule, augment="crop-flip"
    )
    whole, log = run(kind, config, [])
    kept: list[dict[str, Tensor]] = []
    with pytest.raises(Stopped):
        run(kind, config, kept, stop_after)
    assert len(kept) == stop_after // 2
    resumed, second = run(kind, config, kept)
    assert same_bits(whole.state_dict(), resumed.state_dict())
    assert (log.losses, log.samples, log.steps) == (second.losses, second.samples, second.steps)


def test_no_checkpoint_is_written_after_the_last_epoch() -> None:
    kept: list[dict[str, Tensor]] = []
    run("linear", SGDConfig(epochs=4, batch_size=8), kept)
    assert [int(tensors["epoch"]) for tensors in kept] == [2]


def test_checkpoints_do_not_change_the_result() -> None:
    config = SGDConfig(epochs=4, batch_size=8)
    plan: Callable[[int], Iterable[Any]]
    plan, steps = one_set_plan(images(20, augmentable=True), config, generator(1))
    model = seeded_model("mlp")
    with seeded(generator(2)):
        train(model, plan, steps, cross_entropy, config, CPU)
    assert same_bits(model.state_dict(), run("mlp", config, [])[0].state_dict())
