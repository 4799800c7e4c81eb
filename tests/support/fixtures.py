"""One thread, reproducible hypothesis, and the command line inside this process."""

import os
import sys
from collections.abc import Callable, Iterator

import hypothesis
import pytest
import threadpoolctl
import torch

import forked

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for subprocesses
torch.set_num_threads(1)
threadpoolctl.threadpool_limits(1)
hypothesis.settings.register_profile(
    "unit", max_examples=25, deadline=None, derandomize=True, database=None
)
hypothesis.settings.load_profile("unit")

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run ``ugradsl`` with arguments; returns exit code, stdout and stderr."""
    from companion.cli.main import main

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["ugradsl", *map(str, arguments)])
        capsys.readouterr()
        code: object = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        out, err = capsys.readouterr()
        return int(code or 0), out, err

    return run


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Python that has imported what ``ugradsl`` needs, where a test starts many."""
    with forked.interpreter(tmp_path_factory.mktemp("python")) as path:
        yield path
