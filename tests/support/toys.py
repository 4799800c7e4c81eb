"""Small models, data sets and problems that the unit tests share."""

import copy
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import TensorDataset

from companion.experiments.data import Dataset, Transform
from ugradsl_core.api.data import UserSamples
from ugradsl_core.config import Config
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.samples import Augmentation, Batch, Samples
from ugradsl_core.samples.reading import Source
from ugradsl_core.training import Execution

K = 4
SIDE = 6
CPU = Execution(device="cpu")


class CNN(nn.Module):
    """A user's own network with BatchNorm; ``features`` is what its head sees."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(16, K)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


def mlp() -> nn.Module:
    """With dropout, so that a layer draws random numbers."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(SIDE**2, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, K)
    )


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, K))


class Logits(nn.Module):
    """A classifier of ``transformers`` that returns its logits alone; token 0 is padding."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if x.is_floating_point():
            return self.inner(pixel_values=x).logits
        return self.inner(input_ids=x, attention_mask=(x != 0).long()).logits


TINY: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 12,
    "num_labels": K,
}


def vit() -> nn.Module:
    from transformers import ViTConfig, ViTForImageClassification

    config = ViTConfig(image_size=SIDE, patch_size=3, num_channels=1, **TINY)
    return Logits(ViTForImageClassification(config))


def bert() -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(vocab_size=VOCABULARY, max_position_embeddings=TOKENS, **TINY)
    return Logits(BertForSequenceClassification(config))


MODELS: dict[str, Callable[[], nn.Module]] = {"cnn": CNN, "mlp": mlp, "linear": linear}
ALL_MODELS: dict[str, Callable[[], nn.Module]] = {**MODELS, "vit": vit, "bert": bert}
VOCABULARY, TOKENS = 20, 7


def images(n: int, seed: int = 0, *, augmentable: bool = False) -> Dataset:
    """``n`` random images with a bright row that tells the class; classes take turns."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % K
    inputs = torch.randint(0, 120, (n, SIDE, SIDE, 1), generator=generator, dtype=torch.uint8)
    inputs[torch.arange(n), labels] += 100
    return Dataset(
        name="toy",
        inputs=inputs,
        all_labels=labels,
        num_classes=K,
        transform=Transform(255.0, (0.3,), (0.2,), int(augmentable), flip=augmentable),
        class_names=tuple("abcd"),
        source="test",
        checksum=str(seed),
    )


def sentences(n: int, seed: int = 0) -> UserSamples:
    """``n`` random rows of tokens, of which the first tells the class; every other one is short."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % K
    tokens = torch.randint(K + 1, VOCABULARY, (n, TOKENS), generator=generator)
    tokens[:, 0] = 1 + labels
    tokens[::2, 5:] = 0
    return UserSamples(
        Source("samples", TensorDataset(tokens, labels)), labels, K, torch.device("cpu")
    )


def taken(samples: Any, index: Tensor) -> Any:
    """A part of :func:`images` or :func:`sentences`."""
    if isinstance(samples, Dataset):
        return samples.take(index)
    tensors = [tensor[index] for tensor in samples.source.dataset.tensors]
    return UserSamples(Source("samples", TensorDataset(*tensors)), tensors[1], K, samples.device)


class Spy:
    """Samples that note which indices were asked for."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self.seen: list[Tensor] = []

    @property
    def labels(self) -> Tensor:
        return self.samples.labels

    @property
    def num_classes(self) -> int:
        return self.samples.num_classes

    def __len__(self) -> int:
        return len(self.samples)

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        def noted() -> Iterator[Tensor]:
            for index in plan:
                self.seen.append(index)
                yield index

        return self.samples.batches(noted(), augment=augment, generator=generator)


def seeded_model(kind: str, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return ALL_MODELS[kind]()


def problem(
    kind: str = "cnn", n_retain: int = 24, n_forget: int = 8, *, augmentable: bool = False
) -> Problem:
    n = n_retain + n_forget
    whole: Any = sentences(n) if kind == "bert" else images(n, augmentable=augmentable)
    return Problem(
        make_model=ALL_MODELS[kind],
        trained_state=seeded_model(kind).state_dict(),
        retain=taken(whole, torch.arange(n_forget, n)),
        forget=taken(whole, torch.arange(n_forget)),
        execution=CPU,
    )


def replaced(subject: Problem, **changes: Any) -> Problem:
    return Problem(**{**subject.__dict__, **changes})


SMALL: dict[str, Any] = {"lr": 0.02, "batch_size": 8, "epochs": 2}


def small_config(name: str, **changes: Any) -> Config:
    """A method's defaults with those of ``SMALL`` that it has, and ``changes``."""
    fields = METHODS[name].config.model_fields
    return make_config(name, **{**{k: v for k, v in SMALL.items() if k in fields}, **changes})


def unlearned(name: str, subject: Problem, seed: int = 0, **changes: Any) -> UnlearnResult:
    """The result of a method with :func:`small_config`."""
    return METHODS[name](subject, small_config(name, **changes), generator=generator(seed))


def whole_batch(samples: Samples) -> Batch:
    return next(iter(samples.batches([torch.arange(len(samples))])))


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def same_bits(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Also of state dicts that hold more than tensors."""
    return list(a) == list(b) and all(
        torch.equal(value, b[name]) if isinstance(value, Tensor) else value == b[name]
        for name, value in a.items()
    )


def copied(state: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }


class Pairs(TorchDataset):
    """A user's own map-style data set: no labels attribute, a Python int for each item."""

    def __init__(self, n: int, seed: int = 0, k: int = K) -> None:
        whole = images(n, seed)
        self.x, y = whole_batch(whole)
        self.answers = [int(label) % k for label in y]

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.x[index], self.answers[index]
