"""Figure 1 in the paper's form and in ours: the numbers that are drawn, and those that are not."""

import math

import pytest

import campaign_records as campaign
from companion.experiments.runs.evidence import Evidence
from companion.figures import results
from companion.paper.numbers import load_table
from companion.tables import figure_1

NAME = "cifar10-random10"


def evidence(gaps: dict[str, list[float]]) -> Evidence:
    return Evidence(NAME, "bench", tuple(campaign.results(gaps)), ())


@pytest.mark.parametrize(("part", "best", "gap"), [("a", "ugradsl", 2.23), ("b", "ugradsl+", 3.75)])
def test_the_best_method_is_that_of_the_papers_caption(
    part: figure_1.Part, best: str, gap: float
) -> None:
    """The caption of Figure 1 names the smallest gap of either part, with its number."""
    panel = figure_1.printed_panel(part).set_index("label")
    assert panel["gap"].idxmin() == best
    assert panel["gap"].min() == gap
    assert math.isnan(panel.loc["retrain", "gap"])


def test_every_number_is_the_tables() -> None:
    table = load_table(2)
    table = table[(table.dataset == "cifar100") & (table.metric == "RTE")].set_index("method")
    panel = figure_1.printed_panel("b").set_index("label")
    assert list(panel.index) == list(table.index)
    for label, time in panel["time"].dropna().items():
        assert time == table.loc[label, "mean"]


def test_a_bar_for_each_gap_and_a_point_for_each_time() -> None:
    panel = figure_1.printed_panel("a")
    figure = results.bars_and_time(panel, "h")
    bars, times = figure.axes
    heights = [bar.get_height() for bar in bars.patches]
    assert heights == pytest.approx(list(panel["gap"]), nan_ok=True)
    assert list(times.lines[0].get_ydata()) == pytest.approx(list(panel["time"]), nan_ok=True)


def test_the_words_hold_the_numbers() -> None:
    alt = figure_1.as_printed("b").alt
    assert "UGradSL+: gap 3.75, 3.52 min" in alt
    assert "Retrain: no gap, no run time" in alt


def test_our_intervals_are_those_of_students_t() -> None:
    panel = figure_1.measured_panel(evidence({"ft": [1.0, 2.0, 3.0], "ga": [4.0, 4.0, 4.0]}))
    rows = panel.set_index("label")
    half = 4.302653 / math.sqrt(3)  # t with two degrees of freedom, 97.5 %, times s/√n with s = 1
    assert rows.loc["ft", ["gap", "low", "high"]].tolist() == pytest.approx(
        [2.0, 2 - half, 2 + half], abs=1e-5
    )
    assert math.isnan(rows.loc["ga", "low"])  # no spread, no interval
    assert "ga" in rows.index
    drawn = results.gap_against_passes(panel).axes[0]
    marks = {line.get_label(): line for line in drawn.lines if line.get_marker() != "None"}
    assert marks["FT"].get_ydata()[0] == 2.0
    assert marks["FT"].get_xdata()[0] == rows.loc["ft", "cost"]


def test_nothing_is_drawn_where_nothing_was_run() -> None:
    made = evidence({"ft": [1.0, 2.0]}).results
    alone = {
        "none": (),
        "Retrain alone": tuple(r for r in made if r.method == "retrain"),
        "no Retrain": tuple(r for r in made if r.method == "ft"),
    }
    for records in alone.values():
        shown = figure_1.measured(Evidence(NAME, "bench", records, ()))
        assert "Not run yet" in shown.data
        assert "make campaign" in shown.data
    assert "FT 1.5" in figure_1.measured(Evidence(NAME, "bench", made, ())).alt
