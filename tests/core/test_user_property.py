"""Whatever a user brings: the right result, or one sentence that names the argument.

Never a raw exception, and never a change of the caller's model.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset, Subset, TensorDataset

from toys import CNN, CPU, SIDE, K, copied, same_bits
from ugradsl_core import METHODS, UGradSLError, evaluate, unlearn
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


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K)),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(SIDE**2, K)),
    "batchnorm": CNN,
    "view": Viewing,
}
RIGHT: dict[str, Callable[[int], Any]] = {
    "int": int,
    "numpy": np.int16,
    "uint16": lambda y: torch.tensor(y, dtype=torch.uint16),
    "array": lambda y: np.array([y]),
    "tensor": torch.tensor,
    "one": lambda y: torch.tensor([y]),
    "list": lambda y: [y],
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
DTYPES = [torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.complex64]
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

    def __init__(self, start: int, n: int, dtype: torch.dtype, label: Any, item: Any) -> None:
        self.start, self.n, self.dtype, self.label, self.item = start, n, dtype, label, item

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        place = self.start + int(index)  # a subset by a tensor asks with tensors
        return self.item(X[place].to(self.dtype), self.label(place % K))


def network(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MODELS[kind]()


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


def plain(start: int, n: int) -> TensorDataset:
    return TensorDataset(X[start : start + n], torch.arange(start, start + n) % K)


right, whole = st.sampled_from(list(RIGHT.items())), st.sampled_from(list(ITEMS.items()))
usable = st.tuples(st.just(True), right, whole, st.just(torch.float32))
wrong_labels = st.tuples(
    st.just(False), st.sampled_from(list(WRONG.items())), whole, st.just(torch.float32)
)
broken_items = st.tuples(
    st.just(False), right, st.sampled_from(list(BROKEN.items())), st.just(torch.float32)
)
other_dtypes = st.tuples(st.just(False), right, whole, st.sampled_from(DTYPES))


@settings(max_examples=50)
@given(
    st.sampled_from([*(m for m in METHODS if m not in {"iu", "pabi"}), *["evaluate"] * 5]),
    st.sampled_from(list(MODELS)),
    st.sampled_from(list(SAME)),
    usable | wrong_labels | broken_items | other_dtypes,
    st.sampled_from([0] * 12 + [1]),
)
def test_any_combination(
    method: str, kind: str, wrapper: str, items: tuple[bool, Any, Any, torch.dtype], workers: int
) -> None:
    model = network(kind)
    good, (_, label), (_, item), dtype = items

    def run(sets: dict[str, Any], count: int) -> Any:
        if method == "evaluate":
            return evaluate(model, **sets, workers=count, execution=CPU)
        known = METHODS[method].config.model_fields
        small = {k: v for k, v in {"epochs": 1, "batch_size": 4, "lr": 0.01}.items() if k in known}
        sets = {name: sets[name] for name in ("retain", "forget")}
        found = unlearn(method, model, **sets, **small, workers=count, execution=CPU)
        return copied(found.model.state_dict())

    sizes = {"retain": (6, N - 6), "forget": (0, 6), "test": (N, 8)}
    own = {n: SAME[wrapper](Made(*size, dtype, label, item)) for n, size in sizes.items()}
    found = attempt(model, lambda: run(own, workers))
    if good:
        expected = run({name: plain(*size) for name, size in sizes.items()}, 0)
        assert not isinstance(found, str), found
        assert found == expected if method == "evaluate" else same_bits(found, expected)
    else:
        assert isinstance(found, str)
        assert found.startswith(ARGUMENTS), found
        assert "\n" not in found, found
