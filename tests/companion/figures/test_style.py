"""Colours and marks: every method its own, legible on both grounds and to colour-blind readers."""

import itertools

import numpy as np
import pytest

from companion.experiments.settings.labels import LABELS, VARIANTS
from companion.figures.style import FILLS, INK, LOOKS, colour, mark
from ugradsl_core.methods import METHODS

# Machado, Oliveira and Fernandes, IEEE TVCG 15 (6), 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = np.array([0.95047, 1.0, 1.08883])
GROUNDS = {"light": "#ffffff", "dark": "#15191c"}


def linear(code: str) -> np.ndarray:
    value = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    ratio = XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(first: str, second: str, deficiency: str) -> float:
    """CIE76 colour difference as seen with a deficiency; about 2.3 can just be noticed."""
    matrix = DEFICIENCIES[deficiency]
    return float(np.linalg.norm(lab(matrix @ linear(first)) - lab(matrix @ linear(second))))


def contrast(first: str, second: str) -> float:
    low, high = sorted(float(XYZ[1] @ linear(code)) for code in (first, second))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_of_difference() -> None:
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.01)
    assert difference("#ff0000", "#00ff00", "none") > 150
    assert difference("#000000", "#ffffff", "deuteranopia") == pytest.approx(100, abs=0.1)
    assert difference("#ff0000", "#00ff00", "deuteranopia") < 80


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_look(method: str) -> None:
    assert method in LOOKS


def test_every_label_has_a_look_of_its_own() -> None:
    looks = [(style["color"], style["marker"], style["fillstyle"]) for style in map(mark, LABELS)]
    assert len(set(looks)) == len(LABELS)
    assert {label.partition(":")[2] for label in VARIANTS} <= set(FILLS)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_two_methods_of_one_mark_differ_in_colour_to_every_reader(deficiency: str) -> None:
    for first, second in itertools.combinations(METHODS, 2):
        if LOOKS[first][1] == LOOKS[second][1]:
            apart = difference(colour(first), colour(second), deficiency)
            assert apart > 10, (first, second)


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_marks_stand_out_from_the_page(ground: str) -> None:
    for code, _ in LOOKS.values():
        assert contrast(code, ground) >= 3  # WCAG 2.1, 1.4.11


def test_a_label_without_a_look_is_grey() -> None:
    assert colour("something new") == INK
    assert mark("something new")["fillstyle"] == "full"
