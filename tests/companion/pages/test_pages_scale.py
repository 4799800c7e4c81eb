"""The page on the paper's scale shows what the estimate reckons, for every setting of the paper."""

import re
from pathlib import Path

import pytest

from companion.experiments.costs.estimate import costs
from companion.experiments.costs.sizes import known_sizes
from companion.experiments.grid.grid import WORKFLOW, read_grid
from companion.experiments.settings import preset
from companion.pages import scale
from ugradsl_core.training import Execution

BOOK = Path(__file__).parents[3] / "book"


def rows(table: str) -> list[list[str]]:
    """The cells of a list-table, the header first."""
    found: list[list[str]] = []
    for line in table.splitlines():
        if line.startswith("* - "):
            found.append([line[4:]])
        elif line.startswith("  - "):
            found[-1].append(line[4:])
    return found


@pytest.fixture(scope="module")
def memory() -> list[list[str]]:
    return rows(scale.memory(BOOK))


@pytest.fixture(scope="module")
def operations() -> list[list[str]]:
    return rows(scale.operations(BOOK))


def test_every_setting_of_the_paper_has_its_operations(operations: list[list[str]]) -> None:
    assert [row[0].strip("`") for row in operations[1:]] == list(preset.load_presets("paper"))
    assert all(len(row) == len(operations[0]) for row in operations)


def test_every_data_set_and_model_of_the_paper_has_its_memory(memory: list[list[str]]) -> None:
    pairs = {
        (s.dataset, s.model)
        for s in (preset.preset_setting(n, "paper") for n in preset.load_presets("paper"))
    }
    assert len(memory) == 1 + len(pairs)
    assert len({row[0] for row in memory}) == len(memory)
    assert all(len(row) == len(memory[0]) for row in memory)


def test_the_numbers_are_those_of_the_estimate(
    memory: list[list[str]], operations: list[list[str]]
) -> None:
    name = "cifar100-class"
    setting = preset.preset_setting(name, "paper")
    labels = ("retrain", "ugradsl", "ff")
    configs = {label: preset.preset_config(label, name, "paper") for label in labels}
    found = {r.label: r for r in costs(setting, configs, known_sizes(setting), Execution())}
    row = next(row for row in memory if row[0].startswith("CIFAR-100, "))
    shown = dict(zip(memory[0], row, strict=True))
    assert float(shown["Training"]) == pytest.approx(found["retrain"].peak / 2**30, abs=0.05)
    assert float(shown["UGradSL"]) == pytest.approx(found["ugradsl"].peak / 2**30, abs=0.05)
    assert float(shown["FF"]) == pytest.approx(found["ff"].peak / 2**30, abs=0.05)
    assert float(shown["UGradSL, 4 micro-batches"]) < float(shown["UGradSL"])
    row = next(row for row in operations if row[0] == f"`{name}`")
    shown = dict(zip(operations[0], row, strict=True))
    for label, title in (("retrain", "Retrain"), ("ugradsl", "UGradSL"), ("ff", "FF")):
        assert float(shown[title]) == pytest.approx(found[label].flops / 1e15, rel=0.01)


def test_the_grid_on_the_page_is_the_one_in_the_package() -> None:
    text = scale.grid_file(BOOK)
    assert (WORKFLOW / "paper.yaml").read_text("utf-8").strip() in text
    assert read_grid(WORKFLOW / "paper.yaml").gpus == 1


def test_the_page_includes_its_fragments_and_claims_no_measurement() -> None:
    page = (BOOK / "paper-scale.md").read_text("utf-8")
    for fragment in scale.FRAGMENTS:
        assert f"_generated/{fragment}" in page
    assert "No number on this page was measured on a GPU" in page
    assert not re.search(r"\d (GiB|GB|hours|FLOP)", page)


def test_numbers_as_readers_see_them() -> None:
    assert [scale.gib(x * 2**30) for x in (0.04, 1.44, 9.94, 9.96, 64.9)] == [
        "0.0", "1.4", "9.9", "10", "65"
    ]  # fmt: skip
    assert [scale.peta(x) for x in (3.33e13, 2.664e16, 1.2345e18, 1e15)] == [
        "0.0333", "26.6", "1,230", "1"
    ]  # fmt: skip
