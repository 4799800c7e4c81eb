"""Figure 6: ⟨Δθ_r − Δθ_f, Δθ_n − Δθ_f⟩ over many forget sets, one record for each.

The paper does not say how it inverted Hessians of networks that have negative eigenvalues. Here
each product is computed for several dampings δ·λ_max, from none at all to the limit of an infinite
one, in which Newton's directions become gradients.
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from companion.experiments.records.record import Record
from companion.experiments.records.store import Store, load_record, read_records, save_record
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import digest
from companion.experiments.theory import worked
from companion.files import THEORY_RESULTS
from companion.theory.influence import (
    ConvergenceWarning,
    Directions,
    System,
    dense_systems,
    inverse_hvp,
    newton_systems,
)
from companion.theory.risks import hessian
from companion.theory.solvers import CurvatureError, SolverConfig, spectral_norm
from companion.theory.theorems import best_alpha, theorem2_product
from ugradsl_core.config import Config
from ugradsl_core.errors import unknown_name
from ugradsl_core.training import Execution

KIND = "directions"
K = 10


class Figure6Config(Config):
    """A model, its data and how Δθ_r, Δθ_f and Δθ_n are computed."""

    model: worked.Kind = Field("linear", description="linear, mlp or resnet18")
    dataset: Literal["digits", "cifar10"] = "digits"
    train_size: int = Field(500, ge=20, description="|D_tr|")
    hidden: int = Field(8, ge=1, description="hidden units, or the width of the ResNet")
    l2: float = Field(1.0, gt=0, description="λ of the ridge")
    fraction: float = Field(0.1, gt=0, lt=1, description="|D_f|/|D_tr|, drawn at random")
    fresh: bool = Field(False, description="retrain from the initial weights, not from θ_tr*")
    solver: Literal["dense", "cg"] = "dense"
    dampings: tuple[float, ...] = Field((0.0, 1e-3, 1e-2, 0.1, 1.0), description="δ, in λ_max")
    tolerance: float = Field(1e-6, gt=0, description="of the gradient at θ_tr* and θ_r*")
    max_iterations: int = Field(5000, ge=1, description="of L-BFGS")
    seed: int = Field(0, ge=0, description="of D_tr and of the initial weights")


SMALL = {"train_size": 300, "dampings": (0.0, 1e-2, 0.1, 1.0)}
RESNET = {
    "model": "resnet18",
    "solver": "cg",
    "dampings": (0.01, 0.1, 1.0),
    "tolerance": 1e-2,
    "max_iterations": 400,
}
SETTINGS: dict[str, dict[str, Figure6Config]] = {
    "smoke": {
        "linear": Figure6Config(**SMALL),
        "mlp": Figure6Config(**SMALL, model="mlp"),
    },
    "bench": {
        "linear": Figure6Config(),
        "mlp": Figure6Config(model="mlp"),
        "mlp-fresh": Figure6Config(model="mlp", fresh=True),
        "resnet18": Figure6Config(**RESNET, hidden=2, train_size=300),
        "resnet18-cifar10": Figure6Config(**RESNET, dataset="cifar10", hidden=8, train_size=1000),
    },
}

SETS = {  # forget sets of a setting, where no other number is asked for
    "smoke": {"linear": 12, "mlp": 12},
    "bench": {"linear": 60, "mlp": 40, "mlp-fresh": 40, "resnet18": 10, "resnet18-cifar10": 10},
}


def published(scale: str, root: Path | None = None) -> list[Record]:
    """Published records of Figure 6, or an empty list where it has not been run."""
    path = (root or THEORY_RESULTS) / f"figure6-{scale}.jsonl"
    return read_records(path) if path.exists() else []


def setting_names(scale: str) -> list[str]:
    """The settings of a scale.

    Raises:
        ConfigError: unknown scale.
    """
    if scale not in SETTINGS:
        raise unknown_name("scale of Figure 6", scale, SETTINGS)
    return list(SETTINGS[scale])


def get_setting(name: str, scale: str) -> Figure6Config:
    """A setting of ``SETTINGS``.

    Raises:
        ConfigError: unknown scale or name.
    """
    if name not in setting_names(scale):
        raise unknown_name("setting of Figure 6", name, SETTINGS[scale])
    return SETTINGS[scale][name]


def original_model(config: Figure6Config, data_root: str | None = None) -> worked.TrainedExample:
    """θ_tr*, which all forget sets of a setting share."""
    return worked.worked(
        config.model,
        config.train_size,
        config.l2,
        hidden=config.hidden,
        seed=config.seed,
        dataset=config.dataset,
        data_root=data_root,
        tolerance=config.tolerance,
        max_iterations=config.max_iterations,
    )


def family(
    systems: Mapping[str, System], like: Tensor, config: Figure6Config, largest: float
) -> Iterator[tuple[float | None, Directions | None]]:
    """Δθ vectors for each δ, and for None the right-hand sides: the limit of infinite damping.

    The directions are None where the damped Hessian is singular or, for ``cg``, not positive
    definite.
    """
    if config.solver == "dense":
        systems = dense_systems(systems, like)
    for damping in config.dampings:
        solver = SolverConfig(
            solver=config.solver,
            damping=damping * largest,
            tolerance=1e-9 if config.solver == "dense" else 1e-5,
            max_iterations=500,
        )
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # kept in the record
                solves = {name: inverse_hvp(*pair, solver) for name, pair in systems.items()}
        except CurvatureError:
            yield damping, None
            continue
        yield damping, Directions(**{n: s.value for n, s in solves.items()}, solves=solves)
    yield None, Directions(**{name: vector for name, (_, vector) in systems.items()}, solves={})


def describe(directions: Directions | None) -> dict[str, Any]:
    """The inner product of Eq. (35), its cosine, the best α, both norms and the solver's state."""
    if directions is None:
        return {"status": "no inverse"}
    gap = directions.delta_r - directions.delta_f
    along = directions.delta_n - directions.delta_f
    product = theorem2_product(directions)
    return {
        "status": "ok" if directions.converged else "not converged",
        "product": product,
        "cosine": product / float(gap.norm() * along.norm()),
        "best_alpha": best_alpha(directions, K),
        "gap": float(gap.norm()),
        "along": float(along.norm()),
        "residual": max((s.residual for s in directions.solves.values()), default=0.0),
        "iterations": sum(s.iterations for s in directions.solves.values()),
    }


def forget_set_record(
    original: worked.TrainedExample,
    config: Figure6Config,
    name: str,
    scale: str,
    number: int,
    store: Store,
) -> Record:
    """The record of forget set ``number``: from the store, or computed and stored."""
    key = f"figure6-{digest([config.model_dump(mode='json'), number])}"
    known = load_record(store, key)
    if known is not None:
        return replace(known, scale=scale)
    begin = time.perf_counter()
    size = max(1, round(config.fraction * config.train_size))
    index = worked.random_rows(original, size, stream(number, "figure 6"))
    removal = worked.remove(
        original,
        index,
        fresh=config.fresh,
        tolerance=config.tolerance,
        max_iterations=config.max_iterations,
    )
    moved = removal.theta - original.theta
    largest = spectral_norm(hessian(original.risk, original.theta), original.theta)
    systems = newton_systems(removal.retain, removal.forget, original.theta, removal.theta)
    by_damping = []
    for damping, directions in family(systems, original.theta, config, largest):
        entry = {"damping": damping, **describe(directions)}
        if directions is not None and damping is not None:  # the same with the true θ_r* − θ_tr*
            exact = describe(replace(directions, delta_r=moved))
            entry |= {f"exact_{n}": exact[n] for n in ("product", "cosine", "best_alpha", "gap")}
        by_damping.append(entry)
    record = Record.stamped(
        device=Execution(device="cpu").resolve(),
        kind=KIND,
        scale=scale,
        setting=config.model_dump(mode="json"),
        method="retrain",
        config={"name": name},
        seed=number,
        status="ok",
        metrics={
            "parameters": len(moved),
            "forgotten": size,
            "largest_eigenvalue": largest,
            "gradient_tr": original.minimum.gradient_norm,
            "gradient_r": removal.minimum.gradient_norm,
            "distance": float(moved.norm()),
            "by_damping": by_damping,
        },
        seconds=time.perf_counter() - begin,
        steps=removal.minimum.iterations,
        forward_samples=0,
        backward_samples=0,
        data_checksum=original.checksum,
        note="samples passed are not counted",
    )
    save_record(store, key, record)
    return record


def entries(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One entry for each record and damping, with the setting's name and the set's number."""
    return [
        {"name": record.config["name"], "set": record.seed, **entry}
        for record in records
        for entry in record.metrics["by_damping"]
    ]


def share_valid(
    records: Sequence[Record], damping: float | None, field: str = "product"
) -> tuple[int, int]:
    """For how many forget sets the condition of Theorem 2 holds, and for how many it was computed.

    A set whose Hessian had no inverse, or whose systems were not solved, is not counted.
    """
    values = [
        entry[field]
        for entry in entries(records)
        if entry["damping"] == damping and entry["status"] == "ok"
    ]
    return sum(value <= 0 for value in values), len(values)
