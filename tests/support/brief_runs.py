"""Live runs whose original model is soon trained."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from companion.experiments.settings.changes import Plan
from companion.notebooks import live
from companion.notebooks.parameters import Experiment


def train_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the setting of a notebook's parameters few samples, and its original one epoch."""
    full: Callable[[Experiment], Plan] = live.plan_of

    def small_plan(parameters: Experiment) -> Plan:
        plan = full(parameters)
        one = plan.setting.training.replace(epochs=1)
        setting = plan.setting.replace(train_size=60, validation_size=0, training=one)
        return replace(plan, setting=setting)

    monkeypatch.setattr(live, "plan_of", small_plan)
