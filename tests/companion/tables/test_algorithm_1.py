"""Algorithm 1 beside our code: every line is found, once, and the table follows the source."""

import inspect
import re

import pytest

from companion.tables import algorithm_1
from companion.tables.algorithm_1 import LINES, Line, Place, side_by_side, source_of
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import mixed


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.number)
def test_every_line_is_in_the_source(line: Line) -> None:
    assert line.ours
    for place in line.ours:
        text, number = source_of(place)
        path = inspect.getsourcefile(place.function)
        assert path is not None
        with open(path, encoding="utf-8") as file:
            written = file.read().splitlines()[number - 1]
        assert written.strip() == text.splitlines()[0].strip()
        assert place.holds in written


def test_the_papers_numbered_lines_are_all_there_but_the_ends_of_blocks() -> None:
    found = {int(n) for line in LINES for n in re.findall(r"\d+", line.number)}
    assert found == set(range(1, 15)) - {11, 13}


def test_a_line_that_is_gone_is_said() -> None:
    with pytest.raises(ConfigError, match="_loss: has no line with 'nowhere'"):
        source_of(Place(mixed._loss, "nowhere"))


def test_the_table_shows_both_sides() -> None:
    text = side_by_side()
    assert text.count("<li ") == len(LINES)
    assert "return p * retain_loss - (1 - p) * forget_loss" in text
    assert "α<sub>j</sub> = c<sub>j</sub><sup>f</sup> / |B<sub>f</sub>|" in text


@pytest.mark.parametrize("alpha", [None, -0.4])
def test_the_diagrams_words_say_what_is_drawn(alpha: float | None) -> None:
    shown = algorithm_1.framework(alpha, 0.9)
    assert "p = 0.9" in shown.alt
    assert ("distances of its features" in shown.alt) == (alpha is None)
    assert shown.svg == algorithm_1.framework(alpha, 0.9).svg
