"""Unlearning methods in the presets of the paper's scale: what its text states, what stands in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ugradsl_core.paper_text import Statement, statements
from ugradsl_core.settings import shared_with_training
from ugradsl_core.unlearning import METHODS

Stated = dict[str, dict[str, str]]
Reasons = dict[str, str]

ADAPTIVE = {
    method: (f"{method}:adaptive", f"{method}:adaptive-positive")
    for method in ("ugradsl", "ugradsl+")
}
OWN = {  # method → the fields that its presets name, besides batch size and augmentation
    "ft": ("lr", "epochs"),
    "ga": ("lr", "epochs"),
    "ff": ("alpha", "samples"),
    "iu": ("alpha", "samples"),
    "be": ("lr", "epochs"),
    "bs": ("lr", "epochs"),
    "l1-sparse": ("lr", "epochs", "gamma"),
    "rl": ("lr", "epochs"),
    "eu-k": ("lr", "epochs", "k"),
    "cf-k": ("lr", "epochs", "k"),
    "scrub": ("lr", "epochs", "gamma", "alpha"),
    "salun": ("lr", "epochs", "mask_ratio"),
    "pabi": ("lr", "epochs", "c0"),
    "neggrad+": ("lr", "epochs", "p"),
    "ugradsl": ("lr", "epochs", "p", "alpha"),
    "ugradsl+": ("lr", "epochs", "p", "alpha"),
}
QUANTITIES = {  # quantity of methods.csv → the fields that it states, by method or for all
    "epochs": ("epochs",),
    "epochs on ImageNet": ("epochs",),
    "learning rate": ("lr",),
    "greedy search": ("alpha",),
    "γ": ("gamma",),
    "α": ("alpha",),
    "p": ("p",),
    "settings": ("lr", "epochs"),
    "hyperparameters": ("lr", "epochs", "batch_size"),
    "other settings": ("lr", "epochs", "batch_size"),
    ("salun", "γ"): ("mask_ratio",),
}
OWN_DEFAULTS = ("ga", "be", "bs", "scrub", "pabi")  # rates and epochs of their published code
OWN_BATCHES = ("be", "bs", "scrub")
RANGES = {("ff", "alpha"), ("l1-sparse", "gamma"), ("salun", "mask_ratio")}
RANGE = "a range is stated; the value is the default of our code"
DEFAULT = "our default, as in the published code where there is any"
SHUFFLED = ("cifar100", "tiny-imagenet")  # where the published code of RL and SalUn mixes the sets
ORDERS = {"rl": "variant", "salun": "order"}
ASCENT_AT_RANDOM = 5e-4  # of GA; its default is for a class
ADAPTIVE_RATE = {
    "beta": {"place": "Appendix D.5", "printed": "the median of all pairwise distances"},
    "distance": {"place": "Appendix D.5", "printed": "cosine distance"},
}


def quote(statement: Statement) -> dict[str, str]:
    """A statement of the paper as a preset keeps it."""
    return {"place": statement.place, "printed": statement.printed}


def method_presets(
    dataset: str, paradigm: str, training: Mapping[str, Any], root: Path | None = None
) -> dict[str, dict[str, Any]]:
    """Label → config, source, and for each value what is stated or what stands in.

    Args:
        dataset: our name of the data set.
        paradigm: of the setting.
        training: of the original model.
        root: the folder with the paper's tables.
    """
    return {
        label: _preset(label, method, (dataset, paradigm), training, root)
        for method in OWN
        for label in (method, *ADAPTIVE.get(method, ()))
    }


def _published(method: str, dataset: str, paradigm: str) -> tuple[dict[str, Any], Reasons]:
    """Values in which published code differs from our defaults in this setting, and why."""
    if method in ORDERS and dataset in SHUFFLED:
        field = ORDERS[method]
        return {field: "shuffled"}, {field: "as the published code has it for this data set"}
    if method == "ga" and paradigm == "random":
        why = "its published code's authors advise 5e-4 to 1e-3 for random forgetting"
        return {"lr": ASCENT_AT_RANDOM}, {"lr": why}
    if method == "iu" and dataset == "imagenet":
        return {}, {"samples": "our default; the published code has 300,000 here"}
    return {}, {}


def _preset(
    label: str,
    method: str,
    place: tuple[str, str],
    training: Mapping[str, Any],
    root: Path | None,
) -> dict[str, Any]:
    dataset, adaptive = place[0], label != method
    values, because = _published(method, *place)
    config = _config(method, dataset, training, root) | values
    stated = _stated(method, dataset, root)
    if method in {"ugradsl", "ugradsl+"}:
        both = [row for row in statements(method, root) if row.quantity == "p"]
        stated["p"]["printed"] = "; ".join(row.printed for row in both)
    if adaptive:
        del config["alpha"], stated["alpha"]
        stated |= ADAPTIVE_RATE
    for field in [field for field in stated if field not in config and field not in ADAPTIVE_RATE]:
        del stated[field]
    reasons = {
        field: because.get(field) or _reason(method, field)
        for field in config
        if field not in stated or (method, field) in RANGES
    }
    return {
        "config": config,
        "source": {"kind": "paper", "note": _note(stated, reasons)},
        "stated": stated,
        "not_stated": reasons,
    }


def _config(
    method: str, dataset: str, training: Mapping[str, Any], root: Path | None
) -> dict[str, Any]:
    """The values: stated ones, those of training, and defaults."""
    default = METHODS[method].config().model_dump()
    config = dict(shared_with_training(method, training))
    if method in OWN_BATCHES:
        config["batch_size"] = default["batch_size"]
    config |= {field: default[field] for field in OWN[method]}
    if "lr" in config and method not in OWN_DEFAULTS:
        config["lr"] = training["lr"]
    if "epochs" in config and method not in OWN_DEFAULTS:
        config["epochs"] = int(_stated("ft", dataset, root)["epochs"]["printed"])
    if method == "l1-sparse":
        config["lr"] = float(_stated(method, dataset, root)["lr"]["printed"])
    if "p" in config:
        config["p"] = METHODS["ugradsl"].config().model_dump()["p"]
    return config


def _stated(method: str, dataset: str, root: Path | None) -> Stated:
    """Field → the sentence that states it; of two, the first, and ImageNet's for ImageNet."""
    found: Stated = {}
    for row in statements(method, root) if method != "neggrad+" else ():
        of_imagenet = row.quantity.endswith("ImageNet")
        if of_imagenet and dataset != "imagenet":
            continue
        for field in QUANTITIES.get((method, row.quantity), QUANTITIES[row.quantity]):
            if field not in found or of_imagenet:
                found[field] = quote(row)
    return found


def _reason(method: str, field: str) -> str:
    if (method, field) in RANGES:
        return RANGE
    if method == "neggrad+" and field == "p":
        return "not in the paper; as UGradSL"
    if field == "augment" or (field == "batch_size" and method not in OWN_BATCHES):
        return "that of training"
    if method in OWN_DEFAULTS or field not in {"lr", "epochs"}:
        return DEFAULT
    return "that of training" if field == "lr" else "as FT"


def _note(stated: Stated, reasons: Reasons) -> str:
    """One sentence for a table: which values come from where."""
    places: dict[str, list[str]] = {}
    for field, statement in stated.items():
        shown = f"{field} (a range)" if field in reasons else field
        places.setdefault(statement["place"], []).append(shown)
    parts = [f"{place}: {', '.join(fields)}." for place, fields in places.items()]
    missing = [field for field in reasons if field not in stated]
    parts += [f"Not stated: {', '.join(missing)}."] if missing else []
    return " ".join(parts)
