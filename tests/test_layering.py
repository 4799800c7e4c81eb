"""Folders import downwards only, the core is small and cheap, and it knows nothing of the book."""

import ast
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"ugradsl_core": ROOT / "ugradsl_core", "companion": ROOT / "book" / "companion"}

# A folder imports from the rows above its own; those of one row do not know each other.
CORE = [
    ["errors"],
    ["config", "samples", "smoothing", "metrics"],
    ["models"],
    ["training"],
    ["methods"],
    ["api"],
    ["__init__"],
]
COMPANION = [
    ["files", "figures", "backbones", "theory"],
    ["experiments.data"],
    ["experiments.settings"],
    ["experiments.records"],
    ["experiments.runs"],
    ["experiments.theory", "experiments.costs", "experiments.grid"],
    ["experiments.campaign"],
    ["paper"],
    ["tables", "notebooks"],
    ["cli"],
    ["pages"],
    ["__main__"],
]
ROWS = [
    *([f"ugradsl_core.{folder}" for folder in row] for row in CORE),
    *([f"companion.{folder}" for folder in row] for row in COMPANION),
]
BELOW = ("companion.files", "companion.backbones", "companion.theory")
ROW = {folder: number for number, row in enumerate(ROWS) for folder in row}
HEAVY = {"accelerate", "curvlinops", "matplotlib", "pandas", "papermill", "PIL"}
HEAVY |= {"safetensors", "seaborn", "torchvision", "transformers", "typer"}


def dotted(package: str, path: Path) -> str:
    """The name of a module; ``__init__`` stays in that of a package itself."""
    parts = path.relative_to(PACKAGES[package]).with_suffix("").parts
    if parts[-1] == "__init__" and len(parts) > 1:
        parts = parts[:-1]
    return ".".join([package, *parts])


MODULES = {
    dotted(package, path): path
    for package, folder in PACKAGES.items()
    for path in sorted(folder.rglob("*.py"))
}


def folder_of(module: str) -> str:
    """The row's entry that a module belongs to, such as ``companion.experiments.data``."""
    parts = module.split(".")
    depth = 3 if parts[:2] == ["companion", "experiments"] else 2
    return ".".join(parts[:depth]) if len(parts) > 1 else f"{module}.__init__"


def imports(path: Path) -> set[str]:
    """Modules of the two packages that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            inner = name
            while inner and inner not in MODULES and inner not in PACKAGES:
                inner = inner.rpartition(".")[0]  # a function or class of a module
            if inner:
                found.add(inner)
    return found


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module: str) -> None:
    own = folder_of(module)
    if module in {"companion.__init__", "companion.experiments"}:
        assert imports(MODULES[module]) == set()
        return
    for other in map(folder_of, imports(MODULES[module])):
        assert other == own or ROW[other] < ROW[own], f"{module} imports {other}"
        assert not (own.startswith("ugradsl_core") and other.startswith("companion"))


def test_experiments_use_little_else_of_the_companion() -> None:
    for module, path in MODULES.items():
        if module.startswith("companion.experiments."):
            own = ("companion.experiments", "ugradsl_core", *BELOW)
            assert all(other.startswith(own) for other in imports(path)), module


def test_the_metrics_import_neither_models_nor_loaders() -> None:
    used = {
        other
        for module, path in MODULES.items()
        if module.startswith("ugradsl_core.metrics")
        for other in imports(path)
    }
    assert {folder_of(other) for other in used} == {"ugradsl_core.metrics", "ugradsl_core.errors"}


def test_the_core_is_small() -> None:
    entries = {p.name for p in PACKAGES["ugradsl_core"].iterdir()} - {"__pycache__"}
    assert len(entries - {"__init__.py", "py.typed"}) <= 10
    lines = [
        len(path.read_text("utf-8").splitlines())
        for module, path in MODULES.items()
        if module.startswith("ugradsl_core")
    ]
    assert sum(lines) <= 7_800


def test_the_core_knows_no_folder_of_the_repository() -> None:
    for module, path in MODULES.items():
        if module.startswith("ugradsl_core"):
            assert "__file__" not in path.read_text("utf-8"), module


def run(code: str) -> str:
    paths = [str(ROOT), str(ROOT / "book")]
    code = f"import sys; sys.path[:0] = {paths!r}\n{code}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_core_leaves_heavy_libraries_out() -> None:
    loaded = json.loads(run("import ugradsl_core, json; print(json.dumps(list(sys.modules)))"))
    assert not (HEAVY | {"scipy", "sklearn", "companion"}) & set(loaded)


def test_the_core_does_with_its_own_libraries() -> None:
    """But for several processes, which Accelerate joins, and the figure of a comparison."""
    bring = {"torch", "numpy", "pydantic", "pydantic_core", "scipy", "sklearn", "threadpoolctl"}
    bring |= {"tqdm", "safetensors", "accelerate", "matplotlib", "ugradsl_core"}
    used = set()
    for module, path in MODULES.items():
        if module.startswith("ugradsl_core"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Import):
                    used |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    used.add(str(node.module).partition(".")[0])
    assert used - sys.stdlib_module_names <= bring


def test_every_library_of_the_companion_is_heavy() -> None:
    """So that the test of the wheel does without each of them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    core = {requirement.partition(">")[0] for requirement in project["dependencies"]}
    light = {"torch", "numpy", "pydantic", "scipy", "scikit-learn", "threadpoolctl", "tqdm"}
    assert core == light | {"safetensors"}  # which is imported where a result is saved, not before
    assert not light & HEAVY
