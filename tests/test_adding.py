"""Adding a method, a data set and a page, done as CONTRIBUTING says in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "book" / "examples" / "my_ideas.py"
CARD = """# To uniform: cross-entropy on D_r, ignorance on D_f

::::{div} lead
One sentence on what it does. One sentence on why {cite}`jia2023model`.
::::

"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the code, the pages and the table of contents."""
    kept = shutil.ignore_patterns("__pycache__", "_generated", "_static", "results")
    for folder in ("ugradsl_core", "book"):
        shutil.copytree(ROOT / folder, tmp_path / "copy" / folder, ignore=kept)
    shutil.copy(ROOT / "_toc.yml", tmp_path / "copy")
    return tmp_path / "copy"


def put(path: Path, before: str, text: str) -> Path:
    """Insert ``text`` into a file before the only place where ``before`` is."""
    whole = path.read_text("utf-8")
    assert whole.count(before) == 1, (path.name, before)
    path.write_text(whole.replace(before, text + before), "utf-8")
    return path


def new(path: Path, text: str) -> Path:
    assert not path.exists()
    path.write_text(text, "utf-8")
    return path


def python(copy: Path, *arguments: str) -> str:
    """Run the copy's code, and not the installed one."""
    paths = os.pathsep.join(map(str, (copy, copy / "book")))
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_a_method_takes_six_files(copy: Path) -> None:
    """The own method of the book becomes one of the project's, its test the second file."""
    source = EXAMPLE.read_text("utf-8").replace(
        "from ugradsl_core.methods import Problem, UnlearnConfig, UnlearnResult\n"
        "from ugradsl_core.methods.common import run_training, spawn\n",
        "from ugradsl_core.methods.common import UnlearnConfig, run_training, spawn\n"
        "from ugradsl_core.methods.method import Method\n"
        "from ugradsl_core.methods.problem import Problem, UnlearnResult\n",
    )
    source += (
        '\n\nMETHOD = Method("To uniform", to_uniform, ToUniformConfig, "D_r, D_f", '
        '"descent on D_r, ignorance on D_f", "2n_r")\n'
    )
    methods = copy / "ugradsl_core" / "methods"
    registry = put(
        methods / "__init__.py",
        "from ugradsl_core.methods.ugradsl import",
        "from ugradsl_core.methods import to_uniform\n",
    )
    put(registry, "}\n\n\ndef is_own_method", '    "to-uniform": to_uniform.METHOD,\n')
    body = (
        "from ugradsl_core.methods import METHODS\n"
        'assert METHODS["to-uniform"].config().weight == 1.0\n'
    )
    (copy / "tests").mkdir()
    changed = {
        new(methods / "to_uniform.py", source),
        registry,
        new(copy / "tests" / "test_to_uniform.py", body),
        new(copy / "book" / "methods" / "to-uniform.md", CARD),
        put(copy / "_toc.yml", "          - file: book/methods/ft\n",
            "          - file: book/methods/to-uniform\n            title: To uniform\n"),
        put(copy / "book" / "references.bib", "@inproceedings{jia2023model",
            "@misc{somebody2026uniform,\n  title = {To uniform}\n}\n\n"),
    }  # fmt: skip
    assert len(changed) <= 6
    out = python(
        copy, "-c",
        "import runpy, sys\n"
        "runpy.run_path('copy/tests/test_to_uniform.py')\n"
        "from pathlib import Path\n"
        "from companion.__main__ import main\n"
        "from companion.experiments.runs import protocol\n"
        "from companion.experiments.settings.labels import title_of\n"
        "from companion.figures.style import mark\n"
        "from companion.pages import cards, methods\n"
        "from companion.paper.names import name\n"
        "book = Path('copy/book')\n"
        "print(name('to-uniform'), title_of('to-uniform'), mark('to-uniform')['marker'])\n"
        "print(*protocol.find_space('to-uniform').dimensions)\n"
        "print('weight' in cards.defaults('to-uniform', book))\n"
        "print('>To uniform<' in methods.overview(book))\n"
        "sys.argv = ['ugradsl', *sys.argv[1:]]\n"
        "main()\n",
        "experiment", "digits-random10", "--methods", "retrain,to-uniform", "--store",
        str(copy / "store"), "-p", "training.epochs", "1", "-p", "to-uniform.epochs", "1",
    )  # fmt: skip
    *found, table = out.split("\n", 4)
    assert found == ["To uniform To uniform o", "epochs lr weight", "True", "True"]
    assert "To uniform" in table


STRIPES = '''"""Stripes that lie or stand: made, nothing to get."""

from pathlib import Path

import numpy as np

from companion.experiments.data.parts import DataBundle, Part, bundle
from companion.experiments.data.images import Transform


def load_stripes(root: Path | None = None, *, download: bool = False) -> DataBundle:
    """2,000 noisy pictures, 8×8, of stripes that lie or stand."""
    draw = np.random.default_rng(0)
    parts = []
    for size in (1600, 400):
        labels = draw.integers(0, 2, size)
        lying = np.tile((np.arange(8) % 2 * 255)[:, None], (1, 8))
        images = np.where(labels[:, None, None] == 0, lying, lying.T)
        noisy = np.clip(images + draw.normal(0, 40, images.shape), 0, 255)
        parts.append(Part(noisy.astype(np.uint8)[..., None], labels))
    names = ("lying", "standing")
    return bundle("stripes", *parts, Transform(255.0, (0.5,), (0.5,), 1), names, "made")
'''
ROW = """    "stripes": DataSource(
        title="Stripes",
        loader=stripes.load_stripes,
        computed=True,
        kind="images in memory",
        train=1600,
        test=400,
        classes=2,
        shape=(1, 8, 8),
        citation=(),
        licence="CC0.",
        url="https://example.org",
        get="Made; nothing to get.",
    ),
"""


def test_a_data_set_takes_three_files(copy: Path) -> None:
    """Its loader, its row, its test."""
    data = copy / "book" / "companion" / "experiments" / "data"
    row = put(data / "sources.py", '    "digits": DataSource(\n', ROW)
    put(row, "    svhn,\n    words,\n", "    stripes,\n")
    (copy / "tests").mkdir()
    body = (
        "from companion.experiments.data import load\n"
        'assert load("stripes").train.checksum == load("stripes").train.checksum\n'
    )
    changed = {
        new(data / "sets" / "stripes.py", STRIPES),
        row,
        new(copy / "tests" / "test_stripes.py", body),
    }
    assert len(changed) <= 3
    out = python(
        copy, "-c",
        "import runpy, sys\n"
        "runpy.run_path('copy/tests/test_stripes.py')\n"
        "from pathlib import Path\n"
        "from companion.__main__ import main\n"
        "from companion.pages import data\n"
        "from companion.paper.names import name\n"
        "book = Path('copy/book')\n"
        "print(name('stripes'), '<td>stripes</td><td>1,600</td>' in data.overview(book))\n"
        "print('### Stripes' in data.cards(book))\n"
        "sys.argv = ['ugradsl', *sys.argv[1:]]\n"
        "main()\n",
        "experiment", "digits-random10", "--methods", "retrain,ft", "--store", str(copy / "store"),
        "-p", "dataset", "stripes", "-p", "training.epochs", "1", "-p", "ft.epochs", "1",
    )  # fmt: skip
    *found, table = out.split("\n", 2)
    assert found == ["Stripes True", "True"]
    assert "FT" in table


def test_a_page_takes_three_files(copy: Path) -> None:
    """Its text, its place in the table of contents, and the fragment that is computed."""
    fragments = put(
        copy / "book" / "companion" / "pages" / "fragments.py",
        '    "notation.md": notation,\n',
        '    "count.md": lambda _: f"{len(METHODS)} methods",\n',
    )
    put(fragments, "\nFragment = ", "from ugradsl_core.methods import METHODS\n")
    page = copy / "book" / "count.md"
    changed = {
        new(page, "# How many methods\n\n```{include} _generated/count.md\n```\n"),
        put(copy / "_toc.yml", "      - file: book/own-model\n", "      - file: book/count\n"),
        fragments,
    }
    assert len(changed) <= 3
    python(
        copy, "-c",
        "from companion.pages.fragments import FRAGMENTS\n"
        "from pathlib import Path\n"
        "path = Path('copy/book/_generated/count.md')\n"
        "path.parent.mkdir()\n"
        "path.write_text(FRAGMENTS[path.name](Path('copy/book')), 'utf-8')\n",
    )  # fmt: skip
    (include,) = re.findall(r"\{include\} (\S+)", page.read_text("utf-8"))
    assert re.fullmatch(r"\d\d methods", (page.parent / include).read_text("utf-8"))
