"""Samples that two sets share are found however they are wrapped, and none where there is none."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from toys import K, Pairs
from ugradsl_core import DataError, evaluate, unlearn
from ugradsl_core.samples.overlap import check_identity
from user_sets import Items, Numbered, Outer, line, number

X, Y = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)), torch.arange(40) % K
WHOLE = TensorDataset(X, Y)
FORGET = Subset(WHOLE, range(8))


class Part(Dataset):
    """A subset of a class of one's own."""

    def __init__(self, dataset: Any, indices: Any) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[self.indices[index]]


class Arrays(Dataset):
    """As torchvision's CIFAR: an array of pictures, a list of labels, a transform."""

    def __init__(self, shift: int = 0, path: str = "data") -> None:
        self.root, self.transform = Path(path), nn.Identity()
        self.data = np.arange(shift, shift + 160).reshape(40, 4).astype(np.float32)
        self.targets = [i % K for i in range(40)]

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.data[index]), self.targets[index]


class Files(Dataset):
    """As torchvision's ImageFolder: pairs of a path and a label."""

    def __init__(self, root: str) -> None:
        self.samples = [(f"{root}/{i}.png", i % K) for i in range(40)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Any:
        return number(index), self.samples[index][1]


class Tables(Dataset):
    """A directory by its path and numbers of rows in it."""

    def __init__(self, root: str) -> None:
        self.root, self.rows = Path(root), list(range(40))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return number(index), index % K


def shared(retain: Any, forget: Any = FORGET) -> int:
    """How many samples are found to be shared."""
    try:
        check_identity({"retain": retain, "forget": forget})
    except DataError as error:
        sentence = str(error)
        assert sentence.startswith("retain and forget: should be disjoint; ")
        return int(sentence.split(";")[1].split(maxsplit=1)[0])
    return 0


class Frame(Dataset):
    """Rows of a table of pandas."""

    def __init__(self, shift: int = 0) -> None:
        self.table = pd.DataFrame({"a": range(shift, shift + 40), "b": 1.5})

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> Any:
        return torch.from_numpy(self.table.iloc[index].to_numpy(np.float32)), index % K


ARRAYS, FILES = Arrays(), Files("a")
OVERLAPPING: dict[str, Callable[[], Any]] = {
    "subset": lambda: Subset(WHOLE, range(4, 40)),
    "negative indices": lambda: Subset(WHOLE, range(-36, 0)),
    "tensor of indices": lambda: Subset(WHOLE, torch.arange(4, 40)),
    "nested": lambda: Subset(Subset(WHOLE, range(39, 3, -1)), range(36)),
    "concatenated": lambda: ConcatDataset(
        [Subset(WHOLE, range(4, 20)), Subset(WHOLE, range(20, 40))]
    ),
    "of a concatenation": lambda: Subset(
        ConcatDataset([Pairs(10), WHOLE]), [*range(10), *range(14, 50)]
    ),
    "wrapper": lambda: Outer(Subset(WHOLE, range(4, 40))),
    "wrapper in a wrapper": lambda: Outer(Outer(Subset(WHOLE, range(4, 40)))),
    "subset of a wrapper": lambda: Subset(Outer(WHOLE), range(4, 40)),
    "own subset": lambda: Part(WHOLE, list(range(4, 40))),
    "own subset of a wrapper": lambda: Part(Outer(WHOLE), np.arange(4, 40)),
    "deep copy": lambda: Subset(copy.deepcopy(WHOLE), range(4, 40)),
    "same tensors": lambda: TensorDataset(X, Y) and Subset(TensorDataset(X, Y), range(4, 40)),
    "a view": lambda: TensorDataset(X[4:], Y[4:]),
    "a view of every other": lambda: ConcatDataset(
        [TensorDataset(X[4::2], Y[4::2]), TensorDataset(X[5::2], Y[5::2])]
    ),
    "other labels": lambda: TensorDataset(X[4:], 0 * Y[4:]),
    "repeated": lambda: Subset(WHOLE, [4, 4, 5, 6, 7, 7, 20]),
}


@pytest.mark.parametrize("case", OVERLAPPING)
def test_four_shared_samples_are_found(case: str) -> None:
    assert shared(OVERLAPPING[case]()) == 4
    with pytest.raises(DataError, match=r"4 samples are shared \(check_overlap='off' lets it"):
        unlearn("ft", line(), retain=OVERLAPPING[case](), forget=FORGET, epochs=1)


def test_the_objects_of_lists_are_found() -> None:
    items = [(X[i], i % K) for i in range(40)]
    assert shared(items[4:], items[:8]) == 4
    assert shared(Subset(items, range(4, 40)), tuple(items[:8])) == 4
    assert shared(items[8:], items[:8]) == 0
    assert shared([(X[i], i % K) for i in range(8)], items[:8]) == 0


@pytest.mark.parametrize(
    ("original", "others"),
    [
        (ARRAYS, [Arrays(), copy.deepcopy(ARRAYS), ARRAYS]),
        (FILES, [Files("a"), copy.deepcopy(FILES)]),
        (Tables("a"), [Tables("a")]),
        (Frame(), [Frame()]),
    ],
)
def test_copies_of_other_classes_are_found(original: Any, others: list[Any]) -> None:
    for other in others:
        assert shared(Subset(other, range(4, 40)), Subset(original, range(8))) == 4


@pytest.mark.parametrize(
    ("retain", "forget"),
    [
        (Subset(WHOLE, range(8, 40)), FORGET),
        (Outer(Subset(WHOLE, range(8, 40))), Outer(FORGET)),
        (TensorDataset(X[8:], Y[8:]), TensorDataset(X[:8], Y[:8])),
        (TensorDataset(X[::2], Y[::2]), TensorDataset(X[1::2], Y[1::2])),
        (TensorDataset(X, Y), TensorDataset(X + 1, Y)),
        (Arrays(), Arrays(1)),
        (Arrays(), Arrays(path="elsewhere")),
        (Files("a"), Files("b")),
        (Tables("a"), Tables("b")),
        (Frame(), Frame(1)),
        (Numbered(0, 8), Numbered(8, 8)),
        (Pairs(8, 0), Pairs(8, 1)),
        (Items(8, number), Items(8, lambda i: number(i + 8))),
        (TensorDataset(X[:1].expand(8, 4), Y[:8]), TensorDataset(X[9:10].expand(8, 4), Y[:8])),
        (TensorDataset(X[:8].to_sparse(), Y[:8]), TensorDataset(X[8:16].to_sparse(), Y[8:16])),
    ],
)
def test_disjoint_sets_pass(retain: Any, forget: Any) -> None:
    assert shared(retain, forget) == 0


class LabelsAlone(Dataset):
    """Items made on demand: equal labels say nothing of the items."""

    def __init__(self, n: int) -> None:
        self.targets = [i % K for i in range(n)]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> Any:
        return torch.randn(4), self.targets[index]


def test_equal_labels_are_no_copy() -> None:
    assert shared(LabelsAlone(8), LabelsAlone(8)) == 0


indices = st.lists(st.integers(0, 11), min_size=1, max_size=12)


def wrapped(draw: Any, dataset: Any) -> Any:
    """The same items through a random wrapper."""
    rows = list(range(len(dataset)))
    cut = draw(st.integers(0, len(rows)))
    return draw(
        st.sampled_from(
            [
                lambda d: d,
                Outer,
                lambda d: Subset(d, rows),
                lambda d: Part(d, rows),
                lambda d: ConcatDataset([Subset(d, rows[:cut]), Subset(d, rows[cut:])]),
                lambda d: Subset(ConcatDataset([d, d]), [i + len(rows) * (i % 2) for i in rows]),
            ]
        )
    )(dataset)


@given(st.data())
def test_any_nesting_finds_what_a_set_of_numbers_finds(data: st.DataObject) -> None:
    copies = [WHOLE, copy.deepcopy(WHOLE), TensorDataset(X, Y)]
    chosen, sets = [], []
    for _ in range(2):
        rows = data.draw(indices)
        base = wrapped(data.draw, data.draw(st.sampled_from(copies)))
        chosen.append(set(rows))
        sets.append(wrapped(data.draw, Subset(base, rows)))
    assert shared(*sets) == len(chosen[0] & chosen[1])


# -- by content


def loose(rows: range, change: Callable[[Any], Any] = lambda x: x) -> Items:
    """Items that nothing but their contents tells apart."""
    return Items(len(rows), lambda i: (change(X[rows[i]].clone()), rows[i] % K))


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    "change",
    [
        lambda x: x,
        lambda x: x.numpy(),
        lambda x: x.double().tolist(),
        lambda x: x.bfloat16(),
        lambda x: {"a": x, "b": "text"},
        lambda x: Image.fromarray((x[None] * 50).numpy().astype(np.uint8)),
    ],
)
def test_equal_contents_are_found_where_it_is_asked_for(change: Any, workers: int) -> None:
    retain, forget = loose(range(4, 40), change), loose(range(8), change)
    assert shared(retain, forget) == 0
    with pytest.raises(DataError) as caught:
        unlearn("ft", line(), retain=retain, forget=forget, check_overlap="content",
                workers=workers)  # fmt: skip
    assert str(caught.value).startswith(
        "retain and forget: should be disjoint; 4 samples have the same content, such as item 0 of "
        "retain and item 4 of forget"
    )


def test_contents_of_all_three_sets_are_compared() -> None:
    sets = {"retain": loose(range(10, 40)), "forget": loose(range(8))}
    with pytest.raises(DataError, match=r"forget and test: .* 1 sample has .* item 7 of forget"):
        evaluate(line(), **sets, test=loose(range(7, 10)), check_overlap="content")
    evaluate(line(), **sets, test=loose(range(8, 10)), check_overlap="content")


def test_contents_of_tensors_and_mappings() -> None:
    named = Items(5, lambda i: {"x": X[i], "label": i % K})
    same = Items(5, lambda i: {"x": X[i], "label": 0})
    for retain, forget, how in (
        (TensorDataset(X.clone(), Y), TensorDataset(X[4:5].clone(), Y[:1]), "1 sample has"),
        (named, same, "5 samples have"),
    ):
        with pytest.raises(DataError, match=f"{how} the same content"):
            unlearn("ft", line(), retain=retain, forget=forget, check_overlap="content")


def test_the_check_can_be_left_out() -> None:
    found = unlearn("ft", line(), retain=WHOLE, forget=FORGET, epochs=1, check_overlap="off")
    assert found.result.steps == 1


def test_an_item_that_cannot_be_read_is_named_by_the_check_of_contents() -> None:
    broken = Items(8, lambda i: (X[i] if i < 6 else X[99], 0))
    with pytest.raises(DataError, match="forget: item 6 cannot be read"):
        unlearn("ft", line(), retain=loose(range(8, 40)), forget=broken, check_overlap="content")
