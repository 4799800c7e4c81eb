"""Small models, data sets and problems that the unit tests share."""

from collections.abc import Iterable, Iterator

import torch
from torch import Generator, Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from ugradsl_core.data import Dataset, Transform
from ugradsl_core.types import Augmentation, Batch, Execution, Problem

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


MODELS = {"cnn": CNN, "mlp": mlp, "linear": linear}


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


class Spy:
    """Samples that note which indices were asked for."""

    def __init__(self, samples: Dataset) -> None:
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
        return MODELS[kind]()


def problem(
    kind: str = "cnn", n_retain: int = 24, n_forget: int = 8, *, augmentable: bool = False
) -> Problem:
    whole = images(n_retain + n_forget, augmentable=augmentable)
    return Problem(
        make_model=MODELS[kind],
        trained_state=seeded_model(kind).state_dict(),
        retain=whole.take(torch.arange(n_forget, n_forget + n_retain)),
        forget=whole.take(torch.arange(n_forget)),
        execution=CPU,
    )


def whole_batch(samples: Dataset) -> Batch:
    return next(iter(samples.batches([torch.arange(len(samples))])))


def generator(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def same_bits(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def copied(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in state.items()}


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
