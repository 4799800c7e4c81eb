"""The result of ``unlearn``, and its file, which holds no code."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ugradsl_core.api.model import check_module, copied, core_of, with_core
from ugradsl_core.config import Config
from ugradsl_core.errors import ModelError, StoreError
from ugradsl_core.methods import get_method
from ugradsl_core.methods.problem import UnlearnResult
from ugradsl_core.models import load_weights
from ugradsl_core.samples.inputs import one_line
from ugradsl_core.samples.overlap import CheckOverlap
from ugradsl_core.training.files import write_atomically

FORMAT = "ugradsl-unlearned-1"
COUNTS = ("steps", "forward_samples", "backward_samples", "seconds", "losses")


@dataclass(frozen=True)
class Run:
    """What :func:`unlearn` was asked for besides method, hyperparameters and model.

    Attributes:
        retain: samples of D_r.
        forget: samples of D_f.
        seed: of batches and of layers that draw random numbers.
        check_overlap: how samples that both share were looked for.
    """

    retain: int
    forget: int
    seed: int
    check_overlap: CheckOverlap


@dataclass(frozen=True, eq=False)
class Unlearned:
    """An unlearned model with its counts and losses, as :func:`unlearn` returns it.

    Attributes:
        model: the unlearned model, a new one of the same kind, in evaluation mode.
        method: its name.
        config: every hyperparameter that was used.
        result: weights, counts, seconds and losses.
        run: sizes of the sets, seed and overlap check; None in files that do not hold them.
    """

    model: nn.Module
    method: str
    config: Config
    result: UnlearnResult
    run: Run | None = None

    @property
    def seconds(self) -> float:
        """Wall time of unlearning alone (RTE), the first step included."""
        return self.result.seconds

    def save(self, path: str | Path) -> None:
        """Write weights, method, hyperparameters, counts and losses to a safetensors file.

        :func:`load_result` reads it; any reader of safetensors finds the weights in it.

        Raises:
            StoreError: the file cannot be written, or the state dict holds more than tensors.
        """
        from safetensors.torch import save_file

        state = self.result.state_dict
        others = [name for name, value in state.items() if not isinstance(value, Tensor)]
        if others:
            raise StoreError(f"path: a file holds tensors alone; the state {others[0]!r} is none")
        told = {
            "format": FORMAT,
            "method": self.method,
            "config": json.dumps(self.config.model_dump()),
            "counts": json.dumps({name: getattr(self.result, name) for name in COUNTS}),
            **({"run": json.dumps(asdict(self.run))} if self.run else {}),
        }
        whole = {name: value.contiguous().clone() for name, value in state.items()}
        write_atomically(path, lambda place: save_file(whole, place, metadata=told))


def load_result(path: str | Path, model: nn.Module) -> Unlearned:
    """Read a file that :meth:`Unlearned.save` wrote.

    Args:
        path: the file.
        model: one of the same architecture, such as the original; it is left as it was.

    Raises:
        StoreError: the file is missing, or is none of ours.
        ModelError: its weights do not fit ``model``.
        ConfigError: its hyperparameters are not those of its method.
    """
    from safetensors import SafetensorError, safe_open

    check_module(model)
    try:
        with safe_open(str(path), framework="pt") as file:
            told = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise StoreError(f"{path}: cannot be read ({one_line(error)})") from error
    if told.get("format") != FORMAT:
        raise StoreError(f"{path}: was not written by save(); found format {told.get('format')!r}")
    found = with_weights(model, state)
    ordered = {name: state[name] for name in found.state_dict() if name in state}
    try:
        config = get_method(told["method"]).config(**json.loads(told["config"]))
        counts: dict[str, Any] = json.loads(told["counts"])
        result = UnlearnResult(ordered, **{**counts, "losses": tuple(counts["losses"])})
        run = Run(**json.loads(told["run"])) if "run" in told else None
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path}: what save() wrote is damaged ({error!r})") from error
    return Unlearned(found, told["method"], config, result, run)


def with_weights(model: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A copy of a user's model, wrappers included, with other weights and in evaluation mode.

    ``state`` has the names of ``model`` itself or of the model inside its wrappers.

    Raises:
        ModelError: the weights do not fit.
    """
    found = copied(model)
    core = core_of(found)
    try:
        if core is found or set(state) == set(core.state_dict()):
            return with_core(found, load_weights(core, state)).eval()
        return load_weights(found, state).eval()
    except RuntimeError as error:
        raise ModelError(f"model: the weights do not fit it ({error})") from error
