"""Definition 1 over the domain of Theorem 3: what is measured, resumed, printed and judged."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from companion.experiments.records.record import Record
from companion.experiments.records.store import open_store, read_records
from companion.experiments.theory import label_ldp
from companion.experiments.theory.label_ldp import LabelLDPConfig
from companion.paper.claims import records as judges
from companion.paper.claims.published import load_published
from companion.theory.privacy import best_alpha, label_ldp_epsilon

Cli = Callable[..., tuple[int, str, str]]
WIDE = LabelLDPConfig(train_size=30, forget_size=5, features=200, l2=1e-3, shares=(0.2, 0.9))
NARROW = LabelLDPConfig(features=16, shares=(0.36, 0.9))


def test_a_model_with_room_for_every_sample_keeps_what_the_theorem_promises(
    tmp_path: Path,
) -> None:
    """With little ridge and more features than samples; at 0.9 of the domain ε is 0."""
    record = label_ldp.label_ldp_record(WIDE, 0, "smoke", open_store(tmp_path / "store"))
    first, least = record.metrics["by_alpha"]
    assert least["alpha"] == pytest.approx(best_alpha(2.0, 1.0))
    assert least["promised"] == pytest.approx(0, abs=1e-9)
    assert least["epsilon"] == pytest.approx(0, abs=1e-2)
    assert first["promised"] == pytest.approx(label_ldp_epsilon(first["alpha"], 2.0, 1.0, 10))
    assert first["epsilon"] == pytest.approx(first["promised"], rel=0.1)


def test_a_model_that_shares_its_weights_does_not(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    record = label_ldp.label_ldp_record(NARROW, 0, "smoke", store)
    first, _ = record.metrics["by_alpha"]
    assert first["epsilon"] > 1.2 * first["promised"]
    assert label_ldp.label_ldp_record(NARROW, 0, "bench", store) == replace(record, scale="bench")
    assert label_ldp.label_ldp_record(NARROW, 1, "smoke", store).metrics != record.metrics


def made_up(name: str, values: list[float], seed: int = 0) -> Record:
    entries = [
        {"alpha": -0.1 * (place + 1), "epsilon": value, "promised": 1.0, "converged": True}
        for place, value in enumerate(values)
    ]
    return Record(
        kind=label_ldp.KIND, scale="bench", setting={}, method="ga", config={"name": name},
        seed=seed, status="ok", metrics={"by_alpha": entries}, seconds=1.0, steps=1,
        forward_samples=0, backward_samples=0, setting_hash="", config_hash="", data_checksum="",
        versions={}, hardware={}, commit="", created="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("values", "outcome"),
    [
        ([3.0, 2.0, 1.0, 0.0], "reproduced"),
        ([3.0, 2.0, 1.0, 5.0], "partly"),
        ([3.0, 2.0, 4.0, 5.0], "not reproduced"),
    ],
)
def test_the_claim_is_judged_by_the_steps_of_the_grid(
    values: list[float], outcome: str, tmp_path: Path
) -> None:
    nothing = load_published(tmp_path)
    assert judges.more_negative_is_more_private(nothing).outcome == "not run"
    own = tuple(made_up("64 features", values, seed) for seed in (0, 1, 2))
    found = judges.more_negative_is_more_private(replace(nothing, others=own))
    assert found.outcome == outcome
    assert "64 features, from α = −0.10 to −0.40" in found.evidence


def test_the_command_writes_what_the_book_reads(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "label-ldp-smoke.jsonl"
    code, out, _ = cli("label-ldp", "--store", str(tmp_path / "store"), "--publish", str(target))
    assert code == 0
    assert "16 features: ε" in out
    assert label_ldp.published("smoke", tmp_path) == read_records(target)
    code, _, err = cli("label-ldp", "--scale", "paper", "--store", str(tmp_path / "store"))
    assert code != 0
    assert "scale of label-ldp" in err
