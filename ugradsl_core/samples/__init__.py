"""Labelled samples: their interface, images on a device, a user's own data sets."""

from ugradsl_core.samples.images import Dataset, Transform
from ugradsl_core.samples.protocol import Augmentation, Batch, NamedSamples, Samples, StateDict
from ugradsl_core.samples.reading import MapStyle

__all__ = [
    "Augmentation",
    "Batch",
    "Dataset",
    "MapStyle",
    "NamedSamples",
    "Samples",
    "StateDict",
    "Transform",
]
