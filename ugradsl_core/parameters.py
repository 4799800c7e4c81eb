"""Parameters of the notebooks: names, types and ranges, checked before anything runs."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from ugradsl_core.config import Config
from ugradsl_core.data import find_loader
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.parameters_paper import PaperAudit
from ugradsl_core.parameters_theorems import (
    TheoryInfluence,
    TheoryMeasures,
    TheoryTheorem1,
    TheoryTheorem2,
)
from ugradsl_core.parameters_theory import (
    TheoryCost,
    TheoryLabelLDP,
    TheoryLandscape,
    TheorySmoothing,
)
from ugradsl_core.settings import Scale, load_presets, split_label
from ugradsl_core.unlearning import get_method

NOTEBOOK_FOLDER = Path(__file__).parent.parent / "notebooks"


class Quickstart(Config):
    """Parameters of *Quickstart*."""

    method: str = Field("ugradsl", description="a method of `ugradsl methods`")
    forgotten_class: int = Field(3, ge=0, le=9, description="the digit to forget")
    alpha: float | None = Field(-0.4, le=1, description="smooth rate α; None is self-adaptive")
    p: float = Field(0.9, ge=0, le=1, description="weight of the retain term")
    lr: float = Field(0.02, gt=0, description="learning rate of unlearning")
    epochs: int = Field(10, ge=0, description="epochs of unlearning")
    seed: int = Field(0, ge=0)

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        get_method(value)
        return value


class StepByStep(Config):
    """Parameters of *UGradSL step by step*."""

    alpha: float = Field(-0.4, le=1, description="smooth rate α")
    p: float = Field(0.9, ge=0, le=1, description="weight of the retain term")
    beta: float | None = Field(None, ge=0, le=1, description="distance threshold β; None: median")
    distance: Literal["cosine", "euclidean"] = "cosine"
    batch_size: int = Field(6, ge=2, le=32, description="samples of B_f and of B_r")
    lr: float = Field(0.05, gt=0, description="learning rate of the one step that is taken")
    seed: int = Field(0, ge=0)


class Experiment(Config):
    """Parameters that the experiment notebooks share."""

    dataset: str = Field("digits", description="a data set of `ugradsl datasets`")
    scale: Scale = "smoke"
    methods: str = Field("all", description="all, or comma-separated labels with retrain")
    seeds: str = Field("0,1,2", description="comma-separated whole numbers")
    alpha: float | None = Field(None, le=1, description="smooth rate α; None keeps the preset's")
    p: float | None = Field(None, ge=0, le=1, description="retain weight; None keeps the preset's")
    data_root: str | None = Field(None, description="directory of the data; None: UGRADSL_DATA")
    store: str | None = Field(None, description="store directory; None is a temporary one")

    @field_validator("dataset")
    @classmethod
    def _known_dataset(cls, value: str) -> str:
        find_loader(value)
        return value

    @field_validator("methods")
    @classmethod
    def _known_methods(cls, value: str) -> str:
        labels = ["retrain"] if value == "all" else split_list(value)
        for label in labels:
            split_label(label)
        if "retrain" not in labels:
            raise ConfigError("should name retrain, from which gaps are measured")
        return value

    @field_validator("seeds", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value  # papermill reads -p seeds 3 so

    @field_validator("seeds")
    @classmethod
    def _whole_numbers(cls, value: str) -> str:
        parse_seeds(value)
        return value

    @model_validator(mode="after")
    def _has_a_preset(self) -> Self:
        preset_name(self)
        return self


class RandomForgetting(Experiment):
    """Parameters of *Random forgetting*."""

    fraction: float = Field(0.1, gt=0, lt=1, description="share of the training set to forget")


class ClassWiseForgetting(Experiment):
    """Parameters of *Class-wise forgetting*."""

    forgotten_class: int = Field(3, ge=0, description="the class to forget, 0…K−1")


class GroupForgetting(Experiment):
    """Parameters of *Group forgetting*."""

    dataset: str = Field("digits-parity", description="a data set with groups")
    methods: str = Field(
        "retrain,ft,ga,iu,salun,neggrad+,ugradsl,ugradsl:adaptive,ugradsl+,ugradsl+:adaptive",
        description="all, or comma-separated labels with retrain",
    )
    forgotten_group: str | int | None = Field(
        None, description="name or number of the group to forget; None keeps the preset's"
    )


class MethodComparison(RandomForgetting):
    """Parameters of *All methods side by side*; ``all`` is every method, searched or not."""


NOTEBOOKS: dict[str, type[Config]] = {
    "quickstart": Quickstart,
    "ugradsl_step_by_step": StepByStep,
    "random_forgetting": RandomForgetting,
    "class_wise_forgetting": ClassWiseForgetting,
    "group_forgetting": GroupForgetting,
    "method_comparison": MethodComparison,
    "paper_audit": PaperAudit,
    "theory_1_measures": TheoryMeasures,
    "theory_2_influence": TheoryInfluence,
    "theory_3_theorem_1": TheoryTheorem1,
    "theory_4_smoothing": TheorySmoothing,
    "theory_5_theorem_2": TheoryTheorem2,
    "theory_6_label_ldp": TheoryLabelLDP,
    "theory_7_cost": TheoryCost,
    "theory_8_landscape": TheoryLandscape,
}


def preset_name(parameters: Experiment) -> str:
    """The preset that a notebook's parameters start from: the usual one, or else the first.

    Raises:
        ConfigError: the scale has no preset of that data set and paradigm.
    """
    paradigm, suffix = _paradigm(parameters)
    settings = {
        name: preset["setting"]
        for name, preset in load_presets(parameters.scale).items()
        if preset["setting"]["paradigm"] == paradigm
    }
    found = [n for n, setting in settings.items() if setting["dataset"] == parameters.dataset]
    if not found:
        known = ", ".join(sorted({setting["dataset"] for setting in settings.values()}))
        raise ConfigError(
            f"dataset: {parameters.dataset} has no preset of {paradigm} forgetting at the "
            f"{parameters.scale} scale; those with one: {known}"
        )
    usual = f"{parameters.dataset}-{suffix}"
    return usual if usual in found else found[0]


def _paradigm(parameters: Experiment) -> tuple[str, str]:
    """The paradigm of a notebook, and how the names of its usual presets end."""
    if isinstance(parameters, ClassWiseForgetting):
        return "class-wise", "class"
    if isinstance(parameters, GroupForgetting):
        return "group", "subclass"
    return "random", "random10"


def split_list(text: str, what: str = "") -> list[str]:
    """The parts of a comma-separated list, without blanks; ``what`` it lists, for the error.

    Raises:
        ConfigError: nothing in it.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        field = f"{what}: " if what else ""
        raise ConfigError(f"{field}should be a comma-separated list; found {text!r}")
    return parts


def parse_seeds(text: str) -> list[int]:
    """Whole numbers from 0 of a comma-separated list.

    Raises:
        ConfigError: something else in it.
    """
    parts = split_list(text, "seeds")
    wrong = [part for part in parts if not part.isdecimal()]
    if wrong:
        raise ConfigError(f"seeds: should be whole numbers from 0; found {wrong[0]!r}")
    if len({int(part) for part in parts}) < len(parts):
        raise ConfigError(f"seeds: should be different; found {text!r}")
    return [int(part) for part in parts]


def check_parameters(notebook: str, **values: Any) -> Any:
    """The validated parameters of a notebook.

    Raises:
        ConfigError: unknown notebook or parameter, or a value that breaks its rule.
    """
    if notebook not in NOTEBOOKS:
        raise unknown_name("notebook", notebook, NOTEBOOKS)
    return NOTEBOOKS[notebook](**values)


def parse_parameters(notebook: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Values of the right type from the command line, checked by :func:`check_parameters`."""
    given = {name: None if text in {"None", "null"} else text for name, text in pairs}
    checked = check_parameters(notebook, **given)
    return {name: getattr(checked, name) for name in given}
