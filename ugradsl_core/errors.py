"""The errors a user can meet, each one sentence: the field, the rule and the value found."""

import difflib
from collections.abc import Iterable

LISTED = 10  # valid names that a message spells out


class UGradSLError(Exception):
    """Base of the errors that this package raises on purpose."""


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


class CurvatureError(UGradSLError, ArithmeticError):
    """A Hessian has no inverse, or not the sign that a solver needs."""


def unknown_name(kind: str, name: object, valid: Iterable[str]) -> ConfigError:
    """The error for a name that is not in a registry, with its nearest match.

    Of many valid names it lists the nearest, and says how many more there are.

    Args:
        kind: what the name should be, for example ``"method"``.
        name: the name found.
        valid: the names that exist.
    """
    choices, wanted = sorted(valid), str(name).lower()
    near = difflib.get_close_matches(wanted, choices, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = choices
    if len(choices) > LISTED:
        listed = sorted(choices, key=lambda choice: _distance(wanted, choice))[:LISTED]
        listed.append(f"and {len(choices) - LISTED} more")
    return ConfigError(f"unknown {kind} {name!r}.{hint} Valid: {', '.join(listed)}")


def _distance(wanted: str, choice: str) -> float:
    return -difflib.SequenceMatcher(None, choice, wanted).ratio()
