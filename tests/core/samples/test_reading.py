"""Whatever a user's items are: the right batch, or one sentence with the set and the item."""

import enum
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)
from torch.utils.data.distributed import DistributedSampler

from toys import CNN, CPU, SIDE, K, copied, same_bits
from ugradsl_core import ConfigError, DataError, UGradSLError, evaluate, unlearn
from ugradsl_core.api.data import UserSamples
from ugradsl_core.samples.reading import Source, stored_tensors
from ugradsl_core.training import shuffled
from user_sets import Items, Noisy, Numbered, Outer, halves, line, number, pictures, reading

DEVICE = torch.device("cpu")


def run(method: str = "ft", network: nn.Module | None = None, **given: Any) -> Any:
    arguments = {"retain": Numbered(8, 24), "forget": Numbered(0, 8), "lr": 0.05, **given}
    arguments = {"epochs": 1, "batch_size": 8, "execution": CPU, **arguments}
    return unlearn(method, line() if network is None else network, **arguments)


def weights(**given: Any) -> dict[str, Tensor]:
    return run(**given).model.state_dict()


def refusal(**given: Any) -> str:
    """The sentence that a set is refused with; the model stays as it was."""
    network = line()
    before = copied(network.state_dict())
    with pytest.raises(UGradSLError) as caught:
        run(network=network, **given)
    assert same_bits(before, network.state_dict())
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Four(enum.IntEnum):
    A, B, C, D = range(4)


class Letters(enum.Enum):
    A, B, C, D = range(4)


LABELS: dict[str, Any] = {
    "numpy int64": np.int64,
    "numpy uint16": np.uint16,
    "numpy 0-d": lambda y: np.array(y, dtype=np.int8),
    "numpy one": lambda y: np.array([y]),
    "tensor": torch.tensor,
    "tensor uint16": lambda y: torch.tensor(y, dtype=torch.uint16),
    "tensor one": lambda y: torch.tensor([y]),
    "tensor 1×1": lambda y: torch.tensor([[y]]),
    "list": lambda y: [y],
    "tuple": lambda y: (y,),
    "enumeration": Four,
    "numpy uint64": np.uint64,
    "numpy 0-d uint64": lambda y: np.array(y, dtype=np.uint64),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_type_are_the_same_labels(kind: str) -> None:
    sets = {"retain": Numbered(8, 24, LABELS[kind]), "forget": Numbered(0, 8, LABELS[kind])}
    assert same_bits(weights(**sets), weights())


@pytest.mark.parametrize("kind", [bool, np.bool_, lambda y: torch.tensor(bool(y))])
def test_truth_values_are_two_classes(kind: Any) -> None:
    def labelled(change: Any) -> dict[str, Any]:
        return {"retain": Numbered(8, 24, lambda y: change(y % 2)), "forget": Numbered(0, 8)}

    assert same_bits(weights(**labelled(kind)), weights(**labelled(int)))


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (lambda y: "cat", "found|has a label that is str 'cat'; number the classes from 0"),
        (float, "has a label that is float64 of shape ()"),
        (lambda y: torch.eye(K)[y], "has a label that is float32 of shape (4,)"),
        (lambda y: torch.tensor([y, y]), "has a label that is int64 of shape (2,)"),
        (complex, "items should be (input, integer label) pairs"),
        (lambda y: None, "the label of item 0 is None"),
        (lambda y: y + 1, "labels should lie in 0…3; found 4"),
        (lambda y: y - 1, "labels should lie in 0…3; found -1"),
        (lambda y: -100, "labels should lie in 0…3; found -100"),
        (lambda y: 2**63, "items should be (input, integer label) pairs"),
        (Decimal, "item 0 has a label that is Decimal Decimal('0')"),
        (Fraction, "item 0 has a label that is Fraction Fraction(0, 1)"),
        (lambda y: {y}, "item 0 has a label that is set {0}"),
        (lambda y: iter([y]), "item 0 has a label that is list_iterator"),
        (lambda y: np.array(y, dtype=object), "item 0 has a label that is ndarray array(0, dtype"),
        (Letters, "item 0 has a label that is Letters <Letters.A: 0>"),
        (np.str_, "has a label that is str_ np.str_('0'); number the classes from 0"),
    ],
)
def test_labels_that_are_no_classes_are_refused(label: Any, said: str) -> None:
    sentence = refusal(retain=Numbered(8, 24, label))
    assert sentence.startswith("retain: ")
    assert said.rpartition("|")[2] in sentence


def test_a_wrong_label_is_found_in_its_batch_with_its_item() -> None:
    wrong = Items(24, lambda i: (number(i), 9 if i == 17 else i % K))
    assert refusal(retain=wrong) == "retain: labels should lie in 0…3; found 9 (item 17)"
    with pytest.raises(DataError, match=r"test: labels should lie in 0…3; found 9 \(item 17\)"):
        evaluate(line(), retain=Numbered(8, 24), forget=Numbered(0, 8), test=wrong)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors:UserWarning")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda i: None if i == 5 else (number(i), i % K), "item 5 is None"),
        (lambda i: (None if i == 5 else number(i), i % K), "the input of item 5 is None"),
        (lambda i: (number(i), i % K, i), "found list of 3"),
        (number, "integer label) pairs"),
        (lambda i: ("text", i % K), "with tensors as input; found"),
        (lambda i: (Image.new("RGB", (4, 4)), i % K), "images need a transform to tensors"),
        (lambda i: {"x": number(i)}, "none of them is called labels, label, targets"),
        (lambda i: (number(i)[: 4 - (i == 5)], i % K), "the inputs of items"),
        (
            lambda i: (number(i) * (1 / (i - 5)), i % K),
            "item 5 cannot be read (ZeroDivisionError: division by zero)",
        ),
        (lambda i: ([number(i), number(i)], i % K), "with tensors as input; found list"),
        (lambda i: (number(i).to_sparse(), i % K), "images need a transform to tensors (Batches"),
        (lambda i: (torch.nested.nested_tensor([number(i)]), i % K), "images need a transform"),
        (lambda i: (number(i).numpy()[::-1], i % K), "(At least one stride"),
    ],
)
def test_items_that_make_no_batch_are_refused_by_number(make: Any, said: str) -> None:
    sentence = refusal(retain=Items(24, make))
    assert sentence.startswith(("retain: ", "model: cannot process an item of retain"))
    assert said in sentence
    with pytest.raises(UGradSLError) as caught:
        evaluate(line(), retain=Numbered(8, 24), forget=Numbered(0, 8), test=Items(24, make))
    assert said in str(caught.value)


class Broken(Dataset):
    """A file that breaks off, whose error has several lines."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        if index == 7:
            raise OSError("image file is truncated (3 bytes not processed)\nsee elsewhere")
        return number(index), index % K


def test_a_file_that_breaks_off() -> None:
    assert refusal(retain=Broken()) == (
        "retain: item 7 cannot be read (OSError: image file is truncated (3 bytes not processed))"
    )


def uneven(n: int) -> Dataset:
    generator = torch.Generator().manual_seed(3)
    x = torch.rand(n, 1, SIDE, SIDE, generator=generator)
    return Items(n, lambda i: (x[i, :, : SIDE - i % 2], i % K))


def small_cnn() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, K)
        )


def test_images_of_unequal_sizes_are_refused_with_the_way_out() -> None:
    with pytest.raises(DataError) as caught:
        run("ugradsl", small_cnn(), retain=uneven(24), forget=pictures(8))
    assert "their shapes are (1, 6, 6) and (1, 5, 6)" in str(caught.value).replace(
        "are (1, 5, 6) and (1, 6, 6)", "are (1, 6, 6) and (1, 5, 6)"
    )
    assert "pass collate_fn=…, or take batch_size=1" in str(caught.value)


@pytest.mark.parametrize("method", ["ft", "ugradsl", "be", "cf-k"])
@pytest.mark.parametrize("seed", range(3))
def test_images_of_unequal_sizes_work_one_by_one(method: str, seed: int) -> None:
    found = run(method, small_cnn(), retain=uneven(9), forget=uneven(4), batch_size=1, seed=seed)
    assert found.result.steps == (4 if method in {"ugradsl", "be"} else 9)
    sets = {"retain": uneven(9), "forget": uneven(4), "test": uneven(5)}
    evaluate(found.model, **sets, batch_size=1)


def test_a_batch_of_one_is_one() -> None:
    assert run(batch_size=1).result.steps == 24
    assert [len(rows) for rows in shuffled(3, 1, torch.Generator())] == [1, 1, 1]
    assert [len(rows) for rows in shuffled(5, 2, torch.Generator())] == [2, 3]


def padded(items: list[Any]) -> tuple[Tensor, Tensor]:
    """Pictures filled up to one size."""
    x = [nn.functional.pad(image, (0, 0, 0, SIDE - image.shape[1])) for image, _ in items]
    return torch.stack(x), torch.tensor([label for _, label in items])


def test_a_collate_fn_joins_what_would_make_no_batch() -> None:
    sets = {"retain": uneven(24), "forget": uneven(8)}
    found = run("ugradsl", small_cnn(), **sets, collate_fn=padded, check_overlap="off")
    parts = {
        name: TensorDataset(*padded([s[i] for i in range(len(s))])) for name, s in sets.items()
    }
    expected = run("ugradsl", small_cnn(), **parts, check_overlap="off")
    assert same_bits(found.model.state_dict(), expected.model.state_dict())


@pytest.mark.parametrize(
    ("collate", "said"),
    [
        (lambda items: default_collate(items[:1]), "should keep each item as one row"),
        (lambda items: 1 / 0, "retain: collate_fn fails on items"),
        (lambda items: items, "integer label) pairs"),
        (lambda items: [number(0), number(1)], "should keep each item as one row"),
    ],
)
def test_a_collate_fn_that_makes_no_batch_is_refused(collate: Any, said: str) -> None:
    assert said in refusal(collate_fn=collate)
    assert refusal(collate_fn="pad").startswith("collate_fn: should be a function")


def test_a_collate_fn_that_leaves_items_out_is_refused() -> None:
    def kept(items: list[Any]) -> Any:
        return default_collate([item for item in items if item[0][0] != 1.1] or items)

    assert "it made [7] of 8" in refusal(collate_fn=kept, batch_size=8)


# -- labels that data sets declare, which may be stale


class Coarse(Numbered):
    """Fine labels in ``targets``, coarse ones in the items, as CIFAR-20 made of CIFAR-100."""

    def __init__(self, start: int, n: int) -> None:
        super().__init__(start, n)
        self.targets = [5 * (i % K) + i % 5 for i in range(start, start + n)]


def test_items_are_right_where_targets_are_stale() -> None:
    assert same_bits(weights(retain=Coarse(8, 24), forget=Coarse(0, 8)), weights())
    sets = {"retain": Coarse(8, 24), "forget": Coarse(0, 8), "test": Coarse(32, 8)}
    plain = {"retain": Numbered(8, 24), "forget": Numbered(0, 8), "test": Numbered(32, 8)}
    assert evaluate(line(), **sets) == evaluate(line(), **plain)
    labels = UserSamples(Source("samples", Coarse(0, 40)), None, K, DEVICE).labels
    assert labels.tolist() == [i % K for i in range(40)]


def test_all_labels_are_read_in_batches() -> None:
    samples = UserSamples(Source("samples", Numbered(3, 300)), None, K, DEVICE)
    assert samples.labels.tolist() == [i % K for i in range(3, 303)]


# -- what is read, and when


def test_ascent_on_few_of_many_reads_none_of_the_others() -> None:
    retain = Items(49_400, lambda i: (number(i), i % K))
    forget = Items(600, lambda i: (number(i), i % K))
    run("ga", retain=retain, forget=forget, batch_size=128)
    assert retain.read == 0
    assert forget.read == 600 + 1  # and one to try the model on
    run("ft", retain=forget, forget=retain, batch_size=128, check_overlap="off")
    assert retain.read == 0


def test_the_first_batch_waits_for_no_other_item() -> None:
    class Stop(Exception):
        pass

    class Stopping(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if self.training and len(x) == 128:  # not where the model is tried
                raise Stop
            return super().forward(x)

    retain = Items(50_000, lambda i: (number(i), i % K))
    with pytest.raises(Stop):
        run("ft", Stopping(4, K), retain=retain, batch_size=128)
    assert retain.read == 129


class Lazy(Dataset):
    """Opened at the first item, and changed in place at each one."""

    def __init__(self, start: int, n: int) -> None:
        self.start, self.n = start, n
        self.data: Tensor | None = None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if self.data is None:
            self.data = torch.stack([number(i) for i in range(self.start, self.start + self.n)])
        return self.data[index].sub_(0.0), (self.start + index) % K


@pytest.mark.parametrize("outside", [False, True])
def test_items_are_read_outside_of_inference_mode(outside: bool) -> None:
    retain, forget, test = Lazy(8, 24), Lazy(0, 8), Lazy(32, 8)
    with torch.inference_mode(outside):
        evaluate(line(), retain=retain, forget=forget, test=test)
    assert all(s.data is not None and not s.data.is_inference() for s in (retain, forget, test))
    assert same_bits(weights(retain=retain, forget=forget), weights())


# -- tensors in memory


def _never(*_: Any) -> Any:
    raise AssertionError("an item was read by itself")


class Own(TensorDataset):
    """Makes items in a way of its own."""

    def __getitem__(self, index: Any) -> Any:
        x, y = super().__getitem__(index)
        return x + 1, y


def test_tensors_are_read_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pictures(32)
    parts = halves(whole)
    with monkeypatch.context() as patch:  # the same class, so that nothing is overridden
        patch.setattr(TensorDataset, "__getitem__", _never)
        run("ugradsl", CNN(), **parts)
        run("ugradsl", CNN(), retain=Subset(whole, range(8, 32)), forget=Subset(whole, range(8)))
    nested = Subset(Subset(whole, torch.arange(31, -1, -1)), np.arange(24))
    found = stored_tensors(nested)
    assert found is not None
    assert found[0][0] is whole.tensors[0]
    rows = torch.tensor([3, 0, 3])
    inputs, labels = Source("retain", nested).read(rows)
    assert torch.equal(inputs, whole.tensors[0][[28, 31, 28]])
    assert labels.tolist() == [0, 3, 0]
    assert stored_tensors(Own(*whole.tensors)) is None
    assert stored_tensors(Subset(Own(*whole.tensors), [1])) is None
    assert stored_tensors(ConcatDataset([whole, whole])) is None
    x, _ = Source("retain", Own(*whole.tensors)).read(rows)
    assert torch.equal(x, whole.tensors[0][rows] + 1)


@pytest.mark.parametrize(
    "indices", [[-1, 2], (0, 5), range(3), torch.tensor([4, 4]), np.array([1, 2], dtype=np.uint8)]
)
def test_subsets_with_any_kind_of_indices(indices: Any) -> None:
    whole = pictures(8)
    part = Subset(whole, indices)
    inputs, labels = Source("retain", part).read(torch.arange(len(part)))
    expected = default_collate([part[i] for i in range(len(part))])
    assert torch.equal(inputs, expected[0])
    assert torch.equal(labels, expected[1])


@pytest.mark.parametrize("data", [Numbered(0, 4), TensorDataset(torch.eye(4), torch.arange(4))])
@pytest.mark.parametrize("make", [list, np.array, torch.tensor])
def test_a_subset_by_a_mask_is_refused(data: Any, make: Callable[[Any], Any]) -> None:
    """PyTorch would take items 1 and 0, over and over."""
    for given in (Subset(data, make([True, False, True, True])), Subset(data, make([False] * 4))):
        for chosen in (given, Subset(given, [0, 1])):
            assert refusal(forget=chosen).startswith("forget: its indices are a mask; pass the")


def test_a_subset_of_a_stream_is_refused() -> None:
    said = refusal(method="ga", forget=Subset(Unsized(), [0]))
    assert said.startswith("forget: item 0 cannot be read (")


class Unsized(IterableDataset):
    def __iter__(self) -> Any:
        return iter([])


@pytest.mark.parametrize("indices", [[7, 8], [0, -9]])
def test_a_subset_beyond_its_data_set_is_one_sentence(indices: list[int]) -> None:
    with pytest.raises(DataError, match=r"retain: item [01] cannot be read \(IndexError"):
        run("ft", CNN(), retain=Subset(pictures(8), indices), forget=pictures(8, 1))


class Together(Dataset):
    """Has ``__getitems__``; notes how it is asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Any:
        self.asked.append(1)
        return number(8 + index), index % K

    def __getitems__(self, indices: list[int]) -> Any:
        self.asked.append(len(indices))
        return [(number(8 + i), i % K) for i in indices]


class Newer(Together):
    """Overrides ``__getitem__`` alone: the older ``__getitems__`` would go round it."""

    def __getitem__(self, index: int) -> Any:
        self.asked.append(1)
        return number(8 + index), (index + 1) % K


def test_data_sets_that_read_several_items_are_asked_once_a_batch() -> None:
    together, newer = Together(), Newer()
    assert same_bits(weights(retain=together), weights())
    assert together.asked == [1, 8, 8, 8]
    assert not same_bits(weights(retain=newer), weights())
    assert set(newer.asked) == {1}


# -- tensors with a history or without numbers


@pytest.mark.parametrize("kind", ["stored leaf", "stored", "items"])
def test_no_gradient_reaches_the_data_or_what_they_were_computed_by(kind: str) -> None:
    maker = torch.nn.Linear(4, 4)
    x = torch.stack([number(i) for i in range(8)])
    made = x.clone().requires_grad_() if kind == "stored leaf" else maker(x)
    labels = torch.arange(8) % K
    data: Any = TensorDataset(made, labels)
    if kind == "items":
        data = Items(8, lambda i: (maker(x[i]), i % K))
        made = torch.stack([maker(row) for row in x])  # the product of a batch rounds otherwise
    found = weights(method="ga", forget=data)
    assert maker.weight.grad is None
    assert made.grad_fn or made.grad is None
    plain = TensorDataset(made.detach(), labels)
    assert same_bits(found, weights(method="ga", forget=plain))


@pytest.mark.parametrize(
    "data",
    [
        TensorDataset(torch.empty(8, 4, device="meta"), torch.arange(8) % K),
        TensorDataset(torch.ones(8, 4), torch.empty(8, dtype=torch.long, device="meta")),
        Items(8, lambda i: (torch.empty(4, device="meta"), 0)),
    ],
)
def test_tensors_that_hold_nothing_are_refused(data: Any) -> None:
    said = refusal(method="ga", forget=data)
    assert said == "forget: its tensors are on the meta device and hold nothing"


# -- loaders


class Never(torch.utils.data.Sampler):
    def __iter__(self) -> Any:
        raise AssertionError("a loader's sampler is not used")

    def __len__(self) -> int:
        return 24


def test_a_loader_stands_for_its_data_set() -> None:
    loaders = {
        "retain": DataLoader(Numbered(8, 24), batch_size=5, sampler=Never()),
        "forget": DataLoader(Numbered(0, 8), batch_size=None, shuffle=False),
    }
    assert same_bits(weights(**loaders), weights())
    test = Numbered(32, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = evaluate(line(), **loaders, test=DataLoader(test, drop_last=True, batch_size=7))
    assert found == evaluate(line(), retain=Numbered(8, 24), forget=Numbered(0, 8), test=test)


CHOOSING: dict[str, dict[str, Any]] = {
    "a subset": {"sampler": SubsetRandomSampler(range(2)), "batch_size": 2},
    "some at random": {"sampler": RandomSampler(range(8), num_samples=2)},
    "batches": {"batch_sampler": BatchSampler(SubsetRandomSampler([3, 5]), 2, False)},
    "a list of batches": {"batch_sampler": [[0], [4]]},
}


@pytest.mark.parametrize("kind", CHOOSING)
def test_a_loader_that_leaves_items_out_is_refused(kind: str) -> None:
    said = refusal(forget=DataLoader(Numbered(0, 8), **CHOOSING[kind]))
    assert said == (
        "forget: its loader shows 2 of its 8 items, but samplers are not used; pass a Subset of "
        "the items"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"sampler": WeightedRandomSampler([1.0] * 8, 20)},
        {"sampler": DistributedSampler(Numbered(0, 8), 2, 0)},
        {"batch_sampler": BatchSampler(SequentialSampler(range(8)), 3, True)},
    ],
)
def test_loaders_that_show_all_in_some_order_are_their_data_sets(more: dict[str, Any]) -> None:
    loader = DataLoader(Numbered(0, 8), **more)
    assert same_bits(weights(method="ga", forget=loader), weights(method="ga"))


def test_a_loader_brings_its_collate_fn_and_an_argument_goes_first() -> None:
    def doubled(items: list[Any]) -> Any:
        x, y = default_collate(items)
        return 2 * x, y

    def tripled(items: list[Any]) -> Any:
        x, y = default_collate(items)
        return 3 * x, y

    loader = DataLoader(Numbered(8, 24), batch_size=4, collate_fn=doubled)
    twice = Items(24, lambda i: (2 * number(8 + i), i % K))
    thrice = Items(24, lambda i: (3 * number(8 + i), i % K))
    assert same_bits(weights(retain=loader), weights(retain=twice))
    assert same_bits(weights(retain=loader, collate_fn=tripled), weights(retain=thrice))


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter([])

    def __len__(self) -> int:
        return 3


@pytest.mark.parametrize("given", [Stream(), DataLoader(Stream()), iter([]), None, 3])
def test_what_is_no_map_style_data_set_is_refused(given: Any) -> None:
    assert refusal(retain=given).startswith("retain: should be a map-style data set")


class Endless(Numbered):
    def __len__(self) -> int:
        raise NotImplementedError("no length")


def test_a_set_without_a_length_is_refused() -> None:
    assert refusal(retain=Endless(0, 3)) == "retain: its length cannot be found (no length)"


# -- arguments


@pytest.mark.parametrize("one", [np.int64(1), np.uint8(1), torch.tensor(1)])
def test_odd_types_of_whole_numbers_are_whole_numbers(one: Any) -> None:
    plain = weights(seed=1, epochs=1, batch_size=8)
    assert same_bits(weights(seed=one, epochs=one, batch_size=8 * one, workers=0 * one), plain)
    sets = {"retain": Numbered(8, 24), "forget": Numbered(0, 8), "test": Numbered(32, 8)}
    expected = evaluate(line(), **sets, seed=1, batch_size=8)
    assert evaluate(line(), **sets, seed=one, batch_size=8 * one) == expected
    assert same_bits(weights(lr=np.float32(0.5)), weights(lr=torch.tensor(0.5)))


@pytest.mark.parametrize("name", ["seed", "workers"])
@pytest.mark.parametrize("wrong", [-1, 1.5, "1", True, np.float64(1), torch.tensor(0.5), 2**64])
def test_what_is_no_whole_number_is_refused_by_name(name: str, wrong: Any) -> None:
    assert refusal(**{name: wrong}).startswith(f"{name}: should be a whole number from 0; found")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"check_overlap": "contents"}, "unknown check_overlap 'contents'. Did you mean 'content'"),
        ({"progress": "yes"}, "progress: should be True, False or None; found 'yes'"),
    ],
)
def test_other_arguments_are_refused_by_name(given: dict[str, Any], said: str) -> None:
    assert refusal(**given).startswith(said)
    sets = {"retain": Numbered(8, 24), "forget": Numbered(0, 8), "test": Numbered(32, 8)}
    with pytest.raises(ConfigError, match="batch_size: should be a whole number from 1"):
        evaluate(line(), **sets, batch_size=0)


def test_transforms_follow_the_seed_and_leave_the_global_state() -> None:
    import random

    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].copy()
    first, again, other = (weights(retain=Noisy(8, 24), epochs=2, seed=seed) for seed in (0, 0, 1))
    assert same_bits(first, again)
    assert not same_bits(first, other)
    assert not same_bits(first, weights(retain=Numbered(8, 24), epochs=2))
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == random.getstate()
    assert (states[2] == np.random.get_state()[1]).all()


def test_noise_is_drawn_anew_in_each_batch_and_epoch() -> None:
    samples = UserSamples(Source("samples", Noisy(0, 8)), None, K, DEVICE)
    generator = torch.Generator().manual_seed(0)
    epochs = []
    for _ in range(2):
        plan = shuffled(8, 4, generator)
        batches = list(samples.batches(plan, generator=generator))
        noise = {
            int(row): float((x - number(int(row))).mean())
            for rows, (inputs, _) in zip(plan, batches, strict=True)
            for row, x in zip(rows, inputs, strict=True)
        }
        epochs.append(noise)
    drawn = [round(v, 6) for noise in epochs for v in noise.values()]
    assert len(set(drawn)) == 16


def test_wrappers_are_read_as_what_they_are() -> None:
    whole = Numbered(0, 32)
    parts = {"retain": Subset(whole, range(8, 32)), "forget": Subset(whole, range(8))}
    for wrap in (Outer, lambda s: ConcatDataset([Subset(s, [0]), Subset(s, range(1, len(s)))])):
        assert same_bits(weights(**{name: wrap(s) for name, s in parts.items()}), weights())


def test_sets_are_closed_when_the_block_ends() -> None:
    with reading({"retain": Numbered(0, 8)}, 1) as sets:
        assert sets.count == 1
    assert not sets._free
