"""Figure 7 of a setting and a seed: θ_r, the loss around it and its curvature, as one record."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    Store,
    drop_state,
    load_record,
    load_state,
    save_record,
    save_state,
)
from companion.experiments.runs import run
from companion.experiments.runs.problems import Bench, Progress
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import digest
from companion.theory.landscape import (
    Direction,
    along,
    coordinates,
    filter_normalised,
    flatten,
    mean_loss,
    unflatten,
)
from companion.theory.risks import Risk, gradient, hessian, parameter_vector
from companion.theory.spectrum import (
    Krylov,
    Ritz,
    lanczos,
    mean_eigenvalue,
    random_start,
    ritz,
    ritz_vector,
    share_below,
)
from ugradsl_core.config import Config
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods.problem import Problem
from ugradsl_core.samples import Samples
from ugradsl_core.training import Execution

KIND = "landscape"
SAVE_EVERY = 5  # products with the Hessian
SLICE_POINTS = 41
DIGITS = 7


class LandscapeConfig(Config):
    """What is computed of a landscape, and how finely."""

    points: int = Field(21, ge=3, description="places along each direction, odd")
    radius: float = Field(0.5, gt=0, description="of the plane, in lengths of the filters")
    samples: int | None = Field(1000, ge=1, description="retained samples; None is all of D_r")
    steps: int = Field(50, ge=1, description="products with the Hessian from each start")
    starts: int = Field(2, ge=1, description="random starts of Lanczos")
    slice_radius: float = Field(0.5, gt=0, description="along eigenvectors, in Euclidean length")
    batch_size: int = Field(250, ge=1, description="samples of one pass")

    @field_validator("points")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ConfigError(f"points: should be odd, so that θ_r is one of them; found {value}")
        return value


def landscape_record(bench: Bench, retrain: Config, config: LandscapeConfig, seed: int) -> Record:
    """The record of a landscape: from the store, or computed and stored.

    Rows of the plane and steps of Lanczos are kept in the store as they end; a killed run goes on
    from there and ends with the same numbers.

    Args:
        bench: with the original and the retrained model in its store, or they are trained.
        retrain: the config of Retrain.
        config: what to compute.
        seed: of the models, the samples and the directions.
    """
    setting, store, checksum = bench.setting, bench.store, bench.data.checksum
    what = [setting.identity(), checksum, retrain.key_fields(), config.model_dump(), seed]
    key = f"landscape-{digest(what)}"
    known = load_record(store, key)
    if known is not None:
        return known
    begin = time.perf_counter()
    problem = bench.problem(seed)
    retrained = run.retrained_state(bench, problem, retrain, seed)
    surface = _surface(problem, retrained, config, seed)
    parts = _Parts(store, key, bench.progress)
    curvature, spaces = _curvature(surface, parts)
    places = coordinates(config.points, config.radius)
    plane = _plane(surface, places, parts)
    record = Record.stamped(
        device=bench.execution.resolve(),
        hashed=config.key_fields(),
        kind=KIND,
        scale=setting.scale,
        setting=setting.identity(),
        method="retrain",
        config=retrain.model_dump(),
        seed=seed,
        status="ok",
        metrics={
            "config": config.model_dump(),
            "samples": len(surface.samples),
            "parameters": surface.size,
            "loss": _short(surface.loss(surface.state)),
            **curvature,
            "coordinates": places,
            "plane": [[_short(value) for value in row] for row in plane],
            "slices": _slices(surface, spaces[0]),
            "spectra": [_spectrum(ritz(space)) for space in spaces],
        },
        seconds=time.perf_counter() - begin,
        steps=0,
        forward_samples=len(surface.samples) * (config.points**2 + 3 * SLICE_POINTS),
        backward_samples=len(surface.samples) * sum(space.steps for space in spaces),
        data_checksum=checksum,
    )
    save_record(store, key, record)
    parts.drop(config.starts)
    return record


@dataclass(frozen=True)
class _Parts:
    """Where what has been computed is kept until the record is there."""

    store: Store
    key: str
    progress: Progress

    @property
    def plane(self) -> str:
        return f"{self.key}-plane"

    def lanczos(self, number: int) -> str:
        return f"{self.key}-lanczos-{number}"

    def drop(self, starts: int) -> None:
        for name in (*map(self.lanczos, range(starts)), self.plane):
            drop_state(self.store, name)


@dataclass(frozen=True, eq=False)
class _Surface:
    """The loss over some retained samples, around θ_r, with the directions drawn for it."""

    model: nn.Module
    state: dict[str, Tensor]
    samples: Samples
    directions: Sequence[Direction]
    starts: Sequence[Tensor]
    config: LandscapeConfig
    execution: Execution

    @property
    def size(self) -> int:
        return len(self.starts[0])

    def loss(self, changed: Any) -> float:
        return mean_loss(self.model, changed, self.samples, self.execution, self.config.batch_size)


def _surface(
    problem: Problem, retrained: Mapping[str, Tensor], config: LandscapeConfig, seed: int
) -> _Surface:
    """Draw samples, directions and starts, in this order, from the seed's own generator."""
    device = problem.execution.resolve()
    state = {name: value.to(device) for name, value in retrained.items()}
    model = problem.trained_model().eval()
    model.load_state_dict(state)
    generator = stream(seed, "landscape")
    samples = _subset(problem.retain, config.samples, generator)
    directions = [filter_normalised(model, generator) for _ in range(2)]
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    starts = [random_start(size, generator).to(device) for _ in range(config.starts)]
    return _Surface(model, state, samples, directions, starts, config, problem.execution)


def _curvature(surface: _Surface, parts: _Parts) -> tuple[dict[str, Any], list[Krylov]]:
    """Gradient, norms and curvature along the directions, and the Krylov space of each start."""
    samples = surface.samples
    order = torch.split(torch.arange(len(samples)), surface.config.batch_size)
    batches = [(inputs.contiguous(), labels) for inputs, labels in samples.batches(order)]  # type: ignore[union-attr]
    risk, theta = Risk(surface.model, batches), parameter_vector(surface.model)
    of_sums = hessian(risk, theta)

    def product(vector: Tensor) -> Tensor:
        return of_sums(vector) / len(samples)

    spaces = [
        _krylov(product, start, surface.config.steps, parts, number)
        for number, start in enumerate(surface.starts)
    ]
    lengths = [flatten(surface.model, direction) for direction in surface.directions]
    slope = gradient(risk, theta) / len(samples)
    found = {
        "gradient_norm": _short(float(slope.norm())),
        "weight_norm": _short(float(theta.norm())),
        "direction_norms": [_short(float(d.norm())) for d in lengths],
        "direction_curvatures": [_short(float(d @ product(d) / (d @ d))) for d in lengths],
    }
    return found, spaces


def spectra_of(record: Record) -> list[Ritz]:
    """The Ritz values of a record, without vectors."""
    return [
        Ritz(
            torch.tensor(one["values"], dtype=torch.float64),
            torch.tensor(one["residuals"], dtype=torch.float64),
            torch.tensor(one["weights"], dtype=torch.float64),
            torch.empty(0),
        )
        for one in record.metrics["spectra"]
    ]


def facts(record: Record, flat: float = 1e-3) -> dict[str, str]:
    """What a record says, in words and numbers with their uncertainty.

    Args:
        record: of a landscape.
        flat: eigenvalues smaller in size than this share of the largest one count as flat; the
            sign of what is closer to zero is not resolved.
    """
    found, values = spectra_of(record), record.metrics
    first, top = found[0], float(found[0].values[-1])
    below, error = share_below(found, -flat * top)
    up_to, _ = share_below(found, flat * top)
    bends = ", ".join(f"{bend:.2g}" for bend in values["direction_curvatures"])
    rows = {
        "retained samples": f"{values['samples']:,}",
        "parameters P": f"{values['parameters']:,}",
        "loss at θ_r": f"{values['loss']:.4f}",
        "length of the gradient": f"{values['gradient_norm']:.3f}",
        "largest eigenvalue": _with_residual(first, -1),
        "smallest eigenvalue": _with_residual(first, 0),
        f"share below −{flat:g} of the largest": f"{below:.3%} ± {error:.4%}",
        f"share within ±{flat:g} of it": f"{up_to - below:.2%}",
        "share above that": f"{1 - up_to:.3%}",
        "mean eigenvalue, trace/P": f"{mean_eigenvalue(found):.2g}",
        "curvature along d₁, d₂": bends,
    }
    return {name: text.replace("-", "−") for name, text in rows.items()}


def _with_residual(found: Ritz, which: int) -> str:
    residual = max(float(found.residuals[which]), 1e-6)  # of what single precision can tell
    return f"{float(found.values[which]):.3g} ± {residual:.0e}"


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _spectrum(found: Ritz) -> dict[str, list[float]]:
    names = ("values", "residuals", "weights")
    return {name: [_short(value) for value in getattr(found, name).tolist()] for name in names}


def _subset(retain: Samples, wanted: int | None, generator: torch.Generator) -> Any:
    if wanted is None or wanted >= len(retain):
        return retain
    chosen = torch.randperm(len(retain), generator=generator)[:wanted]
    return retain.take(chosen)  # type: ignore[attr-defined]


def _krylov(
    product: Callable[[Tensor], Tensor], start: Tensor, steps: int, parts: _Parts, number: int
) -> Krylov:
    key = parts.lanczos(number)
    stored = load_state(parts.store, key)
    known = None
    if stored is not None:
        basis = stored[0]["basis"].to(start.device)
        known = Krylov(basis, stored[0]["diagonal"], stored[0]["offdiagonal"])

    def on_step(space: Krylov) -> None:
        parts.progress(f"Lanczos: product {space.steps}/{steps}")
        if space.steps % SAVE_EVERY == 0 or space.steps == steps:
            save_state(parts.store, key, vars(space), {})

    return lanczos(product, start, steps, known=known, on_step=on_step)


def _plane(surface: _Surface, places: Sequence[float], parts: _Parts) -> list[list[float]]:
    """Row i, column j: the loss at θ_r + places[j]·d₁ + places[i]·d₂."""
    first, second = surface.directions
    stored = load_state(parts.store, parts.plane)
    rows: list[list[float]] = [] if stored is None else stored[0]["rows"].tolist()
    for place in places[len(rows) :]:
        rows.append(along(surface.loss, surface.state, first, places, [(place, second)]))
        kept = {"rows": torch.tensor(rows, dtype=torch.float64)}
        save_state(parts.store, parts.plane, kept, {})
        parts.progress(f"plane: row {len(rows)}/{len(places)}")
    return rows


def _slices(surface: _Surface, space: Krylov) -> dict[str, Any]:
    """The loss along unit vectors: of the ends of the spectrum, and of a random direction."""
    places = coordinates(SLICE_POINTS, surface.config.slice_radius)
    found, unit = ritz(space), flatten(surface.model, surface.directions[0])
    vectors = {
        "largest": ritz_vector(space, found, -1),
        "smallest": ritz_vector(space, found, 0),
        "random": unit / unit.norm(),
    }
    losses = {}
    for name, vector in vectors.items():
        direction = unflatten(surface.model, vector)
        values = along(surface.loss, surface.state, direction, places)
        losses[name] = [_short(value) for value in values]
    return {"coordinates": places, **losses}
