"""Samples that two of a user's sets share: by identity, or by the contents of their items."""

import hashlib
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from ugradsl_core.errors import DataError
from ugradsl_core.samples.reading import LABELS, MapStyle, Source, subset_rows

CheckOverlap = Literal["identity", "content", "off"]
CHOICES = ("identity", "content", "off")
NOT_SEEN: dict[CheckOverlap, str] = {
    "identity": "Samples that retained and forgotten data share were looked for by identity "
    "(check_overlap='identity'): the same item of one data set. Duplicates, such as two files with "
    "the same picture, were not looked for; check_overlap='content' does that.",
    "content": "Samples that retained and forgotten data share were looked for by content "
    "(check_overlap='content'): inputs that are equal. Inputs that are nearly equal, such as one "
    "picture in two sizes, were not looked for.",
    "off": "Samples that retained and forgotten data share were not looked for "
    "(check_overlap='off'). Where there are any, they were trained on again.",
}
MEMORY, OBJECTS = "memory", "objects"  # origins of items that are known by an address
NAMES = (*LABELS, "classes", "class_names")  # attributes that are no inputs
DEPTH = 6  # of objects inside objects that are compared


def check_identity(sets: Mapping[str, MapStyle]) -> None:
    """Raise DataError where two sets hold the same item of one data set, however it is wrapped.

    Looked through are ``Subset``, ``ConcatDataset``, wrappers that hold one data set of their own
    length, the memory of ``TensorDataset``, lists of items, and copies that are equal to the
    original.
    """
    roots: list[MapStyle] = []
    numbers: dict[str, dict[Any, Tensor]] = {}  # of a set's distinct items, by origin
    for name, dataset in sets.items():
        found: dict[Any, list[Tensor]] = {}
        for origin, items in _origins(dataset, torch.arange(len(dataset)), roots):
            found.setdefault(origin, []).append(items)
        numbers[name] = {key: torch.unique(torch.cat(parts)) for key, parts in found.items()}
    for (other, theirs), (name, own) in combinations(numbers.items(), 2):
        common = own.keys() & theirs.keys()
        shared = sum(int(torch.isin(own[key], theirs[key]).sum()) for key in common)
        if shared:
            how = f"{shared} samples are" if shared > 1 else "1 sample is"
            raise _shared(other, name, f"{how} shared")


def _shared(first: str, second: str, how: str) -> DataError:
    return DataError(
        f"{first} and {second}: should be disjoint; {how} (check_overlap='off' lets it pass)"
    )


def _origins(dataset: Any, rows: Tensor, roots: list[MapStyle]) -> Iterator[tuple[Any, Tensor]]:
    """The innermost data sets, each with the numbers that the items ``rows`` have there.

    ``roots`` are those known so far; one that equals an earlier one is the earlier one.
    """
    if isinstance(dataset, list | tuple):
        yield OBJECTS, torch.tensor([id(dataset[i]) for i in rows.tolist()], dtype=torch.long)
        return
    if isinstance(dataset, ConcatDataset):
        ends = torch.tensor([0, *dataset.cumulative_sizes])
        which = torch.bucketize(rows, ends[1:], right=True)
        for number, joined in enumerate(dataset.datasets):
            yield from _origins(joined, rows[which == number] - ends[number], roots)
        return
    inner: Any = getattr(dataset, "dataset", None)
    part = isinstance(dataset, Subset) or (_is_map_style(inner) and hasattr(dataset, "indices"))
    part = part and hasattr(inner, "__len__")
    indices = subset_rows(dataset) if part else None
    if indices is not None:
        chosen = indices[rows]
        chosen = torch.where(chosen < 0, chosen + len(inner), chosen)
        yield from _origins(inner, chosen, roots)
        return
    if isinstance(dataset, TensorDataset):
        root = _known(dataset, roots)
        place = _address(root.tensors[0]) if isinstance(root, TensorDataset) else None
        yield (id(root), rows) if place is None else (MEMORY, place[0] + rows * place[1])
        return
    wrapped = None if isinstance(dataset, Subset) else _wrapped(dataset)
    if wrapped is not None:
        yield from _origins(wrapped, rows, roots)
        return
    yield id(_known(dataset, roots)), rows


def _is_map_style(value: object) -> bool:
    """Tell whether it is a data set of PyTorch or Hugging Face."""
    known = isinstance(value, Dataset) or type(value).__module__.startswith("datasets.")
    return known and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def _wrapped(dataset: object) -> Any:
    """The only data set that a wrapper holds, if it is as long as the wrapper."""
    held = [value for value in getattr(dataset, "__dict__", {}).values() if _is_map_style(value)]
    alone = len(held) == 1 and len(held[0]) == len(dataset)  # type: ignore[arg-type]
    return held[0] if alone else None


def _address(tensor: Tensor) -> tuple[int, int] | None:
    """The place of a tensor's first row in memory, and the distance to the next one."""
    if tensor.layout is not torch.strided or not tensor.numel() or not tensor.stride(0):
        return None
    return tensor.data_ptr(), tensor.stride(0) * tensor.element_size()


def _known(dataset: Any, roots: list[MapStyle]) -> Any:
    """The data set, or the earlier one that it is a copy of."""
    for root in roots:
        if root is dataset or _equal(root, dataset):
            return root
    roots.append(dataset)
    return dataset


def _equal(a: object, b: object) -> bool:
    """Tell whether one data set is a copy of the other: of one class, with the same attributes.

    Labels alone are no evidence: one of the attributes has to be as long as the set.
    """
    if type(a) is not type(b) or len(a) != len(b):  # type: ignore[arg-type]
        return False
    held = getattr(a, "__dict__", {})
    return any(_holds(v, len(a)) for k, v in held.items() if k not in NAMES) and (  # type: ignore[arg-type]
        _same(held, getattr(b, "__dict__", {}))
    )


def _holds(value: object, n: int) -> bool:
    """Tell whether a value may be the inputs of ``n`` items."""
    if isinstance(value, tuple) and value and isinstance(value[0], Tensor):
        value = value[0]  # TensorDataset.tensors
    sized = hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping | set)
    try:
        return sized and len(value) == n  # type: ignore[arg-type]
    except TypeError:  # a tensor or array of one number
        return False


def _same(a: Any, b: Any, depth: int = 0) -> bool:
    """Tell whether two values are equal, those of a class without equality by what they hold."""
    if a is b or type(a) is not type(b) or depth > DEPTH:
        return a is b
    if isinstance(a, Tensor | np.ndarray):
        alike = a.dtype == b.dtype and getattr(a, "device", None) == getattr(b, "device", None)
        return alike and _says_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key], depth + 1) for key in a)
    if isinstance(a, list | tuple) and len(a) == len(b) and not _says_equal(a, b):
        return all(_same(x, y, depth + 1) for x, y in zip(a, b, strict=True))
    if type(a).__eq__ is object.__eq__:  # type: ignore[comparison-overlap]
        return _same(getattr(a, "__dict__", {}), getattr(b, "__dict__", {}), depth + 1)
    return _says_equal(a, b)


def _says_equal(a: Any, b: Any) -> bool:
    try:
        if isinstance(a, Tensor | np.ndarray):
            return bool(torch.equal(a, b) if isinstance(a, Tensor) else np.array_equal(a, b))
        equals = getattr(a, "equals", None)  # of tables, whose == is one for each cell
        return bool(equals(b)) if callable(equals) else (a == b) is True
    except Exception:  # sparse tensors raise, and a class's own comparison may raise anything
        return False


def hashes(source: Source, rows: Tensor) -> list[bytes]:
    """A hash of the input of each item ``rows``; labels do not enter it.

    Raises:
        DataError: an item cannot be read.
    """
    if source.stored is not None:
        inputs, _ = source.read(rows)
        return [_hash(row) for row in inputs]
    return [_hash(_input_of(item)) for item in source.items(rows.tolist())]


def _input_of(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {str(key): value for key, value in item.items() if key not in LABELS}
    return item[0] if isinstance(item, tuple | list) and len(item) == 2 else item


def _hash(value: Any) -> bytes:
    found = hashlib.blake2b(digest_size=16)
    _add(found, value)
    return found.digest()


def _add(found: "hashlib.blake2b", value: Any) -> None:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        if value.dtype is torch.bfloat16:
            value = value.view(torch.int16)
        value = value.resolve_conj().numpy()
    if isinstance(value, np.ndarray | np.generic):
        array = np.ascontiguousarray(value)
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            found.update(f"{key}:".encode())
            _add(found, value[key])
    elif isinstance(value, list | tuple):
        found.update(f"[{len(value)}".encode())
        for part in value:
            _add(found, part)
    elif hasattr(value, "tobytes"):  # an image of Pillow
        found.update(f"{getattr(value, 'mode', '')}{getattr(value, 'size', '')}".encode())
        found.update(value.tobytes())
    else:
        found.update(f"{type(value).__name__}{value!r}".encode())


def check_contents(contents: Mapping[str, list[bytes]]) -> None:
    """Raise DataError where two sets hold items with equal inputs, by their :func:`hashes`."""
    places = {name: {h: i for i, h in [*enumerate(hs)][::-1]} for name, hs in contents.items()}
    for (other, theirs), (name, own) in combinations(places.items(), 2):
        shared = theirs.keys() & own.keys()
        if shared:
            first = min(shared, key=theirs.__getitem__)
            how = f"{len(shared)} samples have" if len(shared) > 1 else "1 sample has"
            such = f"item {theirs[first]} of {other} and item {own[first]} of {name}"
            raise _shared(other, name, f"{how} the same content, such as {such}")
