"""The parts of any model: its classification head, its layers in order, seeded initialisation."""

from ugradsl_core.models.heads import FeatureTap, find_head, head_name, load_weights, widen_head
from ugradsl_core.models.layers import (
    NORMALISATION,
    last_layers,
    own_tensors,
    with_parametrisations,
)
from ugradsl_core.models.modes import STATISTICS, is_frozen, modes, seeded, trainable

__all__ = [
    "NORMALISATION",
    "STATISTICS",
    "FeatureTap",
    "find_head",
    "head_name",
    "is_frozen",
    "last_layers",
    "load_weights",
    "modes",
    "own_tensors",
    "seeded",
    "trainable",
    "widen_head",
    "with_parametrisations",
]
