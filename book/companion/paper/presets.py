"""The settings of the paper's scale, made from its transcribed tables and sentences.

``python -m companion.paper.presets`` writes ``presets/paper.json``. Each value of a setting or
of a method says where the paper states it (``stated``), or what stands in (``not_stated``).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from companion.experiments.settings.preset import factored, preset_path, shared_with_training
from companion.paper.numbers import SCHEMAS, Result, load_table, read_rows
from companion.paper.statements import Statement, load_setting_statements, statements
from ugradsl_core.methods import METHODS
from ugradsl_core.training.files import write_text

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
        label: _method_preset(label, method, (dataset, paradigm), training, root)
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


def _method_preset(
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
        for field in QUANTITIES.get((method, row.quantity)) or QUANTITIES[row.quantity]:
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


BACKBONES: dict[
    str, tuple[dict[str, Any], str]
] = {  # the paper's name → ours, and the part of a preset's name
    "resnet-18": ({"name": "resnet18", "width": 64}, ""),
    "vgg-16": ({"name": "vgg16"}, "-vgg16"),
    "vit": ({"name": "vit"}, "-vit"),
    "bert": ({"name": "bert"}, ""),
}
STANDS_IN = {  # no row of Table 8 → the data set whose row we take
    "cifar20": "cifar100",
    "tiny-imagenet": "cifar100",
    "celeba": "cifar10",
}
IMAGENET = {"name": "resnet18", "width": 64, "stem": "imagenet"}
TRAINING_REASONS = {
    "training.momentum": "the default of our code",
    "training.weight_decay": "the default of our code",
    "training.schedule": "constant; the optimiser is not stated either: SGD",
}


@dataclass(frozen=True)
class PaperSetting:
    """A setting of the paper's tables: what ``block`` of a table it is, and its preset's name."""

    dataset: str
    paradigm: str
    backbone: str
    percent: int = 10

    @property
    def name(self) -> str:
        """Of the preset."""
        kind = {
            "random": f"random{self.percent}",
            "class-wise": "class",
            "group": "subclass" if self.dataset == "cifar20" else "identities1",
        }[self.paradigm]
        return f"{self.dataset}-{kind}{BACKBONES[self.backbone][1]}"


SLOW = ("vgg-16", "vit", "bert")
SLOW_NOTE = (
    " Its printed learning rate is of a size usual for Adam; with SGD, and from fresh weights, it "
    "is not expected to train this network well."
)


@cache
def paper_settings(root: Path | None = None) -> dict[PaperSetting, tuple[int, ...]]:
    """Every setting of the result tables, with their numbers, in the order of the tables."""
    found: dict[PaperSetting, list[int]] = {}
    for number, schema in SCHEMAS.items():
        if schema is not Result:
            continue
        for row in read_rows(number, root):
            cell = row.model_dump()
            sized = cell["parameter"] == "forget_fraction"
            percent = int(cell["parameter_value"].rstrip("%")) if sized else 10
            place = (cell["dataset"], cell["paradigm"], cell["backbone"])
            tables = found.setdefault(PaperSetting(*place, percent), [])
            tables += [number] if number not in tables else []
    return {setting: tuple(tables) for setting, tables in found.items()}


def build(root: Path | None = None) -> dict[str, Any]:
    """All presets of the paper's scale: name → setting, tables, methods, and what is stated.

    Args:
        root: the folder with the paper's tables, ``book/paper``.
    """
    return {
        setting.name: _preset(setting, tables, root)
        for setting, tables in paper_settings(root).items()
    }


def _preset(paper: PaperSetting, tables: tuple[int, ...], root: Path | None) -> dict[str, Any]:
    training, stated, reasons = _training(paper, root)
    model = IMAGENET if paper.dataset == "imagenet" else BACKBONES[paper.backbone][0]
    forget, where, why = _forget_set(paper, tables, root)
    stated["model.name"] = _backbone_place(paper, tables)
    if paper.backbone == "resnet-18":
        reasons["model.stem"] = (
            "7×7 with max-pooling, as for ImageNet"
            if paper.dataset == "imagenet"
            else "3×3 without max-pooling, as usual for small images"
        )
    if paper.dataset in {"celeba", "imagenet"}:
        reasons["image_size"] = "the loader's"
    if paper.backbone == "bert":
        reasons |= {"tokenizer": "the loader's", "max_length": "the loader's"}
    if paper.backbone == "vgg-16":
        reasons["model.batch_norm"] = "without, as in the original; vgg16-bn has it"
    if paper.backbone in {"bert", "vit"}:
        reasons["model.pretrained"] = "fresh weights; name weights with -p model.pretrained"
    setting = {
        "dataset": paper.dataset,
        "train_size": None,
        "validation_size": 0,
        "model": model,
        "training": training,
        "paradigm": paper.paradigm,
        **forget,
    }
    listed = ", ".join(map(str, tables))
    missing = " Table 8 has no column for it." if paper.dataset in STANDS_IN else ""
    if paper.backbone in SLOW:
        missing += SLOW_NOTE
    return {
        "setting": setting,
        "tables": list(tables),
        "stated": stated | where,
        "not_stated": reasons | why,
        "methods": method_presets(paper.dataset, paper.paradigm, training, root),
        "note": f"The setting of Table{'s' * (len(tables) > 1)} {listed}.{missing}",
    }


def _training(paper: PaperSetting, root: Path | None) -> tuple[dict[str, Any], Stated, Reasons]:
    """Training and retraining: Table 8, or the row of another data set that stands in."""
    dataset = STANDS_IN.get(paper.dataset, paper.dataset)
    table = load_table(8, root)
    row = table[(table.dataset == dataset) & (table.backbone == paper.backbone)]
    printed = dict(zip(row.parameter, row.printed, strict=True))
    values = {
        "lr": float(printed["learning_rate"]),
        "epochs": int(printed["epochs"]),
        "batch_size": int(printed["batch_size"]),
    }
    names = {"lr": "learning_rate", "epochs": "epochs", "batch_size": "batch_size"}
    reasons = dict(TRAINING_REASONS)
    stated: Stated = {}
    for field, quantity in names.items():
        if dataset == paper.dataset:
            stated[f"training.{field}"] = {"place": "Table 8", "printed": str(printed[quantity])}
        else:
            reasons[f"training.{field}"] = f"that of {dataset} in Table 8"
    augment = {"bert": "none"}.get(paper.backbone, "crop-flip")
    reasons["training.augment"] = "none" if augment == "none" else "crops and flips, as usual"
    return {**values, "schedule": "constant", "augment": augment}, stated, reasons


def _forget_set(
    paper: PaperSetting, tables: tuple[int, ...], root: Path | None
) -> tuple[dict[str, Any], Stated, Reasons]:
    found = {
        row.quantity: row
        for row in load_setting_statements(root)
        if row.paradigm == paper.paradigm and row.dataset in {"", paper.dataset}
    }
    if paper.paradigm == "random":
        value = paper.percent / 100
        place = quote(found["fraction"])
        if paper.percent != 10:
            place = {"place": f"Table {tables[0]}", "printed": f"{paper.percent}%"}
        return {"fraction": value}, {"fraction": place}, {}
    if paper.paradigm == "class-wise":
        why = f"the first class; the paper's is “{found['forgotten_class'].printed}”"
        return {"forgotten_class": 0}, {}, {"forgotten_class": why}
    if paper.dataset == "cifar20":
        stated = {"paradigm": quote(found["forgotten_group"])}
        return {"forgotten_group": "trout"}, stated, {"forgotten_group": "one of the five fish"}
    return {"group_fraction": 0.01}, {"group_fraction": quote(found["group_fraction"])}, {}


def _backbone_place(paper: PaperSetting, tables: tuple[int, ...]) -> dict[str, str]:
    shown = {"resnet-18": "ResNet-18", "vgg-16": "VGG-16", "vit": "ViT", "bert": "Bert"}
    usual = paper.backbone in {"resnet-18", "bert"}
    place = "Section 5.1" if usual else f"Table {tables[0]}"
    return {"place": place, "printed": shown[paper.backbone]}


def write(root: Path | None = None) -> None:
    """Write the presets of the paper's scale."""
    text = json.dumps(factored(build(root)), indent=1, ensure_ascii=False)
    write_text(preset_path("paper"), text + "\n")


if __name__ == "__main__":
    write()
