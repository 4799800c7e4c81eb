"""Items of a user's data set to batches; what cannot be read is one sentence with set and item."""

import operator
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset, TensorDataset, default_collate

from ugradsl_core.errors import DataError
from ugradsl_core.samples.inputs import Inputs, each, one_line, size

Collate = Callable[[list[Any]], Any]
LABELS = ("labels", "label", "targets", "target", "y")  # the names of an item's label
PAIRS = "items should be (input, integer label) pairs, or mappings with a label"


class MapStyle(Protocol):
    """A map-style data set of (input, label) pairs, as ``torch.utils.data`` defines it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class Source:
    """A user's data set, its name in messages, and how its items become a batch.

    Attributes:
        name: ``retain``, ``forget`` or ``test``.
        dataset: whose items are pairs or mappings.
        collate: makes a batch of a list of items; None is ``default_collate``.
    """

    name: str
    dataset: MapStyle
    collate: Collate | None = None

    @cached_property
    def stored(self) -> tuple[Tensor, ...] | None:
        """Input and label tensors of a ``TensorDataset``, and the rows of it that this set is.

        None where items are made in any other way.
        """
        if self.collate is not None:
            return None
        found = stored_tensors(self.dataset)
        if found is None or len(found[0]) != 2:
            return None
        tensors, rows = found
        return tensors if rows is None else (*tensors, rows)

    @property
    def all_labels(self) -> Tensor | None:
        """The labels of all items, int64, where they are in a tensor that items are made of."""
        if self.stored is None:
            return None
        labels = self.stored[1]
        if len(self.stored) == 3:
            labels = labels.index_select(0, self.stored[2].to(labels.device))
        return _whole(labels, torch.arange(len(labels)), self.name).cpu()

    def read(self, rows: Tensor) -> tuple[Inputs, Tensor]:
        """Inputs and labels of the items ``rows``: tensors (n, …) and int64 (n,).

        Raises:
            DataError: an item cannot be read, or they make no batch.
        """
        with torch.inference_mode(False):
            if self.stored is not None:
                inputs, labels, *chosen = self.stored
                own = chosen[0][rows] if chosen else rows
                batch = [t.index_select(0, own.to(t.device)) for t in (inputs, labels)]
            else:
                batch = self._batch(rows.tolist())
            found, numbers = self._parted(batch, rows)
            return each(self._held, found), self._held(numbers)

    def _held(self, tensor: Tensor) -> Tensor:
        """The tensor without its history, so that no gradient reaches what it was computed from."""
        if tensor.is_meta:
            raise DataError(f"{self.name}: its tensors are on the meta device and hold nothing")
        return tensor.detach()

    def _batch(self, numbers: list[int]) -> Any:
        items = self.items(numbers)
        try:
            return (self.collate or default_collate)(items)
        except Exception as error:  # a collate_fn's own code may raise anything
            batch = None if self.collate else _numbered(items)
            if batch is None:
                raise DataError(f"{self.name}: {self._why(items, numbers, error)}") from error
            return batch

    def items(self, numbers: Sequence[int]) -> list[Any]:
        """The items themselves, together where the data set can read several at once.

        Raises:
            DataError: one cannot be read; it is named.
        """
        if len(numbers) > 1 and _reads_many(self.dataset):
            with suppress(Exception):  # one after the other says which it is
                found = list(self.dataset.__getitems__(list(numbers)))  # type: ignore[attr-defined]
                if len(found) == len(numbers):
                    return found
        return [self._item(number) for number in numbers]

    def _item(self, number: int) -> Any:
        try:
            return self.dataset[number]
        except Exception as error:  # a data set's own code may raise anything
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise DataError(f"{self.name}: item {number} cannot be read ({reason})") from error

    def _why(self, items: list[Any], numbers: Sequence[int], error: Exception) -> str:
        """The reason why items make no batch."""
        for number, item in zip(numbers, items, strict=True):
            if item is None:
                return f"item {number} is None; leave it out of the data set"
        if self.collate is not None:
            few = ", ".join(map(str, numbers[:3])) + ", …" * (len(numbers) > 3)
            return f"collate_fn fails on items {few} ({one_line(error)})"
        for number, item in zip(numbers, items, strict=True):
            if isinstance(item, Sequence | Mapping) and not isinstance(item, str | bytes):
                parts = list(item.values() if isinstance(item, Mapping) else item)
                gone = next((i for i, part in enumerate(parts) if part is None), None)
                if gone is not None:
                    what = "label" if gone == len(parts) - 1 else "input"
                    return f"{PAIRS}; the {what} of item {number} is None"
        for number, item in zip(numbers, items, strict=True):
            ours, theirs = _shapes(items[0]), _shapes(item)
            if ours != theirs:
                pairs = isinstance(ours, tuple) and len(ours) == len(theirs) == 2
                part = int(pairs and ours[0] == theirs[0])
                what, shapes = "", (ours, theirs)
                if pairs:
                    what = ("the inputs of ", "the labels of ")[part]
                    shapes = (ours[part], theirs[part])
                return (
                    f"{what}items {numbers[0]} and {number} make no batch, as their shapes "
                    f"are {shapes[0]} and {shapes[1]}; bring them to one shape, pass "
                    "collate_fn=…, or take batch_size=1"
                )
        with suppress(Exception):  # inputs that make a batch without their labels
            inputs, labels = zip(*items, strict=True)
            default_collate(list(inputs))
            said = f"{type(labels[0]).__name__} {labels[0]!r:.40}"
            return f"{PAIRS}; item {numbers[0]} has a label that is {' '.join(said.split())}"
        return (
            f"{PAIRS}, of tensors, arrays or numbers; images need a transform to tensors "
            f"({one_line(error)})"
        )

    def _parted(self, batch: Any, rows: Tensor) -> tuple[Inputs, Tensor]:
        """Inputs and labels in the batch that ``collate`` made of the items ``rows``."""
        if isinstance(batch, Mapping):
            key = next((name for name in LABELS if name in batch), None)
            if key is None:
                found = ", ".join(f"{key!s:.20}" for key in batch)
                raise DataError(
                    f"{self.name}: {PAIRS}; found mappings of {found}, and none of them is called "
                    f"{', '.join(LABELS)}"
                )
            others = {k: v for k, v in batch.items() if k not in (key, "label", "labels")}
            inputs, labels = _tensors(others), batch[key]
        elif isinstance(batch, list | tuple) and len(batch) == 2:
            inputs, labels = batch
            inputs = _tensors(inputs) if isinstance(inputs, Mapping) else inputs
        else:
            many = f" of {len(batch)}" if isinstance(batch, list | tuple) else ""
            raise DataError(f"{self.name}: {PAIRS}; found {type(batch).__name__}{many}")
        if not isinstance(inputs, Tensor | dict) or not len(inputs):
            raise DataError(
                f"{self.name}: {PAIRS}, with tensors as input; found {type(inputs).__name__}"
            )
        sizes = {size(inputs)} if isinstance(inputs, Tensor) else {*map(len, inputs.values())}
        if sizes != {len(rows)}:
            raise DataError(
                f"{self.name}: collate_fn should keep each item as one row; it made "
                f"{sorted(sizes)} of {len(rows)}"
            )
        return inputs, _whole(labels, rows, self.name)


def _tensors(batch: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The tensors of a mapping; texts and the like are no input of a model."""
    return {str(k): v for k, v in batch.items() if isinstance(v, Tensor) and v.ndim}


def _numbered(items: list[Any]) -> Any:
    """A batch of pairs whose labels are whole numbers, of a type that makes none; else None."""
    with suppress(Exception):
        return default_collate([(inputs, operator.index(label)) for inputs, label in items])
    return None


def _shapes(item: Any) -> Any:
    """The shapes of what an item is made of."""
    with suppress(Exception):  # nested tensors have none
        return tuple(item.shape)
    if isinstance(item, Mapping):
        return {key: _shapes(value) for key, value in item.items()}
    if isinstance(item, list | tuple):
        numbers = item and all(isinstance(part, int | float) for part in item)
        return (len(item),) if numbers else tuple(map(_shapes, item))
    return ()


def _whole(labels: Any, rows: Tensor, name: str) -> Tensor:
    """Labels as int64 (n,), however they were held.

    Raises:
        DataError: they are not one whole number for each item.
    """
    if isinstance(labels, list | tuple) and len(labels) == 1 and isinstance(labels[0], Tensor):
        (labels,) = labels  # of labels that are lists of one
    try:
        found = torch.as_tensor(labels)
        whole = not (found.is_floating_point() or found.is_complex())
        if whole and found.numel() == len(rows):
            return found.reshape(-1).long()
        said = f"{found.dtype} of shape {tuple(found.shape[1:])}".replace("torch.", "")
    except (TypeError, ValueError, RuntimeError, OverflowError):
        first = labels[0] if isinstance(labels, list | tuple) and labels else labels
        said = f"{type(first).__name__} {first!r:.40}" + (
            "; number the classes from 0" if isinstance(first, str) else ""
        )
    raise DataError(f"{name}: {PAIRS}; item {int(rows[0])} has a label that is {said}")


def stored_tensors(dataset: object) -> tuple[tuple[Tensor, ...], Tensor | None] | None:
    """The tensors of a ``TensorDataset`` or of subsets of one, and which of its rows; else None.

    Classes that make items in a way of their own are not looked through.
    """
    if isinstance(dataset, TensorDataset) and _inherits(dataset, TensorDataset):
        strided = all(t.layout is torch.strided for t in dataset.tensors)
        return (dataset.tensors, None) if strided else None
    if not isinstance(dataset, Subset) or not _inherits(dataset, Subset):
        return None
    found = stored_tensors(dataset.dataset)
    indices = subset_rows(dataset)
    if found is None or indices is None:
        return None
    tensors, rows = found
    known = len(tensors[0]) if rows is None else len(rows)
    if not len(indices) or int(indices.min()) < -known or int(indices.max()) >= known:
        return None
    indices = torch.where(indices < 0, indices + known, indices)
    return tensors, indices if rows is None else rows[indices]


def subset_rows(dataset: Any) -> Tensor | None:
    """``indices`` of a subset as int64 (n,); None where they are no whole numbers, one each."""
    try:
        found = torch.as_tensor(np.asarray(dataset.indices))
    except (TypeError, ValueError, RuntimeError):
        return None
    whole = not (found.is_floating_point() or found.dtype == torch.bool)
    return found.long().cpu() if whole and found.shape == (len(dataset),) else None


def _inherits(dataset: object, base: type) -> bool:
    """Tell whether items are read as ``base`` reads them."""
    names = ("__getitem__", "__getitems__", "__len__")
    return all(getattr(type(dataset), n, None) is getattr(base, n, None) for n in names)


def _reads_many(dataset: object) -> bool:
    """Tell whether the data set has ``__getitems__`` and no newer ``__getitem__`` of a subclass."""
    order = type(dataset).__mro__
    place = {
        name: next((i for i, c in enumerate(order) if name in vars(c)), len(order))
        for name in ("__getitem__", "__getitems__")
    }
    return place["__getitems__"] < len(order) and place["__getitems__"] <= place["__getitem__"]


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Make what transforms draw from torch, ``random`` and NumPy follow ``seed``.

    Their states are as before on leaving. So a batch does not depend on the process that reads it
    or on those read before.
    """
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])
