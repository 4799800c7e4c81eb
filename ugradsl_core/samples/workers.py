"""Processes that read batches of a user's data sets, and live as long as they are needed."""

import io
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ugradsl_core.errors import DataError
from ugradsl_core.samples.inputs import one_line
from ugradsl_core.samples.overlap import hashes
from ugradsl_core.samples.reading import Source, drawn_from


@dataclass(frozen=True, eq=False)
class Job:
    """Items to read: of which set, which rows, under which seed; as a batch, or hashed."""

    name: str
    rows: Tensor
    seed: int
    hashed: bool = False

    def message(self) -> tuple[str, list[int], int, bool]:
        """The job for another process; a short list travels faster than shared memory."""
        return self.name, self.rows.tolist(), self.seed, self.hashed


def done(source: Source, job: Job) -> Any:
    """A batch of the items, or their hashes; raises DataError as :meth:`Source.read` does."""
    if source.stored is not None and not job.hashed:
        return source.read(job.rows)
    with drawn_from(job.seed):
        return hashes(source, job.rows) if job.hashed else source.read(job.rows)


class _Jobs(Dataset[Any]):
    """The jobs of a ``DataLoader``, whose processes look them up as if they were items."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = dict(sources)

    def __getitem__(self, message: tuple[str, list[int], int, bool]) -> Any:
        name, rows, seed, hashed = message
        try:
            return done(self.sources[name], Job(name, torch.tensor(rows), seed, hashed))
        except DataError as error:
            return DataError(str(error))  # alone, as tracebacks do not travel well


@dataclass(eq=False)
class _Crew:
    """One ``DataLoader`` and its processes; what ``plan`` holds is what they read next."""

    loader: DataLoader[Any]
    plan: list[tuple[str, list[int], int, bool]]

    def end(self) -> None:
        """End the processes now; the traceback of an error would keep them alive."""
        running, self.loader._iterator = self.loader._iterator, None
        if running is not None:
            running._shutdown_workers()  # type: ignore[attr-defined]


@dataclass(eq=False)
class Workers:
    """``count`` processes for each set that is read at a time; without any, this one reads.

    They start when they are first needed, are used again for every set and epoch, and end with
    the block.

    Attributes:
        sources: the data sets by name.
        count: processes.
    """

    sources: Mapping[str, Source]
    count: int = 0
    _crews: list[_Crew] = field(default_factory=list)
    _free: list[_Crew] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for crew in self._crews:
            crew.end()
        self._crews.clear()
        self._free.clear()

    def run(self, jobs: Sequence[Job]) -> Iterator[Any]:
        """The results of the jobs, all of one set, in order.

        Raises:
            DataError: an item cannot be read, or a process cannot start or has died.
        """
        if not jobs:
            return
        source = self.sources[jobs[0].name]
        if self.count == 0 or (source.stored is not None and not jobs[0].hashed):
            for job in jobs:
                yield done(source, job)
            return
        crew = self._free.pop() if self._free else self._started()
        crew.plan[:] = [job.message() for job in jobs]
        lives = True
        try:
            for found in crew.loader:
                if isinstance(found, DataError):
                    raise found
                yield found
        except (RuntimeError, OSError, EOFError, pickle.PicklingError) as error:
            lives = False
            raise DataError(
                f"{source.name}: a process that reads it has ended ({one_line(error)}); say "
                "workers=0, and where processes are spawned keep the script's own work under "
                "if __name__ == '__main__'"
            ) from error
        finally:  # also where a plan is left halfway: a loader drops what is left of it
            if lives and crew in self._crews:
                self._free.append(crew)

    def _started(self) -> _Crew:
        if torch.multiprocessing.get_start_method() != "fork":
            for source in self.sources.values():
                check_picklable(source)
        plan: list[tuple[str, list[int], int, bool]] = []
        loader: DataLoader[Any] = DataLoader(
            _Jobs(self.sources),
            batch_size=None,
            sampler=plan,
            num_workers=self.count,
            persistent_workers=True,
            generator=torch.Generator(),  # its own: torch's global state stays as it is
        )
        self._crews.append(_Crew(loader, plan))
        return self._crews[-1]


def check_picklable(source: Source) -> None:
    """Raise DataError where a data set cannot be sent to a process that is spawned."""
    try:
        _Trial(io.BytesIO()).dump((source.dataset, source.collate))
    except Exception as error:  # __reduce__ and __getstate__ may raise anything
        raise DataError(
            f"{source.name}: cannot be sent to the processes that workers asks for "
            f"({one_line(error)}); define its functions and classes in a module, not inside a "
            "function or as a lambda, or use workers=0"
        ) from error


class _Trial(pickle.Pickler):
    """Pickles all but the numbers themselves, and what only a starting process can take."""

    def reducer_override(self, obj: Any) -> Any:
        plain = isinstance(obj, Tensor) or (isinstance(obj, np.ndarray) and not obj.dtype.hasobject)
        if plain or type(obj).__module__.startswith(("multiprocessing.", "torch.multiprocessing.")):
            return int, ()
        return NotImplemented
