"""Figure 7 of a setting and a seed: θ_r, the loss around it and its curvature, as one record."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from companion.experiments.records import provenance
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
from companion.experiments.runs.problems import Data, Progress, make_problem, silent
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import Setting, digest
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


def landscape_record(
    setting: Setting,
    loaded: Data,
    retrain: Config,
    config: LandscapeConfig,
    seed: int,
    store: Store,
    execution: Execution,
    progress: Progress = silent,
) -> Record:
    """The record of a landscape: from the store, or computed and stored.

    Rows of the plane and steps of Lanczos are kept in the store as they end; a killed run goes on
    from there and ends with the same numbers.

    Args:
        setting: with its original and retrained model in the store, or they are trained.
        loaded: the setting's data.
        retrain: the config of Retrain.
        config: what to compute.
        seed: of the models, the samples and the directions.
        store: where parts are kept.
        execution: device and switches.
        progress: told what is being done.
    """
    what = [setting.identity(), loaded.checksum, retrain.key_fields(), config.model_dump(), seed]
    key = f"landscape-{digest(what)}"
    known = load_record(store, key)
    if known is not None:
        return known
    begin = time.perf_counter()
    problem = make_problem(setting, loaded, seed, store, execution, progress)
    retrained = run.retrained_state(problem, setting, loaded, retrain, seed, store)
    device = execution.resolve()
    state = {name: value.to(device) for name, value in retrained.items()}
    model = problem.trained_model().eval()
    model.load_state_dict(state)
    generator = stream(seed, "landscape")
    samples = _subset(problem.retain, config.samples, generator)
    directions = [filter_normalised(model, generator) for _ in range(2)]
    size = sum(p.numel() for p in model.parameters() if p.requires_grad)
    starts = [random_start(size, generator).to(device) for _ in range(config.starts)]

    order = torch.split(torch.arange(len(samples)), config.batch_size)
    batches = [(inputs.contiguous(), labels) for inputs, labels in samples.batches(order)]
    risk, theta = Risk(model, batches), parameter_vector(model)
    of_sums = hessian(risk, theta)

    def product(vector: Tensor) -> Tensor:
        return of_sums(vector) / len(samples)

    spaces = [
        _krylov(product, start, config, store, f"{key}-lanczos-{number}", progress)
        for number, start in enumerate(starts)
    ]
    lengths = [flatten(model, direction) for direction in directions]
    along_directions = [float(d @ product(d) / (d @ d)) for d in lengths]
    slope = gradient(risk, theta) / len(samples)

    def loss(changed: Any) -> float:
        return mean_loss(model, changed, samples, execution, config.batch_size)

    found = [ritz(space) for space in spaces]
    slices = _slices(model, state, spaces[0], found[0], directions[0], config, loss)
    places = coordinates(config.points, config.radius)
    plane = _plane(loss, state, directions, places, store, f"{key}-plane", progress)
    metrics = {
        "config": config.model_dump(),
        "samples": len(samples),
        "parameters": size,
        "loss": _short(loss(state)),
        "gradient_norm": _short(float(slope.norm())),
        "weight_norm": _short(float(theta.norm())),
        "direction_norms": [_short(float(d.norm())) for d in lengths],
        "direction_curvatures": [_short(c) for c in along_directions],
        "coordinates": places,
        "plane": [[_short(value) for value in row] for row in plane],
        "slices": slices,
        "spectra": [_spectrum(one) for one in found],
    }
    record = Record(
        kind=KIND,
        scale=setting.scale,
        setting=setting.identity(),
        method="retrain",
        config=retrain.model_dump(),
        seed=seed,
        status="ok",
        metrics=metrics,
        seconds=time.perf_counter() - begin,
        steps=0,
        forward_samples=len(samples) * (config.points**2 + 3 * SLICE_POINTS),
        backward_samples=len(samples) * sum(space.steps for space in spaces),
        setting_hash=digest(setting.identity()),
        config_hash=digest(config.key_fields()),
        data_checksum=loaded.checksum,
        versions=provenance.versions(),
        hardware=provenance.hardware(execution.resolve()),
        commit=provenance.commit(),
        created=provenance.now(),
    )
    save_record(store, key, record)
    for number in range(config.starts):
        drop_state(store, f"{key}-lanczos-{number}")
    drop_state(store, f"{key}-plane")
    return record


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
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    config: LandscapeConfig,
    store: Store,
    key: str,
    progress: Progress,
) -> Krylov:
    stored = load_state(store, key)
    known = None
    if stored is not None:
        basis = stored[0]["basis"].to(start.device)
        known = Krylov(basis, stored[0]["diagonal"], stored[0]["offdiagonal"])

    def on_step(space: Krylov) -> None:
        progress(f"Lanczos: product {space.steps}/{config.steps}")
        if space.steps % SAVE_EVERY == 0 or space.steps == config.steps:
            save_state(store, key, vars(space), {})

    return lanczos(product, start, config.steps, known=known, on_step=on_step)


def _plane(
    loss: Callable[[Any], float],
    state: dict[str, Tensor],
    directions: Sequence[Direction],
    places: Sequence[float],
    store: Store,
    key: str,
    progress: Progress,
) -> list[list[float]]:
    """Row i, column j: the loss at θ_r + places[j]·d₁ + places[i]·d₂."""
    stored = load_state(store, key)
    rows: list[list[float]] = [] if stored is None else stored[0]["rows"].tolist()
    for place in places[len(rows) :]:
        rows.append(along(loss, state, directions[0], places, [(place, directions[1])]))
        save_state(store, key, {"rows": torch.tensor(rows, dtype=torch.float64)}, {})
        progress(f"plane: row {len(rows)}/{len(places)}")
    return rows


def _slices(
    model: nn.Module,
    state: dict[str, Tensor],
    space: Krylov,
    found: Ritz,
    random: Direction,
    config: LandscapeConfig,
    loss: Callable[[Any], float],
) -> dict[str, Any]:
    """The loss along unit vectors: of the ends of the spectrum, and of a random direction."""
    places = coordinates(SLICE_POINTS, config.slice_radius)
    unit = flatten(model, random)
    vectors = {
        "largest": ritz_vector(space, found, -1),
        "smallest": ritz_vector(space, found, 0),
        "random": unit / unit.norm(),
    }
    losses = {
        name: [_short(v) for v in along(loss, state, unflatten(model, vector), places)]
        for name, vector in vectors.items()
    }
    return {"coordinates": places, **losses}
