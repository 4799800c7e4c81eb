"""A grid of settings × methods × seeds: its file, and the command of each of its jobs."""

import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from companion.experiments.runs.checks import check_methods
from companion.experiments.settings.changes import (
    PARTS,
    Plan,
    known_preset,
    make_plan,
    read_labels,
)
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import Scale, digest
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import get_method
from ugradsl_core.training import Execution, World

WORKFLOW = Path(__file__).parent
PROFILES = ("local", "slurm", "kubernetes")
VARIANT_MARK = "--"


class GridConfig(Config):
    """What to run, where to keep it, and what each job may use.

    Attributes:
        parameters: changes of the presets, as ``-p`` has them: of all settings by the name of the
            parameter (``training.epochs``), of a method by its label (``ugradsl.alpha``).
        output: folder of each job's records, and of the merged ones.
        store: folder of models and records that all jobs share; None is ``store`` in ``output``.
        processes: of one job, started by torchrun; FF and IU always have one.
        gpus: that a job asks a cluster for; a process needs one each, or none at all.
    """

    settings: tuple[str, ...] = Field(min_length=1)
    scale: Scale = "bench"
    methods: tuple[str, ...] | Literal["all"] = "all"
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    parameters: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    output: str = Field("grid", min_length=1)
    store: str | None = Field(None, min_length=1)
    data_root: str | None = None
    device: str = "auto"
    amp: bool = False
    compile: bool = False
    channels_last: bool = True
    accumulate: int = Field(1, ge=1)
    processes: int = Field(1, ge=1)
    threads: int = Field(1, ge=1, description="CPU threads of a job")
    gpus: int = Field(0, ge=0)
    memory_mb: int = Field(4000, ge=1)
    minutes: int = Field(120, ge=1)

    @field_validator("settings", "methods", "seeds", mode="before")
    @classmethod
    def _listed(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list | tuple) or (info.field_name == "methods" and value == "all"):
            return value
        raise ConfigError(f"should be a list, as in [{value}]; found {value!r}")

    @model_validator(mode="after")
    def _known(self) -> Self:
        for field in ("settings", "methods", "seeds"):
            given = getattr(self, field)
            if given != "all" and len(set(given)) != len(given):
                raise ConfigError(f"{field}: names one twice")
        if self.seeds and min(self.seeds) < 0:
            raise ConfigError(f"seeds: should be at least 0; found {min(self.seeds)}")
        if self.gpus not in {0, self.processes}:
            raise ConfigError(
                f"gpus: should be 0 or {self.processes}, one for each process; found {self.gpus}"
            )
        for name in self.settings:
            self._check(name)
        return self

    def _check(self, name: str) -> None:
        """Raise ConfigError where a setting is unknown, or a job of it could not run."""
        try:
            known_preset(name, self.scale)
        except ConfigError as error:
            raise ConfigError(re.sub("^setting: ", "settings: ", str(error))) from None
        try:
            plan = self.plan(name)
        except ConfigError as error:
            if not self.parameters or str(error).startswith("unknown method"):
                raise
            raise ConfigError(f"parameters: {error}") from None
        execution = Execution(accumulate=self.accumulate, world=World(0, self.processes))
        check_methods(plan.setting, {}, None, execution)
        for label, config in plan.configs.items():
            self._check_job(label, config)

    @field_validator("parameters", mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ConfigError(f"should be a mapping of names to values; found {value!r}")
        for key, part in value.items():
            if isinstance(part, Mapping | list):
                raise ConfigError(
                    f"{key} should be one value; of a part say its whole name, as in "
                    f"training.epochs: 5; found {part!r}"
                )
        return value

    def _given(self, *labels: str) -> list[tuple[str, str]]:
        """The parameters of settings and of these methods as names and texts."""
        return [
            (name, str(value))
            for name, value in self.parameters.items()
            if not labels or (name.rpartition(".")[0] in {"", *PARTS, *labels})
        ]

    def labels(self, name: str) -> list[str]:
        """The methods of a setting, Retrain first.

        Raises:
            ConfigError: an unknown setting or method.
        """
        if self.methods == "all":
            return read_labels("all", name, self.scale)
        return ["retrain", *(label for label in self.methods if label != "retrain")]

    def plan(self, name: str) -> Plan:
        """A setting and the configs of its methods, with all parameters.

        Raises:
            ConfigError: unknown names, or a value that breaks its rule.
        """
        return make_plan(name, self.scale, self.labels(name), self._given())

    def _check_job(self, label: str, config: Config) -> None:
        execution = Execution(accumulate=self.accumulate, world=World(0, self.job_processes(label)))
        get_method(split_label(label)[0]).check(config, execution)

    def job_processes(self, label: str) -> int:
        """How many processes a method's job has."""
        alone = label != "original" and get_method(split_label(label)[0]).alone
        return 1 if alone else self.processes

    def resources(self) -> dict[str, Any]:
        """What a job asks for, under the names that Snakemake's executors know."""
        asked: dict[str, Any] = {"mem_mb": self.memory_mb, "runtime": self.minutes}
        if self.gpus:
            asked |= {"gpu": self.processes, "gpu_manufacturer": "nvidia"}
        return asked

    def identity(self, name: str, label: str = "original") -> str:
        """What determines a job's result; where it changes, the job runs again."""
        switches = Execution(amp=self.amp, accumulate=self.accumulate).identity()
        plan = self.plan(name)
        what = [plan.setting.identity(), switches]
        if label != "original":
            what.append(plan.configs[label].key_fields())
        return digest(what)

    def command(self, action: str, name: str, seed: object, target: object, label: str = "") -> str:
        """The shell command of a job.

        Args:
            action: ``original``, or ``experiment`` for a method.
            name: of the setting.
            seed: of the job.
            target: file that is written when all is done.
            label: of the method.
        """
        processes = self.job_processes(label) if label else self.processes
        launch = [sys.executable, "-m", "companion"]
        if processes > 1:
            torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
            launch[2:2] = [*torchrun, "-m"]
        words = [*launch, action, name, "--scale", self.scale, "--seeds", str(seed)]
        words += ["--store", self.store or f"{self.output}/store", "--publish", str(target)]
        words += ["--device", self.device, "--accumulate", str(self.accumulate)]
        words += ["--methods", label] if label else []
        for parameter, text in self._given(label):
            words += ["-p", f"{parameter}={text}"]
        words += ["--amp"] if self.amp else []
        words += ["--compile"] if self.compile else []
        words += [] if self.channels_last else ["--no-channels-last"]
        words += ["--data-root", self.data_root] if self.data_root else []
        return f"OMP_NUM_THREADS={self.threads} OMP_WAIT_POLICY=passive {shlex.join(words)}"


def file_stem(label: str) -> str:
    """A method's label as part of a file's name, which has no colon."""
    return label.replace(":", VARIANT_MARK)


def label_of_stem(stem: str) -> str:
    """The inverse of :func:`file_stem`."""
    return stem.replace(VARIANT_MARK, ":")


def parse_grid(values: Any, where: str = "grid") -> GridConfig:
    """The grid of a mapping.

    Raises:
        ConfigError: it is no mapping, or a value breaks its rule.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: should be a mapping of names to values")
    if "settings" not in values:
        raise ConfigError(
            f"{where}: settings is missing; name at least one, as in [digits-random10]"
        )
    return GridConfig(**values)


def read_grid(path: Path) -> GridConfig:
    """The grid of a YAML file.

    Raises:
        ConfigError: the file is missing, is no YAML, or a value breaks its rule.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"grid: {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"grid: {path} is no YAML (it is no UTF-8 text)") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"grid: {path} is no YAML ({reason})") from error
    return parse_grid(values, str(path))
