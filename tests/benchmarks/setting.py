"""What the benchmarks share: random pictures, ready batches, the network and the optimiser."""

import torch
from torch import nn

from companion.backbones import resnet18
from companion.experiments.data import Dataset, Transform
from measure import DEVICE, size
from ugradsl_core.samples import Batch
from ugradsl_core.training import Execution

WIDTH = size("WIDTH", 8)
BATCH = size("BATCH", 128)
EXECUTION = Execution(device=DEVICE)
PLACE = torch.device(DEVICE)


def pictures(n: int, seed: int, contrast: tuple[float, float] = (1.0, 1.0)) -> Dataset:
    """32×32 colour pictures of random blocks; contrast varies from picture to picture."""
    g = torch.Generator().manual_seed(seed)
    blocks = torch.randint(-127, 128, (n, 4, 4, 3), generator=g).float()
    low, high = contrast
    blocks *= low + (high - low) * torch.rand(n, 1, 1, 1, generator=g)
    inputs = (128 + blocks).to(torch.uint8)
    inputs = inputs.repeat_interleave(8, 1).repeat_interleave(8, 2).contiguous()
    return Dataset(
        name="random",
        inputs=inputs.to(PLACE),
        all_labels=torch.randint(10, (n,), generator=g),
        num_classes=10,
        transform=Transform(255.0, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)),
        class_names=tuple("0123456789"),
        source="random",
        checksum="",
    )


def in_memory(samples: Dataset, batch_size: int, steps: int | None = None) -> list[Batch]:
    """Ready batches; ``steps`` of them, from the start again where there are fewer samples."""
    count = len(samples)
    steps = -(-count // batch_size) if steps is None else steps
    order = torch.arange(min(count, steps * batch_size))
    order = order.repeat(-(-steps * batch_size // len(order)))
    plan = [order[i * batch_size : (i + 1) * batch_size] for i in range(steps)]
    return list(samples.batches(plan))


def network(num_classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return resnet18(num_classes, 3, WIDTH).to(PLACE, memory_format=torch.channels_last)


def sgd(model: nn.Module, lr: float) -> torch.optim.SGD:
    parameters = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, weight_decay=5e-4, fused=True)
