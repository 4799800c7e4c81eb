"""Unlearn with an installed package, from outside the repository: the release check runs it."""

from importlib.metadata import metadata
from pathlib import Path

import torch
from torch.utils.data import TensorDataset

import ugradsl_core

assert "site-packages" in Path(ugradsl_core.__file__).parts, ugradsl_core.__file__
about = metadata("ugradsl-core")
assert about["Version"] == ugradsl_core.__version__
assert about["License-Expression"] == "MIT"

points = TensorDataset(torch.randn(60, 4), torch.arange(60) % 3)
retain = TensorDataset(*points[:40])
forget = TensorDataset(*points[40:])
result = ugradsl_core.unlearn(
    "ugradsl", torch.nn.Linear(4, 3), retain=retain, forget=forget, alpha=-0.4, epochs=1
)
print(ugradsl_core.evaluate(result.model, retain=retain, forget=forget, test=points))
