"""The paper's printed numbers: tidy CSV files, validated whenever they are read.

The paper is anonymous, under double-blind review; the files were transcribed from one copy of
it and keep what is printed, misprints included. ``book/paper/README.md`` explains the columns.
"""

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from companion.files import PAPER_FOLDER
from ugradsl_core.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas


TABLES: dict[int, str] = {
    1: "Class-wise forgetting on CIFAR-100 and ImageNet",
    2: "Random forgetting on CIFAR-100 and Tiny-ImageNet",
    3: "Group forgetting on CIFAR-20 (subclass) and CelebA (identities)",
    4: "Class-wise and random forgetting on CIFAR-10, with the additional MIA",
    5: "Notation",
    6: "Distance and threshold β of self-adaptive UGradSL, random forgetting on CIFAR-10",
    7: "Distance and threshold β of self-adaptive UGradSL+, random forgetting on CIFAR-10",
    8: "Hyperparameters of the original training and of retraining",
    9: "Class-wise forgetting on 20 Newsgroups and SVHN",
    10: "Random forgetting on CIFAR-10 and SVHN, with the self-adaptive versions",
    11: "Class-wise forgetting on CIFAR-10 with ViT",
    12: "Random forgetting on CIFAR-10 with VGG-16",
    13: "Weight p of UGradSL at α = -0.4, random forgetting on CIFAR-10",
    14: "Weight p of UGradSL+ at α = -0.4, random forgetting on CIFAR-10",
    15: "Smoothing rate α of UGradSL at p = 0.9, random forgetting on CIFAR-10",
    16: "Smoothing rate α of UGradSL+ at p = 0.9, random forgetting on CIFAR-10",
    17: "Size of the forget set, random forgetting on CIFAR-10",
    18: "Size of the forget set, random forgetting on CIFAR-100",
    19: "Epochs of GA, FT, UGradSL and UGradSL+, random forgetting on CIFAR-10",
}

NOTES: dict[int, str] = {
    1: "The label of the first row is not legible in our copy; its place and its values are "
    "Retrain's. One of ImageNet's four means is lost there: the printed gaps of the other rows "
    "show that it is TA.",
    2: "The label of the first row is not legible in our copy; its place and its values are "
    "Retrain's.",
    3: "The label of the first row is not legible in our copy; its place and its values are "
    "Retrain's. One of CelebA's four means is lost there: the printed gaps of the other rows show "
    "that it is UA or MIA, not which. The rows below IU are not legible in our copy.",
    6: "The caption says UGradSL; the threshold β exists only in its self-adaptive version, and "
    "the row of the median and the cosine distance is Table 10's UGradSL (Adp).",
    7: "The caption says UGradSL+; the threshold β exists only in its self-adaptive version, and "
    "the row of the median and the cosine distance is Table 10's UGradSL+ (Adp).",
    8: "Our copy shows eight backbones over seven values in each row, ResNet-18 twice under SVHN; "
    "the values are taken in order, one for each setting.",
    9: "The row RL of SVHN is printed twice; the second one has parameter `occurrence` = 2.",
    18: "The block of 50 % prints TA before RA; its values are here under the header as printed.",
    19: "The values are here under the headers as printed. Retrain is printed twice; the second "
    "row has parameter `occurrence` = 2.",
}

MissingReason = Literal[
    "",
    "not legible in our copy",
    "not legible in our copy: 9.77±1.49 is either UA or MIA",
    "not reported",
    "reference row has no gap",
]
Dataset = Literal[
    "cifar10", "cifar100", "cifar20", "svhn", "celeba", "tiny-imagenet", "imagenet", "20newsgroups"
]
Backbone = Literal["resnet-18", "vgg-16", "vit", "bert"]
Paradigm = Literal["class-wise", "random", "group"]
Method = Literal[
    "retrain",
    "ft",
    "ga",
    "ff",
    "iu",
    "be",
    "bs",
    "l1-sparse",
    "rl",
    "eu-k",
    "cf-k",
    "scrub",
    "salun",
    "gli",
    "pabi",
    "ugradsl",
    "ugradsl+",
    "ugradsl (adp)",
    "ugradsl+ (adp)",
]
Parameter = Literal["", "p", "alpha", "beta;distance", "epochs", "forget_fraction", "occurrence"]
Metric = Literal["UA", "MIA", "RA", "TA", "add_MIA", "avg_gap", "RTE"]

METHODS: tuple[str, ...] = get_args(Method)
METRICS: tuple[str, ...] = get_args(Metric)
TIME_UNITS = {"minute": "min", "hour": "h"}


_DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")
_SCIENTIFIC = re.compile(r"[0-9]+(\.[0-9]+)?(e-?[0-9]+)?")


def _decimal(text: str) -> str:
    if text and not _DECIMAL.fullmatch(text):
        raise ValueError("must be empty or a decimal number >= 0, digits as printed")
    return text


def _scientific(text: str) -> str:
    if text and not _SCIENTIFIC.fullmatch(text):
        raise ValueError("must be empty or a number >= 0 such as 256 or 1e-2")
    return text


def _missing_iff_reason(value: str | None, reason: str) -> str:
    if value is not None and (value == "") != (reason != ""):
        raise ValueError("must be given exactly where the value is missing")
    return reason


Decimal = Annotated[str, AfterValidator(_decimal)]
Scientific = Annotated[str, AfterValidator(_scientific)]
Filled = Annotated[str, Field(min_length=1)]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    key: ClassVar[tuple[str, ...]]
    table: int


class Result(_Row):
    """One cell of a result table; a later field's rule may look at the fields before it."""

    key = ("dataset", "paradigm", "backbone", "method", "parameter", "parameter_value", "metric")

    dataset: Dataset
    paradigm: Paradigm
    backbone: Backbone
    method: Method
    parameter: Parameter
    parameter_value: str
    metric: Metric
    mean: Decimal
    std: Decimal
    unit: Literal["percent", "minute", "hour"]
    missing_reason: MissingReason

    @field_validator("parameter_value")
    @classmethod
    def _check_parameter(cls, value: str, info: ValidationInfo) -> str:
        if (value == "") != (info.data.get("parameter", value) == ""):
            raise ValueError("must be given exactly where a parameter is named")
        return value

    @field_validator("mean")
    @classmethod
    def _check_mean(cls, mean: str, info: ValidationInfo) -> str:
        if mean and info.data.get("metric") != "RTE" and float(mean) > 100:
            raise ValueError("must lie in 0..100")
        return mean

    @field_validator("std")
    @classmethod
    def _check_std(cls, std: str, info: ValidationInfo) -> str:
        if std and info.data.get("mean") == "":
            raise ValueError("must be empty where the mean is missing")
        return std

    @field_validator("unit")
    @classmethod
    def _check_unit(cls, unit: str, info: ValidationInfo) -> str:
        if (unit == "percent") == (info.data.get("metric") == "RTE"):
            raise ValueError("must be minute or hour for RTE and percent for the other metrics")
        return unit

    @field_validator("missing_reason")
    @classmethod
    def _check_reason(cls, reason: str, info: ValidationInfo) -> str:
        return _missing_iff_reason(info.data.get("mean"), reason)


class Hyperparameter(_Row):
    """One cell of the table of training hyperparameters."""

    key = ("dataset", "backbone", "parameter")

    dataset: Dataset
    backbone: Backbone
    parameter: Literal["batch_size", "learning_rate", "epochs"]
    value: Scientific
    unit: Literal["", "examples", "epochs"]
    missing_reason: MissingReason

    @field_validator("missing_reason")
    @classmethod
    def _check_reason(cls, reason: str, info: ValidationInfo) -> str:
        return _missing_iff_reason(info.data.get("value"), reason)


class Symbol(_Row):
    """One row of the notation: a symbol as TeX and what it stands for."""

    key = ("symbol",)

    symbol: Filled
    description: Filled


SCHEMAS: dict[int, type[_Row]] = {**dict.fromkeys(TABLES, Result), 5: Symbol, 8: Hyperparameter}


def load_table(number: int, root: Path | None = None) -> "pandas.DataFrame":
    """Read and validate one table of the paper.

    Args:
        number: the table's number in the paper, a key of ``TABLES``.
        root: the folder with the CSV files; the repository's ``book/paper`` by default.

    Returns:
        The file's rows and columns. ``mean``, ``std`` and ``value`` are floats, NaN where the
        paper gives no number; an added column ``printed`` keeps the printed digits, for
        example ``8.07 ± 0.47``.

    Raises:
        ConfigError: there is no such table.
        DataError: the file cannot be read, or a row breaks its schema.
    """
    import pandas

    frame = pandas.DataFrame([row.model_dump() for row in read_rows(number, root)])
    numbers = [name for name in ("mean", "std", "value") if name in frame]
    if numbers:
        frame["printed"] = [
            " ± ".join(filter(None, cells)) for cells in frame[numbers].itertuples(index=False)
        ]
    for name in numbers:
        frame[name] = pandas.to_numeric(frame[name])
    return frame


def read_rows(number: int, root: Path | None = None) -> list[_Row]:
    """The validated rows of one table, its numbers still the printed text.

    Arguments and errors are those of ``load_table``.
    """
    if number not in TABLES:
        raise ConfigError(f"unknown table {number!r}. Valid: {', '.join(map(str, TABLES))}")
    path = (root or PAPER_FOLDER) / f"table-{number:02d}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *lines = csv.reader(file)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: not a readable table ({error}); `root` must be the folder that holds the "
            "paper's tables, book/paper of a clone of the project"
        ) from None
    schema = SCHEMAS[number]
    if header != list(schema.model_fields):
        raise DataError(
            f"{path}, row 1: the columns must be {list(schema.model_fields)}; found {header}"
        )
    rows: dict[tuple[str, ...], _Row] = {}
    for line, cells in enumerate(lines, start=2):
        place = f"{path}, row {line}"
        row = _validated(schema, header, cells, place)
        if row.table != number:
            raise DataError(f"{place}, table: must be {number}; found {row.table}")
        key = tuple(getattr(row, name) for name in schema.key)
        if key in rows:
            raise DataError(f"{place}, {', '.join(schema.key)}: must be unique; found {key} again")
        rows[key] = row
    return list(rows.values())


def _validated(schema: type[_Row], header: list[str], cells: list[str], place: str) -> _Row:
    if len(cells) != len(header):
        raise DataError(f"{place}: must have {len(header)} cells; found {len(cells)}: {cells}")
    try:
        return schema.model_validate(dict(zip(header, cells, strict=True)))
    except ValidationError as error:
        first = error.errors()[0]
        rule = first["msg"].removeprefix("Value error, ").replace("Input should", "must")
        raise DataError(f"{place}, {first['loc'][0]}: {rule}; found {first['input']!r}") from None
