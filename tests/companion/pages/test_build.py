"""How `make book` runs the notebooks: side by side, each to its end or with its name."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

SCRIPT = Path(__file__).parents[3] / "book" / "build.py"


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module that the processes it starts can import, with a place of its own."""
    (tmp_path / "book").mkdir()
    copy = tmp_path / "book" / "build.py"
    copy.write_text(SCRIPT.read_text("utf-8"), "utf-8")
    monkeypatch.syspath_prepend(str(copy.parent))
    monkeypatch.setenv("PYTHONPATH", str(copy.parent))
    # these notebooks need nothing that takes long to import
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "local-provisioner")
    monkeypatch.delitem(sys.modules, "build", raising=False)
    spec = importlib.util.spec_from_file_location("build", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "build", module)
    spec.loader.exec_module(module)
    (module.SOURCE / "notebooks").mkdir(parents=True)
    return module


def notebook(folder: Path, name: str, code: str) -> Path:
    path = folder / f"{name}.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    found = new_notebook(cells=[new_code_cell(code)], metadata={"kernelspec": kernel})
    nbformat.write(found, path)
    return path


def test_notebooks_run_side_by_side_and_a_failing_one_is_named(
    build: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    good = [notebook(tmp_path, name, f"print({name!r})") for name in ("one", "two")]
    build.run_notebooks(good, jobs=2)
    for path in good:
        (cell,) = nbformat.read(build.SOURCE / "notebooks" / path.name, as_version=4).cells
        assert cell.outputs[0].text == f"{path.stem}\n"
        assert "papermill" not in cell.metadata
    assert {"[1/2] one  running", "[2/2] two  running"} <= set(capfd.readouterr().out.splitlines())
    bad = notebook(tmp_path, "three", "x = 1\n1 / 0")
    with pytest.raises(build.NotebookError, match=r"three\.ipynb failed in cell 1, .*'x = 1'"):
        build.run_notebooks([bad], jobs=1)


def test_a_figure_takes_the_words_that_were_made_from_its_data(
    build: ModuleType, tmp_path: Path
) -> None:
    kind = "image/svg+xml"
    bundle = f"{{{kind!r}: '<svg/>'}}, {{{kind!r}: {{'alt': 'GA 3.0'}}}}"
    code = f"class Shown:\n    def _repr_mimebundle_(self, **_):\n        return {bundle}\nShown()"
    path = notebook(tmp_path, "figure", code)
    found = nbformat.read(path, as_version=4)
    found.cells[0].metadata["mystnb"] = {"image": {"alt": "any", "classes": "dark-light"}}
    nbformat.write(found, path)
    build.run_notebooks([path], jobs=1)
    (cell,) = nbformat.read(build.SOURCE / "notebooks" / path.name, as_version=4).cells
    assert cell.metadata.mystnb.image == {"alt": "GA 3.0", "classes": "dark-light"}
    assert cell.outputs[0].data[kind] == "<svg/>"


def test_fewer_jobs_than_one_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--jobs", "0"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "--jobs: should be at least 1; found 0" in done.stderr
