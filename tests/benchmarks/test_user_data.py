"""Users' own tensors and data sets: what ``unlearn`` costs beside a loop written by hand."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate

from measure import DEVICE, clock, compare, size
from ugradsl_core import Execution, unlearn

Read = Callable[[str, Tensor], tuple[Tensor, Tensor]]

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


class Together(Dataset):
    """Reads several items at once, as tables of Hugging Face do; one by one it refuses."""

    def __init__(self, whole: TensorDataset) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if index:  # the first item shows what items are
            raise AssertionError("items are read together")
        return self.whole[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        x, y = self.whole.tensors
        rows = torch.tensor(indices)
        return list(zip(x[rows], y[rows], strict=True))


def by_hand(read: Read, n_retain: int, n_forget: int) -> float:
    """Seconds of an epoch of Eq. (8) at α = 0; ``read`` makes a batch of a set's rows."""
    model = small_cnn().to(DEVICE, memory_format=torch.channels_last).train()
    optimiser = torch.optim.SGD(
        model.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4, fused=True
    )

    def loss_of(name: str, rows: Tensor) -> Tensor:
        x, y = read(name, rows)
        return F.cross_entropy(model(x.to(DEVICE)), y.to(DEVICE))

    start = clock()
    kept = torch.randperm(n_retain)[:n_forget].split(BATCH)
    forgotten = torch.randperm(n_forget).split(BATCH)
    for rows_r, rows_f in zip(kept, forgotten, strict=True):
        optimiser.zero_grad(set_to_none=True)
        loss = 0.9 * loss_of("retain", rows_r) - 0.1 * loss_of("forget", rows_f)
        loss.backward()
        optimiser.step()
    if DEVICE.startswith("cuda"):
        torch.cuda.synchronize()
    return clock() - start


@pytest.mark.parametrize("kind", ["tensors", "__getitems__"])
def test_ugradsl_over_what_is_read_in_batches_costs_a_loop_by_hand(kind: str) -> None:
    whole = tensors(size("TENSORS", 4 * 40 * BATCH))
    cut = len(whole) // 4
    rows = {"retain": torch.arange(cut, len(whole)), "forget": torch.arange(cut)}
    parts = {name: TensorDataset(*whole[chosen]) for name, chosen in rows.items()}
    sets: dict[str, Any] = (
        {name: Subset(whole, chosen.tolist()) for name, chosen in rows.items()}
        if kind == "tensors"
        else {name: Together(part) for name, part in parts.items()}
    )
    small: dict[str, Any] = {"alpha": 0.0, "epochs": 1, "batch_size": BATCH, "lr": 0.001}

    def read(name: str, chosen: Tensor) -> tuple[Tensor, Tensor]:
        if kind == "tensors":
            x, y = parts[name].tensors
            return x[chosen], y[chosen]
        x, y = default_collate(sets[name].__getitems__(chosen.tolist()))
        return x, y

    def ours() -> float:
        return unlearn("ugradsl", small_cnn(), **sets, **small, execution=EXECUTION).seconds

    sizes = len(parts["retain"]), len(parts["forget"])
    compare(f"UGradSL over {kind} / loop by hand", ours, lambda: by_hand(read, *sizes), 1.05)


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
