"""Two CPU processes over gloo compute what one computes; what they cannot do is refused."""

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import two_processes
from toys import CNN, images, whole_batch
from ugradsl_core.errors import ConfigError
from ugradsl_core.training import Execution, World
from ugradsl_core.training.processes import ALONE, in_step, join, spread

Found = dict[str, Any]
LAUNCH = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
HERE = Path(__file__).parents[3] / "support"


@pytest.fixture(scope="module")
def two(python: str, tmp_path_factory: pytest.TempPathFactory) -> Found:
    target = tmp_path_factory.mktemp("two") / "found.pt"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [python, *LAUNCH, str(HERE / "two_processes.py"), str(target)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return torch.load(target)


@pytest.fixture(scope="module")
def one() -> Found:
    return two_processes.results(ALONE)


@pytest.mark.parametrize("label", [*two_processes.SPREAD, "ResNet-18", "predictions", "evaluation"])
def test_two_processes_find_what_one_finds(one: Found, two: Found, label: str) -> None:
    assert list(one[label]) == list(two[label])
    for name, value in one[label].items():
        torch.testing.assert_close(value, two[label][name], rtol=1e-5, atol=2e-6)


def test_methods_outside_the_training_loop_refuse_by_name(two: Found) -> None:
    for name in ("ff", "iu"):
        assert two["said"][name].startswith(f"processes: {name.upper()} runs in one process, as ")


def test_more_processes_than_samples_is_one_sentence(two: Found) -> None:
    sentence = "processes: should be at most 1, the samples in a batch; found 2; start fewer with"
    assert two["said"]["ga"].startswith(sentence)  # one sample to forget
    assert two["said"]["ft"].startswith(sentence)  # batch_size 1


def test_the_first_process_writes_and_all_read_it(two: Found) -> None:
    assert two["store"]["everyone"].tolist() == [1.0, 1.0]
    assert "is a file; choose a directory" in two["heard"]


def test_processes_draw_different_noise(two: Found) -> None:
    first, second = two["noise"]["drawn"]
    assert not torch.equal(first, second)


def test_the_command_refuses_before_it_computes(python: str, tmp_path: Path) -> None:
    """One sentence from the first process, and nothing written."""
    store = tmp_path / "store"
    words = [
        python, "-m", "companion", "experiment", "digits-random10", "--device", "cpu",
        "--methods", "retrain", "--store", str(store), "-p", "training.batch_size", "1",
    ]  # fmt: skip
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    for size in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        shared[size] = "2"
    running = [  # as torchrun starts them, which would be a third process
        subprocess.Popen(
            words,
            env={**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        said = [process.communicate(timeout=240)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    sentence = "ugradsl: processes: should be at most 1, the samples in a batch; found 2"
    assert [text.count(sentence) for text in said] == [1, 0]
    assert all(process.returncode != 0 for process in running)
    assert not store.exists()


@given(n=st.integers(0, 50), size=st.integers(1, 9))
def test_shares_cover_a_batch_in_order_and_differ_by_one_at_most(n: int, size: int) -> None:
    rows = list(range(n))
    shares = [rows[World(rank, size).share(n)] for rank in range(size)]
    assert [row for share in shares for row in share] == rows
    lengths = [len(share) for share in shares]
    assert max(lengths) - min(lengths) <= 1


def test_one_process_changes_nothing() -> None:
    model = CNN()
    assert spread(model, ALONE) is model
    with in_step(model, torch.device("cpu"), ALONE):
        assert type(model.features[1]) is torch.nn.BatchNorm2d
    x = whole_batch(images(4))[0]
    assert ALONE.gather(x, 4) is x
    assert ALONE.from_first(lambda: 3) == 3


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join("cuda:1") is ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join() is ALONE


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda:1", "device: several processes take a device each"),
        ("cuda", "processes: should be at most 0 on this machine, its CUDA devices; found 2"),
    ],
)
def test_devices_that_processes_cannot_have(
    monkeypatch: pytest.MonkeyPatch, device: str, message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(ConfigError, match=message):
        join(device)


def test_instance_norm_with_running_statistics_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ugradsl_core.errors import ModelError

    model = torch.nn.Sequential(torch.nn.InstanceNorm2d(1, track_running_stats=True))
    monkeypatch.setattr(torch.distributed, "broadcast", lambda *_: None)
    with (
        pytest.raises(ModelError, match="InstanceNorm with running statistics"),
        in_step(model, torch.device("cpu"), World(0, 2)),
    ):
        pass


def test_switches_at_their_defaults_leave_no_trace() -> None:
    assert Execution().identity() == Execution().switches() == {}
    chosen = Execution(amp=True, compile=True, channels_last=False, accumulate=2, world=World(0, 3))
    assert chosen.identity() == {"amp": True, "accumulate": 2}
    assert chosen.switches() == {
        "amp": True, "accumulate": 2, "compile": True, "channels_last": False, "processes": 3
    }  # fmt: skip
