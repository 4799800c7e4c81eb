"""Bars: none where nobody looks, one at a time where somebody does, and results as without."""

import sys
import types
from typing import Any

import pytest
import torch
from torch import nn

from toys import CPU, same_bits
from ugradsl_core import METHODS, evaluate, unlearn
from ugradsl_core.training import Execution, progress
from ugradsl_core.training.progress import SILENT, Progress
from user_sets import Numbered, line

SETS: dict[str, Any] = {"retain": Numbered(8, 24), "forget": Numbered(0, 8)}


class Bar:
    """Stands in for tqdm and notes what it is told."""

    made: list["Bar"] = []  # noqa: RUF012
    lines: list[str] = []  # noqa: RUF012

    def __init__(self, **options: Any) -> None:
        self.options, self.n, self.closed, self.said = options, options["initial"], False, ""
        assert all(bar.closed for bar in Bar.made), "one bar inside another"
        Bar.made.append(self)

    def update(self, units: int) -> None:
        self.n += units

    def set_postfix_str(self, said: str, refresh: bool) -> None:
        assert not refresh
        self.said = said

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def write(line: str, file: Any) -> None:
        assert file is sys.stderr
        Bar.lines.append(line)


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch) -> list[Bar]:
    monkeypatch.setattr(progress, "_tqdm", lambda: Bar)
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    Bar.made, Bar.lines = [], []
    return Bar.made


def small(method: str) -> dict[str, Any]:
    known = METHODS[method].config.model_fields
    values = {"epochs": 2, "batch_size": 8, "max_iterations": 50}
    return {k: v for k, v in values.items() if k in known}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_counts_what_it_does(method: str, bars: list[Bar]) -> None:
    said: list[list[str]] = []  # at each pass but the probes, which are of one or two samples

    class Listening(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) > 2:
                said.append(list(Bar.lines))
            return super().forward(x)

    plain = unlearn(method, nn.Sequential(line()), **SETS, **small(method), progress=False)
    assert not bars
    assert not Bar.lines
    found = unlearn(method, Listening(line()), **SETS, **small(method), progress=True)
    assert same_bits(plain.model.state_dict(), found.model.state_dict())
    (passes,) = Bar.lines  # named before they start
    assert all(lines == [passes] for lines in said)
    planned = METHODS[method].config(**small(method)).passes(24, 8, 4)
    assert passes.startswith(f"{method}: ")
    assert passes.endswith(str(planned))
    assert bars
    assert all(bar.closed for bar in bars)
    assert all(bar.options["desc"].startswith(method) for bar in bars)
    assert {bar.options["delay"] for bar in bars} == {2.0}
    for bar in bars:
        at_most = bar.options["unit"] == "product"
        assert bar.n == bar.options["total"] or (at_most and 0 < bar.n <= bar.options["total"])
    if "epochs" in METHODS[method].config.model_fields and method != "no-step":
        (steps,) = [bar for bar in bars if bar.options["unit"] == "step"]
        noisy = sum(bar.n for bar in bars if "noisy" in bar.options["desc"])
        assert steps.n == found.result.steps - noisy
        assert steps.said == f"loss {found.result.losses[-1]:.4g}"


def test_evaluation_and_contents_are_counted(bars: list[Bar]) -> None:
    test = Numbered(32, 10)
    evaluate(line(), **SETS, test=test, batch_size=4, progress=True, check_overlap="content")
    titles = [bar.options["desc"] for bar in bars]
    assert titles == [
        *(f"evaluate: comparing {name}" for name in ("retain", "forget", "test")),
        *(f"evaluate: {name}" for name in ("retain", "forget", "test")),
    ]
    assert [bar.n for bar in bars[3:]] == [6, 2, 3]


def test_a_loss_is_read_once_a_second_at_most(
    bars: list[Bar], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each one that is shown makes a GPU wait for it."""
    clock = [0.0]
    monkeypatch.setattr(progress, "REFRESH", 1.0)
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: clock[0]))
    read = []

    class Loss:
        def __float__(self) -> float:
            read.append(clock[0])
            return 0.5

    with Progress(True).bar("", 100, "step") as advance:
        for _ in range(100):
            clock[0] += 0.1
            advance(1, Loss())
    assert len(read) in {9, 10}
    assert bars[0].n == 100


def test_an_error_closes_the_bar(bars: list[Bar]) -> None:
    shown = Progress(True, "ft")
    with pytest.raises(ZeroDivisionError), shown.bar("", 3):
        raise ZeroDivisionError
    assert bars[0].closed
    assert list(shown.over("retain", [1, 2], 2)) == [1, 2]
    assert len(bars) == 2


def terminal(monkeypatch: pytest.MonkeyPatch, answer: bool) -> None:
    monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda: answer))


def test_bars_are_for_somebody_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    monkeypatch.setitem(sys.modules, "IPython", None)
    terminal(monkeypatch, False)
    assert not Progress().shown
    assert Progress(True).shown
    terminal(monkeypatch, True)
    assert Progress().shown
    assert not Progress(False).shown
    monkeypatch.setenv("TQDM_DISABLE", "1")
    assert not Progress().shown
    monkeypatch.setenv("TQDM_DISABLE", "0")
    assert Progress().shown
    terminal(monkeypatch, False)
    for name, notebook in (("ZMQInteractiveShell", True), ("TerminalInteractiveShell", False)):
        shell = types.SimpleNamespace(get_ipython=lambda name=name: type(name, (), {})())
        monkeypatch.setitem(sys.modules, "IPython", shell)
        assert Progress().shown is notebook


def test_the_bar_of_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "DELAY", 0.0)
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    unlearn("ft", line(), **SETS, epochs=2, batch_size=8, progress=True)
    said, shown = capsys.readouterr().err.split("\n", 1)
    assert said == "ft: 2 epochs, 6 steps, 48 samples forward and 48 backward"
    assert "ft: " in shown
    assert "/6 [" in shown
    assert shown.endswith("\r")
    unlearn("ft", line(), **SETS, epochs=2, batch_size=8)
    assert not capsys.readouterr().err


def test_what_is_over_soon_shows_its_passes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    unlearn("ugradsl", line(), **SETS, epochs=1, batch_size=8, progress=True)
    said = "ugradsl: 1 epoch, 1 step, 16 samples forward and 16 backward"
    assert capsys.readouterr().err.strip() == said
    evaluate(line(), **SETS, test=Numbered(32, 10), progress=True)
    assert not capsys.readouterr().err.strip()


def test_executions_are_compared_without_their_bars() -> None:
    assert Execution(progress=Progress(True)) == Execution()
    assert Execution().progress is SILENT
    assert "progress" not in repr(CPU)
    assert CPU.identity() == {}
    assert CPU.switches() == {}
