"""What several test files take from ``test_user_models.py``."""

from typing import Any

from torch import Tensor, nn

from toys import mlp
from ugradsl_core import METHODS

WITH_ADAPTIVE = [*((name, {}) for name in METHODS), ("ugradsl", {"alpha": None})]


SEVERAL = [pair for pair in WITH_ADAPTIVE if pair[0] in {"eu-k", "cf-k", "ff", "iu"} or pair[1]]


class ExtraState(nn.Module):
    """Its state dict holds more than tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.told = mlp(), {"version": 3, "names": ["a"]}

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)

    def get_extra_state(self) -> Any:
        return self.told

    def set_extra_state(self, state: Any) -> None:
        self.told = state
