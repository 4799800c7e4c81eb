"""Labels of methods and their variants, such as ``ugradsl:adaptive``."""

from collections.abc import Mapping
from typing import Any

from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.methods import METHODS, get_method, is_own_method

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    f"{method}:adaptive{suffix}": (method, {"alpha": None, "adaptive_sign": sign})
    for method in ("ugradsl", "ugradsl+")
    for suffix, sign in (("", "negative"), ("-positive", "positive"), ("-inverse", "inverse"))
} | {
    "neggrad+:forget": ("neggrad+", {"epoch_over": "forget"}),
    "retrain:again": ("retrain", {"initialisation": 1}),  # how far two retrained models differ
}
TITLES = {"neggrad+:forget": "NegGrad+ (over D_f)", "retrain:again": "Retrain again"}
LABELS = tuple(
    label
    for method in METHODS
    for label in (method, *(name for name, (base, _) in VARIANTS.items() if base == method))
)


def place_of(label: str) -> tuple[int, str]:
    """Where a label stands in the order of ``METHODS``; methods of one's own come last, by name."""
    return (LABELS.index(label), "") if label in LABELS else (len(LABELS), label)


def split_label(label: str) -> tuple[str, dict[str, Any]]:
    """Method name and fixed parameters of a label such as ``ugradsl:adaptive``.

    Raises:
        ConfigError: unknown label.
    """
    if label in VARIANTS:
        return VARIANTS[label]
    if label not in METHODS and not is_own_method(label):
        raise unknown_name("method", label, [*METHODS, *VARIANTS])
    return label, {}


def label_of(method: str, config: dict[str, Any]) -> str:
    """The label of a method with that config: the inverse of :func:`split_label`.

    A field that an older record lacks has the value with which that was run.
    """
    config = completed(method, config)
    if method == "retrain" and config["initialisation"] > 0:  # whichever it is, no reference
        return "retrain:again"
    for label, (name, fixed) in VARIANTS.items():
        if name == method and all(config.get(key) == value for key, value in fixed.items()):
            return label
    return method


def completed(method: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a record, with the fields that are younger than it and names of today."""
    found = {**(METHODS[method].config.YOUNGER if method in METHODS else {}), **config}
    if found.get("bn_mode") == "separate":
        found["bn_mode"] = "train"
    return found


def title_of(label: str) -> str:
    """How a label is printed in tables and figures."""
    method, _ = split_label(label)
    if is_own_method(method):
        try:
            return get_method(method).title
        except ConfigError:  # records outlive the code that made them
            return method.rpartition(":")[2]
    if label in TITLES:
        return TITLES[label]
    variant = label.partition(":")[2].replace("-", ", ")
    return METHODS[method].title + (f" ({variant})" if variant else "")
