"""Small problems on any device: a ResNet, a ViT and a BERT of the package, without dropout."""

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from companion.backbones import ModelSpec, build
from companion.experiments.data import Dataset, TokenDataset, Transform
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.methods.problem import Problem, UnlearnResult
from ugradsl_core.training import Execution

DEVICE = os.environ.get("UGRADSL_GPU_DEVICE", "cuda")
REHEARSAL = DEVICE == "cpu"
K, SIDE, VOCABULARY, TOKENS = 4, 16, 20, 7
LR = 5e-4  # larger steps make BatchNorm of few samples magnify rounding beyond 1e-4
BATCH, STEPS = 16, 3  # an epoch over D_f or over D_r is three steps
SPECS: dict[str, ModelSpec] = {
    "resnet": ModelSpec(name="resnet18", width=4),
    "vit": ModelSpec(name="vit", width=16, depth=2, heads=2, patch_size=4),
    "bert": ModelSpec(name="bert", width=16, depth=2, heads=2),
}


def make_model(kind: str) -> nn.Module:
    shape, vocabulary = ((TOKENS,), VOCABULARY) if kind == "bert" else ((3, SIDE, SIDE), None)
    model = build(SPECS[kind], num_classes=K, input_shape=shape, vocabulary=vocabulary)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # each device draws its own masks
    return model


def maker(kind: str) -> Callable[[], nn.Module]:
    return lambda: make_model(kind)


def _samples(kind: str, n: int, device: torch.device) -> Dataset | TokenDataset:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % K
    common: dict[str, Any] = {
        "name": kind, "all_labels": labels, "num_classes": K, "class_names": tuple("abcd"),
        "source": "made here", "checksum": "",
    }  # fmt: skip
    if kind == "bert":
        tokens = torch.randint(K + 1, VOCABULARY, (n, TOKENS), generator=generator)
        tokens[:, 0] = 1 + labels
        tokens[::2, 5:] = 0
        return TokenDataset(inputs=tokens, vocabulary=VOCABULARY, **common).to(device)
    pixels = torch.randint(0, 120, (n, SIDE, SIDE, 3), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(n), labels] += 100
    transform = Transform(255.0, (0.3,) * 3, (0.2,) * 3, 1, flip=True)
    return Dataset(inputs=pixels, transform=transform, **common).to(device)


def make_problem(kind: str, device: torch.device, **switches: Any) -> Problem:
    """D_r and D_f of three batches each, on the device."""
    n = STEPS * BATCH
    whole = _samples(kind, 2 * n, device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = make_model(kind).state_dict()
    return Problem(
        make_model=maker(kind),
        trained_state=state,
        retain=whole.take(torch.arange(n, 2 * n)),
        forget=whole.take(torch.arange(n)),
        execution=Execution(device=str(device), **switches),
    )


def on_cpu(subject: Problem) -> Problem:
    """The same problem on the CPU, contiguous, whose rounding differs from channels last."""
    cpu = torch.device("cpu")
    execution = Execution(device="cpu", channels_last=False)
    return replace(
        subject,
        retain=subject.retain.to(cpu),  # type: ignore[attr-defined]
        forget=subject.forget.to(cpu),  # type: ignore[attr-defined]
        execution=execution,
    )


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    ("retrain", {"initialisation": 1}),
    ("ff", {"variant": "upstream"}),
    ("iu", {"variant": "upstream"}),
    ("be", {"variant": "kept"}),
    ("l1-sparse", {"variant": "epochs"}),
    ("rl", {"variant": "shuffled"}),
    ("eu-k", {"variant": "every-epoch", "k": 2}),
    ("cf-k", {"k": 2}),
    ("scrub", {"variant": "joint"}),
    ("salun", {"variant": "gradient", "order": "shuffled"}),
    ("neggrad+", {"epoch_over": "forget"}),
    ("ugradsl", {"alpha": None}),
    ("ugradsl+", {"alpha": None, "bn_mode": "joint"}),
    ("ugradsl", {"alpha": None, "distance": "euclidean", "beta": 0.3, "bn_mode": "frozen"}),
]
IDS = ["-".join([name, *map(str, changes.values())]) for name, changes in CASES]


def run(name: str, subject: Problem, **changes: Any) -> UnlearnResult:
    """One epoch, of three steps over each set that the method reads."""
    fields = METHODS[name].config.model_fields
    small = {"lr": LR, "epochs": 1, "batch_size": BATCH, "forget_batch_size": BATCH, "k": 1}
    small |= {"augment": "none" if "bert" in str(subject.retain.name) else "crop-flip"}  # type: ignore[attr-defined]
    if name == "iu":
        small |= {"damping": 10.0, "tolerance": 1e-6}
    if name == "pabi":
        small |= {"c0": 0.03, "c1": 1.0, "eta": 0.01, "lam": 1.0}
    given = {key: value for key, value in small.items() if key in fields}
    config = make_config(name, **{**given, **changes})
    return METHODS[name](subject, config, generator=torch.Generator().manual_seed(0))


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    """‖a − b‖ / ‖b‖ over all weights and statistics together."""
    names = [name for name, value in b.items() if value.is_floating_point()]
    first, second = (torch.cat([s[name].double().flatten() for name in names]) for s in (a, b))
    return float((first - second).norm() / second.norm())
