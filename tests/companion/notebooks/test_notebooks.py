"""Notebooks: typed parameters that agree with their checks, and outputs that were committed."""

import ast
from pathlib import Path

import nbformat
import pytest

from companion.files import NOTEBOOK_FOLDER
from companion.notebooks.parameters import NOTEBOOKS

FILES = sorted(NOTEBOOK_FOLDER.glob("*.ipynb"))


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def test_every_notebook_has_a_parameter_check() -> None:
    assert [path.stem for path in FILES] == sorted(NOTEBOOKS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_parameters_cell_agrees_with_its_check(path: Path) -> None:
    tagged = [c for c in read(path).cells if "parameters" in c.metadata.get("tags", [])]
    assert len(tagged) == 1
    found = {}
    for statement in ast.parse(tagged[0].source).body:
        assert isinstance(statement, ast.AnnAssign), "parameters are typed"
        found[statement.target.id] = ast.literal_eval(statement.value)
    model = NOTEBOOKS[path.stem]()
    assert found == model.model_dump()
    for line in tagged[0].source.splitlines():
        assert "  # " in line, "every parameter has a comment, which papermill shows"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebooks_are_committed_with_outputs(path: Path) -> None:
    for cell in read(path).cells:
        if cell.cell_type == "code":
            assert cell.execution_count is not None
            assert all(output.output_type != "error" for output in cell.outputs)
            assert all(output.get("name") != "stderr" for output in cell.outputs)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_figure_has_a_caption_and_a_description(path: Path) -> None:
    for cell in read(path).cells:
        outputs = cell.get("outputs", [])
        if any("image/svg+xml" in output.get("data", {}) for output in outputs):
            assert cell.metadata.mystnb.figure.caption
            assert cell.metadata.mystnb.image.alt


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_notebooks_name_no_path_of_a_machine(path: Path) -> None:
    text = path.read_text("utf-8")
    assert str(NOTEBOOK_FOLDER.parent) not in text
    assert "papermill" not in read(path).metadata
