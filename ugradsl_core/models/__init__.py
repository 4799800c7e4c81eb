"""The parts of any model: its classification head, its layers in order, seeded initialisation."""

from ugradsl_core.models.heads import FeatureTap, find_head, head_name, load_weights, widen_head
from ugradsl_core.models.layers import (
    NORMALISATION,
    last_layers,
    own_tensors,
    with_parametrisations,
)
from ugradsl_core.models.seeding import seeded

__all__ = [
    "NORMALISATION",
    "FeatureTap",
    "find_head",
    "head_name",
    "last_layers",
    "load_weights",
    "own_tensors",
    "seeded",
    "widen_head",
    "with_parametrisations",
]
