"""One process of a batch of runs at the bench scale: trains when it is told to, says how long."""

import sys
import time

import torch
from torch import nn

from companion.backbones import resnet18
from companion.experiments.data.images import Dataset, Transform
from ugradsl_core.methods.common import cross_entropy, one_set_plan
from ugradsl_core.training import Execution, SGDConfig, synchronise, train

BATCH, WIDTH = 128, 8


def main(device: str, steps: int) -> None:
    place, execution = torch.device(device), Execution(device=device, amp=True)
    n = steps * BATCH
    generator = torch.Generator().manual_seed(0)
    samples = Dataset(
        name="random",
        inputs=torch.randint(0, 255, (n, 32, 32, 3), dtype=torch.uint8, generator=generator),
        all_labels=torch.randint(10, (n,), generator=generator),
        num_classes=10,
        transform=Transform(255.0, (0.5,) * 3, (0.25,) * 3),
        class_names=tuple("0123456789"),
        source="random",
        checksum="",
    ).to(place)
    model: nn.Module = resnet18(10, 3, WIDTH).to(place)

    def epoch(part: Dataset) -> None:
        config = SGDConfig(lr=0.01, epochs=1, batch_size=BATCH)
        plan, count = one_set_plan(part, config, generator)
        train(model, plan, count, cross_entropy, config, execution)

    epoch(samples.take(torch.arange(min(n, 10 * BATCH))))
    synchronise(place)
    print("ready", flush=True)
    sys.stdin.readline()
    start = time.perf_counter()
    epoch(samples)
    synchronise(place)
    print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
