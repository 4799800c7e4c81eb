"""Labelled samples: their interface, and a user's own data sets."""

from ugradsl_core.samples.protocol import Augmentation, Batch, Samples, StateDict
from ugradsl_core.samples.reading import MapStyle

__all__ = ["Augmentation", "Batch", "MapStyle", "Samples", "StateDict"]
