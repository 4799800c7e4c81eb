"""What several test files take from ``test_api.py``."""

from typing import Any

from torch import nn

from toys import CPU, Pairs, seeded_model
from ugradsl_core import METHODS, unlearn

RETAIN, FORGET, TEST = Pairs(24, 0), Pairs(8, 1), Pairs(16, 2)
SMALL: dict[str, Any] = {"lr": 0.05, "epochs": 2, "batch_size": 8, "execution": CPU}


def model() -> nn.Module:
    return seeded_model("cnn")


def run(method: str = "ugradsl", network: nn.Module | None = None, **changes: Any) -> Any:
    known = METHODS[method].config.model_fields if method in METHODS else SMALL
    small = {name: value for name, value in SMALL.items() if name in {"execution", *known}}
    arguments = {"retain": RETAIN, "forget": FORGET, **small, **changes}
    return unlearn(method, model() if network is None else network, **arguments)
