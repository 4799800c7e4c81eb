"""One experiment, with everything needed to trust it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch

from companion.experiments.records import provenance
from companion.experiments.settings.setting import digest


@dataclass(frozen=True)
class Record:
    """One experiment: a setting, a method and a seed, with everything needed to trust it.

    ``metrics`` are percentages, or empty where ``status`` is not ``"ok"``; NaN, written as
    ``null``, is an attack that has no signal, which ``note`` says, too. ``seconds`` is the wall
    time of unlearning alone (RTE). ``kind`` is ``"result"`` (test set) or ``"trial"`` (validation
    set, one step of a search). ``protocol`` names the rules that a comparison was made by, see
    :mod:`companion.experiments.runs.protocol`; it is empty for runs outside one.
    """

    kind: str
    scale: str
    setting: Mapping[str, Any]
    method: str
    config: Mapping[str, Any]
    seed: int
    status: str
    metrics: Mapping[str, Any]
    seconds: float
    steps: int
    forward_samples: int
    backward_samples: int
    setting_hash: str
    config_hash: str
    data_checksum: str
    versions: Mapping[str, str]
    hardware: Mapping[str, Any]
    commit: str
    created: str
    note: str = ""
    protocol: str = ""

    @classmethod
    def stamped(
        cls,
        *,
        device: torch.device,
        hashed: Any = None,
        switches: Mapping[str, Any] | None = None,
        **facts: Any,
    ) -> Self:
        """A record with its hashes, and the versions, hardware, commit and time of this process.

        Args:
            device: that it was computed on.
            hashed: what the hash of the config is taken of, where it is not ``config`` itself.
            switches: of the execution that change numbers or times.
            facts: the other fields.
        """
        return cls(
            **facts,
            setting_hash=digest(facts["setting"]),
            config_hash=digest(facts["config"] if hashed is None else hashed),
            versions=provenance.versions(),
            hardware={**provenance.hardware(device), **(switches or {})},
            commit=provenance.commit(),
            created=provenance.now(),
        )
