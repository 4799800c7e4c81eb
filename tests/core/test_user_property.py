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


MODELS: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K)),
    "dropout": lambda: nn.Sequential(nn.Flatten(), nn.Dropout(0.3), nn.Linear(SIDE**2, K)),
    "batchnorm": CNN,
    "view": Viewing,
    "named": Named,
    "weight norm": lambda: nn.Sequential(nn.Flatten(), weight_norm(nn.Linear(SIDE**2, K))),
}
NO_LAYER_BY_LAYER = {"retrain", "eu-k", "be"}  # of parametrised layers: they make layers anew
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

    def __init__(self, start: int, n: int, dtype: torch.dtype, label: Any, item: Any) -> None:
        self.start, self.n, self.dtype, self.label, self.item = start, n, dtype, label, item

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


@settings(max_examples=50)
@given(
    st.sampled_from([*(m for m in METHODS if m not in {"iu", "pabi"}), *["evaluate"] * 5]),
    st.sampled_from(list(MODELS)),
    st.sampled_from(list(HELD)),
    st.sampled_from(list(SAME)),
    usable | usable | wrong_labels | broken_items | other_dtypes,
    st.sampled_from([torch.float32] * 3 + [torch.float64]),
    st.sampled_from([0] * 12 + [1]),
)
def test_any_combination(
    method: str,
    kind: str,
    held: str,
    wrapper: str,
    items: tuple[bool, Any, Any, torch.dtype | None],
    precision: torch.dtype,
    workers: int,
) -> None:
    bare = network(kind, precision)
    model = HELD[held](bare)
    good, (_, label), (_, item), dtype = items

    def run(network: nn.Module, sets: dict[str, Any], count: int) -> Any:
        if method == "evaluate":
            return evaluate(network, **sets, workers=count, execution=CPU)
        known = METHODS[method].config.model_fields
        small = {k: v for k, v in {"epochs": 1, "batch_size": 4, "lr": 0.01}.items() if k in known}
        sets = {name: sets[name] for name in ("retain", "forget")}
        found = unlearn(method, network, **sets, **small, workers=count, execution=CPU)
        assert type(found.model) is type(network)
        return copied(core_of(found.model).state_dict())

    sizes = {"retain": (6, N - 6), "forget": (0, 6), "test": (N, 8)}
    made = {n: Made(*size, dtype or precision, label, item) for n, size in sizes.items()}
    found = attempt(
        model, lambda: run(model, {n: SAME[wrapper](d) for n, d in made.items()}, workers)
    )
    if not good:
        assert isinstance(found, str)
    elif kind == "weight norm" and method in NO_LAYER_BY_LAYER:  # never a reference that remembers
        assert isinstance(found, str)
        assert "pass make_model=…" in found or "needs a linear classification layer" in found
    else:
        assert not isinstance(found, str), found
        expected = run(bare, {name: plain(*size, precision) for name, size in sizes.items()}, 0)
        assert found == expected if method == "evaluate" else same_bits(found, expected)
    if isinstance(found, str):
        assert found.startswith(ARGUMENTS), found
        assert "\n" not in found, found
