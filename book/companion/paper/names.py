"""Readers' names of methods, data sets and parameters."""

from companion.experiments.data.sources import SOURCES
from ugradsl_core.methods import METHODS

NAMES = {
    "batch_size": "Batch size",
    "bert": "BERT",
    "epochs": "Epochs",
    "gli": "GLI",
    "learning_rate": "Learning rate",
    "resnet-18": "ResNet-18",
    "resnet18": "ResNet-18",
    "ugradsl (adp)": "UGradSL (adaptive)",
    "ugradsl+ (adp)": "UGradSL+ (adaptive)",
    "vgg-16": "VGG-16",
    "vgg16": "VGG-16",
    "vgg16-bn": "VGG-16 with BatchNorm",
    "vit": "ViT",
    "words": "Invented words",
}


def name(key: object) -> str:
    """The name that readers know a method, data set or parameter by."""
    found = str(key)
    if found in NAMES:
        return NAMES[found]
    known = METHODS.get(found) or SOURCES.get(found)
    return known.title if known else found
