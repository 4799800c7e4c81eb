"""Experiments on digits: keys, sharing, resuming, damage, divergence, search."""

import dataclasses
import errno
import math
import os
import shutil
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch

from benches import bench_of
from companion.experiments.records.record import Record
from companion.experiments.records.store import DamagedFileWarning, Store, all_records, open_store
from companion.experiments.records.summary import record_label
from companion.experiments.runs import problems, protocol, run, search
from companion.experiments.runs.problems import (
    Data,
    load_data,
)
from companion.experiments.runs.protocol import trial_gap
from companion.experiments.runs.run import run_grid, run_one
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.seeds import stream
from companion.experiments.settings.setting import Setting, digest
from forked import started
from toys import CPU, same_bits
from ugradsl_core.config import Config
from ugradsl_core.errors import DataError, DivergenceError, StoreError
from ugradsl_core.methods import METHODS, make_config
from ugradsl_core.metrics import MIAScores, Report
from ugradsl_core.training import SGDConfig, loop

Cli = Callable[..., tuple[int, str, str]]

SETTING = Setting(
    train_size=80,
    validation_size=40,
    model={"width": 2},
    training={"lr": 0.1, "epochs": 2, "batch_size": 32, "schedule": "one-cycle"},
)
CLASS_WISE = SETTING.replace(paradigm="class-wise", forgotten_class=3)


def config_of(label: str, **changes: Any) -> SGDConfig:
    method, fixed = split_label(label)
    given = {"lr": 0.02, "epochs": 1, "batch_size": 8, **fixed, **changes}
    return make_config(method, **(SETTING.training.model_dump() if label == "retrain" else given))


LABELS = ["retrain", "ft", "ugradsl", "ugradsl+:adaptive"]
CONFIGS = {label: config_of(label) for label in LABELS}


@pytest.fixture(scope="module")
def loaded() -> Data:
    return load_data(SETTING, CPU)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def lasting(record: Record) -> dict[str, Any]:
    """What does not depend on when the record was made, and how fast."""
    content = dataclasses.asdict(record)
    for name in ("seconds", "created", "commit", "hardware"):
        del content[name]
    return content


def grid(
    loaded: Data, store: Store, seeds: tuple[int, ...] = (0, 1), **options: Any
) -> list[Record]:
    return run_grid(bench_of(SETTING, loaded, store), CONFIGS, seeds, **options)


@pytest.fixture(scope="module")
def whole(loaded: Data, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record]]:
    """The store and the records of a grid that nothing has stopped; tests work on copies of it."""
    store = open_store(tmp_path_factory.mktemp("whole") / "store")
    return store.root, grid(loaded, store)


@pytest.fixture
def copied(whole: tuple[Path, list[Record]], tmp_path: Path) -> Store:
    """A store in which the grid is there already."""
    return open_store(shutil.copytree(whole[0], tmp_path / "copied"))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many originals were trained and how many methods ran."""
    counts = {"trained": 0, "unlearned": 0}
    train, get_method = problems.train, run.get_method

    def counting_train(*args: Any, **options: Any) -> Any:
        counts["trained"] += 1
        return train(*args, **options)

    def counting_method(name: str) -> Any:
        counts["unlearned"] += 1
        return get_method(name)

    monkeypatch.setattr(problems, "train", counting_train)
    monkeypatch.setattr(run, "get_method", counting_method)
    return counts


def test_training_and_validation_samples_are_disjoint_and_of_the_sizes_asked_for(
    loaded: Data,
) -> None:
    assert (len(loaded.train), len(loaded.validation), len(loaded.test)) == (80, 40, 449)
    train, validation = loaded.train.index, loaded.validation.index
    assert train is not None
    assert validation is not None
    assert not set(train.tolist()) & set(validation.tolist())
    assert len({*train.tolist(), *validation.tolist()}) == 120
    for part in (loaded.train, loaded.validation):
        assert bool((torch.bincount(part.labels, minlength=10) > 0).all())


def test_all_training_images_are_used_where_no_size_is_given() -> None:
    everything = load_data(SETTING.replace(train_size=None, validation_size=100), CPU)
    assert len(everything.train) + len(everything.validation) == 1348


def test_the_subset_is_the_same_for_all_seeds_and_the_forget_set_is_not(loaded: Data) -> None:
    again = load_data(SETTING, CPU)
    assert torch.equal(loaded.train.labels, again.train.labels)
    a, b, c = (SETTING.split(loaded.train, seed) for seed in (0, 0, 1))
    assert torch.equal(a.forget, b.forget)
    assert not torch.equal(a.forget, c.forget)
    assert len(a.forget) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_size": 2000}, "train_size \\+ validation_size: should be at most 1348"),
        ({"train_size": 1348}, "found 1348 \\+ 40"),
        ({"train_size": None, "validation_size": 1347}, "found 1 \\+ 1347"),
        ({"paradigm": "class-wise", "forgotten_class": 10}, "should lie in 0…9; found 10"),
    ],
)
def test_settings_that_the_data_cannot_meet_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_data(SETTING.replace(**changes), CPU)


def test_class_wise_forgetting_removes_the_class_from_every_judged_set(loaded: Data) -> None:
    split = CLASS_WISE.split(loaded.train, 0)
    assert split.forgotten_class == 3
    for judge, whole in (("test", loaded.test), ("validation", loaded.validation)):
        judged = bench_of(CLASS_WISE, loaded).judged(judge)
        assert set(judged.labels.tolist()) == set(range(10)) - {3}
        assert len(judged) == int((whole.labels != 3).sum())
        assert bench_of(SETTING, loaded).judged(judge) is whole


def test_streams_of_different_purposes_and_seeds_differ() -> None:
    draws = {
        (seed, purpose): int(torch.randint(2**62, (), generator=stream(seed, purpose)))
        for seed in (0, 1, 10)
        for purpose in ("split", "original", "0:split")
    }
    assert len(set(draws.values())) == 9


def test_the_original_is_shared_by_what_does_not_change_it(loaded: Data) -> None:
    def key(setting: Setting, kind: str, seed: int = 0) -> str:
        return bench_of(setting, loaded).model_key(kind, seed)

    other = SETTING.replace(fraction=0.2)
    longer = SETTING.replace(training={**SETTING.training.model_dump(), "epochs": 3})
    assert key(SETTING, "original") == key(other, "original") == key(CLASS_WISE, "original")
    assert key(SETTING, "original") != key(longer, "original")
    assert key(SETTING, "original") != key(SETTING, "original", 1)
    assert key(SETTING, "retrain") != key(other, "retrain")
    assert key(SETTING, "retrain") != key(SETTING, "original")


def test_record_keys_are_unique(loaded: Data) -> None:
    other = dataclasses.replace(loaded, checksum="other")
    keys = [
        bench_of(setting, data).record_key(label, config_of(label, **changes), seed, judge)
        for setting in (SETTING, CLASS_WISE, SETTING.replace(fraction=0.2))
        for data in (loaded, other)
        for label, changes in [("ga", {}), ("ft", {}), ("ft", {"lr": 0.03}), ("ugradsl", {})]
        for seed in (0, 1)
        for judge in ("test", "validation")
    ]
    assert len(set(keys)) == len(keys)


def test_the_original_does_not_depend_on_the_store(loaded: Data, tmp_path: Path) -> None:
    first = open_store(tmp_path / "a")
    trained = bench_of(SETTING, loaded, first).original(0)
    for other in (first, open_store(tmp_path / "b")):
        again = bench_of(SETTING, loaded, other).original(0)
        assert all(torch.equal(trained[name], again[name]) for name in trained)
    assert not same_bits(trained, bench_of(SETTING, loaded, first).original(1))


def test_a_problem_holds_no_judged_samples(loaded: Data, store: Store) -> None:
    problem = bench_of(SETTING, loaded, store).problem(0)
    retain, forget = set(problem.retain.index.tolist()), set(problem.forget.index.tolist())
    assert retain | forget == set(loaded.train.index.tolist())
    assert not retain & forget
    assert not (retain | forget) & set(loaded.validation.index.tolist())


def test_a_grid_is_computed_once(loaded: Data, store: Store, counted: dict[str, int]) -> None:
    first = grid(loaded, store)
    assert counted == {"trained": 2, "unlearned": 8}
    assert [(r.method, r.seed) for r in first[:4]] == [
        ("retrain", 0), ("ft", 0), ("ugradsl", 0), ("ugradsl+", 0)
    ]  # fmt: skip
    assert grid(loaded, store) == first
    assert counted == {"trained": 2, "unlearned": 8}
    assert len(all_records(store)) == 8
    for record in first:
        assert (record.status, record.kind, record.scale) == ("ok", "result", "smoke")
        assert all(0 <= record.metrics[name] <= 100 for name in ("UA", "MIA", "RA", "TA"))
        assert record.steps > 0
        assert record.seconds > 0
        assert record.data_checksum == loaded.checksum
        assert record.versions["torch"] == metadata.version("torch")
    assert not list(store.root.rglob("*partial*"))


def test_a_stopped_grid_resumes_without_computing_again(
    loaded: Data, store: Store, whole: tuple[Path, list[Record]], counted: dict[str, int]
) -> None:
    seen = []

    def stop(record: Record) -> None:
        seen.append(record)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grid(loaded, store, on_record=stop)
    assert counted == {"trained": 1, "unlearned": 3}
    resumed = grid(loaded, store)
    assert counted == {"trained": 2, "unlearned": 8}
    assert [lasting(r) for r in resumed] == [lasting(r) for r in whole[1]]


def test_a_record_says_the_scale_that_was_asked_for(loaded: Data, store: Store) -> None:
    """Else a table of the second grid mixes two labels and is refused."""
    for scale in ("smoke", "bench"):
        setting = SETTING.replace(scale=scale)
        record = run_one(bench_of(setting, loaded, store), "ft", CONFIGS["ft"], 0)
        assert record.scale == scale


def test_an_attack_without_a_signal_is_noted() -> None:
    scores = MIAScores(0.0, math.nan, 0.0, 0.0, 0.0)
    found = Report(0.0, math.nan, 0.0, 0.0, math.nan, scores)
    note = "no signal in MIA and add_MIA: the attack has nothing to learn from"
    assert run.signal_note(found) == note
    assert run.signal_note(dataclasses.replace(found, MIA=1.0, add_MIA=2.0)) == ""


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize(
    "pattern", ["records/*.json", "models/original-*.safetensors", "models/retrain-*.safetensors"]
)
def test_damage_is_noticed_and_computed_again(
    loaded: Data,
    whole: tuple[Path, list[Record]],
    copied: Store,
    counted: dict[str, int],
    pattern: str,
) -> None:
    before = whole[1][:4]
    assert grid(loaded, copied, seeds=(0,)) == before
    assert counted == {"trained": 0, "unlearned": 0}
    for path in copied.root.glob(pattern):
        truncate(path)
    if not pattern.startswith("records"):
        for path in copied.root.glob("records/*.json"):
            path.unlink()
    with pytest.warns(DamagedFileWarning):
        after = grid(loaded, copied, seeds=(0,))
    assert [lasting(r) for r in after] == [lasting(r) for r in before]
    assert counted["trained"] == (1 if "original" in pattern else 0)
    assert grid(loaded, copied, seeds=(0,)) == after


def test_retrain_keeps_its_time_when_its_model_is_reused(loaded: Data, store: Store) -> None:
    first = run_one(bench_of(SETTING, loaded, store), "retrain", CONFIGS["retrain"], 0)
    second = run_one(
        bench_of(SETTING, loaded, store), "retrain", CONFIGS["retrain"], 0, judge="validation"
    )
    assert second.kind == "trial"
    assert (first.seconds, first.steps) == (second.seconds, second.steps)
    assert first.metrics["RA"] == second.metrics["RA"]
    assert first.metrics["TA"] != second.metrics["TA"]


def test_a_run_whose_loss_diverges_ends_with_a_record(loaded: Data, store: Store) -> None:
    config = config_of("ft", lr=1e30, epochs=4)
    record = run_one(bench_of(SETTING, loaded, store), "ft", config, 0)
    assert record.status == "diverged"
    assert record.metrics == {}
    assert "training diverged" in record.note
    assert run_one(bench_of(SETTING, loaded, store), "ft", config, 0) == record


@pytest.mark.parametrize(("label", "lr"), [("ft", 1e6), ("ga", 1e3), ("ga", 1e9)])
def test_a_run_whose_outputs_overflow_ends_with_a_record(
    loaded: Data, store: Store, label: str, lr: float
) -> None:
    """One step too far: loss and weights are finite, the logits are not."""
    config = config_of(label, lr=lr, epochs=1, batch_size=256)
    assert run_one(bench_of(SETTING, loaded, store), label, config, 0).status == "diverged"


def test_an_original_that_diverges_is_an_error_and_not_stored(loaded: Data, store: Store) -> None:
    training = {**SETTING.training.model_dump(), "lr": 1e30, "epochs": 4}
    bench = bench_of(SETTING.replace(training=training), loaded, store)
    with pytest.raises(DivergenceError):
        run_one(bench, "ft", CONFIGS["ft"], 0)
    assert not list(store.root.glob("*/*"))


def test_a_full_disk_stops_the_grid_and_loses_nothing(
    loaded: Data, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def fill(_: Record) -> None:
        monkeypatch.setattr("os.fsync", full)

    with pytest.raises(StoreError, match="No space left on device"):
        grid(loaded, store, on_record=fill)
    monkeypatch.undo()
    assert len(all_records(store)) == 1
    assert not [p for p in store.root.rglob(".*") if p.is_file()]
    assert len(grid(loaded, store)) == 8


KILLED = [
    "experiment", "digits-random10", "--scale", "smoke", "--methods", "retrain,ft,ugradsl",
    "--seeds", "0,1", "-p", "train_size", "120", "-p", "training.epochs", "2",
]  # fmt: skip


def kill_when(done: Callable[[], bool], *arguments: object) -> None:
    """Start ``ugradsl`` with the arguments, and kill it as soon as ``done``."""
    process = started(*arguments)
    deadline = time.monotonic() + 180
    while not done():
        assert process.is_alive(), "it ended before it could be killed"
        assert time.monotonic() < deadline, "nothing to be seen within 180 s"
        time.sleep(0.01)
    process.kill()
    process.join()
    assert process.exitcode == (1 if os.name == "nt" else -9)


def test_a_killed_experiment_resumes_to_the_same_records(tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    kill_when(lambda: len(list(folder.glob("records/*.json"))) >= 2, *KILLED, "--store", folder)
    survived = {path.name: path.read_bytes() for path in folder.glob("records/*.json")}
    assert 2 <= len(survived) < 6

    for store in (folder, tmp_path / "whole"):  # each in a process of its own, as the killed one
        process = started(*KILLED, "--store", store)
        process.join()
        assert process.exitcode == 0
    for name, content in survived.items():
        assert (folder / "records" / name).read_bytes() == content
    resumed, whole = (all_records(open_store(s)) for s in (folder, tmp_path / "whole"))
    assert len(whole) == 6
    assert [lasting(r) for r in resumed] == [lasting(r) for r in whole]


LONG = [
    "experiment", "digits-random10", "--scale", "smoke", "--methods", "retrain",
    "--seeds", "0", "-p", "train_size", "100", "-p", "training.epochs", "25",
    "-p", "model.width", "4",
]  # fmt: skip


def test_a_training_that_is_killed_after_a_checkpoint_resumes_to_the_same_bits(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed twice in one store: while the original is trained, and again during Retrain."""
    folder, whole = tmp_path / "killed", tmp_path / "whole"
    kinds = ("original", "retrain")
    continued: list[int] = []
    restore = loop.restore

    def counting(tensors: dict[str, torch.Tensor], *where: Any) -> None:
        continued.append(int(tensors["epoch"]))
        restore(tensors, *where)

    for kind in kinds:
        unfinished = f"models/{kind}-*-partial.json"
        kill_when(lambda: bool(list(folder.glob(unfinished))), *LONG, "--store", folder)  # noqa: B023
        finished = {p.name.partition("-")[0] for p in folder.glob("models/*.safetensors")
                    if "partial" not in p.name}  # fmt: skip
        assert finished == set(kinds[: kinds.index(kind)])
        assert not list(folder.glob("records/*.json"))
    monkeypatch.setattr(loop, "restore", counting)
    for store in (folder, whole):
        assert cli(*LONG, "--store", store)[0] == 0
    assert continued in ([10], [20])  # Retrain alone, and in the killed store alone
    assert not list(folder.glob("models/*-partial*"))
    for path in whole.glob("models/*.safetensors"):
        assert (folder / "models" / path.name).read_bytes() == path.read_bytes()
    resumed, unbroken = (all_records(open_store(store)) for store in (folder, whole))
    assert len(unbroken) == 1
    assert [lasting(r) for r in resumed] == [lasting(r) for r in unbroken]


class Forbidden:
    """A test set that must not be touched."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the test set was read: {name}")

    def __len__(self) -> int:
        raise AssertionError("the test set was read")


@pytest.fixture
def short_design(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Three configurations of FT, of which two go on."""
    monkeypatch.setattr(protocol, "FINALISTS", 2)
    monkeypatch.setattr(protocol.best_of_first, "__defaults__", (2,))
    return [make_config("ft", lr=lr, epochs=1, batch_size=32) for lr in (0.01, 0.05, 0.2)]


def test_a_search_never_reads_the_test_set(
    loaded: Data, store: Store, short_design: list[Config]
) -> None:
    blind = dataclasses.replace(loaded, test=Forbidden())
    found = search.Search(bench_of(SETTING, blind, store))
    trials = found.run("ft", short_design)
    assert {record.kind for record in [*trials, *found.references.values()]} == {"trial"}
    assert {record.protocol for record in trials} == {"passes-1"}
    assert [record.seed for record in trials] == [1000] * 3 + [1001] * 2 + [1002] * 2
    first = [trial_gap(record, found.references[1000]) for record in trials[:3]]
    order = sorted(range(3), key=first.__getitem__)
    assert [r.config["lr"] for r in trials[3:5]] == [trials[i].config["lr"] for i in order[:2]]
    assert len(trials) == protocol.trials_of(3)


def test_a_stopped_search_resumes_and_ends_the_same(
    loaded: Data,
    store: Store,
    tmp_path: Path,
    counted: dict[str, int],
    short_design: list[Config],
) -> None:
    made = []

    def stop() -> None:
        made.append(1)
        if len(made) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search.Search(bench_of(SETTING, loaded, store), on_trial=stop).run("ft", short_design)
    before = counted["unlearned"]
    trials = search.Search(bench_of(SETTING, loaded, store)).run("ft", short_design)
    assert counted["unlearned"] == before + 3
    other = open_store(tmp_path / "other")
    again = search.Search(bench_of(SETTING, loaded, other)).run("ft", short_design)
    assert [lasting(r) for r in trials] == [lasting(r) for r in again]


def test_a_diverged_trial_is_the_worst(loaded: Data, store: Store) -> None:
    reference = run_one(bench_of(SETTING, loaded, store), "retrain", CONFIGS["retrain"], 0)
    diverged = dataclasses.replace(reference, status="diverged", metrics={})
    assert trial_gap(diverged, reference) == 100
    assert trial_gap(reference, reference) == 0


def test_data_are_drawn_anew_with_the_seed_where_a_setting_says_so(
    loaded: Data, store: Store
) -> None:
    setting = SETTING.replace(resample=True)
    drawn = load_data(setting, CPU)
    rows = [drawn.of_seed(seed).rows.tolist() for seed in (0, 1, 0)]
    assert rows[0] == rows[2] != rows[1]
    assert loaded.of_seed(3) is loaded
    for seed in (0, 1):
        own = drawn.of_seed(seed)
        train, held = own.train.index, own.validation.index  # type: ignore[attr-defined]
        assert not set(train.tolist()) & set(held.tolist())
        problem = bench_of(setting, drawn, store).problem(seed)
        used = [problem.retain.index, problem.forget.index]  # type: ignore[attr-defined]
        assert sorted(torch.cat(used).tolist()) == sorted(train.tolist())
    benches = [bench_of(SETTING.replace(resample=x), loaded) for x in (None, True)]
    assert len({bench.model_key("original", 0) for bench in benches}) == 2
    assert SETTING.replace(resample=False).identity() == SETTING.identity()


def test_retrain_again_is_another_model_of_the_same_forget_set(loaded: Data, store: Store) -> None:
    again = make_config("retrain", **SETTING.training.model_dump(), initialisation=1)
    configs = {"retrain": CONFIGS["retrain"], "retrain:again": again}
    first, second = run_grid(bench_of(SETTING, loaded, store), configs, [0])
    assert [record_label(r) for r in (first, second)] == ["retrain", "retrain:again"]
    assert (first.setting_hash, first.seed) == (second.setting_hash, second.seed)
    assert first.config_hash != second.config_hash
    assert first.steps == second.steps
    problem = bench_of(SETTING, loaded, store).problem(0)
    states = [
        run.retrained_state(bench_of(SETTING, loaded, store), problem, config, 0)
        for config in configs.values()
    ]
    states = [dict(sorted(state.items())) for state in states]
    assert not same_bits(*states)
    for state, name in zip(states, ("retrain", "retrain:1"), strict=True):
        made = METHODS["retrain"](problem, CONFIGS["retrain"], generator=stream(0, name))
        assert same_bits(state, dict(sorted(made.state_dict.items())))
    # from the store, with the same bits
    resumed = run_grid(bench_of(SETTING, loaded, store), configs, [0])
    assert [lasting(r) for r in resumed] == [lasting(first), lasting(second)]


def test_keys_are_those_that_older_records_had(loaded: Data) -> None:
    def key(label: str, config: Any) -> str:
        return bench_of(SETTING, loaded).record_key(label, config, 0)

    def old(method: str, config: dict[str, Any]) -> str:
        return digest([SETTING.identity(), loaded.checksum, method, config, 0, "test"])

    ft = make_config("ft")
    dumped = ft.model_dump()
    del dumped["bn_mode"]
    assert key("ft", ft) == old("ft", dumped)
    assert key("ft", ft.replace(bn_mode="frozen")) != key("ft", ft)
    plus = {**make_config("ugradsl+").model_dump(), "bn_mode": "separate"}
    del plus["rates"]
    assert key("ugradsl+", make_config("ugradsl+")) == old("ugradsl+", plus)
    over_forget = make_config("neggrad+", epoch_over="forget")
    dumped = {**over_forget.model_dump(), "bn_mode": "separate"}
    del dumped["epoch_over"]
    assert key("neggrad+:forget", over_forget) == old("neggrad+", dumped)
    assert key("neggrad+", make_config("neggrad+")) != key("neggrad+:forget", over_forget)


def test_every_method_but_retrain_can_be_tuned() -> None:
    tuned = {split_label(label)[0] for label in protocol.SPACES}
    assert tuned == set(METHODS) - {"retrain", "no-step"}


def test_a_search_without_validation_data_is_refused_before_any_computation(
    counted: dict[str, int],
) -> None:
    setting = SETTING.replace(validation_size=0)
    with pytest.raises(DataError, match="validation_size: a search needs validation samples"):
        bench_of(setting, load_data(setting, CPU)).judged("validation")
    assert counted == {"trained": 0, "unlearned": 0}
