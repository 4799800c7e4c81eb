"""A setting: data, model, training, and what is forgotten; its identity names stored files."""

import hashlib
import json
from typing import Any, Literal, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from companion.backbones import ModelSpec, contents_sha256
from companion.experiments.data import find_loader
from companion.experiments.data.images import NamedSamples
from companion.experiments.settings.forget_sets import ForgetSet, Split, forget_set
from companion.experiments.settings.index_files import file_sha256
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.seeds import stream
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.training import SGDConfig

Scale = Literal["smoke", "bench", "full", "paper"]
PARADIGM_FIELDS = {  # exactly one of them is given, and for no other paradigm
    "group": ("forgotten_group", "group_fraction"),
    "index": ("index_file",),
}
DATA_OPTIONS = ("image_size", "tokenizer", "max_length", "skip_corrupt")
DATA_FIELDS = ("dataset", "train_size", "validation_size")
YOUNGER_FIELDS = (*DATA_OPTIONS, "resample")
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

    @property
    def forget(self) -> ForgetSet:
        """What is forgotten."""
        return forget_set(dict(self))

    def split(self, train: NamedSamples, seed: int, rows: Tensor | None = None) -> Split:
        """D_r and D_f of a seed.

        Args:
            train: D_tr.
            seed: of what is drawn.
            rows: which samples of the data set D_tr is, for a file of indices; None is all.

        Raises:
            ConfigError: no such group.
            DataError: no such class, or D_f or D_r would be empty.
        """
        rows = torch.arange(len(train)) if rows is None else rows
        return self.forget.split(train, rows, stream(seed, "split"))

    def identity(self) -> dict[str, Any]:
        """The fields that determine results: all but the label ``scale``.

        Fields that are younger than the published records are left out at their defaults, so
        that those keep their names. A user's own factory and pretrained weights count by what is
        in their files, as ``model_sha256``.
        """
        kept = {field: getattr(self, field) for field in (*DATA_FIELDS, "paradigm")}
        kept |= self.forget.identity()
        younger = {field: getattr(self, field) for field in YOUNGER_FIELDS}
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


def digest(value: Any) -> str:
    """Twelve hexadecimal digits that identify a JSON value."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_retrained(label: str) -> bool:
    """Whether a label is Retrain or Retrain again, which no method competes with."""
    return split_label(label)[0] == "retrain"
