"""A user's own data sets: labels found, checks made, batches on the device."""

import copy
import operator
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import DataLoader, Subset, default_collate

from ugradsl_core import checks
from ugradsl_core.errors import DataError, ModelError
from ugradsl_core.transfer import send
from ugradsl_core.types import Augmentation, Batch, Execution


class MapStyle(Protocol):
    """A map-style data set of (input, label) pairs, as ``torch.utils.data`` defines it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


@dataclass(frozen=True, eq=False)
class UserSamples:
    """A user's data set behind the interface of ``types.Samples``.

    Augmentation is the data set's own. ``workers`` processes load it.
    """

    dataset: MapStyle
    labels: Tensor
    num_classes: int
    device: torch.device
    workers: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Collated items of each index tensor, on the device."""
        if self.workers == 0:
            for rows in plan:
                yield self._placed(default_collate([self.dataset[i] for i in rows.tolist()]))
            return
        rows_of_all = [rows.tolist() for rows in plan]
        seeds = torch.Generator()
        if generator is not None:  # a copy: the loader must not disturb the order of later epochs
            seeds.set_state(generator.get_state())
        loader: DataLoader[Any] = DataLoader(
            self.dataset,  # type: ignore[arg-type]
            batch_sampler=rows_of_all,
            num_workers=self.workers,
            generator=seeds,
        )
        for batch in loader:
            yield self._placed(batch)

    def _placed(self, batch: Any) -> Batch:
        inputs, labels = batch
        answers = torch.as_tensor(labels).long().reshape(-1)
        return send(inputs, self.device), send(answers, self.device)


def _labels_of(dataset: MapStyle, name: str) -> Tensor:
    """All labels, read from an attribute where there is one, else by visiting every item."""
    declared = _declared_labels(dataset)
    return _visited_labels(dataset, name) if declared is None else declared


def _declared_labels(dataset: MapStyle) -> Tensor | None:
    """Integer labels that the data set holds as ``targets``, ``labels`` or its second tensor."""
    if isinstance(dataset, Subset):
        parent = _declared_labels(_sized(dataset.dataset))
        rows = torch.as_tensor(dataset.indices, dtype=torch.long)
        return None if parent is None else parent[rows]
    if getattr(dataset, "target_transform", None) is not None:
        return None
    tensors = getattr(dataset, "tensors", None)
    second = tensors[1] if isinstance(tensors, tuple) and len(tensors) > 1 else None
    for found in (getattr(dataset, "targets", None), getattr(dataset, "labels", None), second):
        try:
            labels = torch.as_tensor(found)
        except (TypeError, ValueError, RuntimeError):
            continue
        if labels.shape == (len(dataset),) and not labels.is_floating_point():
            return labels.long().cpu()
    return None


def _visited_labels(dataset: MapStyle, name: str) -> Tensor:
    labels = []
    for i in range(len(dataset)):
        try:
            _, label = dataset[i]
            labels.append(operator.index(label))
        except (LookupError, TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"{name}: items should be (input, integer label) pairs; item {i} is not ({error})"
            ) from error
    return torch.tensor(labels)


def _origin(dataset: MapStyle) -> tuple[object, list[int]]:
    """The innermost data set and which of its items this one holds, in order."""
    if not isinstance(dataset, Subset):
        return dataset, list(range(len(dataset)))
    root, items = _origin(_sized(dataset.dataset))
    return root, [items[int(i)] for i in dataset.indices]


def _sized(dataset: object) -> MapStyle:
    return dataset  # type: ignore[return-value]


def _check_disjoint(sets: Mapping[str, MapStyle]) -> None:
    seen: list[tuple[str, object, set[int]]] = []
    for name, dataset in sets.items():
        root, members = _origin(dataset)
        items = set(members)
        for other, other_root, other_items in seen:
            shared = len(items & other_items) if root is other_root else 0
            if shared:
                raise DataError(
                    f"{other} and {name}: should be disjoint; {shared} samples are shared"
                )
        seen.append((name, root, items))


def _probe(dataset: MapStyle, name: str) -> Tensor:
    """The first input of a data set as a batch of one.

    Raises:
        DataError: the item is not an (input, label) pair of what PyTorch can collate.
    """
    try:
        inputs, _ = default_collate([dataset[0]])
    except (TypeError, ValueError, LookupError, RuntimeError) as error:
        raise DataError(
            f"{name}: items should be (input, label) pairs of tensors, arrays or numbers; images "
            f"need a transform to tensors ({str(error).splitlines()[0]})"
        ) from error
    if not isinstance(inputs, Tensor):
        raise DataError(
            f"{name}: items should be (input, label) pairs with a tensor as input; "
            f"found {type(inputs).__name__}"
        )
    return inputs


def _logits(model: nn.Module, inputs: Tensor, name: str) -> Tensor:
    try:
        return model(inputs)  # type: ignore[no-any-return]
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:
        raise ModelError(f"model: cannot process an item of {name} ({error})") from error


def prepare(
    model: nn.Module,
    sets: Mapping[str, MapStyle],
    execution: Execution,
    workers: int,
) -> tuple[dict[str, UserSamples], Execution]:
    """Check model and data before anything is computed, and wrap the data.

    The execution that comes back keeps the memory format contiguous where the model cannot work
    with channels last, for example because it flattens with ``view``.
    """
    for name, dataset in sets.items():
        if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
            raise DataError(
                f"{name}: should be a map-style data set with __len__ and __getitem__; "
                f"found {type(dataset).__name__}"
            )
        if len(dataset) == 0:
            raise DataError(f"{name}: is empty")
    _check_disjoint(sets)
    checks.check_finite(model.state_dict(), "model")
    device = execution.resolve()
    probe_model = copy.deepcopy(model).to(device).eval()
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        probes = {name: _probe(dataset, name).to(device) for name, dataset in sets.items()}
        labels = {name: _labels_of(dataset, name) for name, dataset in sets.items()}
        for name, inputs in probes.items():
            num_classes = checks.check_logits(_logits(probe_model, inputs, name), 1)
            checks.check_labels(labels[name], num_classes, name)
        if execution.channels_last and any(p.ndim == 4 for p in probe_model.parameters()):
            probe_model.to(memory_format=torch.channels_last)
            try:
                probe_model(next(iter(probes.values())))
            except RuntimeError:
                execution = replace(execution, channels_last=False)
    samples = {
        name: UserSamples(dataset, labels[name].clone(), num_classes, device, workers)
        for name, dataset in sets.items()
    }
    return samples, execution
