"""What a model said of every sample: small files beside the records, one for a model and seed.

A file holds, for each of D_r, D_f and D_te, the labels, the predictions and the margins; losses and
confidences follow from the margins. It is a safetensors file, so reading one runs no code.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ugradsl_core.errors import StoreError
from ugradsl_core.training.files import write_atomically

FOLDER = "outputs"
SETS = ("retain", "forget", "test")
PARTS = ("labels", "predictions", "margins")
KNOWN = "companion-outputs-1"


@dataclass(frozen=True, eq=False)
class SetOutputs:
    """What a model said of one set of N samples.

    Attributes:
        labels: true classes, uint8 or int16, (N,).
        predictions: most probable classes, as ``labels``.
        margins: log p − log(1 − p) with the probability p of the true class, float16, (N,).
    """

    labels: NDArray[Any]
    predictions: NDArray[Any]
    margins: NDArray[np.float16]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probabilities of the true class, (N,)."""
        from scipy.special import expit

        return np.asarray(expit(self.margins.astype(np.float64)))

    @property
    def losses(self) -> NDArray[np.float64]:
        """Cross-entropies in nats, (N,)."""
        return np.logaddexp(0, -self.margins.astype(np.float64))


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a model said of all samples.

    Attributes:
        sets: ``retain``, ``forget`` and ``test``.
        facts: preset, scale, label, seed, commit and hashes, as text.
        similarity: ``original`` and ``retrain`` → layer → linear CKA with that model's layer, in
            [0, 1], on the first test samples; a model that was not available is missing.
    """

    sets: Mapping[str, SetOutputs]
    facts: Mapping[str, str]
    similarity: Mapping[str, Mapping[str, float]]


def outputs_path(folder: Path, stem: str, seed: int) -> Path:
    """Where the outputs of a method and seed lie in the folder of a setting's records."""
    return folder / FOLDER / f"{stem}-{seed}.safetensors"


def write_outputs(path: Path, outputs: Outputs) -> None:
    """Write outputs to a file, whole or not at all."""
    from safetensors.numpy import save_file

    arrays = {
        f"{name}.{part}": np.ascontiguousarray(getattr(found, part))
        for name, found in outputs.sets.items()
        for part in PARTS
    }
    facts = {**outputs.facts, "format": KNOWN, "similarity": json.dumps(outputs.similarity)}
    write_atomically(path, lambda place: save_file(arrays, place, facts))


def read_outputs(path: Path) -> Outputs:
    """Read what :func:`write_outputs` has written.

    Raises:
        StoreError: the file is missing, damaged, or something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            facts = dict(file.metadata() or {})
            if facts.pop("format", "") != KNOWN:
                raise StoreError(f"{path}: holds no outputs of a model")
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from error
    sets = {
        name: SetOutputs(
            *(arrays[f"{name}.{part}"] for part in ("labels", "predictions", "margins"))
        )
        for name in SETS
    }
    return Outputs(sets, facts, json.loads(facts.pop("similarity")))
