"""Images that stay on disk: decoded by threads, a few batches ahead of the model."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Generator, Tensor

from companion.experiments.data.images import Dataset, Transform
from companion.experiments.data.streamed.file_list import FileList, SquareCrop
from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.samples import Augmentation, Batch
from ugradsl_core.samples.inputs import send

CPU = torch.device("cpu")
MOST_WORKERS = 16
CHUNK = 16  # images that a thread decodes before it takes new ones
BLOCK = 4096  # images whose results are awaited together


def default_workers() -> int:
    """Threads that decode: one for each core this process may use, at most 16."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return min(cores, MOST_WORKERS)


@dataclass(frozen=True, eq=False)
class _PendingBatch:
    """A batch that is being decoded, and the generator's state before its augmentation."""

    rows: Tensor
    stored: Tensor
    parts: list[Future[None]]
    state: Tensor


@dataclass(frozen=True, eq=False)
class StreamedDataset:
    """Images on disk, decoded when they are asked for; memory does not grow with their number.

    The batches are those of the in-memory :class:`Dataset` of the same files, bit for bit, with
    the same generator and whatever the number of workers. At most ``prefetch`` + 1 batches are
    decoded and not yet used up.

    Attributes:
        name: the data set's name.
        files: where the images are, with labels and groups.
        crop: how an image becomes a square.
        num_classes: K.
        transform: how stored values become model inputs.
        class_names: K names.
        source: where the data come from.
        group_names: names of the groups.
        workers: threads that decode.
        prefetch: batches that are decoded ahead of the one in use.
        device: where batches are normalised and augmented, and come out.
        index: the samples of this view, or None for all.
    """

    name: str
    files: FileList
    crop: SquareCrop
    num_classes: int
    transform: Transform
    class_names: tuple[str, ...]
    source: str
    group_names: tuple[str, ...] = ()
    workers: int = 1
    prefetch: int = 2
    device: torch.device = CPU
    index: Tensor | None = None

    def __post_init__(self) -> None:
        for field, least in (("workers", 1), ("prefetch", 0)):
            if getattr(self, field) < least:
                raise ConfigError(
                    f"{field}: should be at least {least}; found {getattr(self, field)}"
                )

    def __len__(self) -> int:
        return len(self.files) if self.index is None else len(self.index)

    @property
    def labels(self) -> Tensor:
        """Labels of this view, int64, (N,)."""
        return self.files.labels if self.index is None else self.files.labels[self.index]

    @property
    def groups(self) -> Tensor | None:
        """Groups of this view, int64, (N,), or None."""
        groups = self.files.groups
        return groups if groups is None or self.index is None else groups[self.index]

    @property
    def checksum(self) -> str:
        """SHA-256 over the files, computed once and when first asked for; the same for all views.

        See :attr:`FileList.checksum` for what enters it.
        """
        return self.files.checksum

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one input as a model sees it: (C, H, W)."""
        return 3, self.crop.size, self.crop.size

    @property
    def vocabulary(self) -> int | None:
        """None, as images have no vocabulary."""
        return None

    @property
    def input_range(self) -> tuple[Tensor, Tensor]:
        """The least and the largest value that an input can have, each (C, 1, 1)."""
        nothing = torch.empty(0, dtype=torch.long)
        return self._dataset(self._pixels(0).to(self.device), nothing).input_range

    def take(self, index: Tensor) -> "StreamedDataset":
        """A view of the samples ``index`` of this one; nothing is copied or read."""
        return replace(self, index=index if self.index is None else self.index[index])

    def to(self, device: torch.device) -> "StreamedDataset":
        """The same images, whose batches come out on ``device``."""
        return replace(self, device=device)

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Float inputs (n, C, H, W), channels last in memory, and labels, for each index tensor.

        A lazy plan may draw from ``generator``. It is read ahead, each batch's augmentation drawn
        as it is read, and the generator is put back whenever a batch comes out: the caller finds
        it as if nothing were ahead.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        random = torch.default_generator if generator is None else generator
        orders, waiting = iter(plan), deque[_PendingBatch]()
        left = ahead = random.get_state()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="decode")
        try:
            while True:
                if torch.equal(random.get_state(), left):
                    random.set_state(ahead)
                else:  # the caller drew from it between two batches
                    waiting = deque(self._drawn(batch, augment, random) for batch in waiting)
                while len(waiting) <= self.prefetch and (rows := next(orders, None)) is not None:
                    waiting.append(self._drawn(self._started(rows, pool), augment, random))
                ahead = random.get_state()
                if not waiting:
                    return
                batch = waiting.popleft()
                for part in batch.parts:
                    part.result()
                random.set_state(batch.state)
                stored = send(batch.stored, self.device)
                held = self._dataset(stored, self.files.labels[batch.rows])
                whole = [torch.arange(len(batch.rows))]
                (ready,) = held.batches(whole, augment=augment, generator=random)
                del batch, held, stored
                left = random.get_state()
                yield ready
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def in_memory(self) -> Dataset:
        """All images of this view decoded once, as a :class:`Dataset` with the same checksum.

        Raises:
            DataError: an image cannot be read; the message names it.
        """
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            batch = self._started(torch.arange(len(self)), pool)
            try:
                for part in batch.parts:
                    part.result()
            except DataError:
                pool.shutdown(cancel_futures=True)
                raise
        held = self._dataset(batch.stored.to(self.device), self.labels)
        return replace(held, checksum=self.checksum, all_groups=self.groups)

    def readable(self) -> np.ndarray:
        """For each file whether it can be decoded, boolean (N,); reads all of them once."""

        def check(number: int) -> bool:
            try:
                self.crop.read(self.files.path(number))
            except DataError:
                return False
            return True

        found = np.empty(len(self.files), bool)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="decode") as pool:
            for start in range(0, len(found), BLOCK):
                end = min(start + BLOCK, len(found))
                found[start:end] = list(pool.map(check, range(start, end)))
        return found

    def _pixels(self, n: int) -> Tensor:
        return torch.empty(n, self.crop.size, self.crop.size, 3, dtype=torch.uint8)

    def _dataset(self, stored: Tensor, labels: Tensor) -> Dataset:
        """Decoded images as a data set in memory."""
        return Dataset(
            name=self.name,
            inputs=stored,
            all_labels=labels,
            num_classes=self.num_classes,
            transform=self.transform,
            class_names=self.class_names,
            source=self.source,
            checksum="",
            group_names=self.group_names,
        )

    def _started(self, chosen: Tensor, pool: ThreadPoolExecutor) -> _PendingBatch:
        """Hand the images ``chosen`` of this view to the threads."""
        rows = chosen if self.index is None else self.index[chosen]
        stored = self._pixels(len(rows))
        images, numbers = stored.numpy(), rows.tolist()

        def decode(start: int, end: int) -> None:
            for place in range(start, end):
                images[place] = self.crop.read(self.files.path(numbers[place]))

        step = max(1, min(CHUNK, -(-len(rows) // self.workers)))
        cuts = [*range(0, len(rows), step), len(rows)]
        parts = [pool.submit(decode, start, end) for start, end in pairwise(cuts)]
        return _PendingBatch(rows, stored, parts, torch.empty(0))

    def _drawn(
        self, batch: _PendingBatch, augment: Augmentation, random: Generator
    ) -> _PendingBatch:
        """The batch with the generator's present state, which then moves on past the batch.

        What augmentation draws depends on the number of images alone, so images of one pixel do.
        """
        state = random.get_state()
        if augment == "none":
            return replace(batch, state=state)
        n = len(batch.rows)
        tiny = torch.zeros(n, 1, 1, 3, dtype=torch.uint8)
        held = self._dataset(tiny, torch.zeros(n, dtype=torch.long))
        for _ in held.batches([torch.arange(n)], augment=augment, generator=random):
            pass
        return replace(batch, state=state)
