"""Inputs by name: items that are mappings, as Hugging Face's, through every method."""

from collections import UserDict
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Subset, TensorDataset

from companion.theory.risks import one_tensor
from toys import CPU, SIDE, TINY, TOKENS, VOCABULARY, K, same_bits
from ugradsl_core import METHODS, DataError, UGradSLError, evaluate, unlearn
from ugradsl_core.samples.inputs import cat, size, take, to_device
from ugradsl_core.training import Execution
from user_sets import Items, Numbered, Sentences, Texts, line, number, tokens

ROWS, LABELS = tokens(32)
MIXED = [
    *((name, {}) for name in METHODS),
    ("ugradsl", {"alpha": None}),
    ("ugradsl+", {"alpha": None, "bn_mode": "joint"}),
    ("ugradsl", {"bn_mode": "joint"}),
    ("rl", {"variant": "shuffled"}),
    ("salun", {"order": "shuffled"}),
    ("scrub", {"variant": "joint"}),
    ("iu", {"variant": "upstream"}),
    ("ff", {"variant": "upstream"}),
    ("ft", {"execution": Execution(device="cpu", accumulate=3)}),
]


def texts() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Texts()


def run(method: str, network: nn.Module, **given: Any) -> Any:
    known = METHODS[method].config.model_fields
    small = {"lr": 0.05, "epochs": 2, "batch_size": 8, "max_iterations": 3, "tolerance": 0.9}
    arguments = {**{k: v for k, v in small.items() if k in known}, "execution": CPU, **given}
    return unlearn(method, network, **arguments)


def sentences(label: str = "labels") -> dict[str, Any]:
    whole = Sentences(ROWS, LABELS, label)
    return {"retain": Subset(whole, range(8, 32)), "forget": Subset(whole, range(8))}


def plain() -> dict[str, Any]:
    return {
        "retain": TensorDataset(ROWS[8:], LABELS[8:]),
        "forget": TensorDataset(ROWS[:8], LABELS[:8]),
    }


@pytest.mark.filterwarnings("ignore:iu. conjugate gradients")
@pytest.mark.parametrize(("method", "changes"), MIXED)
def test_every_method_takes_inputs_by_name(method: str, changes: dict[str, Any]) -> None:
    """A mask of ones and texts that no model takes change nothing."""
    named = run(method, texts(), **sentences(), **changes).model.state_dict()
    assert same_bits(named, run(method, texts(), **plain(), **changes).model.state_dict())


@pytest.mark.parametrize("label", ["labels", "label", "target", "targets", "y"])
def test_labels_are_found_by_their_usual_names(label: str) -> None:
    named = run("ft", texts(), **sentences(label)).model.state_dict()
    assert same_bits(named, run("ft", texts(), **plain()).model.state_dict())


def padding(items: list[Any]) -> Any:
    """As transformers' DataCollatorWithPadding: as long as the longest of the batch."""
    longest = max(len(item["input_ids"]) for item in items)

    def filled(value: Tensor) -> Tensor:
        return nn.functional.pad(value, (0, longest - len(value)))

    batch = {
        key: torch.stack([filled(item[key]) for item in items])
        for key in ("input_ids", "attention_mask")
    }
    return UserDict({**batch, "labels": torch.tensor([item["label"] for item in items])})


def ragged(first: int, n: int) -> Items:
    def make(i: int) -> Any:
        length = 3 + (first + i) % 5
        ids = ROWS[first + i, :length]
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "label": i % K}

    return Items(n, make)


def test_texts_of_unequal_lengths_need_a_collate_fn() -> None:
    sets = {"retain": ragged(8, 24), "forget": ragged(0, 8)}
    with pytest.raises(DataError, match=r"(retain|forget): items \d+ and \d+ make no batch"):
        run("ugradsl", texts(), **sets)
    found = run("ugradsl", texts(), **sets, collate_fn=padding)
    assert found.result.steps == 2
    report = evaluate(found.model, **sets, test=ragged(3, 9), collate_fn=padding, batch_size=5)
    assert report == evaluate(
        found.model, **sets, test=ragged(3, 9), collate_fn=padding, batch_size=1
    )


def test_batches_padded_differently_cannot_stand_in_one() -> None:
    short = Items(8, lambda i: {"input_ids": ROWS[i, :3], "attention_mask": ROWS[i, :3], "y": 0})
    with pytest.raises(DataError, match="retain and forget: their inputs cannot form one"):
        run("ugradsl", texts(), retain=sentences()["retain"], forget=short, bn_mode="joint")


def test_pairs_of_a_mapping_and_a_label() -> None:
    def pair(item: Any) -> Any:
        return {k: v for k, v in item.items() if k != "labels"}, item["labels"]

    sets = {
        name: Items(len(s), lambda i, s=s: pair(s[i]))  # type: ignore[misc]
        for name, s in sentences().items()
    }
    named = run("ft", texts(), **sets).model.state_dict()
    assert same_bits(named, run("ft", texts(), **plain()).model.state_dict())


def test_a_single_input_is_the_models_whatever_it_is_called() -> None:
    sets = {"retain": Numbered(8, 24), "forget": Numbered(0, 8)}
    named = {
        "retain": Items(24, lambda i: {"anything": number(8 + i), "label": i % K}),
        "forget": Items(8, lambda i: {"anything": number(i), "label": i % K}),
    }
    assert same_bits(
        run("ugradsl", line(), **named).model.state_dict(),
        run("ugradsl", line(), **sets).model.state_dict(),
    )


def test_inputs_that_the_model_does_not_take_are_refused_by_name() -> None:
    wrong = Items(24, lambda i: {"a": number(i), "b": number(i), "label": i % K})
    with pytest.raises(DataError, match=r"retain: the items hold a, b, of which .* takes input"):
        run("ft", line(), retain=wrong, forget=Numbered(0, 8))
    empty = Items(24, lambda i: {"text": "a", "label": i % K})
    with pytest.raises(DataError, match=r"retain: .* with tensors as input"):
        run("ft", line(), retain=empty, forget=Numbered(0, 8))


class Table(Items):
    """As a data set of Hugging Face: columns by name, several rows at once."""

    column_names = ["input_ids", "label"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__(24, lambda i: {"input_ids": ROWS[8 + i], "label": int(LABELS[8 + i])})
        self.asked: list[int] = []

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return [self.make(i)[index] for i in range(self.n)]
        return super().__getitem__(index)

    def __getitems__(self, indices: list[int]) -> Any:
        self.asked.append(len(indices))
        return [self.make(i) for i in indices]


def test_a_table_with_columns() -> None:
    table = Table()
    named = run("ft", texts(), retain=table, forget=plain()["forget"]).model.state_dict()
    assert same_bits(named, run("ft", texts(), **plain()).model.state_dict())
    assert table.asked == [8] * 6
    assert table.read == 1


def picture_classifier() -> nn.Module:
    """ViT of transformers behind a module that gives its logits, called by name."""
    from transformers import ViTConfig, ViTForImageClassification

    class Logits(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            config = ViTConfig(image_size=SIDE, patch_size=3, num_channels=1, **TINY)
            self.inner = ViTForImageClassification(config)

        def forward(self, pixel_values: Any) -> Tensor:
            if not isinstance(pixel_values, Tensor):
                return self.forward(**pixel_values)
            return self.inner(pixel_values=pixel_values).logits

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Logits()


@pytest.mark.parametrize("method", ["ugradsl", "bs", "be"])
def test_pictures_by_name(method: str) -> None:
    x = torch.rand(32, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))

    def named(first: int, n: int) -> Items:
        return Items(n, lambda i: {"pixel_values": x[first + i], "labels": (first + i) % K})

    pairs = {
        "retain": TensorDataset(x[8:], torch.arange(8, 32) % K),
        "forget": TensorDataset(x[:8], torch.arange(8) % K),
    }
    found = run(method, picture_classifier(), retain=named(8, 24), forget=named(0, 8))
    expected = run(method, picture_classifier(), **pairs)
    assert same_bits(found.model.state_dict(), expected.model.state_dict())


class Scaled(nn.Module):
    """Takes numbers and a mask, both floating-point."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, K)

    def forward(self, x: Any, mask: Tensor | None = None) -> Tensor:
        return self.forward(**x) if mask is None else self.head(x * mask)


def test_boundary_shrinking_moves_numbers_and_leaves_masks() -> None:
    from ugradsl_core.methods.boundary import _moved_inputs

    model = Scaled()
    x, mask, labels = torch.randn(3, 4), torch.tensor([[1.0, 1, 0, 1]] * 3), torch.tensor([0, 1, 2])
    moved = _moved_inputs(model, {"x": x, "mask": mask}, labels, 0.1, None)
    assert not isinstance(moved, Tensor)
    start = x.clone().requires_grad_()
    loss = nn.functional.cross_entropy(model(start, mask), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, start)
    assert torch.equal(moved["x"], x + 0.1 * gradient.sign())
    assert moved["mask"] is mask


# -- the helpers


def test_inputs_are_taken_joined_and_counted_alike() -> None:
    x, mask = torch.arange(12.0).view(6, 2), torch.arange(6)
    named = {"x": x, "mask": mask}
    assert size(x) == size(named) == 6
    for rows in (slice(1, 3), torch.tensor([4, 0])):
        assert torch.equal(take(x, rows), x[rows])  # type: ignore[arg-type]
        part = take(named, rows)
        assert not isinstance(part, Tensor)
        assert torch.equal(part["x"], x[rows])
        assert torch.equal(part["mask"], mask[rows])
    joined = cat([take(named, slice(0, 2)), take(named, slice(2, 6))])
    assert not isinstance(joined, Tensor)
    assert torch.equal(joined["x"], x)
    moved = to_device(named, torch.device("meta"))
    assert not isinstance(moved, Tensor)
    assert {v.device.type for v in moved.values()} == {"meta"}
    assert one_tensor(x) is x
    with pytest.raises(DataError, match="should be one tensor; found x, mask"):
        one_tensor(named)


@pytest.mark.parametrize(
    "parts",
    [
        [torch.ones(2, 3), torch.ones(2, 4)],
        [{"x": torch.ones(2)}, torch.ones(2)],
        [{"x": torch.ones(2)}, {"y": torch.ones(2)}],
    ],
)
def test_inputs_that_do_not_fit_are_refused(parts: Any) -> None:
    with pytest.raises(UGradSLError, match="cannot form one batch"):
        cat(parts)


def test_rows_of_tokens_stay_what_they_are() -> None:
    assert ROWS.shape == (32, TOKENS)
    assert int(ROWS.max()) < VOCABULARY
