"""The device, and what makes its float32 comparable with the CPU's.

Without CUDA everything here is skipped. ``UGRADSL_GPU_DEVICE=cpu`` rehearses the same tests there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from subjects import DEVICE, REHEARSAL

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    absent = not REHEARSAL and not torch.cuda.is_available()
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if absent:
                item.add_marker(pytest.mark.skip(reason="no CUDA device"))


@pytest.fixture
def device() -> torch.device:
    return torch.device(DEVICE)


@pytest.fixture(autouse=True)
def _plain_float32() -> Iterator[None]:
    """No TF32, in which a product has ten bits."""
    if REHEARSAL:
        torch.set_num_threads(1)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    yield
    torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
