"""Settings of an experiment and the presets that hold every final hyperparameter."""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from ugradsl_core.config import Config
from ugradsl_core.data import find_loader
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.files import write_text
from ugradsl_core.index_files import file_sha256
from ugradsl_core.models import ModelSpec, contents_sha256
from ugradsl_core.training import SGDConfig
from ugradsl_core.unlearning import METHODS, get_method

Scale = Literal["smoke", "bench", "full", "paper"]
SCALES: tuple[str, ...] = get_args(Scale)
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
PARADIGM_FIELDS = {  # exactly one of them is given, and for no other paradigm
    "group": ("forgotten_group", "group_fraction"),
    "index": ("index_file",),
}
FORGET_FIELDS = {  # what the identity keeps of the forget set
    "random": ("fraction",),
    "class-wise": ("forgotten_class",),
    "group": PARADIGM_FIELDS["group"],
    "index": ("index_sha256",),
}
DATA_OPTIONS = ("image_size", "tokenizer", "max_length", "skip_corrupt")
IDENTITY_FIELDS = (
    "dataset", "train_size", "validation_size", "paradigm", *DATA_OPTIONS, "resample",
)  # fmt: skip
YOUNGER_FIELDS = ("forgotten_group", "group_fraction", "index_sha256", *DATA_OPTIONS, "resample")
SGD_FIELDS = (  # of the identity, whatever their value
    "lr", "epochs", "batch_size", "momentum", "weight_decay", "schedule", "augment",
)  # fmt: skip


class Setting(Config):
    """A data set, a paradigm, a model and how the original and retrained models are trained.

    The training subset and the validation set are the same for all seeds, unless ``resample`` draws
    them anew with each; the forget set, the initialisation and the batches follow the seed.
    Validation samples are training samples outside the training subset. Where a share of the groups
    is forgotten, both hold whole groups, and so are within one group of the sizes asked for; a
    listed forget set is always in the subset.
    """

    scale: Scale = "smoke"
    dataset: str = "digits"
    train_size: int | None = Field(None, ge=2, description="training samples; None is all")
    validation_size: int = Field(0, ge=0)
    paradigm: Literal["random", "class-wise", "group", "index"] = "random"
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr, for random forgetting")
    forgotten_class: int = Field(0, ge=0, description="for class-wise forgetting")
    forgotten_group: str | int | None = Field(
        None, description="name or number of a group, for group forgetting"
    )
    group_fraction: float | None = Field(
        None, gt=0, lt=1, description="share of the groups, for group forgetting"
    )
    index_file: str | None = Field(
        None, description="file of indices into the training samples, for paradigm index"
    )
    index_sha256: str | None = Field(None, description="of the index file; filled in")
    image_size: int | None = Field(None, ge=1, description="pixels; None is the data set's own")
    tokenizer: str | None = Field(None, min_length=1, description="Hugging Face name or folder")
    max_length: int | None = Field(None, ge=1, description="tokens of a text")
    skip_corrupt: bool | None = Field(
        None, description="leave out images of a folder that cannot be read"
    )
    resample: bool | None = Field(
        None, description="draw D_tr and the validation set anew with each seed"
    )
    model: ModelSpec = ModelSpec()
    training: SGDConfig = SGDConfig()

    @field_validator("dataset")
    @classmethod
    def _known(cls, value: str) -> str:
        find_loader(value)
        return value

    @field_validator("skip_corrupt", "resample")
    @classmethod
    def _asked_for(cls, value: bool | None) -> bool | None:
        return value or None

    @model_validator(mode="before")
    @classmethod
    def _of_the_file(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("index_file"), str):
            return {**values, "index_sha256": file_sha256(values["index_file"])}
        return values

    @model_validator(mode="after")
    def _one_forget_set(self) -> Self:
        for paradigm, fields in PARADIGM_FIELDS.items():
            given = [field for field in fields if getattr(self, field) is not None]
            if paradigm == self.paradigm and len(given) != 1:
                raise ConfigError(
                    f"{fields[0]}: paradigm {paradigm} needs {' or '.join(fields)}"
                    + (", not both" if given else "")
                )
            if paradigm != self.paradigm and given:
                raise ConfigError(
                    f"{given[0]}: is for paradigm {paradigm}; the paradigm is {self.paradigm}"
                )
        return self

    def identity(self) -> dict[str, Any]:
        """The fields that determine results: all but the label ``scale``.

        Fields that are younger than the published records are left out at their defaults, so
        that those keep their names. A user's own factory and pretrained weights count by what is
        in their files, as ``model_sha256``.
        """
        dumped = self.model_dump()
        used = IDENTITY_FIELDS + FORGET_FIELDS[self.paradigm]
        kept = {field: dumped[field] for field in used if field not in YOUNGER_FIELDS}
        younger = {field: dumped[field] for field in YOUNGER_FIELDS if field in used}
        kept |= {field: value for field, value in younger.items() if value is not None}
        contents = contents_sha256(self.model)
        if contents is not None:
            kept["model_sha256"] = contents
        return {**kept, "model": self.model.identity(), "training": _identity(self.training)}


def _identity(sgd: SGDConfig) -> dict[str, Any]:
    fields = type(sgd).model_fields
    return {
        field: value
        for field, value in sgd.model_dump().items()
        if field in SGD_FIELDS or value != fields[field].default
    }


def what_is_forgotten(setting: Mapping[str, Any]) -> str:
    """The forget set of a setting's identity, in words."""
    match setting["paradigm"]:
        case "class-wise":
            return f"class {setting['forgotten_class']} forgotten"
        case "group" if setting.get("group_fraction") is not None:
            return f"{100 * setting['group_fraction']:g} % of the groups forgotten"
        case "group":
            return f"group {setting['forgotten_group']} forgotten"
        case "index":
            return f"listed samples forgotten (file {setting['index_sha256'][:12]})"
    return f"a random {100 * setting['fraction']:g} % forgotten"


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that identify a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def split_label(label: str) -> tuple[str, dict[str, Any]]:
    """Method name and fixed parameters of a label such as ``ugradsl:adaptive``.

    Raises:
        ConfigError: unknown label.
    """
    if label in VARIANTS:
        return VARIANTS[label]
    if label not in METHODS:
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


def is_retrained(label: str) -> bool:
    """Whether a label is Retrain or Retrain again, which no method competes with."""
    return split_label(label)[0] == "retrain"


def title_of(label: str) -> str:
    """How a label is printed in tables and figures."""
    method, _ = split_label(label)
    if label in TITLES:
        return TITLES[label]
    variant = label.partition(":")[2].replace("-", ", ")
    return METHODS[method].title + (f" ({variant})" if variant else "")


def preset_path(scale: str) -> Path:
    """The preset file of a scale, inside the package."""
    return Path(__file__).parent / "presets" / f"{scale}.json"


def load_presets(scale: str) -> dict[str, Any]:
    """All presets of a scale: name → setting, method configs with their source, note.

    A preset that says ``like`` another one has that one's methods where it has none of its own:
    its batch size and augmentation hold, and learning rates are scaled with that of training.
    Calls share what they return: copy it to change it.

    Raises:
        ConfigError: unknown scale.
    """
    return _resolved(_preset_text(scale))


@cache
def _resolved(text: str) -> dict[str, Any]:
    presets: dict[str, Any] = json.loads(text)
    own = {name: dict(preset["methods"]) for name, preset in presets.items()}
    for preset in presets.values():
        if "like" in preset:
            carried = {
                label: _carried(label, entry["config"], preset, presets)
                for label, entry in own[preset["like"]].items()
            }
            preset["methods"] = {**carried, **preset["methods"]}
    return presets


def _preset_text(scale: str) -> str:
    if scale not in SCALES:
        raise unknown_name("scale", scale, SCALES)
    return preset_path(scale).read_text("utf-8")


def _carried(
    label: str, config: Mapping[str, Any], preset: Mapping[str, Any], presets: Mapping[str, Any]
) -> dict[str, Any]:
    """A method of the preset ``preset["like"]``, fitted to the training of ``preset``."""
    like, training = preset["like"], preset["setting"]["training"]
    ratio = training["lr"] / presets[like]["setting"]["training"]["lr"]
    values = {**config, **shared_with_training(split_label(label)[0], training)}
    note = f"not searched; as for {like}"
    if "lr" in values and ratio != 1:
        values["lr"] = float(f"{values['lr'] * ratio:.3g}")
        note += f", learning rate × {ratio:g}"
    return {"config": values, "source": {"kind": "carried", "from": like, "note": note}}


def get_preset(name: str, scale: str) -> dict[str, Any]:
    """One preset.

    Raises:
        ConfigError: unknown scale or name.
    """
    presets = load_presets(scale)
    if name not in presets:
        others = " or ".join(other for other in SCALES if name in load_presets(other))
        if others:
            raise ConfigError(f"setting: {name!r} has no {scale} scale; say --scale {others}")
        raise unknown_name(f"{scale} setting", name, presets)
    preset: dict[str, Any] = presets[name]
    return preset


def preset_setting(name: str, scale: str) -> Setting:
    """The setting of a preset."""
    return Setting(**{"scale": scale, **get_preset(name, scale)["setting"]})


def shared_with_training(method: str, training: Mapping[str, Any]) -> dict[str, Any]:
    """Batch size and augmentation of the original training, where the method has them."""
    known = get_method(method).config.model_fields
    return {k: training[k] for k in ("batch_size", "augment") if k in training and k in known}


def preset_config(label: str, name: str, scale: str, **changes: Any) -> Config:
    """The config of a method in a preset, with ``changes`` on top.

    Retrain is trained as the original was. Where a preset has no entry for the method, the method's
    own defaults hold, with the batch size and augmentation of training.

    Raises:
        ConfigError: unknown names, or a value that breaks its rule.
    """
    method, fixed = split_label(label)
    preset = get_preset(name, scale)
    if method == "retrain":
        stored = preset["setting"]["training"]
    else:
        shared = shared_with_training(method, preset["setting"]["training"])
        stored = preset["methods"].get(label, {}).get("config", shared)
    return get_method(method).config(**{**stored, **fixed, **changes})


def store_winner(
    label: str, name: str, scale: str, config: dict[str, Any], source: dict[str, Any]
) -> None:
    """Write a method's config and where it comes from into its preset."""
    presets = json.loads(_preset_text(scale))
    if name not in presets:
        raise ConfigError(f"preset: {name!r} is not a preset of scale {scale!r}")
    presets[name]["methods"][label] = {"config": config, "source": source}
    write_text(preset_path(scale), json.dumps(presets, indent=2, ensure_ascii=False) + "\n")
