"""What `ugradsl gpu` does without a GPU: plans of fixed values, checks, order, and a rehearsal."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from benches import UNUSED
from companion.backbones.text import bert
from companion.cli import gpu as cli_gpu
from companion.experiments.campaign import campaign
from companion.experiments.campaign import here as gpu
from companion.experiments.campaign.campaign import Plan, jobs_of, read_plan, record_file
from companion.experiments.costs import estimate
from companion.experiments.costs.estimate import Speed
from companion.experiments.grid.grid import WORKFLOW
from companion.experiments.records.store import read_records
from companion.experiments.runs.problems import Bench, load_data
from companion.experiments.settings import preset
from companion.experiments.settings.preset import load_presets, preset_setting
from companion.experiments.settings.setting import digest
from companion.pages import gpu as pages_gpu
from records import record
from toys import CPU, images, problem
from ugradsl_core.errors import ConfigError, DivergenceError
from ugradsl_core.samples.inputs import send
from ugradsl_core.training import loop as training
from ugradsl_core.training import predict
from ugradsl_core.training.steps import step_gradient

Cli = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[3]
FIXED: dict[str, Any] = {
    "kind": "fixed", "setting": "digits-random10", "seeds": [0, 1], "methods": ["ga", "ft"],
}  # fmt: skip
PLAN: dict[str, Any] = {"protocol": "passes-1", "scale": "smoke", "blocks": [FIXED]}


@cache
def _load(setting: Any, execution: Any, root: Any) -> Any:
    return load_data(setting, execution, root)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (campaign, gpu):
        monkeypatch.setattr(module, "load_data", _load)
    monkeypatch.setattr(gpu, "calibrate", lambda *_, **__: Speed(1e-4, 1e-4, 1e-4))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What run_one was asked for; it computes nothing, and fails for what is named ``fail``."""
    seen: list[str] = []

    def run(bench: Bench, label: str, config: Any, seed: int, **known: Any) -> Any:
        setting = bench.setting
        seen.append(f"{label}-{seed}")
        assert known["protocol"] == ""
        if "fail" in seen:
            raise DivergenceError("it failed")
        return record(
            label, seed, 1.0, 2.0, 3.0, 4.0, setting=setting.identity(), scale=setting.scale,
            setting_hash=digest(setting.identity()), config=config.model_dump(),
            config_hash=digest(config.key_fields()), note="",
        )  # fmt: skip

    monkeypatch.setattr(campaign, "run_one", run)
    monkeypatch.setattr(Bench, "original", lambda *_: seen.append("original"))
    return seen


def _run(folder: Path, plan: Plan, **named: Any) -> list[str]:
    told: list[str] = []
    failed = gpu.run_here(
        plan, jobs_of(plan), folder / "store", folder / "published", None,
        device="cpu", tell=told.append, **named,
    )  # fmt: skip
    (folder / "told").write_text("\n".join(told))
    return failed


def test_the_plan_of_the_scale_full_is_valid_and_in_order() -> None:
    plan = read_plan(WORKFLOW / "full.yaml")
    assert (plan.scale, plan.amp) == ("full", True)
    assert {block.setting for block in plan.blocks} == set(load_presets("full"))
    ordered = gpu.in_order(jobs_of(plan))
    assert [job.kind for job in ordered[:2]] == ["original", "fixed"]
    assert [job.label for job in ordered[1:4]] == ["retrain", "ugradsl", "ugradsl+"]
    first = [job for job in ordered if job.setting == "cifar100-random10" and job.runs]
    assert [job.seeds[0] for job in first] == sorted(job.seeds[0] for job in first)
    assert {job.label for job in first} >= set(load_presets("full")["cifar100-random10"]["methods"])
    assert [job.setting for job in ordered if job.runs] == [
        name for block in plan.blocks for name in [block.setting] * len(first)
    ]
    for job in ordered:
        assert record_file(job, "full", Path()) == Path(f"{job.setting}-full.jsonl")


def test_the_scale_full_is_the_papers_data_and_network_and_says_whose_values_it_has() -> None:
    for name, known in load_presets("full").items():
        ours, paper = (preset_setting(name, scale) for scale in ("full", "paper"))
        assert (ours.model, ours.train_size, ours.paradigm) == (paper.model, None, paper.paradigm)
        assert (ours.training.schedule, ours.training.epochs) == ("one-cycle", 30)
        assert "shorter training" in known["note"]
        for entry in known["methods"].values():
            assert entry["source"]["kind"] == "public code"
            assert entry["source"]["note"].startswith("Not searched; ")


def test_random_and_class_wise_forgetting_share_their_original() -> None:
    names = {j.name for j in jobs_of(read_plan(WORKFLOW / "full.yaml")) if j.kind == "original"}
    assert len(names) == 2 * 3  # two data sets, three seeds


def test_fixed_values_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match="has no fixed values of ugradsl:adaptive-inv"):
        Plan(**{**PLAN, "blocks": [{**FIXED, "methods": ["ugradsl:adaptive-inverse"]}]})
    with pytest.raises(ConfigError, match="unknown method 'gaa'"):
        Plan(**{**PLAN, "blocks": [{**FIXED, "methods": ["gaa"]}]})
    with pytest.raises(ConfigError, match="grid: is needed by a sweep"):
        Plan(**{**PLAN, "blocks": [{**FIXED, "grid": {"lr": [0.1]}}]})


def test_jobs_run_by_value_and_each_record_is_published_at_once(
    tmp_path: Path, calls: list[str]
) -> None:
    plan = Plan(**PLAN)
    assert _run(tmp_path, plan) == []
    assert calls == [
        "original", "retrain-0", "ga-0", "ft-0", "original", "retrain-1", "ga-1", "ft-1",
    ]  # fmt: skip
    found = read_records(tmp_path / "published" / "digits-random10-smoke.jsonl")
    assert [f"{r.method}-{r.seed}" for r in found] == [c for c in calls if c != "original"]
    # what `ugradsl experiment` would run: the preset's setting and values
    assert {r.setting_hash for r in found} == {
        digest(preset_setting("digits-random10", "smoke").identity())
    }
    calls.clear()
    assert _run(tmp_path, plan) == []
    assert calls == []
    assert (tmp_path / "told").read_text() == "campaign: nothing is missing"


def test_a_job_that_fails_gives_way_and_takes_with_it_what_needs_it(
    tmp_path: Path, calls: list[str]
) -> None:
    calls.append("fail")
    failed = _run(tmp_path, Plan(**PLAN))
    assert calls[1:] == ["original", "retrain-0", "original", "retrain-1"]
    assert failed == [f"fixed-digits-random10-retrain-{seed}: it failed" for seed in (0, 1)]
    assert not (tmp_path / "published").exists()


def test_nothing_begins_that_would_not_end_in_time(
    tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(**PLAN)
    # an original and Retrain take some minutes at the calibrated speed
    with pytest.raises(ConfigError) as caught:
        _run(tmp_path, plan, minutes=0.01)
    text = str(caught.value)
    assert text.startswith("minutes: the first record, retrain of digits-random10, takes about ")
    assert text.endswith(" minutes here with the models that it needs; found 0.01")
    assert list(tmp_path.iterdir()) == []
    places = gpu.prepare(plan, jobs_of(plan), UNUSED, "cpu", None)
    place = places["digits-random10", True]
    both = 2 * place.seconds(place.bench.setting.training)
    clock = time.time

    def slow(*_: Any) -> None:
        calls.append("original")
        monkeypatch.setattr(time, "time", lambda: clock() + both)

    monkeypatch.setattr(Bench, "original", slow)
    _run(tmp_path, plan, minutes=1.05 * both / 60)
    assert calls == ["original"]  # then Retrain does not fit, and the others wait for it
    told = (tmp_path / "told").read_text().splitlines()[1:]
    assert told[0] == "campaign: no time for fixed-digits-random10-retrain-0"
    assert all(line.startswith("campaign: no time for ") for line in told)
    assert not (tmp_path / "published").exists()


def test_too_little_memory_is_found_before_anything_is_written(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "free_memory", lambda _: 2**20)
    with pytest.raises(ConfigError, match=r"memory: \S+ of digits-random10 needs about 0\.\d GiB "):
        _run(tmp_path, Plan(**PLAN))
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(estimate, "free_memory", lambda _: 2**20)
    where = ("--store", tmp_path / "store")
    code, _, err = cli("experiment", "digits-random10", "--methods", "retrain,ga", *where)
    assert code == 2
    assert err.startswith("ugradsl: memory: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "store" / "models").exists()


OLD = (
    "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU "
    "driver by downloading and installing a new version."
)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RuntimeError(OLD), "The NVIDIA driver on your system is too old (found version 11040)"),
        (RuntimeError("No CUDA GPUs are available"), "No CUDA GPUs are available"),
        (AssertionError("Torch not compiled with CUDA enabled"), "Torch not compiled with CUDA"),
    ],
)
def test_no_gpu_and_an_old_driver_are_a_sentence_each(
    error: Exception, reason: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(torch, "empty", refuse)
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("gpu", "--minutes", "5")
    assert code == 2
    assert err.startswith(f"ugradsl: gpu: no CUDA device can be used here ({reason}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_is_no_clone_or_has_no_time_says_so(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = cli("gpu", "--rehearse", "--minutes", "0.001")
    assert (code, "minutes: the first record, retrain of digits-random10" in err) == (2, True)
    monkeypatch.setattr(cli_gpu, "ROOT", tmp_path)
    code, _, err = cli("gpu", "--rehearse")
    assert (code, "gpu: needs a clone of the project" in err) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_part_that_fails_is_said_in_the_end_and_the_records_come_all_the_same(
    cli: Cli, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, str, bool]] = []

    def run(folder: Path, environment: dict[str, str], seconds: float, processes: int) -> bool:
        ran.append((str(folder), environment[cli_gpu.DEVICE], cli_gpu.UNTIL in environment))
        assert processes == 1 or folder == cli_gpu.TESTS  # what is timed runs alone
        return folder != cli_gpu.TESTS

    monkeypatch.setattr(cli_gpu, "_run", run)
    where = ("--store", tmp_path / "s", "--publish", tmp_path / "p")
    code, out, err = cli("gpu", "--rehearse", *where, "--measurements", tmp_path / "m.jsonl")
    assert ran == [("tests/gpu", "cpu", False), ("tests/benchmarks/gpu", "cpu", True)]
    assert code == 2
    assert err == "ugradsl: gpu: some parts failed: the tests\n"
    assert calls == ["original", "retrain-0", "no-step-0", "ga-0"]
    assert "3 runs done, 0 left" in out


def test_a_part_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_slow.py").write_text("import time\ndef test_slow():\n    time.sleep(60)\n")
    monkeypatch.setattr(cli_gpu, "ROOT", tmp_path)
    start = time.monotonic()
    assert not cli_gpu._run(Path("."), dict(os.environ), 1.0, 1)
    assert time.monotonic() - start < 30


def test_what_a_bare_machine_lacks_is_not_imported() -> None:
    code = "import companion.cli.main, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lacking = {"optuna", "papermill", "curvlinops", "snakemake", "nbformat", "sklearn", "jupyter"}
    assert not lacking & set(done.stdout.split())


@pytest.mark.slow
def test_the_whole_rehearsal(
    python: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests, the table and the records on the CPU; nothing of it is skipped by mistake."""
    monkeypatch.undo()  # the calibration is the real one
    monkeypatch.setattr(sys, "executable", python)
    presets = json.loads(preset.preset_path("smoke").read_text("utf-8"))
    presets["digits-random10"]["setting"]["training"]["epochs"] = 2
    (tmp_path / "smoke.json").write_text(json.dumps(presets))
    monkeypatch.setattr(preset, "preset_path", lambda scale: tmp_path / f"{scale}.json")
    where = ("--store", tmp_path / "store", "--publish", tmp_path / "published")
    more = ("--measurements", tmp_path / "gpu.jsonl")
    code, out, err = cli("gpu", "--rehearse", "--minutes", "30", *where, *more)
    assert code == 0, out + err
    lines = [json.loads(line) for line in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert {line["name"] for line in lines} >= {
        "limits",
        "training",
        "loader",
        "method ff",
        "small",
    }
    assert sum(line["name"] == "training" for line in lines) == 6
    assert all(line["card"] == "cpu" for line in lines)
    records = read_records(tmp_path / "published" / "digits-random10-smoke.jsonl")
    assert [(r.method, r.status) for r in records] == [
        ("retrain", "ok"), ("no-step", "ok"), ("ga", "ok"),
    ]  # fmt: skip
    assert all(r.hardware["amp"] is True for r in records)
    book = tmp_path / "book"
    (book / "measurements").mkdir(parents=True)
    (tmp_path / "gpu.jsonl").rename(book / "measurements" / "gpu.jsonl")
    assert pages_gpu.speed(book).count("* - ") == 1 + 6
    assert "several" not in pages_gpu.parts(book)
    assert "method ff" in pages_gpu.parts(book)


def test_the_page_says_what_was_not_measured(tmp_path: Path) -> None:
    assert pages_gpu.speed(tmp_path) == pages_gpu.parts(tmp_path) == pages_gpu.NOT_MEASURED
    text = pages_gpu.records(tmp_path)
    assert all(f"**`{name}`**: not measured." in text for name in load_presets("full"))
    page = (ROOT / "book" / "gpu.md").read_text("utf-8")
    assert all(f"_generated/{fragment}" in page for fragment in pages_gpu.FRAGMENTS)


def test_records_of_the_scale_stand_beside_the_papers_table(tmp_path: Path) -> None:
    name = "cifar100-random10"
    setting = preset_setting(name, "full")
    (tmp_path / "results").mkdir()
    common = {"scale": "full", "setting": setting.identity(), "hardware": {"device": "Card 1"}}
    common["setting_hash"] = digest(setting.identity())
    campaign.publish(
        tmp_path / "results" / f"{name}-full.jsonl", record("retrain", 0, 9.0, 8, 99, 70, **common)
    )
    campaign.publish(
        tmp_path / "results" / f"{name}-full.jsonl", record("ft", 0, 5.0, 4, 97, 70, **common)
    )
    text = pages_gpu.records(tmp_path)
    assert "Our version of the paper&#x27;s Table 2" in text
    assert "full scale" in text
    assert "* - FT\n  - 2.50\n  - –" in text
    assert "Computed on one Card 1" in text


def test_sending_to_the_cpu_copies_nothing() -> None:
    tensor = torch.arange(3)
    assert send(tensor, torch.device("cpu")).data_ptr() == tensor.data_ptr()


def test_both_masks_of_a_text_model_give_the_same_logits() -> None:
    torch.manual_seed(0)
    model = bert(4, 20, length=7, width=16, depth=2, heads=2).eval()
    ids = torch.randint(1, 20, (5, 7))
    ids[::2, 5:] = 0
    short, whole = (
        model.inner(input_ids=ids, attention_mask=model._mask(ids, whole=which)).logits
        for which in (False, True)
    )
    assert torch.allclose(short, whole, atol=1e-6)
    assert not torch.allclose(short, model.inner(input_ids=ids).logits, atol=1e-6)


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_have_the_memory_format_that_was_asked_for(channels_last: bool) -> None:
    seen: list[bool] = []

    def loss(network: nn.Module, batches: Any) -> Tensor:
        seen.append(batches[0][0].is_contiguous())
        return network(batches[0][0]).sum()

    subject = problem("cnn")
    inputs = torch.rand(4, 2, 6, 6).to(memory_format=torch.channels_last)
    execution = replace(CPU, channels_last=channels_last)
    network = nn.Sequential(nn.Conv2d(2, 1, 1))
    step_gradient(loss, network, execution, torch.device("cpu"))(((inputs, torch.zeros(4)),))
    assert seen == [not channels_last]
    assert len(subject.retain) == 24


def test_logits_fetched_in_parts_are_those_fetched_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, samples = nn.Sequential(nn.Flatten(), nn.Linear(36, 4)), images(23)
    whole = predict(model, samples, CPU, batch_size=5)
    monkeypatch.setattr(training, "WAITING_BYTES", 0)
    parts = predict(model, samples, CPU, batch_size=5)
    assert torch.equal(whole.logits, parts.logits)
    assert torch.equal(whole.labels, parts.labels)
    assert torch.equal(whole.labels, samples.labels)


PACK = ROOT / "tests" / "benchmarks" / "gpu" / "pack.py"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("pack", PACK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _pack(*words: str | Path) -> None:
    _script().main(list(map(str, words)))


def test_what_is_packed_comes_out_nearly_the_same(tmp_path: Path) -> None:
    root, out, back = tmp_path / "data", tmp_path / "packed", tmp_path / "back"
    root.mkdir()
    ramp = np.arange(32, dtype=np.uint8) * 4
    arrays = {}
    for end, n in (("train", 70), ("test", 30)):
        shade = np.arange(n, dtype=np.uint8)[:, None, None, None]
        arrays[f"x_{end}"] = np.broadcast_to(ramp[None, :, None, None] + shade, (n, 32, 32, 3))
        arrays[f"y_{end}"] = np.arange(n) % 10
    np.savez(root / "cifar10.npz", **arrays)
    words = ["pack", root, out, "--datasets", "cifar10", "--wheels", "", "--quality", "95"]
    command = [sys.executable, str(PACK), *map(str, words)]
    subprocess.run(command, capture_output=True, check=True)
    facts = json.loads((out / "images.json").read_text())["cifar10"]
    assert facts["train"]["images"] == 70
    _pack("unpack", out, back, "--datasets", "cifar10")
    with np.load(back / "cifar10.npz") as found:
        for key, array in arrays.items():
            if key.startswith("y_"):
                assert np.array_equal(found[key], array)
            else:
                error = np.abs(found[key].astype(int) - array)
                assert found[key].shape == array.shape
                part = facts[key.removeprefix("x_")]
                assert error.mean() == pytest.approx(part["mean_absolute_error"], abs=1e-3)
                assert error.mean() < 3
    loaded = load_data(preset_setting("cifar10-random10", "full"), CPU, str(back))
    assert "decoded copy cifar10.npz" in loaded.train.source
    assert len(loaded.test) == 30
    with pytest.raises(SystemExit, match=r"^pack: .* is there already; choose another data root$"):
        _pack("unpack", out, back, "--datasets", "cifar10")
    with pytest.raises(SystemExit) as missing:
        _pack("pack", tmp_path, out, "--datasets", "cifar100", "--wheels", "")
    assert str(missing.value).startswith(f"pack: {tmp_path} has no decoded copy cifar100.npz")


def _images(root: Path, name: str, n: int) -> None:
    """Noise in the form of CIFAR's decoded copies; it takes more bytes than any picture."""
    draw = np.random.default_rng(0).integers
    arrays: dict[str, Any] = {}
    for end in ("train", "test"):
        arrays[f"x_{end}"] = draw(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        arrays[f"y_{end}"] = np.arange(n) % 10
    np.savez(root / f"{name}.npz", **arrays)


def test_images_have_the_best_quality_that_fits_beside_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = _script()
    _images(tmp_path, "cifar10", 50)
    qualities = [85, 75, 65]
    sizes = {}
    for quality in qualities:
        out = tmp_path / str(quality)
        out.mkdir()
        pack.pack_images("cifar10", tmp_path, out, quality)
        sizes[quality] = pack.size_of(out)
    monkeypatch.setattr(pack, "QUALITIES", qualities)
    monkeypatch.setattr(pack, "SPARE", 2**10)
    code = pack.code_size()
    assert code > pack.size_of(ROOT / "ugradsl_core" / "methods")

    def packed(limit: int) -> Any:
        monkeypatch.setattr(pack, "LIMIT", limit)
        out = tmp_path / f"limit-{limit}"
        pack.main(["pack", str(tmp_path), str(out), "--datasets", "cifar10", "--wheels", ""])
        assert pack.size_of(out) + code <= limit
        return json.loads((out / pack.MANIFEST).read_text())["cifar10"]["quality"]

    assert packed(code + sizes[85] + 2**13) == 85
    assert packed(code + sizes[75] + 2**13) == 75
    assert "with the code" in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r"^pack: .* too few at any quality; take fewer"):
        packed(code + sizes[65] // 2)


def test_wheels_that_need_what_neither_travels_nor_is_there_are_named(tmp_path: Path) -> None:
    pack = _script()
    with zipfile.ZipFile(tmp_path / "a-1-py3-none-any.whl", "w") as wheel:
        lines = [
            "Name: a", "Requires-Dist: numpy>=2", "Requires-Dist: typing_extensions (>=4.10)",
            "Requires-Dist: Nar.Whals>=1; python_version >= '3'",
            "Requires-Dist: tool; extra == 'x'",
        ]  # fmt: skip
        wheel.writestr("a-1.dist-info/METADATA", "\n".join(lines))
    assert pack.needed(tmp_path) == {"numpy", "typing-extensions", "nar-whals"}
    assert pack.absent(["json", "no_such_module"]) == ["no_such_module"]
    assert pack.absent(pack.EXPECTED) == []
    lock = (ROOT / "requirements.lock").read_text("utf-8").lower().replace("_", "-")
    assert all(f"\n{name}==" in lock for name in pack.WHEELS)
