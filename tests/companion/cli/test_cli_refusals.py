"""What a command cannot do it refuses first: before it computes, writes or replaces anything."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benches import bench_of
from cli_cases import SMALL, refusal, written
from companion.cli import estimate
from companion.experiments import data
from companion.experiments.records.store import read_records, write_records
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.run import check_grid
from companion.experiments.settings import preset
from pictures import write_classes
from records import record
from ugradsl_core.errors import DataError
from ugradsl_core.training import Execution, World

Cli = Callable[..., tuple[int, str, str]]

EXPERIMENT = ["experiment", "digits-random10", "--methods", "retrain"]
MINE = """
from torch import nn

def nine(input_shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 9))

def fails():
    raise RuntimeError("no weights here")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, no data root, and a module with factories of models."""
    folder = tmp_path / "here"
    folder.mkdir()
    (tmp_path / "mine_late.py").write_text(MINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(folder)
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return folder


@pytest.fixture
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "LONG_FLOPS", 0)
    monkeypatch.setattr(
        "companion.experiments.costs.calibration.calibrate",
        lambda *_, **__: pytest.fail("was calibrated"),
    )


BERT = ["-p", "model.name", "bert", "-p", "model.pretrained"]
CANNOT_RUN: list[tuple[list[str], str]] = [
    (["digits-random10", "-p", "model.name", "bert"], "model: bert needs token ids; found inputs"),
    (["words-class", *BERT, "nobody/nothing"], "'nobody/nothing' is not in this machine's Hugging"),
    (["words-class", *BERT, "./none"], "pretrained: the folder './none' does not exist"),
    (
        ["digits-random10", "-p", "model.pretrained", "no.safetensors"],
        "no.safetensors is no readab",
    ),
    (["digits-random10", "-p", "model.name", "mine_late:nine"], "should have 10 outputs; found 9"),
    (
        ["digits-random10", "-p", "model.name", "mine_late:fails"],
        "mine_late:fails fails when it is called (RuntimeError: no weights here)",
    ),
    (["digits-random10", "-p", "fraction", "0.0001"], "0.0001 of 400 samples leaves D_f or D_r"),
    (["words-class", "-p", "training.augment", "flip"], "augment: should be 'none' for text; fou"),
    (["digits-random10", "--accumulate", "1000"], "accumulate: should be at most 32, the samples"),
    (["digits-class", "-p", "forgotten_class", "10"], "should lie in 0…9; found 10"),
    (["digits-random10", "-p", "train_size", "5000"], "should be at most 1348"),
    (["digits-parity-subclass", "-p", "forgotten_group", "ten"], "unknown forgotten_group 'ten'"),
]


@pytest.mark.parametrize("command", ["experiment", "original", "tune", "estimate"])
@pytest.mark.parametrize(("arguments", "message"), CANNOT_RUN)
def test_what_cannot_run_leaves_nothing_behind(
    cli: Cli, here: Path, uncalibrated: None, command: str, arguments: list[str], message: str
) -> None:
    """Not even a store; and ``estimate`` does not reckon what ``experiment`` refuses."""
    if command == "estimate" and "nobody/nothing" in arguments:
        pytest.skip("may be reckoned before it is fetched")
    methods = [] if command == "original" else ["--methods", "ft"]
    refusal(cli, [command, *arguments, *methods], message)
    assert written(here) == []


def test_a_regime_looks_for_all_its_data_first(cli: Cli, here: Path) -> None:
    arguments = ["regime", "digits-random10,digits-class", "--scale", "smoke"]
    refusal(cli, [*arguments, "-p", "dataset", "cifar10"], "no data root given")
    refusal(cli, [*arguments, "-p", "forgotten_class=12"], "should lie in 0…9; found 12")
    assert written(here) == []


def test_too_many_processes_for_a_part_of_the_data_are_refused() -> None:
    setting = preset.preset_setting("digits-random10", "smoke").replace(
        train_size=100, fraction=0.02
    )
    loaded = load_data(setting, Execution("cpu"))
    three, five = (Execution("cpu", world=World(0, size)) for size in (3, 500))
    with pytest.raises(ValueError, match="at most 2, the samples to forget; found 3"):
        check_grid(bench_of(setting, loaded, execution=three), {})
    large = setting.replace(training={**setting.training.model_dump(), "batch_size": 600})
    with pytest.raises(ValueError, match="at most 100, the training samples; found 500"):
        check_grid(bench_of(large, loaded, execution=five), {})
    whole = large.replace(train_size=None, validation_size=0)
    with pytest.raises(ValueError, match="at most 449, the test samples; found 500"):
        check_grid(bench_of(whole, load_data(whole, Execution("cpu")), execution=five), {})


def test_a_class_that_holds_all_or_none_of_the_samples_says_which() -> None:
    setting = preset.preset_setting("digits-class", "smoke").replace(train_size=60)
    loaded = load_data(setting, Execution("cpu"))
    for wanted, text in ((3, "all"), (4, "none")):
        rows = (loaded.train.labels == 3).nonzero().flatten()
        alone = type(loaded)(
            loaded.train.take(rows), loaded.validation, loaded.test, loaded.checksum, rows
        )
        chosen = setting.replace(forgotten_class=wanted)
        with pytest.raises(DataError, match=f"class {wanted} holds {text} of D_tr$"):
            check_grid(bench_of(chosen, alone, execution=Execution("cpu")), {})


UNPUBLISHED: list[tuple[str, str]] = [
    ("folder", "publish: folder is a folder; name a file"),
    ("notes.txt", "publish: notes.txt holds something other than records (notes.txt, line 1"),
    ("notes.txt/x.jsonl", "publish: notes.txt/x.jsonl cannot be written, as"),
    ("bytes.bin", "publish: bytes.bin holds something other than records (records: bytes.bin"),
]


@pytest.mark.parametrize("command", ["experiment", "tune", "regime", "landscape", "figure6"])
@pytest.mark.parametrize(("target", "message"), UNPUBLISHED)
def test_records_are_not_published_over_something_else(
    cli: Cli, here: Path, command: str, target: str, message: str
) -> None:
    (here / "folder").mkdir()
    (here / "notes.txt").write_text("what I must not lose\n")
    (here / "bytes.bin").write_bytes(b"\x93\xff\x00")
    before = written(here)
    name = [] if command == "figure6" else ["digits-random10"]
    refusal(cli, [command, *name, "--scale", "smoke", "--publish", target], message)
    assert written(here) == before
    assert (here / "notes.txt").read_text() == "what I must not lose\n"


def test_a_place_without_permission_is_refused(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)
    for target in ("mine.jsonl", "deep/down/mine.jsonl"):
        message = f"publish: {target} cannot be written (no permission)"
        refusal(cli, [*EXPERIMENT, "--publish", target], message)
    assert written(here) == []


def test_records_that_are_replaced_are_counted(cli: Cli, here: Path) -> None:
    old = [record("ga", seed, 1.0, 2.0, 3.0, 4.0) for seed in range(3)]
    write_records(here / "mine.jsonl", old)
    code, _, err = cli(*EXPERIMENT, *SMALL, "--publish", "mine.jsonl")
    assert code == 0
    assert "publish: mine.jsonl is replaced, with 3 records\n" in err
    assert len(read_records(here / "mine.jsonl")) == 1
    (here / "empty.jsonl").touch()
    code, _, err = cli(*EXPERIMENT, *SMALL, "--publish", "empty.jsonl")
    assert (code, "is replaced" in err) == (0, False)
    refusal(
        cli,
        ["regime", "digits-random10", "--scale", "smoke", "--publish", "mine.jsonl"],
        "publish: mine.jsonl holds records of kind 'result', and not 'regime'",
    )


def test_other_files_are_not_replaced_either(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "notes.txt").write_text("what I must not lose\n")
    (here / "list.json").write_text("[1, 2]")
    for target in ("notes.txt", "list.json"):
        run = ["original", "digits-random10", *SMALL, "--publish", target]
        refusal(cli, run, f"publish: {target} holds something other than names of models")
        refusal(cli, ["merge", target, "mine.jsonl"], f"merge: {target} holds something other than")
    monkeypatch.setattr("companion.files.NOTEBOOK_FOLDER", here)
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("was run"))
    for name in ("quickstart", "random_forgetting"):
        (here / f"{name}.ipynb").write_text("{}")
    for target, message in (
        ("notes.txt", "output: notes.txt holds something other than a notebook"),
        ("none/out.ipynb", "output: none does not exist; make this folder first"),
        ("random_forgetting.ipynb", "output: would overwrite the notebook itself"),
    ):
        refusal(cli, ["run", "quickstart", "-o", target], message)
    assert (here / "notes.txt").read_text() == "what I must not lose\n"


def test_a_notebook_that_was_run_is_run_again(
    cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("companion.files.NOTEBOOK_FOLDER", here)
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: None)
    (here / "quickstart.ipynb").write_text("{}")
    (here / "out.ipynb").write_text(json.dumps({"cells": [], "nbformat": 4}))
    assert cli("run", "quickstart", "-o", "out.ipynb")[0] == 0


STANDS_IN = "'svhn-class' has no bench scale, where 'mnist-m-class' stands in for it; name that one"
NOT_TO_BE_SET: list[tuple[list[str], str]] = [
    ([*EXPERIMENT, "-p", "scale", "paper"], "scale: is the preset's own; choose another one with"),
    ([*EXPERIMENT, "-p", "index_sha256", "abc"], "index_sha256: is filled in from index_file"),
    (
        [*EXPERIMENT, "-p", "model", "vit", "-p", "model.width", "2"],
        "model: has parts, of which one is to be named, as in model.name",
    ),
    (["tune", "digits-random10", "-p", "ft.lr", "1"], "-p ft.…: a search chooses the parameters"),
    (
        ["tune", "digits-random10", "-p", "train_size", "99", "--save"],
        "save: -p train_size makes it another setting than the preset",
    ),
    (["tune", "digits-random10", "-p", "fractoin", "0.2"], "Did you mean 'fraction'"),
    (
        ["regime", "digits-random10", "--scale", "smoke", "-p", "fraction=0.2", "--publish", "x"],
        "publish: -p fraction makes it another setting than the preset",
    ),
    (
        ["regime", "digits-random10", "--scale", "smoke", "-p", "retrain.lr", "1"],
        "-p retrain.…: both models are trained as the setting is",
    ),
    (["presets", "svhn-class", "--scale", "bench"], f"{STANDS_IN}, or say --scale paper"),
    (["experiment", "svhn-class", "--scale", "bench"], STANDS_IN),
    (["regime", "svhn-class", "--scale", "bench"], STANDS_IN),
    (["table", "svhn-class", "--scale", "bench"], STANDS_IN),
    (["presets", "imagenet-random10", "--scale", "bench"], "unknown bench setting"),
]


@pytest.mark.parametrize(("arguments", "message"), NOT_TO_BE_SET)
def test_what_is_not_to_be_set_is_refused(
    cli: Cli, here: Path, arguments: list[str], message: str
) -> None:
    refusal(cli, arguments, message)
    assert written(here) == []


def test_a_preset_of_its_own_stands_for_itself(cli: Cli) -> None:
    code, out, _ = cli("presets", "cifar10-random20", "--scale", "bench")
    assert code == 0
    assert "cifar10-random20, bench scale" in out


def test_the_owner_of_a_folder_searches_and_trains_on_it(cli: Cli, here: Path) -> None:
    write_classes(here / "mine", {"cats": 40, "dogs": 40})
    own = [
        "-p", "dataset=folder:mine", "-p", "train_size", "24", "-p", "validation_size", "10",
        "-p", "model.width", "2", "-p", "training.epochs", "1", "-p", "training.batch_size", "16",
    ]  # fmt: skip
    code, _, err = cli("tune", "digits-random10", *own, "--methods", "ff", "--publish", "t.jsonl")
    assert code == 0, err
    found = read_records(here / "t.jsonl")
    assert [r.method for r in found] == ["retrain"] * 3 + ["ff"] * 28
    trial = found[3]
    assert (trial.kind, trial.seed) == ("trial", 1000)
    assert trial.setting["dataset"] == "folder:mine"
    assert (trial.setting["train_size"], trial.config["batch_size"]) == (24, 16)
    code, out, err = cli("regime", "digits-random10,digits-class", "--scale", "smoke", *own,
                         "-p", "forgotten_class=1")  # fmt: skip
    assert code == 0, err
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        [name, model]
        for name in ("digits-random10", "digits-class")
        for model in ("original", "Retrain")
    ]


def test_the_heading_of_a_table_names_a_file_by_a_few_digits(cli: Cli, here: Path) -> None:
    (here / "mine.txt").write_text("0 5 9 700")
    own = ["-p", "paradigm", "index", "-p", "index_file", "mine.txt"]
    _, out, _ = cli(*EXPERIMENT, *SMALL, *own, "--publish", "mine.jsonl")
    (found,) = read_records(here / "mine.jsonl")
    assert f"digits, index ({found.setting['index_sha256'][:12]}), scale smoke\n" in out
