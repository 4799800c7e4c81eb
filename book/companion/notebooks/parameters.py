"""Parameters of the notebooks, checked before anything is computed."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from companion.experiments.data import find_loader
from companion.experiments.records.sweeps import OF_SETTINGS, REFERENCES
from companion.experiments.runs.many import config_of
from companion.experiments.settings.changes import parse_seeds, split_list
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.preset import load_presets
from companion.experiments.settings.setting import Scale
from companion.experiments.theory.landscape import LandscapeConfig
from companion.paper.audit.lines import RESULT_TABLES, TOLERANCE
from companion.theory.privacy import label_ldp_epsilon
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.methods import get_method

OF_ADAPTIVE_RATES = ("beta", "distance", "adaptive_sign", "rates")


def comma_list(value: Any) -> Any:
    """A parameter that is a comma-separated list, also given as a list or as its only entry.

    ``papermill -y "{seeds: [0, 1]}"`` gives lists, and ``-p seeds 3`` a number.
    """
    if isinstance(value, list | tuple | set):
        return ",".join(map(str, value))
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


CommaList = Annotated[str, BeforeValidator(comma_list)]


class PaperAudit(Config):
    """Parameters of *An audit of the paper's tables*."""

    tables: CommaList = Field("all", description="all, or comma-separated numbers of result tables")
    tolerance: float | None = Field(None, ge=0, description="in points; None is rounding's limit")

    @field_validator("tables")
    @classmethod
    def _known(cls, value: str) -> str:
        for part in [] if value == "all" else value.split(","):
            if not part.strip().isdecimal() or int(part) not in RESULT_TABLES:
                valid = ", ".join(map(str, RESULT_TABLES))
                raise ValueError(f"should be all or numbers among {valid}; found {part.strip()!r}")
        return value

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of the tables."""
        if self.tables == "all":
            return RESULT_TABLES
        return tuple(dict.fromkeys(int(part) for part in self.tables.split(",")))

    @property
    def limit(self) -> float:
        """The tolerance in percentage points."""
        return TOLERANCE if self.tolerance is None else self.tolerance


class TheoryMeasures(Config):
    """Parameters of *Unlearning and its measures*."""

    train_size: int = Field(400, ge=50, le=1000, description="digits in D_tr")
    fraction: float = Field(0.2, gt=0, lt=1, description="share of D_tr to forget")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    l2: float = Field(0.1, gt=0, description="λ of the ridge")
    retrainings: int = Field(4, ge=1, le=20, description="further models retrained, by seed")
    ascent_lr: float = Field(0.002, gt=0, description="learning rate of gradient ascent")
    seed: int = Field(0, ge=0)


class TheoryInfluence(Config):
    """Parameters of *Influence functions*."""

    train_size: int = Field(500, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    points: int = Field(16, ge=12, le=200, description="samples that are really left out")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    seed: int = Field(0, ge=0)


class TheoryTheorem1(Config):
    """Parameters of *Theorem 1 and its error*."""

    train_size: int = Field(500, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr to forget")
    seed: int = Field(0, ge=0)


class TheoryTheorem2(Config):
    """Parameters of *Theorem 2 and Figure 6*."""

    train_size: int = Field(300, ge=100, le=1300, description="digits in D_tr")
    l2: float = Field(1.0, gt=0, description="λ of the ridge; without it no Hessian is invertible")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of D_tr to forget")
    alpha: float = Field(-0.4, le=1, description="smoothing rate α that is marked")
    hidden: int = Field(8, ge=1, le=64, description="units of the network")
    forget_sets: int = Field(6, ge=2, le=200, description="forget sets of the live Figure 6")
    seed: int = Field(0, ge=0)


class TheorySmoothing(Config):
    """Parameters of *Generalised label smoothing*."""

    alpha: float = Field(-0.4, lt=0, description="smoothing rate α of NLS")
    num_classes: int = Field(10, ge=2, description="K of the label vectors that are drawn")
    confidence: float = Field(0.999, gt=0, lt=1, description="probability of the true class")
    ascent_lr: float = Field(0.003, gt=0, description="learning rate of the ascent")
    ascent_steps: int = Field(100, ge=10, le=1000, description="steps of the ascent")
    seed: int = Field(0, ge=0)


class TheoryLabelLDP(Config):
    """Parameters of *Label-LDP and Theorem 3*; α has to lie in the theorem's domain."""

    alpha: float = Field(-0.4, description="smoothing rate α of NLS")
    gamma1: float = Field(2.0, description="γ₁, weight of learning on D_tr")
    gamma2: float = Field(1.0, description="γ₂, weight of unlearning on D_f")
    num_classes: int = Field(10, description="K of the curves; the digits have ten")
    train_size: int = Field(100, ge=20, le=500, description="digits in D_tr")
    forget_size: int = Field(20, ge=10, le=400, description="digits in D_f, one of each at least")
    widest: int = Field(256, ge=8, le=4096, description="random features of the widest model")
    l2: float = Field(0.1, gt=0, description="λ of the ridge, which makes the minimum unique")
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _in_the_domain(self) -> Self:
        for num_classes in {self.num_classes, 10}:
            label_ldp_epsilon(self.alpha, self.gamma1, self.gamma2, num_classes)
        return self


class TheoryCost(Config):
    """Parameters of *Cost*."""

    n: int = Field(64, ge=1, le=2048, description="batch size n of the worked example")
    d: int = Field(512, ge=1, le=8192, description="feature dimension d of it")
    forget_batch: int = Field(6, ge=2, le=12, description="|B_f| of the axis error")
    retain_batch: int = Field(10, ge=2, le=12, description="|B_r| of the axis error")
    beta: float | None = Field(None, ge=0, le=1, description="threshold β; None is the median")
    seed: int = Field(0, ge=0)


class TheoryLandscape(LandscapeConfig):
    """Parameters of *Loss landscape*: a live run on digits, at the smoke scale."""

    points: int = Field(15, ge=3, description="places along each direction, odd")
    samples: int | None = Field(None, ge=1, description="retained samples; None is all of D_r")
    steps: int = Field(30, ge=1, description="products with the Hessian from each start")
    seed: int = Field(0, ge=0)
    store: str | None = Field(None, description="store directory; None is a temporary one")


Alpha = Annotated[float | None, Field(le=1, description="smoothing rate α; None is self-adaptive")]
RetainWeight = Annotated[float, Field(ge=0, le=1, description="weight of the retain term")]
LearningRate = Annotated[float, Field(gt=0, description="learning rate of unlearning")]
EpochCount = Annotated[int, Field(ge=0, description="epochs of unlearning")]


class Quickstart(Config):
    """Parameters of *Quickstart*."""

    method: str = Field("ugradsl", description="a method of `ugradsl methods`")
    forgotten_class: int = Field(3, ge=0, le=9, description="the digit to forget")
    alpha: Alpha = -0.4
    p: RetainWeight = 0.9
    lr: LearningRate = 0.02
    epochs: EpochCount = 10
    seed: int = Field(0, ge=0)

    @field_validator("method")
    @classmethod
    def _known(cls, value: str) -> str:
        get_method(value)
        return value


class OneMethod(Config):
    """A method, and the values that it shares with others; not all of them have all."""

    method: str = Field("ugradsl", description="a method of `ugradsl methods`")
    alpha: Alpha = -0.4
    p: RetainWeight = 0.9
    lr: LearningRate = 0.01
    epochs: EpochCount = 8

    @field_validator("method")
    @classmethod
    def _has_passes(cls, value: str) -> str:
        fields = get_method(value).config.model_fields
        missing = [name for name in ("lr", "epochs", "batch_size") if name not in fields]
        if missing:
            raise ConfigError(f"should be a method with {', '.join(missing)}; found {value}")
        return value


class OwnCheckpoint(OneMethod):
    """Parameters of *Unlearn with your own checkpoint*."""

    p: RetainWeight = 0.95
    lr: LearningRate = 0.005
    epochs: EpochCount = 16
    trained_epochs: int = Field(24, ge=1, description="epochs of training and of Retrain")
    forget_size: int = Field(40, ge=10, le=400, description="pictures to forget")
    seed: int = Field(0, ge=0)


class HuggingFace(OneMethod):
    """Parameters of *Hugging Face classifiers*."""

    trained_epochs: int = Field(20, ge=1, description="epochs of training and of Retrain")
    forgotten_class: int = Field(3, ge=0, le=9, description="the digit to forget")
    seed: int = Field(0, ge=0)


class StepByStep(Config):
    """Parameters of *UGradSL step by step*."""

    alpha: float = Field(-0.4, le=1, description="smoothing rate α")
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
    methods: CommaList = Field("all", description="all, or comma-separated labels with retrain")
    seeds: CommaList = Field("0,1", description="comma-separated whole numbers")
    alpha: float | None = Field(None, le=1, description="smoothing rate α; None keeps the preset's")
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
        labels = split_list(value)
        for label in (x for x in labels if x != "all"):
            get_method(split_label(label)[0])
        if not {"retrain", "all"} & set(labels):
            raise ConfigError("should name retrain, from which gaps are measured")
        return value

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

    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    forgotten_class: int = Field(3, ge=0, description="the class to forget, 0…K−1")


class GroupForgetting(Experiment):
    """Parameters of *Group forgetting*."""

    dataset: str = Field("digits-parity", description="a data set with groups")
    methods: CommaList = Field(
        "retrain,ft,ga,iu,salun,neggrad+,ugradsl,ugradsl:adaptive,ugradsl+,ugradsl+:adaptive",
        description="all, or comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    forgotten_group: str | int | None = Field(
        None, description="name or number of the group to forget; None keeps the preset's"
    )


class Forgotten(RandomForgetting):
    """Parameters of *Do the forgotten stand out?*."""

    methods: CommaList = Field(
        "retrain,ft,ga,neggrad+,ugradsl,ugradsl+",
        description="all, or comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")


class SharperQuestions(Config):
    """Parameters of *Beyond the paper: sharper questions*."""

    train_size: int = Field(400, ge=100, le=1000, description="digits in D_tr")
    fraction: float = Field(0.1, ge=0.05, le=0.5, description="share of D_tr to forget")
    hidden: int = Field(32, ge=1, le=256, description="units of each hidden layer")
    models: int = Field(16, ge=4, le=256, description="models of each kind")
    methods: CommaList = Field(
        "ft,ga,neggrad+,salun,ugradsl,ugradsl+", description="comma-separated labels"
    )
    relearn_lr: float = Field(0.1, gt=0, description="learning rate of relearning")
    seed: int = Field(0, ge=0)

    @field_validator("methods")
    @classmethod
    def _with_a_learning_rate(cls, value: str) -> str:
        for label in split_list(value):
            config_of(label, 1.0)
        return value


class Algorithm1(Config):
    """Parameters of *Algorithm 1, line by line*."""

    alpha: float | None = Field(None, le=1, description="smoothing rate α; None is self-adaptive")
    p: float = Field(0.9, ge=0, le=1, description="weight of the retain term")
    beta: float | None = Field(None, ge=0, le=1, description="distance threshold β; None: median")
    distance: Literal["cosine", "euclidean"] = "cosine"
    adaptive_sign: Literal["positive", "negative", "inverse"] = "negative"
    epochs: int = Field(2, ge=2, le=20, description="E; the paper's loop runs E − 1 epochs")
    batch_size: int = Field(16, ge=2, le=64, description="samples of B_f and of B_r")
    lr: float = Field(0.05, gt=0, description="learning rate")
    seed: int = Field(0, ge=0)


class MethodComparison(RandomForgetting):
    """Parameters of *All methods side by side*; ``all`` is every method, searched or not."""


Value = int | float | str | None


class Sweep(Experiment):
    """Parameters of a notebook in which methods run with every value of a grid.

    Attributes:
        GRIDS: field with a grid → what it lists, a parameter of methods or of the setting.
    """

    GRIDS: ClassVar[Mapping[str, str]] = {}

    def grid(self, field: str) -> tuple[Value, ...]:
        """The values of a grid, in the order given."""
        return tuple(_value(part) for part in split_list(getattr(self, field), field))

    @property
    def varied(self) -> list[str]:
        """The labels that are run with every value: all but the references."""
        return [label for label in split_list(self.methods) if label not in REFERENCES]

    @model_validator(mode="after")
    def _grids_in_their_domains(self) -> Self:
        if not self.varied:
            raise ConfigError(f"methods: should name one to vary; found {self.methods!r}")
        for field, name in self.GRIDS.items():
            values = self.grid(field)
            if len(set(values)) < len(values):
                raise ConfigError(f"{field}: names a value twice; found {getattr(self, field)!r}")
            for label in [None] if name in OF_SETTINGS else self.varied:
                self._check_values(field, name, label, values)
        return self

    def _check_values(
        self, field: str, name: str, label: str | None, values: tuple[Value, ...]
    ) -> None:
        config: type[Config] = RandomForgetting
        if label is not None:
            method, variant = split_label(label)
            config = get_method(method).config
            fixed = variant.get(name, ()) is None  # the rate of a self-adaptive version
            if name not in config.model_fields or fixed:
                raise ConfigError(f"methods: {label} has no fixed {name} to vary; leave it out")
            if name in OF_ADAPTIVE_RATES and "alpha" not in variant:
                raise ConfigError(
                    f"methods: {label} has no self-adaptive rate; name {label}:adaptive"
                )
        for value in values:
            try:
                config(**{name: value})
            except ConfigError as error:
                reason = str(error)
                if reason.startswith(f"{name}: "):
                    reason = reason.removeprefix(f"{name}: ")
                raise ConfigError(f"{field}: {reason}") from None


def _value(text: str) -> Value:
    """A value of a grid; ``median`` is the threshold None."""
    if text == "median":
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


class Stability(Sweep):
    """Parameters of *How stable is p? How stable is α?*"""

    GRIDS: ClassVar[Mapping[str, str]] = {"p_values": "p", "alpha_values": "alpha"}

    methods: CommaList = Field(
        "retrain,retrain:again,no-step,ugradsl,ugradsl+",
        description="comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the training set to forget")
    p_values: CommaList = Field("0.8,0.85,0.9,0.95,0.99", description="retain weights p to try")
    alpha_values: CommaList = Field("0,-0.2,-0.4,-0.6,-0.8", description="smoothing rates α to try")


class AdaptiveRate(Sweep):
    """Parameters of *The self-adaptive rate*."""

    GRIDS: ClassVar[Mapping[str, str]] = {
        "beta_values": "beta",
        "distances": "distance",
        "signs": "adaptive_sign",
    }

    methods: CommaList = Field(
        "retrain,retrain:again,no-step,ugradsl:adaptive,ugradsl+:adaptive",
        description="comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the training set to forget")
    beta_values: CommaList = Field("median,0.5", description="thresholds β, or median")
    distances: CommaList = Field("cosine,euclidean", description="cosine, euclidean, or both")
    signs: CommaList = Field("negative,positive", description="of the rate; inverse is a third")


class ForgetFraction(Sweep):
    """Parameters of *How much is forgotten*."""

    GRIDS: ClassVar[Mapping[str, str]] = {"fractions": "fraction"}

    methods: CommaList = Field(
        "retrain,no-step,ft,ga,ugradsl,ugradsl+",
        description="comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    fractions: CommaList = Field("0.1,0.2,0.3,0.4,0.5", description="shares to forget, in (0, 1)")


class Epochs(Sweep):
    """Parameters of *Epochs*."""

    GRIDS: ClassVar[Mapping[str, str]] = {"epochs": "epochs"}

    methods: CommaList = Field(
        "retrain,retrain:again,no-step,ga,ft,ugradsl,ugradsl+",
        description="comma-separated labels with retrain",
    )
    seeds: CommaList = Field("0", description="comma-separated whole numbers")
    fraction: float = Field(0.1, gt=0, lt=1, description="share of the training set to forget")
    epochs: CommaList = Field("1,2,3,5,7,10", description="epochs to try")


NOTEBOOKS: dict[str, type[Config]] = {
    "quickstart": Quickstart,
    "own_checkpoint": OwnCheckpoint,
    "hugging_face": HuggingFace,
    "ugradsl_step_by_step": StepByStep,
    "random_forgetting": RandomForgetting,
    "class_wise_forgetting": ClassWiseForgetting,
    "group_forgetting": GroupForgetting,
    "method_comparison": MethodComparison,
    "forgotten": Forgotten,
    "stability": Stability,
    "adaptive_rate": AdaptiveRate,
    "forget_fraction": ForgetFraction,
    "epochs": Epochs,
    "sharper_questions": SharperQuestions,
    "algorithm_1": Algorithm1,
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


def check_parameters(notebook: str, **values: Any) -> Any:
    """The validated parameters of a notebook.

    Raises:
        ConfigError: unknown notebook or parameter, or a value that breaks its rule.
    """
    if notebook not in NOTEBOOKS:
        raise unknown_name("notebook", notebook, NOTEBOOKS)
    return NOTEBOOKS[notebook](**values)


def read_parameters(notebook: str, names: Mapping[str, Any]) -> Any:
    """The validated parameters of a notebook, taken from the names that its cells have defined.

    Args:
        notebook: its name.
        names: ``globals()`` of the notebook.

    Raises:
        ConfigError: unknown notebook, or a value that breaks its rule.
    """
    fields = NOTEBOOKS[notebook].model_fields if notebook in NOTEBOOKS else {}
    return check_parameters(notebook, **{name: names[name] for name in fields if name in names})


def parse_parameters(notebook: str, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """Values of the right type from the command line, checked by :func:`check_parameters`."""
    given = {name: None if text in {"None", "null"} else text for name, text in pairs}
    checked = check_parameters(notebook, **given)
    return {name: getattr(checked, name) for name in given}
