"""A user's own data sets: labels found, checks made, batches on the device."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, Subset

from ugradsl_core import errors
from ugradsl_core.errors import DataError
from ugradsl_core.samples.inputs import Inputs
from ugradsl_core.samples.reading import MapStyle, Source, subset_rows

BLOCK = 256  # items that are read at a time for their labels or contents
COMPARED = 16  # items whose labels are held against those that their data set declares
DECLARED = ("targets", "labels", "y", "label")  # attributes and columns that may hold labels


def _chosen(inputs: Mapping[str, Tensor], columns: tuple[str, ...]) -> Inputs:
    if not columns:
        (only,) = inputs.values()
        return only
    return {name: inputs[name] for name in columns}


def declared_labels(dataset: Any) -> Tensor | None:
    """Labels that a data set holds beside its items, int64, (N,); they may be stale.

    Looked for in ``targets``, ``labels``, ``y`` and ``label``, as attributes or columns, also of
    the data set that a ``Subset`` is of; in any container of whole numbers.
    """
    if isinstance(dataset, Subset):
        parent, rows = declared_labels(dataset.dataset), subset_rows(dataset)
        return None if parent is None or rows is None else parent[rows]
    if getattr(dataset, "target_transform", None) is not None:
        return None
    columns = getattr(dataset, "column_names", None)
    for name in DECLARED:
        found = getattr(dataset, name, None)
        if found is None and isinstance(columns, list) and name in columns:
            found = dataset[name]
        labels = _as_labels(found, len(dataset))
        if labels is not None:
            return labels
    return None


def _as_labels(found: Any, n: int) -> Tensor | None:
    if found is None or isinstance(found, str | bytes | Mapping) or callable(found):
        return None
    try:
        if hasattr(found, "to_numpy"):  # a Series of pandas
            found = found.to_numpy()
        labels = found if isinstance(found, Tensor) else torch.from_numpy(np.array(found))
    except (TypeError, ValueError, RuntimeError):
        return None
    whole = not (labels.is_floating_point() or labels.is_complex())
    return labels.reshape(-1).long().cpu() if whole and labels.numel() == n else None


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
    return found


def _known_labels(source: Source, num_classes: int) -> Tensor | None:
    """All labels where they need not be read; those that a data set declares are held to K.

    Raises:
        DataError: a label outside 0…K−1.
    """
    labels = source.all_labels
    if labels is not None:
        errors.check_labels(labels, num_classes, source.name)
        return labels
    declared = declared_labels(source.dataset)
    if declared is not None:
        wrong = ((declared < 0) | (declared >= num_classes)).nonzero()
        if len(wrong):  # a mistake, unless the items have other labels than their data set says
            _, own = source.read(wrong[0])
            if torch.equal(own, declared[wrong[0]]):
                errors.check_labels(own, num_classes, source.name)
    return None
