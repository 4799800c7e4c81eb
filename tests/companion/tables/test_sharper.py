"""The words of the page on sharper questions follow its numbers, whichever they are."""

import math

import pandas as pd
import pytest

from companion.figures.sharper import intervals
from companion.tables import sharper

CONTROL = {"gap": 1.0, "accuracy": 0.5, "p": 0.6, "klom": 0.14}


def table(control: float = 0.6, **methods: tuple[float, float, float]) -> pd.DataFrame:
    rows = {"original": {**CONTROL, "p": 0.001}, "retrain:again": {**CONTROL, "p": control}}
    for label, (gap, p, klom) in methods.items():
        rows[label] = {"gap": gap, "accuracy": 0.8, "p": p, "klom": klom}
    return pd.DataFrame(rows).T


def test_measures_that_disagree_are_said_to() -> None:
    text = sharper.take_away(table(ga=(2.0, 0.001, 9.0), ft=(5.0, 0.3, 0.2)), 0.15, 16)
    assert "tells GA from retrained models; it does not tell FT" in text
    assert "GA has the smallest Avg. Gap, 2.0 points, but its KLoM is 9.00 nats" in text
    assert "FT has the smallest KLoM, 0.20 nats, with an Avg. Gap of 5.0 points" in text
    assert "between two sets of 16 retrained models" in text


def test_measures_that_agree_and_an_attack_without_power() -> None:
    text = sharper.take_away(table(ga=(2.0, 0.5, 0.2), ft=(5.0, 0.3, 0.9)), 0.15, 16)
    assert "tells no method from retrained models." in text
    assert "GA has the smallest Avg. Gap, 2.0 points, and the smallest KLoM" in text


def test_p_values_are_corrected_for_their_number() -> None:
    """0.03 alone is significant, and 0.03 twice is not."""
    assert "tells GA" in sharper.take_away(table(ga=(2.0, 0.03, 1.0)), 0.15, 16)
    two = sharper.take_away(table(ga=(2.0, 0.03, 1.0), ft=(2.0, 0.03, 1.0)), 0.15, 16)
    assert "tells no method" in two


def test_a_control_that_fails_is_said_first() -> None:
    text = sharper.take_away(table(control=0.01, ga=(2.0, 0.5, 0.2)), 0.15, 16)
    assert text.startswith("<ul><li>The control failed")


def test_figures_draw_what_is_finite_and_say_all() -> None:
    rows = sharper.panel({"original": (1.0, 0.5, 2.0), "ga": (math.inf, 1.0, math.inf)})
    assert list(rows["method"]) == ["Original", "GA"]
    shown = sharper.figure({"one": rows}, "steps", [3.0])
    assert "one (line at 3.0): Original 1.0, GA none" in shown.alt
    drawn = intervals({"one": rows}, "steps", [3.0]).axes[0]
    marks = [line for line in drawn.lines if line.get_marker() != "None"]
    assert [line.get_xdata()[0] for line in marks] == [pytest.approx(1.0)]
