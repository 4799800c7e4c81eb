"""An installed wheel works from any directory, and its core without the companion's libraries."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = ("accelerate", "curvlinops", "matplotlib", "pandas", "papermill", "PIL")
LEFT_OUT += ("safetensors", "seaborn", "torchvision", "transformers", "typer")
UNLEARN = """
import sys
for name in {left_out!r}:
    sys.modules[name] = None  # as where it is not installed
import torch
from torch.utils.data import TensorDataset
import ugradsl_core
from ugradsl_core import METHODS, evaluate, unlearn

assert ugradsl_core.__file__.startswith({site!r}), ugradsl_core.__file__
torch.manual_seed(0)
inputs, labels = torch.randn(90, 6), torch.arange(90) % 3
retain, forget, test = (TensorDataset(inputs[i::3], labels[i::3]) for i in range(3))


def build():
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))


model = build()
report = evaluate(model, retain=retain, forget=forget, test=test)
assert 0 <= report.MIA <= 100
for method in METHODS:
    sets = dict(retain=retain, forget=forget)
    done = unlearn(method, model, **sets, make_model=build, seed=0)
    assert set(done.model.state_dict()) == set(model.state_dict())
print("unlearned with", len(METHODS))
"""
CALLS = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from companion.__main__ import main

found = []
for words in {calls!r}:
    sys.argv, code = ["ugradsl", *words], 0
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    found.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the wheel in it; its libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source, target = folder / "source", folder / "site"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy2(ROOT / name, source / name)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "ugradsl_core", source / "ugradsl_core", ignore=ignore)
    companion = source / "book" / "companion"
    shutil.copytree(ROOT / "book" / "companion", companion, ignore=ignore)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run(list(map(str, build)), check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    install = [*pip, "install", "--no-deps", "--no-index", "--target", target, wheel]
    subprocess.run(list(map(str, install)), check=True, capture_output=True)
    return target


def run(site: Path, folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_core_unlearns_without_the_companions_libraries(site: Path, tmp_path: Path) -> None:
    done = run(site, tmp_path, "-c", UNLEARN.format(left_out=LEFT_OUT, site=str(site)))
    assert done.returncode == 0, done.stderr
    assert "unlearned with" in done.stdout


def test_the_command_lists_methods_and_presets(site: Path, tmp_path: Path) -> None:
    """The first by the command that was installed, what follows by its function."""
    methods = run(site, tmp_path, site / "bin" / "ugradsl", "methods")
    assert methods.returncode == 0, methods.stderr
    assert "ugradsl+" in methods.stdout
    calls = [["presets"], ["table", "cifar10-random10"], ["audit"]]
    done = run(site, tmp_path, "-c", CALLS.format(calls=calls))
    assert done.returncode == 0, done.stderr
    (code, out, err), *refused = json.loads(done.stdout)
    assert code == 0, err
    assert "digits-random10" in out
    # absent records and tables are a sentence
    for (code, _, err), said in zip(
        refused, ("no published records", "book/paper of a clone of the project"), strict=True
    ):
        assert code == 2
        assert said in err
        assert len(err.splitlines()) == 1


def test_without_the_commands_libraries_one_line_says_how_to_get_them(
    site: Path, tmp_path: Path
) -> None:
    code = "import sys; sys.modules['typer'] = None\nfrom companion.__main__ import main\nmain()"
    done = run(site, tmp_path, "-c", code)
    assert done.returncode == 1
    assert done.stderr == (
        "ugradsl: the command needs typer, which is not installed: "
        'pip install "ugradsl-core[companion]"\n'
    )
