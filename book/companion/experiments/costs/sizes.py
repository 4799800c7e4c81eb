"""How much data a setting has: of data that are there, or of a data set whose sizes are known."""

import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from companion.backbones import BACKBONES, ModelSpec, contents_sha256, hub
from companion.experiments.costs.footprint import replace_pretrained
from companion.experiments.data import DATA_ROOT_VARIABLE, data_root
from companion.experiments.data.sources import SOURCES
from companion.experiments.data.text import WORDS
from companion.experiments.runs.problems import Bench, Judge, training_size
from companion.experiments.settings.setting import Setting
from ugradsl_core.errors import DataError

BERT_TOKENS = 30_522  # of the tokenizer that BERT-base was published with
CONFIG_NAMES = {  # of a model's sizes in its config.json
    "width": "hidden_size",
    "depth": "num_hidden_layers",
    "heads": "num_attention_heads",
    "patch_size": "patch_size",
}


@dataclass(frozen=True)
class Sizes:
    """How much data a setting has.

    Attributes:
        retain: samples of D_r.
        forget: samples of D_f.
        judged: samples of the test set that metrics are computed on.
        classes: K.
        shape: of one input.
        vocabulary: of token ids; None for images.
        stored: bytes of the data set that lie on the device.
    """

    retain: int
    forget: int
    judged: int
    classes: int
    shape: tuple[int, ...]
    vocabulary: int | None
    stored: int


def loaded_sizes(bench: Bench, judge: Judge = "test") -> Sizes:
    """The sizes of data that are there."""
    data, train = bench.data, bench.data.train
    retain, forget = bench.split(0)
    stored = (getattr(getattr(part, "inputs", None), "nbytes", 0) for part in (train, data.test))
    return Sizes(
        len(retain),
        len(forget),
        len(bench.judged(judge)),
        train.num_classes,
        tuple(train.input_shape),
        train.vocabulary,
        sum(stored),
    )


def is_absent(dataset: str, root: str | None) -> bool:
    """Whether nothing of a data set is there, so that only its known sizes can be used.

    Raises:
        DataError: the data root is not a directory.
    """
    places = SOURCES[dataset].places if dataset in SOURCES else ()
    if not places:
        return False
    root = root or os.environ.get(DATA_ROOT_VARIABLE)
    if not root:
        return True
    base = data_root(Path(root), dataset, download=False)
    return not any(found for place in places for found in base.glob(place))


def known_sizes(setting: Setting) -> Sizes:
    """The sizes of a data set that need not be there; classes and groups count as equally large.

    Raises:
        ConfigError: no such group.
        DataError: nothing is known of the data set or of its groups, or it has no such class, no
            such index, or fewer samples than the setting asks for.
    """
    source = SOURCES.get(setting.dataset)
    if source is None or source.train is None or source.test is None or source.classes is None:
        raise DataError(f"{setting.dataset}: its size is known only from the data")
    total = training_size(setting, source.train)
    forget = setting.forget.expected_size(setting.dataset, source, total)
    judged = source.test
    if setting.paradigm == "class-wise":
        judged -= judged // source.classes
    shape, vocabulary, width = source.shape, None, 1
    if source.kind == "text":
        shape, width = (setting.max_length or source.shape[0],), 8
        vocabulary = WORDS if setting.tokenizer is None else BERT_TOKENS
    elif setting.image_size is not None:
        shape = (shape[0], setting.image_size, setting.image_size)
    each = width
    for side in shape:
        each *= side
    stored = 0 if source.kind == "streamed images" else each * (source.train + source.test)
    return Sizes(total - forget, forget, judged, source.classes, shape, vocabulary, stored)


def is_to_be_fetched(spec: ModelSpec) -> bool:
    """Whether pretrained weights go by a Hugging Face name that is not in the cache."""
    name = spec.pretrained
    if name is None or "depth" not in BACKBONES[spec.name].sizes or name.startswith(hub.PACKAGE):
        return False
    return not Path(hub.locate(name, "pretrained")).is_dir() and contents_sha256(spec) is None


def with_fresh_weights(setting: Setting) -> Setting:
    """The setting with a model of the same sizes as the pretrained one, and nothing to read.

    A transformer's sizes are those in its ``config.json``, or full size where that is not here.

    Raises:
        ConfigError: a folder or a package that does not exist.
    """
    spec = setting.model
    if spec.pretrained is None:
        return setting
    sizes = {}
    if "depth" in BACKBONES[spec.name].sizes:
        sizes = _sizes_of(spec.pretrained, BACKBONES[spec.name].sizes)
    fresh = replace_pretrained(spec).model_dump(exclude_none=True)
    return setting.replace(model={**fresh, **sizes})


def _sizes_of(pretrained: str, wanted: Collection[str]) -> dict[str, int]:
    from transformers import AutoConfig

    place = hub.locate(pretrained, "pretrained")
    try:
        with hub.quietly():
            config = AutoConfig.from_pretrained(place, local_files_only=True)
    except (OSError, ValueError):
        return {}
    found = {field: getattr(config, name, None) for field, name in CONFIG_NAMES.items()}
    return {f: value for f, value in found.items() if f in wanted and isinstance(value, int)}
