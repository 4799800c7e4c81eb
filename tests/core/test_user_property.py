"""Whatever a user brings: the right result, or one sentence that names the argument.

Never a raw exception, and never a change of the caller's model.
"""

import enum
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm
from torch.nn.utils.parametrizations import weight_norm
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from toys import CNN, CPU, SIDE, K, copied, same_bits
from ugradsl_core import METHODS, UGradSLError, evaluate, unlearn
from ugradsl_core.api.model import core_of
from user_sets import Outer

N = 14
GENERATOR = torch.Generator().manual_seed(0)
X = torch.rand(2 * N, 1, SIDE, SIDE, generator=GENERATOR)
ARGUMENTS = ("retain: ", "forget: ", "test: ", "model: ", "retain and forget: ")


class Viewing(nn.Module):
    """Flattens with view, and holds a mask in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 2, 3, padding=1)
        self.head = nn.Linear(2 * SIDE * SIDE, K)
        self.register_buffer("mask", torch.ones(SIDE))

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.convolution(x) * self.mask).view(len(x), -1))


class Named(nn.Module):
    """Returns its logits under their name, beside something else."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(SIDE**2, K)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"norm": x.norm(), "logits": self.head(x.flatten(1))}


class Sparse(nn.Module):
    """Looks rows up in a table whose gradients are sparse."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(300, 5, sparse=True), nn.Linear(5, K)
        self.register_buffer("steps", 20 * torch.eye(SIDE**2))

    def forward(self, x: Tensor) -> Tensor:
        rows = F.linear(x.flatten(1), self.steps).long().clamp(0, 299)
        return self.head(self.table(rows).mean(1))


class Told(nn.Module):
    """Its state dict holds more than tensors, and each training pass changes a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.told = (
            nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K)),
            {"classes": "abcd"},
        )
        self.register_buffer("passed", torch.zeros((), dtype=torch.long))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.passed += 1
        return self.body(x)

    def get_extra_state(self) -> Any:
        return self.told

    def set_extra_state(self, state: Any) -> None:
        self.told = state


def frozen() -> nn.Module:
    network = CNN()
    network.features.requires_grad_(False)  # type: ignore[operator]
    return network


def tied() -> nn.Module:
    layers = [nn.Linear(SIDE**2, SIDE**2, bias=False) for _ in range(2)]
    layers[1].weight = layers[0].weight
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(SIDE**2, K))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K)),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(SIDE**2, K)),
    "batchnorm": CNN,
    "view": Viewing,
    "named": Named,
    "weight norm": lambda: nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(SIDE**2, K))),
    "spectral norm": lambda: nn.Sequential(  # the old kind, which changes its weight in forward
        nn.Flatten(), spectral_norm(nn.Linear(SIDE**2, 6)), nn.ReLU(), nn.Linear(6, K)
    ),
    "sparse": Sparse,
    "told": Told,
    "frozen": frozen,
    "tied": tied,
}
# Never a reference that remembers, nor a guess: what a method cannot do with a kind of model.
REFUSED: dict[str, dict[str, str]] = {
    "weight norm": dict.fromkeys(("retrain", "eu-k"), "pass make_model=…")
    | {"be": "needs a linear classification layer"},
    "spectral norm": dict.fromkeys(("retrain", "eu-k"), "pass make_model=…"),
    "sparse": {"bs": "bs does not work with it"},
}
HELD: dict[str, Callable[[nn.Module], nn.Module]] = {
    "bare": lambda m: m,
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
}
RIGHT: dict[str, Callable[[int], Any]] = {
    "int": int,
    "numpy": np.int16,
    "uint16": lambda y: torch.tensor(y, dtype=torch.uint16),
    "array": lambda y: np.array([y]),
    "tensor": torch.tensor,
    "one": lambda y: torch.tensor([y]),
    "list": lambda y: [y],
    "enumeration": enum.IntEnum("Label", [(letter, n) for n, letter in enumerate("abcd")]),
    "uint64": lambda y: torch.tensor(y, dtype=torch.uint64),
}
DECLARED: dict[str, Callable[[list[int]], Any]] = {
    "nothing": lambda y: None,
    "list": list,
    "tuple": tuple,
    "array": np.array,
    "tensor": torch.tensor,
    "column": lambda y: torch.tensor(y)[:, None],
    "stale": lambda y: [K + 5] * len(y),
    "texts": lambda y: [str(label) for label in y],
    "series": lambda y: pd.Series(y, index=range(7, 7 + len(y))),
    "categories": lambda y: pd.Categorical([f"class {label}" for label in y]),
    "something else": lambda y: {"a": 1},
}
NUMBERS: dict[str, tuple[Callable[[int], Any], Callable[[float], Any]]] = {  # whole and real
    "python": (int, float),
    "numpy": (np.int16, np.float64),
    "arrays": (np.array, np.array),
    "tensors": (torch.tensor, lambda v: torch.tensor(v, dtype=torch.float64)),
    "exact": (int, lambda v: Fraction(str(v))),
}
WRONG: dict[str, Callable[[int], Any]] = {
    "text": lambda y: "abcd"[y],
    "float": float,
    "one-hot": lambda y: torch.eye(K)[y],
    "none": lambda y: None,
    "above": lambda y: y + K * (y == 2),
    "below": lambda y: -y,
    "mapping": lambda y: {"class": y},
}
ITEMS: dict[str, Callable[[Any, Any], Any]] = {
    "pair": lambda x, y: (x, y),
    "list": lambda x, y: [x, y],
    "array": lambda x, y: (x.numpy(), y),
    "mapping": lambda x, y: {"image": x, "label": y},
    "nested": lambda x, y: ({"image": x}, y),
}
BROKEN: dict[str, Callable[[Any, Any], Any]] = {
    "triple": lambda x, y: (x, y, y),
    "input alone": lambda x, y: x,
    "none": lambda x, y: None,
    "unlabelled": lambda x, y: {"image": x},
    "text": lambda x, y: ("picture", y),
    "uneven": lambda x, y: (x[..., : SIDE - int(torch.as_tensor(y).sum() == 2)], y),
    "raising": lambda x, y: x[SIDE],
    "two inputs": lambda x, y: ((x, x), y),
}
DTYPES = [torch.float16, torch.bfloat16, torch.uint8, torch.complex64]
SAME: dict[str, Callable[[Any], Any]] = {
    "itself": lambda d: d,
    "subset": lambda d: Subset(d, list(range(len(d)))),
    "nested": lambda d: Subset(Subset(d, torch.arange(len(d))), np.arange(len(d))),
    "joined": lambda d: ConcatDataset([Subset(d, range(3)), Subset(d, range(3, len(d)))]),
    "wrapped": Outer,
    "loader": lambda d: DataLoader(d, batch_size=3, shuffle=True, drop_last=True),
}


class Made(Dataset):
    """Items of one kind, with labels of one type, from number ``start`` on."""

    def __init__(
        self, start: int, n: int, dtype: torch.dtype, label: Any, item: Any, declared: Any
    ) -> None:
        self.start, self.n, self.dtype, self.label, self.item = start, n, dtype, label, item
        self.targets = declared([place % K for place in range(start, start + n)])

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        place = self.start + int(index)  # a subset by a tensor asks with tensors
        return self.item(X[place].to(self.dtype), self.label(place % K))


def network(kind: str, dtype: torch.dtype) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[kind]().to(dtype)


def attempt(model: nn.Module, call: Callable[[], Any]) -> Any:
    """What a call gives, or the sentence that it is refused with; the model stays as it was."""
    before, modes = copied(model.state_dict()), [m.training for m in model.modules()]
    state = torch.get_rng_state()
    try:
        return call()
    except UGradSLError as error:
        return str(error)
    finally:
        assert same_bits(before, model.state_dict())
        assert modes == [m.training for m in model.modules()]
        assert all(p.grad is None for p in model.parameters())
        assert torch.equal(state, torch.get_rng_state())


def plain(start: int, n: int, dtype: torch.dtype) -> TensorDataset:
    return TensorDataset(X[start : start + n].to(dtype), torch.arange(start, start + n) % K)


right, whole = st.sampled_from(list(RIGHT.items())), st.sampled_from(list(ITEMS.items()))
same, other = st.none(), st.sampled_from(DTYPES)  # None: the items are of the model's type
usable = st.tuples(st.just(True), right, whole, same)
wrong_labels = st.tuples(st.just(False), st.sampled_from(list(WRONG.items())), whole, same)
broken_items = st.tuples(st.just(False), right, st.sampled_from(list(BROKEN.items())), same)
other_dtypes = st.tuples(st.just(False), right, whole, other)


@pytest.mark.filterwarnings("ignore:.*spectral_norm.*:FutureWarning")
@settings(max_examples=60)
@given(
    st.sampled_from([*(m for m in METHODS if m not in {"iu", "pabi"}), *["evaluate"] * 5]),
    st.sampled_from(list(MODELS)),
    st.sampled_from(list(HELD)),
    st.sampled_from(list(SAME)),
    usable | usable | wrong_labels | broken_items | other_dtypes,
    st.sampled_from([torch.float32] * 3 + [torch.float64]),
    st.sampled_from([0] * 12 + [1]),
    st.sampled_from(list(DECLARED)),
    st.sampled_from(list(NUMBERS)),
)
def test_any_combination(
    method: str,
    kind: str,
    held: str,
    wrapper: str,
    items: tuple[bool, Any, Any, torch.dtype | None],
    precision: torch.dtype,
    workers: int,
    declared: str,
    numbers: str,
) -> None:
    bare = network(kind, precision)
    model = HELD[held](bare)
    good, (_, label), (_, item), dtype = items

    def run(network: nn.Module, sets: dict[str, Any], count: int, kind: str) -> Any:
        whole, real = NUMBERS[kind]
        given: dict[str, Any] = {"workers": whole(count), "seed": whole(3), "execution": CPU}
        if method == "evaluate":
            return evaluate(network, **sets, **given, batch_size=whole(5))
        known = METHODS[method].config.model_fields
        small = {"epochs": whole(1), "batch_size": whole(4), "lr": real(0.01)}
        given |= {name: value for name, value in small.items() if name in known}
        sets = {name: sets[name] for name in ("retain", "forget")}
        found = unlearn(method, network, **sets, **given)
        assert type(found.model) is type(network)
        return copied(core_of(found.model).state_dict())

    sizes = {"retain": (6, N - 6), "forget": (0, 6), "test": (N, 8)}
    kinds = dtype or precision, label, item, DECLARED[declared]
    made = {name: Made(*size, *kinds) for name, size in sizes.items()}
    held_sets = {name: SAME[wrapper](data) for name, data in made.items()}
    found = attempt(model, lambda: run(model, held_sets, workers, numbers))
    refused = REFUSED.get(kind, {}).get(method)
    if not good:
        assert isinstance(found, str)
    elif refused is not None:
        assert isinstance(found, str)
        assert refused in found
    else:
        assert not isinstance(found, str), found
        plain_sets = {name: plain(*size, precision) for name, size in sizes.items()}
        expected = run(bare, plain_sets, 0, "python")
        assert found == expected if method == "evaluate" else same_bits(found, expected)
    if isinstance(found, str):
        assert found.startswith(ARGUMENTS), found
        assert "\n" not in found, found
