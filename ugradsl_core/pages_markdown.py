"""Small pieces of Markdown that the computed fragments share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NAMES = {
    "20newsgroups": "20 Newsgroups",
    "batch_size": "Batch size",
    "be": "BE",
    "bert": "BERT",
    "bs": "BS",
    "celeba": "CelebA",
    "cf-k": "CF-k",
    "cifar10": "CIFAR-10",
    "cifar100": "CIFAR-100",
    "cifar20": "CIFAR-20",
    "digits": "Digits",
    "digits-parity": "Digits, even or odd",
    "epochs": "Epochs",
    "eu-k": "EU-k",
    "fashion-mnist": "Fashion-MNIST",
    "ff": "FF",
    "ft": "FT",
    "ga": "GA",
    "gli": "GLI",
    "imagenet": "ImageNet",
    "iu": "IU",
    "l1-sparse": "ℓ1-sparse",
    "learning_rate": "Learning rate",
    "mnist-m": "MNIST-M",
    "neggrad+": "NegGrad+",
    "no-step": "No step",
    "pabi": "PABI",
    "resnet-18": "ResNet-18",
    "resnet18": "ResNet-18",
    "retrain": "Retrain",
    "rl": "RL",
    "salun": "SalUn",
    "scrub": "SCRUB",
    "svhn": "SVHN",
    "tiny-imagenet": "Tiny-ImageNet",
    "ugradsl": "UGradSL",
    "ugradsl (adp)": "UGradSL (adaptive)",
    "ugradsl+": "UGradSL+",
    "ugradsl+ (adp)": "UGradSL+ (adaptive)",
    "vgg-16": "VGG-16",
    "vgg16": "VGG-16",
    "vgg16-bn": "VGG-16 with BatchNorm",
    "vit": "ViT",
    "words": "Invented words",
}
NOT_RUN_YET = (
    ":::{note}\nNot run yet: no records have been published for this part of the book.\n:::"
)
NOT_SEARCHED_YET = (
    ":::{note}\nNot searched yet: no method has hyperparameters for this setting.\n:::"
)


def name(key: object) -> str:
    """The name that readers know a method, data set or parameter by."""
    return NAMES.get(str(key), str(key))


def model_text(model: Mapping[str, Any]) -> str:
    """The backbone of a setting's identity and its sizes, in words."""
    sizes = [f"{size} {model[size]}" for size in ("width", "depth") if model.get(size) is not None]
    parts = [f"of {' and '.join(sizes)}"] if sizes else []
    parts += ["with the stem of ImageNet"] if model.get("stem") == "imagenet" else []
    parts += [f"pretrained ({model['pretrained']})"] if model.get("pretrained") else []
    return " ".join([name(model["name"]), *parts])


def list_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, kind: str = "") -> str:
    """A MyST table; a cell may hold any inline Markdown, and ``|`` inside mathematics.

    Args:
        header: one name for each column.
        rows: the cells of each row.
        kind: a CSS class, for example ``numbers`` for columns of numbers after the first.
    """
    lines = [":::{list-table}", ":header-rows: 1"]
    if kind:
        lines.append(f":class: {kind}")
    lines.append("")
    for row in (header, *rows):
        lines += [f"{'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return "\n".join([*lines, ":::"])


def raw_html(text: str) -> str:
    """HTML as a MyST block."""
    return f"```{{raw}} html\n{text}\n```"
