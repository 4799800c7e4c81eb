"""Data sets and models of users, which the tests of ``unlearn`` and ``evaluate`` share.

They stand in a module of their own, so that processes that are spawned can import them.
"""

import os
import random
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset, TensorDataset, get_worker_info

from toys import SIDE, TOKENS, VOCABULARY, K
from ugradsl_core.api.data import opened
from ugradsl_core.samples.workers import Workers
from ugradsl_core.training.progress import SILENT


def pictures(n: int, seed: int = 0) -> TensorDataset:
    """Random images and labels that take turns."""
    generator = torch.Generator().manual_seed(seed)
    return TensorDataset(torch.rand(n, 1, SIDE, SIDE, generator=generator), torch.arange(n) % K)


def halves(whole: Any, n_forget: int = 8) -> dict[str, Any]:
    """D_r and D_f of a data set of pairs of tensors."""
    return {
        "retain": TensorDataset(*whole[n_forget:]),
        "forget": TensorDataset(*whole[:n_forget]),
    }


class Items(Dataset):
    """Items made by a function of the number; counts those that are read."""

    def __init__(self, n: int, make: Callable[[int], Any]) -> None:
        self.n, self.make, self.read = n, make, 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        self.read += 1
        return self.make(index)


class Numbered(Dataset):
    """Items from number ``start`` on: a row of numbers, and a label of some type."""

    def __init__(self, start: int, n: int, label: Callable[[int], Any] = int) -> None:
        self.start, self.n, self.label = start, n, label

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return number(self.start + index), self.label((self.start + index) % K)


def number(index: int) -> Tensor:
    """Four features that only this item has."""
    return torch.tensor([index, index**2 % 7, index % 3, 1.0]) / 10


class Noisy(Numbered):
    """Each item has noise from torch, ``random`` and NumPy."""

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        noise = torch.rand(1).item() + random.random() + np.random.rand()
        return x + 0.1 * noise, y


class Pids(Numbered):
    """The first feature is the number of the process that read the item."""

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        x[0] = os.getpid()
        return x, y


class InWorkers(Numbered):
    """Can only be read by a process that was started for it."""

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is None:
            raise RuntimeError("read in the main process")
        return super().__getitem__(index)


class Dying(Numbered):
    """Ends the process that reads its fourth item."""

    def __getitem__(self, index: int) -> Any:
        if index == 3 and get_worker_info() is not None:
            os._exit(3)
        return super().__getitem__(index)


class Outer(Dataset):
    """A wrapper of the usual kind, with a name of its own for what it wraps."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def __len__(self) -> int:
        return len(self.inner)

    def __getitem__(self, index: int) -> Any:
        return self.inner[index]


class Texts(nn.Module):
    """A classifier that is called by name, as those of ``transformers``; also with a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 6)
        self.norm = nn.BatchNorm1d(6)
        self.head = nn.Linear(6, K)

    def forward(self, input_ids: Any, attention_mask: Tensor | None = None) -> Tensor:
        if not isinstance(input_ids, Tensor):
            return self.forward(**input_ids)
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        weights = mask[..., None] / mask.sum(1)[:, None, None]
        return self.head(self.norm((self.embedding(input_ids) * weights).sum(1)))


def tokens(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random rows of tokens, and labels that take turns."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(VOCABULARY, (n, TOKENS), generator=generator), torch.arange(n) % K


class Sentences(Dataset):
    """Mappings with ids, mask, a text and the label, under names of one's choice."""

    def __init__(self, rows: Tensor, labels: Tensor, label: str = "labels") -> None:
        self.rows, self.answers, self.label = rows, labels, label

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return {
            "text": f"sentence {index}",
            "input_ids": self.rows[index],
            "attention_mask": torch.ones(TOKENS, dtype=torch.long),
            "number": index,
            self.label: int(self.answers[index]),
        }


def line() -> nn.Module:
    """A linear classifier of :func:`number`."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(4, K)


def reading(sets: Mapping[str, object], workers: int) -> AbstractContextManager[Workers]:
    """Sets opened as ``unlearn`` opens them, with that many processes."""
    return opened(sets, workers, None, "identity", SILENT)
