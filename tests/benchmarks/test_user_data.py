"""Users' own tensors and data sets: what ``unlearn`` costs beside a loop written by hand."""

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset, TensorDataset

from measure import DEVICE, compare, size
from ugradsl_core import Execution, unlearn

BATCH = 64
EXECUTION = Execution(device=DEVICE)


def small_cnn() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def tensors(n: int) -> TensorDataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(n, 3, 32, 32, generator=generator)
    return TensorDataset(x, torch.randint(10, (n,), generator=generator))


def by_hand(whole: TensorDataset, retain: Tensor, forget: Tensor) -> float:
    """Seconds of an epoch of Eq. (8) at α = 0, which reads its batches from the tensors."""
    x, y = whole.tensors
    model = small_cnn().to(DEVICE, memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4, fused=True
    )
    start = time.perf_counter()
    kept = retain[torch.randperm(len(retain))[: len(forget)]].split(BATCH)
    forgotten = forget[torch.randperm(len(forget))].split(BATCH)
    for rows_r, rows_f in zip(kept, forgotten, strict=True):
        optimiser.zero_grad(set_to_none=True)
        loss = 0.9 * F.cross_entropy(model(x[rows_r].to(DEVICE)), y[rows_r].to(DEVICE))
        loss = loss - 0.1 * F.cross_entropy(model(x[rows_f].to(DEVICE)), y[rows_f].to(DEVICE))
        loss.backward()
        optimiser.step()
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start


def test_ugradsl_over_tensors_costs_a_loop_by_hand() -> None:
    whole = tensors(size("TENSORS", 4 * 40 * BATCH))
    cut = len(whole) // 4
    forget, retain = torch.arange(cut), torch.arange(cut, len(whole))
    sets = {"retain": Subset(whole, retain.tolist()), "forget": Subset(whole, forget.tolist())}
    small: dict[str, Any] = {"alpha": 0.0, "epochs": 1, "batch_size": BATCH, "lr": 0.001}

    def ours() -> float:
        return unlearn("ugradsl", small_cnn(), **sets, **small, execution=EXECUTION).seconds

    compare(
        "UGradSL over tensors / loop by hand", ours, lambda: by_hand(whole, retain, forget), 1.05
    )


class Slow(Dataset):
    """Items that take a millisecond each, and declare no labels."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        time.sleep(1e-3)
        return torch.full((3, 32, 32), index % 10 / 10), index % 10


def test_the_first_batch_of_many_items_comes_at_once() -> None:
    """Two seconds at most before the first step, of 50,000 items that take a millisecond each."""
    first: list[float] = []

    class Noting(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            if self.training and not first:
                first.append(time.perf_counter())
            return super().forward(x)

    whole = Slow(50_000)
    sets = {"retain": Subset(whole, range(600, 50_000)), "forget": Subset(whole, range(600))}
    start = time.perf_counter()
    unlearn("ga", Noting(*small_cnn()), **sets, epochs=1, batch_size=BATCH, execution=EXECUTION)
    waited = first[0] - start
    print(f"\nfirst step of 50,000 items after {waited:.2f} s (limit 2)")
    assert waited <= 2
