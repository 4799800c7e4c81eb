"""The grid: its file, its commands, dry runs of every profile, and a real run that resumes."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.experiments.grid.grid import (
    PROFILES,
    WORKFLOW,
    GridConfig,
    file_stem,
    label_of_stem,
    parse_grid,
    read_grid,
)
from companion.experiments.records.store import read_records
from companion.experiments.settings import preset
from ugradsl_core.errors import ConfigError

Cli = Callable[..., tuple[int, str, str]]
HERE = Path(__file__).parents[3] / "support"
GRIDS = sorted(set(WORKFLOW.glob("*.yaml")) - {WORKFLOW / "campaign.yaml"})

SMALL: dict[str, Any] = {
    "settings": ["digits-random10"],
    "scale": "smoke",
    "methods": ["ft"],
    "seeds": [0, 1],
    "device": "cpu",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "grid.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}), "utf-8")
    return path


def snakemake(python: str, path: Path, profile: str, *more: str) -> list[str]:
    command = [python, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Snakefile")]
    return [*command, "--configfile", str(path), "--profile", str(WORKFLOW / "profiles" / profile),
            *more]  # fmt: skip


def run(python: str, path: Path, profile: str, *more: str, **variables: str) -> str:
    done = subprocess.run(
        snakemake(python, path, profile, *more),
        cwd=path.parent,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def counts(said: str) -> dict[str, int]:
    """Snakemake's table of jobs."""
    table = said[said.index("Job stats:") :]
    return {name: int(n) for name, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


def test_a_dry_run_for_slurm(python: str, folder: Path) -> None:
    """Names with a colon, an underscore, a dot or a capital are methods of the workflow as well."""
    (folder / "ideas").mkdir()
    body = "from ugradsl_core.methods import UnlearnConfig\n"
    body += "def MyIdea_2(problem, config: UnlearnConfig, *, generator): ...\n"
    (folder / "ideas" / "own_v1.py").write_text(body, "utf-8")
    methods = ["ft", "ugradsl:adaptive", "retrain:again", "ideas.own_v1:MyIdea_2"]
    changed = {"training.epochs": 3, "ft.lr": 0.01}
    path = written(folder, methods=methods, gpus=1, minutes=30, parameters=changed)
    here = os.pathsep.join([str(folder), *sys.path])
    said = run(python, path, "slurm", "--dry-run", "--printshellcmds", PYTHONPATH=here)
    assert counts(said) == {
        "original": 2, "retrain": 2, "unlearn": 8, "table": 1, "all": 1, "total": 14
    }  # fmt: skip
    assert "runtime=30" in said
    assert "gpu=1" in said
    for stem in ("ugradsl--adaptive-1", "retrain--again-0", "ideas.own_v1--MyIdea_2-0"):
        assert f"{stem}.jsonl" in said
    assert said.count("-p training.epochs=3") == 12
    assert said.count("-p ft.lr=0.01") == 2


def test_a_dry_run_for_kubernetes(python: str, folder: Path) -> None:
    """With an empty bucket in place of the one that its jobs would share."""
    path = written(folder, methods=["ff"], gpus=2, processes=2, seeds=[0], store="/models/store")
    said = run(
        python, path, "kubernetes", "--dry-run", "--default-storage-provider", "bucket",
        "--default-storage-prefix", "bucket://here", "--container-image", "none",
        PYTHONPATH=str(HERE / "storage"),
    )  # fmt: skip
    assert counts(said)["total"] == 5
    assert "bucket://here/grid/records/digits-random10/ff-0.jsonl" in said
    rules = {rule.split(":")[0]: rule for rule in re.split(r"^rule ", said, flags=re.MULTILINE)}
    assert "gpu=2, gpu_manufacturer=nvidia" in rules["retrain"]
    assert "gpu=1, gpu_manufacturer=nvidia" in rules["unlearn"]  # FF has one process


HELD = """
import os, time
from pathlib import Path
from typing import ClassVar
from ugradsl_core.methods import METHODS, UnlearnConfig, make_config

class Config(UnlearnConfig):
    TITLE: ClassVar[str] = "Held"

def held(problem, config: Config, *, generator):
    Path("pid").write_text(str(os.getpid()))
    while Path("hold").exists():
        time.sleep(0.02)
    return METHODS["ft"](problem, make_config("ft", epochs=1), generator=generator)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no process groups to kill")
def test_a_killed_grid_resumes_and_a_removed_record_is_made_again_alone(
    python: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while a method of the user's own is running, which waits for that."""
    (folder / "own.py").write_text(HELD)
    monkeypatch.setenv("PYTHONPATH", str(folder), os.pathsep)
    small = {"train_size": 80, "validation_size": 0, "model.width": 2, "training.epochs": 1}
    path = written(folder, seeds=[0], methods=["own:held"], parameters=small)
    records = folder / "grid" / "records" / "digits-random10"
    (folder / "hold").touch()
    process = subprocess.Popen(
        snakemake(python, path, "local", "--cores", "1"),
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 400
    pid = folder / "pid"
    while not (pid.exists() and pid.read_text()):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.02)
    (folder / "hold").unlink()
    survived = {file: file.read_bytes() for file in records.glob("*.jsonl")}
    assert [file.name for file in survived] == ["retrain-0.jsonl"]
    assert all(len(read_records(file)) == 1 for file in survived)  # whole, not half-written
    shutil.rmtree(folder / ".snakemake" / "locks")  # the killed one has left it; as --unlock does
    run(python, path, "local")
    for file, content in survived.items():
        assert file.read_bytes() == content
    merged = read_records(folder / "grid" / "digits-random10.jsonl")
    assert [(r.seed, r.method) for r in merged] == [(0, "retrain"), (0, "own:held")]
    assert "Held" in (folder / "grid" / "digits-random10.txt").read_text("utf-8")
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("grid/**/*.json*")}
    (records / "own--held-0.jsonl").unlink()
    said = run(python, path, "local")
    assert counts(said) == {"unlearn": 1, "table": 1, "all": 1, "total": 3}
    changed = {f.name for f, at in before.items() if f.stat().st_mtime_ns != at}
    assert changed == {"own--held-0.jsonl", "digits-random10.jsonl"}
    assert read_records(folder / "grid" / "digits-random10.jsonl") == merged
    assert "Nothing to be done" in run(python, path, "local", "--dry-run")


def test_the_command_of_a_job() -> None:
    grid = parse_grid({**SMALL, "processes": 2, "threads": 3, "data_root": "/a b", "amp": True})
    command = grid.command("experiment", "digits-random10", 1, "out/x.jsonl", "ft")
    assert command.startswith("OMP_NUM_THREADS=3 OMP_WAIT_POLICY=passive ")
    words = shlex.split(command)[2:]
    assert words[1:8] == [
        "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "companion"
    ]  # fmt: skip
    assert words[8:12] == ["experiment", "digits-random10", "--scale", "smoke"]
    for pair in (["--seeds", "1"], ["--publish", "out/x.jsonl"], ["--methods", "ft"],
                 ["--store", "grid/store"], ["--data-root", "/a b"]):  # fmt: skip
        assert words[words.index(pair[0]) + 1] == pair[1]
    assert "--amp" in words
    assert "torch.distributed.run" not in grid.command("experiment", "x", 0, "y", "ff")
    assert "--methods" not in grid.command("original", "x", 0, "y")


def test_a_job_runs_again_where_what_determines_it_changes(monkeypatch: Any) -> None:
    grid, name = parse_grid(SMALL), "digits-random10"
    first = {label: grid.identity(name, label) for label in ("original", "retrain", "ft")}
    assert len(set(first.values())) == 3
    assert parse_grid({**SMALL, "amp": True}).identity(name) != first["original"]
    assert parse_grid({**SMALL, "threads": 2}).identity(name) == first["original"]
    presets = preset.load_presets("smoke")
    presets[name]["methods"]["ft"]["config"]["lr"] = 0.123
    monkeypatch.setattr("companion.experiments.settings.preset.load_presets", lambda _: presets)
    assert grid.identity(name, "ft") != first["ft"]
    assert grid.identity(name, "retrain") == first["retrain"]


CHANGED = {
    **SMALL,
    "methods": ["ft", "ugradsl"],
    "parameters": {"train_size": 99, "training.epochs": 1, "ft.lr": "1e-3", "tokenizer": None},
}


def test_the_parameters_of_a_grid_are_those_of_its_jobs() -> None:
    grid, name = parse_grid(CHANGED), "digits-random10"
    shared = ["train_size=99", "training.epochs=1", "tokenizer=None"]

    def asked(action: str, label: str = "") -> list[str]:
        words = shlex.split(grid.command(action, name, 0, "x", label))
        return [words[place + 1] for place, word in enumerate(words) if word == "-p"]

    assert asked("original") == asked("experiment", "ugradsl") == shared
    assert asked("experiment", "ft") == [*shared[:2], "ft.lr=1e-3", shared[2]]
    assert grid.plan(name).configs["ft"].lr == 0.001
    assert grid.plan(name).configs["retrain"].epochs == 1
    plain = parse_grid({**SMALL, "methods": ["ft", "ugradsl"]})
    for label in ("original", "retrain", "ft", "ugradsl"):
        assert grid.identity(name, label) != plain.identity(name, label)
    other = parse_grid({**CHANGED, "parameters": {**CHANGED["parameters"], "ft.lr": 0.2}})
    changed = [m for m in ("original", "retrain", "ft", "ugradsl")
               if other.identity(name, m) != grid.identity(name, m)]  # fmt: skip
    assert changed == ["ft"]


def test_a_job_with_parameters_runs(cli: Cli, folder: Path) -> None:
    small = {"model.width": 2, "training.batch_size": 33, "validation_size": 0}
    grid = parse_grid({**CHANGED, "parameters": {**CHANGED["parameters"], **small}})
    for action, label in (("original", ""), ("experiment", "ft")):
        words = shlex.split(grid.command(action, "digits-random10", 0, f"{action}.out", label))
        code, _, err = cli(*words[5:])
        assert code == 0, err
    (found,) = read_records(folder / "experiment.out")
    assert (found.setting["train_size"], found.config["lr"]) == (99, 0.001)


def test_all_methods_are_those_of_the_preset() -> None:
    grid = parse_grid({**SMALL, "methods": "all"})
    methods = preset.get_preset("digits-random10", "smoke")["methods"]
    assert grid.labels("digits-random10") == ["retrain", *methods]
    for label in grid.labels("digits-random10"):
        assert label_of_stem(file_stem(label)) == label
        assert re.fullmatch(r"[a-z0-9+-]+", file_stem(label))


GRIDS = [
    path
    for path in sorted(WORKFLOW.glob("*.yaml"))
    if "blocks" not in yaml.safe_load(path.read_text("utf-8"))  # those are plans of campaigns
]


@pytest.mark.parametrize("path", GRIDS, ids=lambda p: p.name)
def test_the_grids_that_come_with_the_package_are_valid(path: Path) -> None:
    grid = read_grid(path)
    assert all(grid.labels(name) for name in grid.settings)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_name_their_executor(name: str) -> None:
    profile = yaml.safe_load((WORKFLOW / "profiles" / name / "config.yaml").read_text("utf-8"))
    assert profile["executor"] == name


REFUSED: list[tuple[Any, str]] = [
    ({**SMALL, "methods": "ft"}, r"^methods: should be a list, as in \[ft\]; found 'ft'$"),
    ({**SMALL, "settings": "all"}, r"^settings: should be a list, as in \[all\]; found 'all'$"),
    ({**SMALL, "seeds": 0}, r"^seeds: should be a list, as in \[0\]; found 0$"),
    ({"scale": "smoke"}, "settings is missing"),
    ([1, 2], "should be a mapping of names to values"),
    ({**SMALL, "settings": ["digits-clas"]}, "Did you mean 'digits-class'"),
    ({**SMALL, "settings": []}, "settings: .*at least 1 item"),
    ({**SMALL, "methods": ["ugradls"]}, "Did you mean 'ugradsl'"),
    ({**SMALL, "methods": ["ft", "ft"]}, "methods: names one twice"),
    ({**SMALL, "seeds": [0, -1]}, "seeds: should be at least 0; found -1"),
    ({**SMALL, "seeds": []}, "seeds: .*at least 1 item"),
    ({**SMALL, "sceale": "smoke"}, "unknown parameter 'sceale'. Did you mean 'scale'"),
    ({**SMALL, "scale": "smoek"}, "Did you mean 'smoke'"),
    ({**SMALL, "processes": 2, "gpus": 1}, "gpus: should be 0 or 2, one for each process; found 1"),
    ({**SMALL, "minutes": 0}, "minutes: should be greater than or equal to 1"),
    ({**SMALL, "parameters": ["fraction"]}, r"^parameters: should be a mapping of names to values"),
    (
        {**SMALL, "parameters": {"training": {"epochs": 5}}},
        r"^parameters: training should be one value; .* training.epochs: 5; found {'epochs': 5}$",
    ),
    ({**SMALL, "parameters": {"fractoin": 0.2}}, "Did you mean 'fraction'"),
    ({**SMALL, "parameters": {"fraction": 2}}, "^parameters: fraction: should be less than 1"),
    ({**SMALL, "parameters": {"scale": "paper"}}, "^parameters: scale: is the preset's own"),
    (
        {**SMALL, "parameters": {"ga.lr": 1}},
        "^parameters: ga is not among the methods of digits-ra",
    ),
    ({**SMALL, "parameters": {"ft.lr": -1}}, "^parameters: lr: should be greater than 0"),
    ({**SMALL, "accumulate": 1000}, "accumulate: should be at most 32, the samples"),
    (
        {**SMALL, "settings": ["svhn-class"], "scale": "bench"},
        "^settings: 'svhn-class' has no bench scale, where 'mnist-m-class' stands in for it",
    ),
    (
        {**SMALL, "methods": ["ugradsl:adaptive"], "accumulate": 2},
        "accumulate: UGradSL cannot be cut into micro-batches",
    ),
]


@pytest.mark.parametrize(("values", "message"), REFUSED)
def test_wrong_grids_are_refused_in_a_sentence(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_grid(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("settings: [a", [], "is no YAML"),
        (b"settings: [\xff]", [], "is no YAML (it is no UTF-8 text)"),
        ("settings: [digits-rndom10]", [], "unknown bench setting 'digits-rndom10'"),
        (None, [], "cannot be read (No such file or directory)"),
        (yaml.safe_dump(SMALL), ["--profile", "slrum"], "Did you mean 'slurm'"),
    ],
)
def test_the_command_refuses_before_snakemake_starts(
    cli: Cli, folder: Path, monkeypatch: Any, text: str | bytes | None, arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("Snakemake was started"))
    path = folder / "mine.yaml"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, out, err = cli("grid", path, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_the_command_hands_options_over(cli: Cli, folder: Path, monkeypatch: Any) -> None:
    asked: list[list[str]] = []

    def started(command: list[str], check: bool) -> Any:
        asked.append(command)
        return subprocess.CompletedProcess(command, len(asked) - 1)

    monkeypatch.setattr(subprocess, "run", started)
    path = written(folder)
    assert cli("grid", path, "-n", "--", "--cores", "1")[0] == 0
    assert asked[0][-3:] == ["--dry-run", "--cores", "1"]
    assert asked[0][:-3] == snakemake(sys.executable, path, "local")
    code, _, err = cli("grid", path)
    assert code == 2
    assert "Snakemake ended with exit code 1" in err


def test_original_models_alone(cli: Cli, folder: Path) -> None:
    small = ["-p", "train_size", "60", "-p", "training.epochs=1", "-p", "model.width", "2"]
    code, _, err = cli(
        "original", "digits-random10", *small, "--seeds", "0,1", "--publish", "done.json"
    )
    assert code == 0, err
    models = yaml.safe_load(Path("done.json").read_text())["models"]
    assert {f"{key}.safetensors" for key in models.values()} == {
        path.name for path in Path("store/models").glob("*.safetensors")
    }
    assert not list(Path("store").glob("records/*"))
    code, _, err = cli("original", "digits-random10", "-p", "ft.lr", "1")
    assert code == 2
    assert "an original model has no method" in err


def test_merging_orders_records_and_refuses_what_does_not_belong(cli: Cli, folder: Path) -> None:
    from companion.experiments.records.store import write_records
    from records import record

    rows = [record(m, s, 1.0, 2.0, 3.0, 4.0) for m, s in (("ga", 1), ("retrain", 1), ("ga", 0))]
    for number, row in enumerate(rows):
        write_records(folder / f"{number}.jsonl", [row])
    assert cli("merge", "all.jsonl", "0.jsonl", "1.jsonl", "2.jsonl")[0] == 0
    assert read_records(folder / "all.jsonl") == [rows[2], rows[1], rows[0]]
    write_records(folder / "3.jsonl", [record("ft", 0, 1.0, 2.0, 3.0, 4.0, scale="x")])
    code, _, err = cli("merge", "no.jsonl", "0.jsonl", "3.jsonl")
    assert code == 2
    assert "of several settings" in err
    assert "does not exist" in cli("merge", "no.jsonl", "9.jsonl")[2]
    assert not (folder / "no.jsonl").exists()


def test_a_grid_knows_its_defaults() -> None:
    grid = GridConfig(settings=("cifar10-random10",))
    assert (grid.scale, grid.methods, grid.seeds, grid.output) == ("bench", "all", (0,), "grid")
    assert grid.resources() == {"mem_mb": 4000, "runtime": 120}
