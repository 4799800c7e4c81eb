"""A user's own data sets, checked with the model before anything is computed."""

import inspect
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, Subset, default_collate, default_convert
from torch.utils.data.distributed import DistributedSampler

from ugradsl_core import errors
from ugradsl_core.api.model import (
    Interface,
    check_kind,
    check_weights,
    core_of,
    probe,
    works_with_channels_last,
)
from ugradsl_core.errors import ConfigError, DataError, unknown_name
from ugradsl_core.samples.inputs import Inputs, send, to_device
from ugradsl_core.samples.overlap import CHOICES, CheckOverlap, check_contents, check_identity
from ugradsl_core.samples.protocol import Augmentation, Batch
from ugradsl_core.samples.reading import Collate, MapStyle, Source
from ugradsl_core.samples.workers import Job, Workers
from ugradsl_core.training.execution import Execution
from ugradsl_core.training.progress import SILENT, Progress

BLOCK = 256  # items that are read at a time for their labels or contents


def _chosen(inputs: Inputs, columns: tuple[str, ...] | None) -> Inputs:
    """The named inputs ``columns``, as :class:`UserSamples` has them."""
    if columns is None or isinstance(inputs, Tensor):
        return inputs
    if not columns:
        (only,) = inputs.values()
        return only
    return {name: inputs[name] for name in columns}


def _checked(dataset: object, name: str) -> MapStyle:
    """The data set, if it is a map-style one with items."""
    usable = hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")
    if isinstance(dataset, IterableDataset) or not usable:
        raise DataError(
            f"{name}: should be a map-style data set with __len__ and __getitem__; "
            f"found {type(dataset).__name__}"
        )
    found = cast(MapStyle, dataset)
    try:
        empty = len(found) == 0
    except Exception as error:  # a data set's own code may raise anything
        raise DataError(f"{name}: its length cannot be found ({error})") from error
    if empty:
        raise DataError(f"{name}: is empty")
    inner: Any = dataset
    while isinstance(inner, Subset):
        if errors.is_truth(next(iter(inner.indices), None)):
            raise DataError(
                f"{name}: its indices are a mask; pass the numbers of its rows instead, such as "
                "those of numpy.flatnonzero"
            )
        inner = inner.dataset
    return found


def _loaded(loader: DataLoader[Any], name: str) -> Any:
    """The data set of a loader, if the loader shows all of it.

    Raises:
        DataError: its sampler leaves items out, and samplers are not used.
    """
    batches: Any = loader.batch_sampler
    whole: Any = loader.dataset
    shown = total = 0
    with suppress(Exception):  # a sampler of one's own may have no length
        sampler: Any = getattr(batches, "sampler", loader.sampler)
        shown = sum(map(len, batches)) if isinstance(batches, list) else len(sampler)
        total = len(whole)
    if shown < total and not isinstance(sampler, DistributedSampler):
        raise DataError(
            f"{name}: its loader shows {shown} of its {total} items, but samplers are not used; "
            "pass a Subset of the items"
        )
    return whole


@dataclass(frozen=True, eq=False)
class UserSamples:
    """A user's data set behind the interface of ``samples.Samples``.

    Augmentation is the data set's own.

    Attributes:
        source: the data set, and how it is read.
        known: the labels, int64, (N,), where they are known to be those of the items.
        num_classes: K.
        device: of the batches.
        columns: of items that are mappings, those that the model takes; None is all, and one
            without a name is the only one, as a tensor.
        workers: processes that read; None reads here.
        progress: bars.
    """

    source: Source
    known: Tensor | None
    num_classes: int
    device: torch.device
    columns: tuple[str, ...] | None = None
    workers: Workers | None = None
    progress: Progress = SILENT

    def __len__(self) -> int:
        return len(self.source.dataset)

    @cached_property
    def labels(self) -> Tensor:
        """int64, (N,); all items are read where the labels are not known.

        Raises:
            DataError: an item cannot be read, or a label is no class.
        """
        if self.known is not None:
            return self.known
        rows = torch.split(torch.arange(len(self)), BLOCK)
        return torch.cat([labels.cpu() for _, labels in self.batches(rows)])

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Items of each index tensor, collated and on the device.

        Random transforms follow ``generator``, which stays as it is, and the place of the batch
        in ``plan``: they do not depend on the number of processes.

        Raises:
            DataError: an item cannot be read, items make no batch, or a label is no class.
        """
        orders = list(plan)
        seeds = torch.Generator()
        if generator is not None:
            seeds.set_state(generator.get_state())
        drawn = torch.randint(2**62, (len(orders),), generator=seeds).tolist()
        name = self.source.name
        jobs = [Job(name, rows, seed) for rows, seed in zip(orders, drawn, strict=True)]
        workers = self.workers or Workers({name: self.source})
        found = self.progress.over(name, workers.run(jobs), len(jobs))
        for rows, batch in zip(orders, found, strict=True):
            yield self._placed(batch, rows)

    def _placed(self, batch: tuple[Inputs, Tensor], rows: Tensor) -> Batch:
        inputs, labels = batch
        if self.known is None and len(labels):
            low, high = labels.min(), labels.max()
            if low < 0 or high >= self.num_classes:
                place = int(((labels < 0) | (labels >= self.num_classes)).nonzero()[0])
                raise DataError(
                    f"{self.source.name}: labels should lie in 0…{self.num_classes - 1}; found "
                    f"{int(labels[place])} (item {int(rows[place])})"
                )
        return to_device(_chosen(inputs, self.columns), self.device), send(labels, self.device)


@contextmanager
def opened(
    sets: Mapping[str, object],
    workers: int | None,
    collate_fn: Collate | None,
    check_overlap: CheckOverlap,
    progress: Progress,
) -> Iterator[Workers]:
    """The sets, data sets or loaders of them, until the block ends and with it their processes.

    Raises:
        ConfigError: a way of reading that there is not.
        DataError: a set is no map-style data set, is empty or shares samples with another one.
    """
    if check_overlap not in CHOICES:
        raise unknown_name("check_overlap", check_overlap, CHOICES)
    if collate_fn is not None and not callable(collate_fn):
        kind = type(collate_fn).__name__
        raise ConfigError(f"collate_fn: should be a function of a list of items; found {kind}")
    count = 0 if workers is None else errors.whole_number(workers, "workers")
    sources = {}
    for name, given in sets.items():
        dataset, collate = given, collate_fn
        if isinstance(given, DataLoader):
            dataset = _loaded(given, name)
            count = max(count, given.num_workers) if workers is None else count
            if collate is None and given.collate_fn not in (default_collate, default_convert):
                collate = given.collate_fn
        sources[name] = Source(name, _checked(dataset, name), collate)
    if check_overlap != "off":
        check_identity({name: source.dataset for name, source in sources.items()})
    with Workers(sources, count) as readers:
        if check_overlap == "content":
            check_contents({name: _contents(name, readers, progress) for name in sources})
        yield readers


def _contents(name: str, workers: Workers, progress: Progress) -> list[bytes]:
    """A hash of the input of each item."""
    rows = torch.split(torch.arange(len(workers.sources[name].dataset)), BLOCK)
    jobs = [Job(name, part, 0, hashed=True) for part in rows]
    found = progress.over(f"comparing {name}", workers.run(jobs), len(jobs))
    return [content for part in found for content in part]


def input_columns(model: nn.Module, inputs: Mapping[str, Tensor], name: str) -> tuple[str, ...]:
    """The named inputs that the model's ``forward`` takes by name, or all where it takes any name.

    None where it takes no such name but there is only one input, which then comes as a tensor.

    Raises:
        DataError: there are several inputs and the model takes none of them.
    """
    parameters: list[inspect.Parameter] = []
    with suppress(TypeError, ValueError):
        parameters = list(inspect.signature(core_of(model).forward).parameters.values())
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    taken = tuple(column for column in inputs if column in named)
    if taken:
        return taken
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return tuple(inputs)
    if len(inputs) == 1:
        return ()
    raise DataError(
        f"{name}: the items hold {', '.join(inputs)}, of which the model's forward takes none; it "
        f"takes {', '.join(sorted(named)) or 'nothing by name'}"
    )


def _first(sets: Workers, name: str) -> tuple[Inputs, Tensor]:
    """The first item of a set as a batch of one, read as all others are."""
    (found,) = sets.run([Job(name, torch.zeros(1, dtype=torch.long), 0)])
    return found  # type: ignore[no-any-return]


def prepare(
    model: nn.Module,
    sets: Workers,
    execution: Execution,
    reads: Collection[str] | None = None,
    *,
    training: bool,
) -> tuple[dict[str, UserSamples], Execution, Interface]:
    """Check model and data before anything is computed, and wrap the data.

    Only items of the sets ``reads`` are read, all by default. A model that will be trained is
    probed in training mode, too. The execution that comes back keeps the memory format contiguous
    where the model cannot work with channels last, for example because it flattens with ``view``.
    """
    check_kind(model)
    check_weights(model)
    device = execution.resolve()
    probed = {name: _first(sets, name) for name in (sets.sources if reads is None else reads)}
    columns = {
        name: None if isinstance(inputs, Tensor) else input_columns(model, inputs, name)
        for name, (inputs, _) in probed.items()
    }
    probes = {
        name: to_device(_chosen(inputs, columns[name]), device)
        for name, (inputs, _) in probed.items()
    }
    interface = probe(model, probes, device, training=training)
    num_classes = interface.num_classes
    for name, (_, labels) in probed.items():
        errors.check_labels(labels, num_classes, name)
    if execution.channels_last and not works_with_channels_last(model, interface, probes, device):
        execution = replace(execution, channels_last=False)
    samples = {}
    for name, source in sets.sources.items():
        known = source.all_labels if name in probes else None
        if known is not None:
            errors.check_labels(known, num_classes, name)
        samples[name] = UserSamples(
            source, known, num_classes, device, columns.get(name), sets, execution.progress
        )
    return samples, execution, interface
