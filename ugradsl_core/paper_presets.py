"""The settings of the paper's scale, made from its transcribed tables and sentences.

``python -m ugradsl_core.paper_presets`` writes ``presets/paper.json``. Each value of a setting or
of a method says where the paper states it (``stated``), or what stands in (``not_stated``).
"""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ugradsl_core.files import write_text
from ugradsl_core.paper import SCHEMAS, Result, load_table, read_rows
from ugradsl_core.paper_preset_methods import Reasons, Stated, method_presets, quote
from ugradsl_core.paper_text import load_setting_statements
from ugradsl_core.settings import preset_path

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
    text = json.dumps(build(root), indent=1, ensure_ascii=False)
    write_text(preset_path("paper"), text + "\n")


if __name__ == "__main__":
    write()
