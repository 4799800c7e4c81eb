"""The campaign: its plan, its jobs, resuming after a kill, and what is refused."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.cli import campaign
from companion.experiments.campaign import campaign as campaigns
from companion.experiments.campaign.campaign import (
    DEADLINE,
    Job,
    OutOfTimeError,
    Plan,
    Worker,
    find_job,
    job_done,
    jobs_of,
    open_campaign_store,
    publish,
    published_sweep,
    read_plan,
    record_file,
    run_job,
    trials_of,
    winner_of,
)
from companion.experiments.grid.grid import WORKFLOW
from companion.experiments.records.outputs import read_outputs
from companion.experiments.records.record import Record
from companion.experiments.records.store import open_store, read_records, write_records
from companion.experiments.records.summary import campaign_records
from companion.experiments.runs import problems, protocol
from companion.experiments.runs.evidence import winners
from companion.experiments.runs.problems import load_data
from companion.experiments.settings import preset as presets
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.setting import digest
from forked import begun, started
from records import publish_every_second, record
from ugradsl_core.errors import ConfigError, StoreError, UGradSLError

Cli = Callable[..., tuple[int, str, str]]
SEARCH: dict[str, Any] = {
    "kind": "search", "setting": "digits-random10", "methods": ["ff"], "seeds": [0, 1, 2],
}  # fmt: skip
SWEEP: dict[str, Any] = {**SEARCH, "kind": "sweep", "grid": {"alpha": [1e-8, 1e-6]}}
PLAN: dict[str, Any] = {"protocol": "passes-1", "scale": "smoke", "blocks": [SEARCH, SWEEP]}


@pytest.fixture(autouse=True)
def _digits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaigns, "load_data", _load)


@cache
def _load(setting: Any, execution: Any, root: Any) -> Any:
    return load_data(setting, execution, root)


def make_plan(**changes: Any) -> Plan:
    return Plan(**{**PLAN, **changes})


def test_the_plan_of_the_book_is_valid_and_puts_the_main_settings_first() -> None:
    plan = read_plan(WORKFLOW / "campaign.yaml")
    jobs = jobs_of(plan)
    assert len({job.name for job in jobs}) == len(jobs)
    assert {job.setting for job in jobs[:60]} == {"cifar10-random10", "cifar10-class"}
    known = {job.name for job in jobs}
    assert all(set(job.needs) <= known for job in jobs)
    first = {(b.setting, x) for b in plan.blocks if b.kind == "search" for x in b.labels}
    assert {setting for setting, _ in first} == {"cifar10-random10", "cifar10-class"}
    for setting in ("cifar10-random10", "cifar10-class"):
        assert {x for name, x in first if name == setting} == set(protocol.SPACES)
    assert len({b.setting for b in plan.blocks}) == 21


def test_settings_with_the_same_training_data_share_their_original_models() -> None:
    plan = read_plan(WORKFLOW / "campaign.yaml")
    names = {
        setting: next(
            job.needs[0]
            for job in jobs_of(plan)
            if job.kind == "reference" and job.setting == setting and job.seeds == (0,)
        )
        for setting in ("cifar10-random10", "cifar10-class", "cifar100-random10")
    }
    assert names["cifar10-random10"] == names["cifar10-class"] != names["cifar100-random10"]


def test_jobs_wait_for_what_they_need() -> None:
    jobs = {job.name: job for job in jobs_of(make_plan())}
    search = jobs["search-digits-random10-ff"]
    assert search.needs == tuple(
        f"reference-digits-random10-retrain-{seed}" for seed in protocol.SEARCH_SEEDS
    )
    assert "search-digits-random10-ff" in jobs["final-digits-random10-ff"].needs
    assert search.runs == 16 + 6 * 2
    assert jobs["sweep-digits-random10-ff-alpha"].runs == 2 * 3
    assert jobs["reference-digits-random10-no-step-2"].runs == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"protocol": "passes-0"}, "protocol: this version computes by 'passes-1'; found 'pa"),
        ({"blocks": [{**SEARCH, "setting": "digits-random01"}]}, "unknown smoke setting 'digits-"),
        ({"blocks": [{**SEARCH, "methods": ["ugradsl++"]}]}, "unknown method to search 'ugrads"),
        ({"blocks": [{**SEARCH, "methods": ["retrain"]}]}, "unknown method to search 'retrain'"),
        ({"blocks": [{**SEARCH, "seeds": [1000]}]}, "seeds: should be at least 0 and none of th"),
        ({"blocks": [{**SEARCH, "seeds": [0, 0]}]}, r"seeds: names one twice; found \(0, 0\)"),
        ({"blocks": [SEARCH, {**SWEEP, "grid": {"alpha": [-1.0]}}]}, "alpha: should be greater"),
        ({"blocks": [SEARCH, {**SWEEP, "grid": {"alpha": []}}]}, "grid: should have a value for"),
        ({"blocks": [SEARCH, {**SWEEP, "grid": {"p": [0.9]}}]}, "unknown parameter 'p'"),
        ({"blocks": [SWEEP]}, "blocks: ff is not searched in digits-random10"),
        ({"blocks": [{**SEARCH, "kind": "transfer"}]}, "source: is needed by a transfer"),
        ({"blocks": [{**SEARCH, "grid": {"alpha": [1]}}]}, "grid: is needed by a sweep"),
        ({"amp": "perhaps"}, "amp: should be a valid boolean"),
        ({"fast": True}, "unknown parameter 'fast'"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be_run_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_plan(**changes)


@pytest.mark.parametrize("text", ["protocol: [", "- a", "blocks: []", "protocol: passes-1"])
def test_files_that_are_no_plans_are_refused(tmp_path: Path, text: str, cli: Cli) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(text)
    code, _, err = cli("campaign", path)
    assert code == 2
    assert err.startswith("ugradsl: plan: ")
    assert err.count("\n") == 1


def _instant(calls: list[tuple[str, int]], stop_after: int | None = None) -> Any:
    """A run_one that computes nothing; UA alone differs from Retrain's, by the config's alpha."""

    def run(bench: Any, label: str, config: Any, seed: int, **known: Any) -> Any:
        setting = bench.setting
        if stop_after is not None and len(calls) >= stop_after:
            raise KeyboardInterrupt
        calls.append((label, seed))
        gap = 0.0 if label.startswith("retrain") else abs(getattr(config, "samples", 300) - 700)
        values = (40.0 + gap / 1000, 50.0, 100.0, 60.0)
        kind = "trial" if known["judge"] == "validation" else "result"
        return record(
            label, seed, *values, kind=kind, setting=setting.identity(), scale=setting.scale,
            setting_hash=digest(setting.identity()), config=config.model_dump(),
            config_hash=digest(config.key_fields()), protocol=known["protocol"], note="",
        )  # fmt: skip

    return run


def _worker(plan: Plan, job: Job, folder: Path) -> Worker:
    return Worker(plan, job, open_campaign_store(folder / "store"), folder / "published", None)


def _run_all(plan: Plan, folder: Path) -> None:
    waiting = list(jobs_of(plan))
    done: set[str] = set()
    while waiting:
        ready = next(job for job in waiting if set(job.needs) <= done)
        if ready.kind != "original":
            run_job(_worker(plan, ready, folder))
        waiting.remove(ready)
        done.add(ready.name)


def test_a_campaign_does_what_the_protocol_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(campaigns, "run_one", _instant(calls))
    plan = make_plan()
    _run_all(plan, tmp_path)
    root = tmp_path / "published"
    trials = trials_of(plan, "digits-random10", "ff", root)
    assert [trial.seed for trial in trials] == [1000] * 16 + [1001] * 6 + [1002] * 6
    design = [trial.config["samples"] for trial in trials[:16]]
    again = [trial.config["samples"] for trial in trials[16:22]]
    assert again == sorted(design, key=lambda samples: abs(samples - 700))[:6]
    chosen, gap = winner_of(plan, "digits-random10", "ff", root)
    assert chosen.config["samples"] == again[0]
    assert gap == pytest.approx(abs(again[0] - 700) / 4000)
    records = campaign_records("digits-random10", "smoke", root)
    results = [r for r in records if r.kind == "result"]
    shown = winners([r for r in records if r.kind == "trial"])  # as the pages have them
    assert (shown["ff"].config, shown["ff"].gap) == (chosen.config, pytest.approx(gap))
    assert {(r.method, r.seed) for r in results} == {
        (method, seed) for method in ("retrain", "no-step", "ff") for seed in (0, 1, 2)
    }
    assert sum(r.method == "retrain" for r in results) == 6  # and Retrain again
    assert all(r.config == chosen.config for r in results if r.method == "ff")
    swept = published_sweep("digits-random10", "smoke", "ff", ["alpha"], root)
    assert [(r.seed, r.config["alpha"]) for r in swept] == [
        (seed, alpha) for seed in (0, 1, 2) for alpha in (1e-8, 1e-6)
    ]
    assert all(r.protocol == "passes-1" for r in records + swept)


def test_winners_of_complete_searches_are_saved_in_the_presets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "run_one", _instant([]))
    copy = tmp_path / "smoke.json"
    copy.write_text(presets.preset_path("smoke").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(presets, "preset_path", lambda scale: copy)
    plan = make_plan()
    _run_all(plan, tmp_path)
    root = tmp_path / "published"
    assert [line.split(":")[0] for line in campaigns.save_winners(plan, root)] == [
        "digits-random10 ff"
    ]
    entry = presets.get_preset("digits-random10", "smoke")["methods"]["ff"]
    chosen, gap = winner_of(plan, "digits-random10", "ff", root)
    assert entry["config"] == chosen.config
    assert entry["source"]["protocol"] == "passes-1"
    assert (entry["source"]["trials"], entry["source"]["validation_gap"]) == (28, round(gap, 4))
    path = root / "passes-1" / "digits-random10-smoke" / "ff.jsonl"
    write_records(path, read_records(path)[:20])
    assert campaigns.save_winners(plan, root) == []


def test_outputs_that_are_missing_come_from_running_a_published_result_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "train", lambda *_, **__: None)  # any original will do
    plan = make_plan()
    job = find_job(plan, "reference-digits-random10-no-step-0")
    worker = _worker(plan, job, tmp_path)
    run_job(worker)
    path = worker.path.parent / "outputs" / "no-step-0.safetensors"
    before = read_outputs(path)
    path.unlink()
    (published,) = _worker(plan, job, tmp_path).outputs_missing()
    assert worker.fill_outputs(published)
    after = read_outputs(path)
    assert (after.sets["forget"].margins == before.sets["forget"].margins).all()
    assert after.facts["label"] == "no-step"
    assert not _worker(plan, job, tmp_path).outputs_missing()
    path.unlink()
    other = replace(published, metrics={**published.metrics, "UA": 99.0})
    assert not worker.fill_outputs(other)
    assert not path.exists()


def test_what_is_published_is_not_run_again_even_without_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(campaigns, "run_one", _instant(calls))
    plan = make_plan()
    _run_all(plan, tmp_path)
    before = len(calls)
    files = {path: path.read_bytes() for path in tmp_path.rglob("*.jsonl")}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "published").rename(elsewhere / "published")
    _run_all(plan, elsewhere)
    assert len(calls) == before
    for path, content in files.items():
        assert (elsewhere / path.relative_to(tmp_path)).read_bytes() == content
    for job in jobs_of(plan):
        assert job_done(job, plan, elsewhere / "published") == job.runs


@pytest.mark.parametrize("stop_after", [0, 1, 15, 16, 17, 27])
def test_a_search_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop_after: int
) -> None:
    plan = make_plan(blocks=[SEARCH])
    names = [f"reference-digits-random10-retrain-{seed}" for seed in protocol.SEARCH_SEEDS]
    found = []
    for stops in ([], [stop_after]):
        folder = tmp_path / str(len(stops))
        monkeypatch.setattr(campaigns, "run_one", _instant([]))
        for name in names:
            run_job(_worker(plan, find_job(plan, name), folder))
        search = find_job(plan, "search-digits-random10-ff")
        for stop in stops:
            monkeypatch.setattr(campaigns, "run_one", _instant([], stop))
            with pytest.raises(KeyboardInterrupt):
                run_job(_worker(plan, search, folder))
            assert job_done(search, plan, folder / "published") == stop
            monkeypatch.setattr(campaigns, "run_one", _instant([]))
        run_job(_worker(plan, search, folder))
        found.append(record_file(search, "smoke", folder / "published").read_bytes())
    assert found[0] == found[1]


def test_no_run_starts_that_would_not_end_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    monkeypatch.setattr(campaigns, "run_one", _instant(calls))
    monkeypatch.setenv(DEADLINE, str(time.time() - 1))
    plan = make_plan()
    job = find_job(plan, "reference-digits-random10-retrain-0")
    with pytest.raises(OutOfTimeError, match="the time is up"):
        run_job(_worker(plan, job, tmp_path))
    assert not calls
    monkeypatch.setenv(DEADLINE, str(time.time() + 1000))
    run_job(_worker(plan, job, tmp_path))
    assert len(calls) == 1


def test_processes_publish_into_one_file_without_losing_a_record(tmp_path: Path) -> None:
    path = tmp_path / "retrain.jsonl"
    running = [begun(publish_every_second, path, first, 40) for first in (0, 1)]
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0, 0]
    assert sorted(r.seed for r in read_records(path)) == list(range(40))
    publish(path, replace(record("retrain", 0, 9, 9, 9, 9)))
    assert len(read_records(path)) == 40


def test_a_store_of_other_rules_is_refused(tmp_path: Path, cli: Cli) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(PLAN))
    store = open_store(tmp_path / "old")
    (store.root / "records").mkdir()
    code, _, err = cli("campaign", plan, "--store", store.root, "--publish", tmp_path / "p")
    assert code == 2
    assert "holds runs of no protocol; a campaign by 'passes-1' needs one of its own" in err
    open_campaign_store(tmp_path / "new")
    (tmp_path / "new" / "protocol.txt").write_text("passes-0\n")
    with pytest.raises(StoreError, match="holds runs of 'passes-0'"):
        open_campaign_store(tmp_path / "new")


def test_bad_calls_are_one_sentence_before_anything_runs(tmp_path: Path, cli: Cli) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(PLAN))
    where = ("--store", tmp_path / "store", "--publish", tmp_path / "published")
    code, _, err = cli("campaign", plan, "--minutes", "0.1", *where)
    assert code == 2
    assert "minutes: the shortest run that is missing takes about" in err
    code, _, err = cli("campaign", plan, "--only", "search-digits-random10-fg", *where)
    assert code == 2
    assert "unknown job 'search-digits-random10-fg'. Did you mean" in err
    code, _, err = cli("campaign", tmp_path / "none.yaml", *where)
    assert code == 2
    assert "cannot be read (No such file or directory)" in err
    assert not (tmp_path / "store").exists()


def test_a_dry_run_lists_the_jobs(tmp_path: Path, cli: Cli) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(PLAN))
    code, out, _ = cli("campaign", plan, "--dry-run", "--publish", tmp_path)
    assert code == 0
    assert "  0/ 28  search-digits-random10-ff" in out
    assert len(out.splitlines()) == len(jobs_of(make_plan()))


def _with_references(plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(campaigns, "run_one", _instant([]))
        for seed in protocol.SEARCH_SEEDS:
            name = f"reference-digits-random10-retrain-{seed}"
            run_job(_worker(plan, find_job(plan, name), folder))


def test_a_killed_job_resumes_to_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kill a search, go on, kill it again, and compare with one that ran as far without a stop."""
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump({**PLAN, "blocks": [{**SEARCH, "methods": ["ga"]}]}))
    plan = read_plan(path)
    job = find_job(plan, "search-digits-random10-ga")
    killed, whole = tmp_path / "killed", tmp_path / "whole"

    def killed_after(records: int) -> list[Record]:
        """The records that are published when the process is killed."""
        places = ["--store", str(killed / "store"), "--publish", str(killed / "published")]
        words = ["campaign", str(path), "--only", job.name, *places]
        file = record_file(job, "smoke", killed / "published")
        running = started(*words)
        end = time.monotonic() + 300
        while not (file.exists() and len(file.read_bytes().splitlines()) >= records):
            assert time.monotonic() < end
            assert running.is_alive()
            time.sleep(0.02)
        running.kill()
        running.join(60)
        assert running.exitcode == -signal.SIGKILL
        return read_records(file)

    def as_far_as(records: int) -> list[Record]:
        """The first records of a search in this process, which nothing stops before."""
        file = record_file(job, "smoke", whole / "published")

        def published(path: Path, record: Record) -> None:
            publish(path, record)
            if len(read_records(file)) == records:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(campaigns, "publish", published)
            with pytest.raises(KeyboardInterrupt):
                run_job(_worker(plan, job, whole))
        return read_records(file)

    for folder in (killed, whole):
        _with_references(plan, folder, monkeypatch)
        with monkeypatch.context() as patch:  # other tests kill the training of an original
            patch.setattr(problems, "train", lambda *_, **__: None)
            _worker(plan, job, folder).bench.original(1000)
    kept = killed_after(2)
    found = killed_after(len(kept) + 2)
    expected = as_far_as(len(kept) + 2)
    assert found[: len(kept)] == kept
    compared = [
        [(r.seed, r.config, r.metrics) for r in records[: len(kept) + 2]]
        for records in (found, expected)
    ]
    assert compared[0] == compared[1]


def test_snakemake_reads_the_plan(python: str, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text(yaml.safe_dump(PLAN))
    words = [python, "-m", "snakemake", "--snakefile", str(WORKFLOW / "Campaign.smk")]
    words += ["--dry-run", "--cores", "2", "--directory", str(tmp_path), "--config"]
    words += [f"plan={path}", f"store={tmp_path / 'store'}", f"publish={tmp_path / 'published'}"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout + done.stderr
    for job in jobs_of(make_plan()):
        assert f"--only {job.name} " in said or f"{tmp_path / 'store'}/done/{job.name}" in said


def test_the_driver_stops_when_the_time_is_up_and_says_what_failed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign, "LOWEST_PRIORITY", 0)  # the tests go on after this one
    plan = make_plan(blocks=[SEARCH])
    jobs = jobs_of(plan)
    places = (tmp_path / "store", tmp_path / "published", 2)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    start = time.monotonic()
    campaign.drive(sleep, plan, jobs, 0.02, *places)
    assert time.monotonic() - start < 30
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("campaign: 0 runs done, 43 left (about ")
    with pytest.raises(UGradSLError, match="Snakemake ended with exit code 3"):
        campaign.drive([sys.executable, "-c", "exit(3)"], plan, jobs, None, *places)


def test_one_campaign_at_a_time_uses_a_store(tmp_path: Path, cli: Cli) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(yaml.safe_dump(PLAN))
    store = open_campaign_store(tmp_path / "store")
    with campaigns.locked(store.root / "campaign"):
        code, _, err = cli("campaign", plan, "--store", store.root, "--publish", tmp_path)
    assert (code, err) == (2, "ugradsl: campaign: another one is running on this store\n")


def test_labels_of_records_are_those_of_their_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "run_one", _instant([]))
    _run_all(make_plan(), tmp_path)
    for path in (tmp_path / "published").rglob("*.jsonl"):
        label = path.stem.removeprefix("sweep-").removesuffix("-alpha").replace("--", ":")
        found: list[Record] = read_records(path)
        assert {r.method for r in found} == {split_label(label)[0]}
