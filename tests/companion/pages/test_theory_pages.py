"""Parameters, drawings and moving figures of the theory's chapters 4, 6, 7 and 8."""

import json
import re

import pytest

from companion.experiments.records.summary import published
from companion.experiments.theory.landscape import facts, spectra_of
from companion.figures import interactive
from companion.figures.style import to_svg
from companion.figures.theory import Curve, contours, counted_mask, domain, plot, signed
from companion.notebooks.parameters import check_parameters
from ugradsl_core.errors import ConfigError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"alpha": 0.3}, r"alpha: should be negative \(Theorem 3\); found 0\.3"),
        ({"alpha": 1.5}, r"alpha: should be negative \(Theorem 3\)"),
        ({"alpha": -3}, r"alpha: should lie in \(-1\.111, 0\), where Theorem 3's condition"),
        ({"alpha": -1.5, "num_classes": 2}, r"alpha: should lie in \(-1\.111, 0\)"),
        ({"gamma1": 0.5}, "gamma1: should be larger than gamma2"),
        ({"gamma2": 0}, r"gamma2: should be a positive number \(Theorem 3\)"),
        ({"num_classes": 1}, r"num_classes: .* at least 2 \(Definition 1\)"),
        ({"l2": 0}, "l2: should be greater than 0"),
    ],
)
def test_label_ldp_refuses_what_is_outside_the_theorem(changes: dict, message: str) -> None:
    """The digits have ten classes, whatever K the curves are drawn for."""
    with pytest.raises(ConfigError, match=message):
        check_parameters("theory_6_label_ldp", **changes)


@pytest.mark.parametrize(
    ("notebook", "changes", "message"),
    [
        ("theory_4_smoothing", {"alpha": 0.2}, "alpha: should be less than 0"),
        ("theory_4_smoothing", {"num_classes": 1}, "num_classes: should be greater than or equal"),
        ("theory_4_smoothing", {"confidence": 1}, "confidence: should be less than 1"),
        ("theory_7_cost", {"n": 0}, "n: should be greater than or equal to 1"),
        ("theory_7_cost", {"beta": 2}, "beta: should be less than or equal to 1"),
        ("theory_8_landscape", {"points": 4}, "points: should be odd"),
        ("theory_8_landscape", {"radius": 0}, "radius: should be greater than 0"),
    ],
)
def test_other_chapters_refuse_bad_values(notebook: str, changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_parameters(notebook, **changes)


def data_of(text: str) -> dict:
    (found,) = re.findall(r'<script type="application/json">(.*?)</script>', text)
    return json.loads(found)


def test_a_moving_figure_carries_its_data_and_a_sentence_for_readers_without_scripts() -> None:
    text = interactive.label_ldp(-0.4, 2.0, 10)
    assert data_of(text)["ratio"] == 2.0
    assert interactive.FALLBACK in text
    assert 'role="group"' in text
    assert text.index("theory.js") < text.index("theory-label-ldp.js")
    assert "http" not in text


def test_data_cannot_end_their_script() -> None:
    text = interactive.figure("gls", 'a "label"', {"x": "</script><b>"})
    assert data_of(text) == {"x": "</script><b>"}
    assert "&quot;label&quot;" in text


def test_every_script_is_there() -> None:
    from companion.files import NOTEBOOK_FOLDER

    static = NOTEBOOK_FOLDER.parent / "book" / "_static"
    for names in interactive.SCRIPTS.values():
        assert all((static / name).is_file() for name in names)


def test_the_playground_has_the_books_colours_and_scripts_in_order() -> None:
    text = interactive.playground()
    colours = data_of(text)["colours"]
    assert len({*colours["classes"], colours["forget"], colours["retain"]}) == 5
    assert interactive.PLAYGROUND_FALLBACK in text
    places = [text.index(name) for name in ("theory.js", "playground.js", "playground-view.js")]
    assert places == sorted(places)


def test_a_surface_keeps_the_order_of_rows_and_columns() -> None:
    data = data_of(interactive.landscape([-1.0, 0.0, 1.0], [[1, 2, 3], [4, 5, 6], [7, 8, 9]]))
    assert data["plane"][0] == [1, 2, 3]


def test_signed_numbers_have_a_true_minus() -> None:
    assert signed(-0.4) == "−0.4"
    assert signed(2, ".1f") == "2.0"


def test_drawings_are_the_same_from_byte_to_byte() -> None:
    def draw() -> list[str]:
        curve = Curve([1, 2, 4], [3, 1, 2], "nls", marker="o")
        grid = [[1.0, 2.0, 9.0], [1.5, 0.1, 3.0], [2.0, 5.0, 8.0]]
        drawings = [
            plot({"a": curve, "_b": curve}, "x", "y", xscale="log2", marked={2: "here"}),
            domain([1, 2], [0, -1], [0, -1.1], ("a", "b", "c"), "r", "α"),
            counted_mask([[True, False], [True, True]], "f", "r", ("right", "below")),
            contours([-1, 0, 1], grid, "loss"),
        ]
        return [to_svg(drawing) for drawing in drawings]

    assert draw() == draw()


def test_the_published_landscape_is_whole() -> None:
    (record,) = published("cifar10-random10", "bench-landscape")
    found = record.metrics
    size = len(found["coordinates"])
    assert [len(row) for row in found["plane"]] == [size] * size
    assert found["plane"][size // 2][size // 2] == pytest.approx(found["loss"], rel=1e-5)
    first = spectra_of(record)[0]
    assert float(first.values[0]) + float(first.residuals[0]) < 0 < float(first.values[-1])
    assert float(first.weights.sum()) == pytest.approx(1, abs=1e-5)


def test_facts_of_a_record_add_up() -> None:
    (record,) = published("cifar10-random10", "bench-landscape")
    rows = facts(record)
    shares = [text for name, text in rows.items() if name.startswith("share")]
    total = sum(float(text.split("%")[0]) for text in shares)
    assert total == pytest.approx(100, abs=0.02)
    assert rows["smallest eigenvalue"].startswith("−")
