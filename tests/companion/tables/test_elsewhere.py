"""The other settings of an experiment, with and without records, and those that stand in."""

from pathlib import Path

import pytest

from campaign_records import results, write
from companion.tables.elsewhere import CLASS_WISE, RANDOM, Place, elsewhere


def test_without_records_the_papers_order_is_there_and_ours_is_not_run(tmp_path: Path) -> None:
    text = elsewhere(RANDOM + CLASS_WISE, root=tmp_path)
    assert text.count("<details") == len(RANDOM + CLASS_WISE) == text.count("not run yet</summary>")
    assert "CIFAR-100, random 10 %: the paper's Table 2" in text
    assert "in Table 2 UGradSL+ 3.75, PABI 4.42" in text
    assert "The paper prints SVHN; ours is MNIST-M" in text


def test_a_setting_with_records_shows_ours(tmp_path: Path) -> None:
    gaps = {"ugradsl+": [1.0, 1.1, 1.2], "neggrad+": [4.0, 4.1, 4.2], "ft": [9.0, 9.5, 9.1]}
    write(tmp_path, results(gaps, "cifar100-random10"), "cifar100-random10")
    text = elsewhere([Place("cifar100-random10", 2), Place("mnist-m-random10", 10, "svhn")],
                     root=tmp_path)  # fmt: skip
    assert "Table 2, with our records</summary>" in text
    assert "Table 10, not run yet</summary>" in text
    assert "take-away" in text


@pytest.mark.parametrize("place", [Place("mnist-m-random10", 10, "svhn")])
def test_a_stand_in_with_records_has_a_table_of_its_own(place: Place, tmp_path: Path) -> None:
    gaps = {"ugradsl+": [1.0, 1.1, 1.2], "ft": [9.0, 9.5, 9.1]}
    write(tmp_path, results(gaps, place.preset), place.preset)
    text = elsewhere([place], root=tmp_path)
    assert "Our version of the paper's Table" not in text
    assert "results-table" in text
