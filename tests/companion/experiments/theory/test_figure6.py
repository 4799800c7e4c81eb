"""Figure 6: products for every damping, records that resume, and the command."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from companion.experiments.records.record import Record
from companion.experiments.records.store import (
    Store,
    open_store,
    parse_record,
    read_records,
    record_line,
    write_records,
)
from companion.experiments.settings.seeds import stream
from companion.experiments.theory import figure6, worked
from companion.experiments.theory.figure6 import Figure6Config
from companion.theory import risks
from companion.theory.influence import newton_systems, unlearning_directions
from companion.theory.solvers import SolverConfig, spectral_norm
from companion.theory.theorems import theorem2_product
from ugradsl_core.errors import ConfigError

Cli = Callable[..., tuple[int, str, str]]
TINY = Figure6Config(train_size=40, dampings=(0.0, 0.1))


@pytest.fixture(scope="module")
def original() -> worked.TrainedExample:
    return figure6.original_model(TINY)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(tmp_path_factory.mktemp("figure6") / "store")


@pytest.fixture(scope="module")
def record(original: worked.TrainedExample, store: Store) -> Record:
    return figure6.forget_set_record(original, TINY, "tiny", "smoke", 3, store)


def test_the_products_are_those_of_the_directions(
    record: Record, original: worked.TrainedExample
) -> None:
    index = worked.random_rows(original, 4, stream(3, "figure 6"))
    removal = worked.remove(original, index)
    largest = spectral_norm(risks.hessian(original.risk, original.theta), original.theta)
    for entry in record.metrics["by_damping"][:2]:
        config = SolverConfig(solver="cg", damping=entry["damping"] * largest)
        directions = unlearning_directions(
            removal.retain, removal.forget, original.theta, removal.theta, config
        )
        assert entry["product"] == pytest.approx(theorem2_product(directions), rel=1e-5)
        assert -1 <= entry["cosine"] <= 1
        assert entry["status"] == "ok"


def test_the_last_entry_is_the_limit_of_infinite_damping(
    record: Record, original: worked.TrainedExample
) -> None:
    index = worked.random_rows(original, 4, stream(3, "figure 6"))
    removal = worked.remove(original, index)
    systems = newton_systems(removal.retain, removal.forget, original.theta, removal.theta)
    config = TINY.replace(dampings=(1e7,))
    (_, far), (none, gradients) = figure6.family(systems, original.theta, config, 1.0)
    assert none is None
    assert far is not None
    assert gradients is not None
    limit, last = figure6.describe(far), record.metrics["by_damping"][-1]
    assert last["damping"] is None
    assert limit["cosine"] == pytest.approx(last["cosine"], rel=1e-3)
    assert "exact_product" not in last


def test_a_hessian_that_cannot_be_inverted_is_recorded_and_not_counted() -> None:
    negative = torch.diag(torch.tensor([-1.0, 1.0], dtype=torch.float64))
    v = torch.ones(2, dtype=torch.float64)
    systems = {name: (negative.matmul, v) for name in ("delta_r", "delta_f", "delta_n")}
    config = TINY.replace(solver="cg", dampings=(0.5, 3.0))
    (_, refused), (_, solved), _ = figure6.family(systems, v, config, 1.0)
    assert figure6.describe(refused) == {"status": "no inverse"}
    assert solved is not None


def test_shares_count_what_was_solved(record: Record) -> None:
    changed = []
    for product, status in ((-1.0, "ok"), (0.0, "ok"), (2.0, "ok"), (-1.0, "not converged")):
        entry = {"damping": 0.1, "status": status, "product": product}
        changed.append(parse_record(record_line(record)))
        changed[-1].metrics["by_damping"] = [entry]  # type: ignore[index]
    assert figure6.share_valid(changed, 0.1) == (2, 3)
    assert figure6.share_valid(changed, 0.7) == (0, 0)


def test_a_record_is_computed_once(
    record: Record, original: worked.TrainedExample, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(worked, "remove", never)
    again = figure6.forget_set_record(original, TINY, "tiny", "smoke", 3, store)
    assert again == record
    assert parse_record(record_line(record)) == record


def test_the_command_resumes_and_publishes(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figure6, "SETTINGS", {"smoke": {"tiny": TINY}})
    run = ["figure6", "all", "--sets", "2", "--store", tmp_path / "store"]
    code, out, _ = cli(*run, "--publish", tmp_path / "out.jsonl")
    assert code == 0
    assert "tiny" in out
    assert "of 2 forget sets" in out
    first = (tmp_path / "out.jsonl").read_bytes()
    assert [r.seed for r in read_records(tmp_path / "out.jsonl")] == [0, 1]
    assert cli(*run, "--publish", tmp_path / "out.jsonl")[0] == 0
    assert (tmp_path / "out.jsonl").read_bytes() == first


def test_bad_input_is_named(cli: Cli) -> None:
    for arguments, message in (
        (["figure6", "linaer"], "unknown setting of Figure 6 'linaer'. Did you mean 'linear'"),
        (["figure6", "--scale", "huge"], "unknown scale of Figure 6 'huge'"),
        (["figure6", "--sets", "0"], "sets: should be at least 1; found 0"),
    ):
        code, _, err = cli(*arguments)
        assert code == 2
        assert message in err
        assert len(err.strip().splitlines()) == 1
    with pytest.raises(ConfigError, match="fraction: should be less than 1"):
        Figure6Config(fraction=1.0)


def test_every_setting_is_one_that_its_scale_can_run() -> None:
    for scale, settings in figure6.SETTINGS.items():
        for name, config in settings.items():
            assert figure6.get_setting(name, scale) is config
            assert config.solver == "cg" or config.model != "resnet18"
        assert list(settings) == list(figure6.SETS[scale])


def test_a_figure_that_was_not_run_has_no_records(record: Record, tmp_path: Path) -> None:
    assert figure6.published("bench", tmp_path) == []
    write_records(tmp_path / "figure6-bench.jsonl", [record])
    assert figure6.published("bench", tmp_path) == [record]
