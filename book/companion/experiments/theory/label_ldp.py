"""Definition 1 measured over the domain of Theorem 3: does ε fall with α, as Section 3.4 says?

The model is linear in random features of scikit-learn's digits, so the risk is convex, its minimum
is unique, and the mechanism of Definition 1 is one that can be run: change the label of a forgotten
sample, minimise again, and read what is predicted for it. One record for each width and seed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn

from companion.experiments import data
from companion.experiments.records.record import Record
from companion.experiments.records.store import Store, load_record, read_records, save_record
from companion.experiments.settings import forget_sets
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import digest
from companion.files import THEORY_RESULTS
from companion.theory.minima import minimise
from companion.theory.privacy import (
    UnlearningLoss,
    alpha_domain,
    label_ldp_epsilon,
    largest_log_ratio,
    predictions_by_label,
)
from companion.theory.risks import Risk, one_tensor, whole
from ugradsl_core.config import Config
from ugradsl_core.training import Execution

KIND = "label-ldp"
K = 10


class LabelLDPConfig(Config):
    """The risk of Section 3.4 on digits, and the grid of α."""

    train_size: int = Field(100, ge=20, description="|D_tr|")
    forget_size: int = Field(20, ge=1, description="|D_f|")
    features: int = Field(64, ge=1, description="random features of the model")
    l2: float = Field(0.1, gt=0, description="λ of the ridge")
    gamma1: float = Field(2.0, gt=0, description="γ₁, the weight of learning on D_tr")
    gamma2: float = Field(1.0, gt=0, description="γ₂, the weight of unlearning on D_f")
    shares: tuple[float, ...] = Field(
        (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98),
        min_length=2,
        description="α as shares of the domain's lower end",
    )
    samples: int = Field(1, ge=1, description="forgotten samples whose labels are changed")
    tolerance: float = Field(1e-5, gt=0, description="of the gradient at a minimum")


WIDTHS = {"smoke": (16,), "bench": (16, 64, 128)}
SEEDS = {"smoke": (0,), "bench": (0, 1, 2)}
SMALL = {"shares": (0.1, 0.5, 0.9, 0.98)}


def settings(scale: str) -> list[tuple[LabelLDPConfig, int]]:
    """Configurations and seeds of a scale."""
    changed = SMALL if scale == "smoke" else {}
    return [
        (LabelLDPConfig(features=width, **changed), seed)
        for width in WIDTHS[scale]
        for seed in SEEDS[scale]
    ]


def published(scale: str, root: Path | None = None) -> list[Record]:
    """Published records, or an empty list where it has not been run."""
    path = (root or THEORY_RESULTS) / f"label-ldp-{scale}.jsonl"
    return read_records(path) if path.exists() else []


def problem(
    config: LabelLDPConfig, seed: int
) -> tuple[Callable[[nn.Module], Risk], Tensor, list[int], str]:
    """The risk with a loss, which samples are D_f, those that are looked at, and the checksum."""
    generator = stream(seed, "label LDP")
    digits = data.load("digits")
    rows = forget_sets.stratified_sample(digits.train.labels, config.train_size, generator)
    ((x, y),) = whole(digits.train.take(rows))
    forget = torch.zeros(len(y), dtype=torch.bool)
    forget[forget_sets.stratified_sample(y, config.forget_size, generator)] = True
    directions = torch.randn(64, config.features, generator=generator, dtype=torch.float64) / 8
    shown = torch.tanh(3 * one_tensor(x).flatten(1) @ directions)

    def risk(loss: nn.Module) -> Risk:
        model = nn.Linear(config.features, K).double()
        return Risk(model, [(shown, y)], l2=config.l2, loss=loss)

    looked_at = forget.nonzero().flatten()[: config.samples].tolist()
    return risk, forget, looked_at, digits.train.checksum


def label_ldp_record(config: LabelLDPConfig, seed: int, scale: str, store: Store) -> Record:
    """Measured and promised ε over the grid: from the store, or computed and stored.

    ``metrics["by_alpha"]`` holds, for each α, ``epsilon`` (the largest log-ratio of Definition 1
    over the samples, in nats), ``promised`` (Theorem 3's) and ``converged``.
    """
    key = f"label-ldp-{digest([config.model_dump(mode='json'), seed])}"
    known = load_record(store, key)
    if known is not None:
        return replace(known, scale=scale)
    begin = time.perf_counter()
    risk, forget, samples, checksum = problem(config, seed)
    weights = config.gamma1, config.gamma2
    end, _ = alpha_domain(*weights, K)
    by_alpha, iterations = [], 0
    for share in config.shares:
        alpha = share * end
        own = risk(UnlearningLoss(forget, alpha, *weights))
        size = sum(p.numel() for p in own.model.parameters())
        start = minimise(own, torch.zeros(size).double(), tolerance=config.tolerance)
        found, converged = [], start.converged
        for sample in samples:
            predictions, minima = predictions_by_label(
                own, sample, tolerance=config.tolerance, start=start.theta
            )
            found.append(largest_log_ratio(predictions))
            converged &= all(minimum.converged for minimum in minima)
            iterations += sum(minimum.iterations for minimum in minima)
        promised = label_ldp_epsilon(alpha, *weights, K)
        by_alpha.append(
            {
                "alpha": alpha,
                "epsilon": max(found),
                "promised": promised,
                "converged": converged,
            }
        )
    record = Record.stamped(
        device=Execution(device="cpu").resolve(),
        kind=KIND,
        scale=scale,
        setting=config.model_dump(mode="json"),
        method="ga",
        config={"name": f"{config.features} features"},
        seed=seed,
        status="ok",
        metrics={"by_alpha": by_alpha},
        seconds=time.perf_counter() - begin,
        steps=iterations,
        forward_samples=0,
        backward_samples=0,
        data_checksum=checksum,
        note="samples passed are not counted",
    )
    save_record(store, key, record)
    return record


def means(records: Sequence[Record]) -> dict[str, dict[float, float]]:
    """Model → α, falling → mean measured ε over seeds, without what did not converge."""
    values: dict[str, dict[float, list[float]]] = {}
    for record in records:
        grid = values.setdefault(str(record.config["name"]), {})
        for entry in record.metrics["by_alpha"]:
            if entry["converged"]:
                grid.setdefault(float(entry["alpha"]), []).append(float(entry["epsilon"]))
    return {
        name: {alpha: sum(grid[alpha]) / len(grid[alpha]) for alpha in sorted(grid, reverse=True)}
        for name, grid in values.items()
    }
