"""The errors a user can meet, each one sentence: the field, the rule and the value found."""

import difflib
import operator
from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import torch
from torch import Tensor

LISTED = 10  # valid names that a message spells out


class UGradSLError(Exception):
    """Base of the errors that this package raises on purpose; their message is one line."""

    def __init__(self, message: object = "") -> None:
        super().__init__(" ".join(str(message).split()))


class ConfigError(UGradSLError, ValueError):
    """A parameter breaks its rule."""


class DataError(UGradSLError, ValueError):
    """A data set is missing, damaged, empty, overlapping or wrongly labelled."""


class ModelError(UGradSLError, ValueError):
    """A model does not return logits of the expected shape, or has non-finite weights."""


class StoreError(UGradSLError):
    """A store cannot be read or written."""


class DivergenceError(UGradSLError, ArithmeticError):
    """The loss or the weights became infinite or NaN."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> ConfigError:
    """The error for a name of some kind, such as "method", that is not among the valid ones.

    It names the nearest match; of many valid names it lists the nearest and says how many more
    there are.
    """
    choices, wanted = sorted(valid), str(name).lower()
    near = difflib.get_close_matches(wanted, choices, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = choices
    if len(choices) > LISTED:
        listed = difflib.get_close_matches(wanted, choices, n=LISTED, cutoff=0)
        listed.append(f"and {len(choices) - LISTED} more")
    return ConfigError(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(listed)}")


LARGEST = 2**63 - 1


def is_truth(value: object) -> bool:
    """Tell whether a value is a boolean of Python, NumPy or PyTorch, which no number should be."""
    return isinstance(value, bool) or getattr(value, "dtype", None) in (torch.bool, np.bool_)


def whole_number(value: object, name: str, least: int = 0) -> int:
    """A whole number of any type, NumPy's and tensors of one included.

    Raises:
        ConfigError: it is none, is a truth value, or lies outside ``least``…2⁶³ − 1.
    """
    number = least - 1
    if not is_truth(value):
        with suppress(TypeError, ValueError, RuntimeError):
            number = operator.index(value)  # type: ignore[arg-type]
    if not least <= number <= LARGEST:
        raise ConfigError(f"{name}: should be a whole number from {least}; found {value!r}")
    return number


def check_finite(state: dict[str, Tensor], what: str) -> None:
    """Raise ModelError if any tensor of ``state`` holds NaN or infinity."""
    for name, value in state.items():
        if not isinstance(value, Tensor) or not (value.is_floating_point() or value.is_complex()):
            continue
        numbers = value.detach().to_dense()
        if not bool(torch.isfinite(numbers.float() if numbers.itemsize == 1 else numbers).all()):
            raise ModelError(f"{what}: the weights {name!r} hold NaN or infinite values")


def check_logits(logits: object, batch_size: int) -> int:
    """K, after checking that ``logits`` is (batch_size, K).

    Raises:
        ModelError: it is not a floating-point tensor of that shape.
    """
    if not isinstance(logits, Tensor):
        raise ModelError(f"model: should return a tensor of logits; found {type(logits).__name__}")
    if logits.ndim != 2 or len(logits) != batch_size or not logits.is_floating_point():
        raise ModelError(
            f"model: should return float logits of shape ({batch_size}, K); "
            f"found {logits.dtype} of shape {tuple(logits.shape)}"
        )
    return logits.shape[1]


def check_labels(labels: Tensor, num_classes: int, name: str = "labels") -> None:
    """Raise DataError unless every label lies in 0…K−1."""
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    if len(wrong):
        raise DataError(f"{name}: labels should lie in 0…{num_classes - 1}; found {int(wrong[0])}")
