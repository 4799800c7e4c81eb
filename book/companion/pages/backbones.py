"""The page of the backbones: sizes and parameter counts, computed from the code."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from companion.backbones import BACKBONES, ModelSpec, build
from companion.backbones.spec import SIZES
from companion.pages.markdown import list_table
from companion.paper.names import name

ORIGINS = {
    "resnet18": ("torchvision's blocks and forward pass", "he2016deep"),
    "vgg16": ("torchvision's layers and forward pass", "simonyan2015very"),
    "vgg16-bn": ("the same with BatchNorm behind each convolution", "simonyan2015very"),
    "vit": ("`ViTForImageClassification` of `transformers`", "dosovitskiy2021image"),
    "bert": ("`BertForSequenceClassification` of `transformers`", "devlin2019bert"),
}
SHARES = (1, 2, 4, 8)


@dataclass(frozen=True)
class Use:
    """A backbone at full size on a kind of input."""

    name: str
    num_classes: int
    input_shape: tuple[int, ...]
    sizes: tuple[tuple[str, Any], ...] = ()

    @property
    def vocabulary(self) -> int | None:
        """Token ids of BERT's own tokenizer, for text."""
        return 30_522 if BACKBONES[self.name].inputs == "token ids" else None

    def parameters(self, width: int | None = None) -> int:
        """Their number, counted on a device that holds no numbers."""
        sizes = {**dict(self.sizes), **({"width": width} if width else {})}
        with torch.device("meta"):
            model = build(
                ModelSpec(name=self.name, **sizes),
                num_classes=self.num_classes,
                input_shape=self.input_shape,
                vocabulary=self.vocabulary,
            )
        return sum(p.numel() for p in model.parameters())

    @property
    def inputs(self) -> str:
        """What goes in and comes out, in words."""
        shape = " × ".join(map(str, self.input_shape))
        return f"{shape}{' tokens' if self.vocabulary else ''}, {self.num_classes:,} classes"


USES = (
    Use("resnet18", 10, (3, 32, 32)),
    Use("resnet18", 1000, (3, 224, 224), (("stem", "imagenet"),)),
    Use("vgg16", 10, (3, 32, 32)),
    Use("vgg16-bn", 10, (3, 32, 32)),
    Use("vit", 10, (3, 32, 32)),
    Use("vit", 1000, (3, 224, 224)),
    Use("bert", 20, (512,)),
)


def overview(book: Path) -> str:
    """One row for each backbone: its name, inputs, origin and full size."""
    rows = []
    for key, backbone in BACKBONES.items():
        origin, source = ORIGINS[key]
        sizes = ", ".join(
            f"`{size}` {'by the image' if value is None else value}"
            for size, value in backbone.sizes.items()
        )
        rows.append((name(key), f"`{key}`", f"{origin} {{cite:p}}`{source}`", sizes))
    return list_table(("Backbone", "Name", "Made of", "Full size"), rows, kind="presets")


def parameters(book: Path) -> str:
    """Numbers of parameters at full size and at half, a quarter and an eighth of the width."""
    rows = []
    for use in USES:
        full = int(BACKBONES[use.name].sizes["width"])
        stem = dict(use.sizes).get("stem")
        title = name(use.name) + (f", stem `{stem}`" if stem else "")
        counts = [_count(use.parameters(full // share)) for share in SHARES]
        rows.append((title, use.inputs, *counts))
    header = ["Full width", *(f"Width 1/{share}" for share in SHARES[1:])]
    return list_table(("Backbone", "Input", *header), rows, kind="numbers-2")


def _count(number: int) -> str:
    return f"{number:,}"


def sizes(book: Path) -> str:
    """One row for each size: what it is, and which backbones have it."""
    rows = []
    for size in (*SIZES, "pretrained"):
        field = ModelSpec.model_fields[size]
        known = [key for key, backbone in BACKBONES.items() if size in backbone.sizes]
        users = ", ".join(f"`{key}`" for key in known) if known else "all but your own"
        rows.append((f"`model.{size}`", str(field.description), users))
    return list_table(("Field", "Meaning", "Backbones"), rows, kind="presets")


FRAGMENTS = {
    "backbones.md": overview,
    "backbones-parameters.md": parameters,
    "backbones-sizes.md": sizes,
}
