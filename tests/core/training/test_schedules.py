"""The learning rate of every step, for every method that takes steps and every schedule."""

import math
from typing import Any

import pytest
import torch

from toys import problem, unlearned
from ugradsl_core.methods import METHODS

LR = 0.02
CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name, method in METHODS.items() if "schedule" in method.config.model_fields),
    ("l1-sparse", {"variant": "epochs"}),
    ("rl", {"variant": "shuffled"}),
    ("eu-k", {"variant": "every-epoch"}),
    ("scrub", {"variant": "joint"}),
    ("scrub", {"msteps": 0}),
    ("scrub", {"msteps": 9}),
    ("salun", {"order": "shuffled", "variant": "gradient"}),
    ("neggrad+", {"epoch_over": "forget"}),
    *((name, {"epoch_count": "E-1"}) for name in ("neggrad+", "ugradsl", "ugradsl+")),
]


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def expected(schedule: str, steps: int) -> list[float]:
    """In closed form; one cycle rises from 1/25 over 30 % of the steps and falls to 1/250,000."""
    if schedule == "constant":
        return [LR] * steps
    if schedule == "cosine":
        return [half_cosine(LR, 0.0, t / steps) for t in range(steps)]
    top, last = 0.3 * steps - 1, steps - 1
    return [
        half_cosine(LR / 25, LR, t / top)
        if t <= top
        else half_cosine(LR, LR / 250_000, (t - top) / (last - top))
        for t in range(steps)
    ]


@pytest.fixture
def rates(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    found: list[float] = []
    step = torch.optim.SGD.step

    def noted(self: torch.optim.SGD, *args: Any, **kwargs: Any) -> Any:
        found.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", noted)
    return found


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
@pytest.mark.parametrize(("name", "changes"), CASES)
def test_the_whole_run_follows_the_schedule(
    name: str, changes: dict[str, Any], schedule: str, rates: list[float]
) -> None:
    size = {"forget_batch_size": 3} if name == "scrub" else {}
    subject = problem("linear", 22, 10)
    result = unlearned(
        name, subject, schedule=schedule, lr=LR, batch_size=4, epochs=3, **size, **changes
    )
    noisy = result.steps - len(rates)  # of PABI, whose rate η belongs to its guarantee
    assert noisy == (10 if name == "pabi" else 0)
    assert len(rates) >= 6
    assert rates == pytest.approx(expected(schedule, len(rates)), rel=1e-9, abs=1e-15)


@pytest.mark.parametrize("schedule", ["cosine", "one-cycle"])
@pytest.mark.parametrize("name", ["ft", "scrub", "ugradsl+"])
def test_no_epochs_need_no_rates(name: str, schedule: str, rates: list[float]) -> None:
    assert unlearned(name, problem("linear"), schedule=schedule, epochs=0).steps == 0
    assert rates == []
