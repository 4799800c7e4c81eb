"""Imports flow one way, modules stay short, and importing the package stays cheap."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import ugradsl_core

PACKAGE = Path(ugradsl_core.__file__).parent

# Each module imports only from those above it. A new module needs its place here.
LAYERS = [
    ["errors", "checks", "world", "checkpoint", "types", "config", "config_docs", "files", "hub"],
    ["transfer"],
    ["measurements"],
    ["data.sources", "data.arrays", "data.roots", "data.originals", "data.cache", "data.decoding"],
    ["data.digits", "data.cifar_names", "data.cifar", "data.svhn", "data.fashion"],
    ["data.mnist_m", "data.celeba"],
    ["data.file_list", "data.listing", "data.stream", "data.reading", "data.folders"],
    ["data.text", "data.newsgroups", "data.words"],
    ["data"],
    ["models.layers", "models.spec", "models.contents", "models.heads"],
    ["models.images", "models.text", "models.own"],
    ["models.pretrained", "models"],
    ["index_files", "splits", "smoothing"],
    ["distributed", "steps", "training"],
    ["spectrum", "risks", "solvers", "influence", "minima", "theorems", "theory_losses"],
    ["privacy", "cost", "landscape"],
    ["unlearning.common", "unlearning.mixed", "theory"],
    ["unlearning.retrain", "unlearning.no_step"],
    ["unlearning.ft", "unlearning.ga", "unlearning.neggrad_plus"],
    ["unlearning.ff", "unlearning.iu", "unlearning.boundary", "unlearning.l1_sparse"],
    ["unlearning.layerwise", "unlearning.scrub", "unlearning.pabi"],
    ["unlearning.rl", "unlearning.salun"],
    ["unlearning.ugradsl", "unlearning.limits", "unlearning"],
    ["attack", "metrics", "theory_measures"],
    ["user_data", "api", "__init__"],
    ["provenance", "settings", "store", "problems", "feasible", "experiments"],
    ["landscape_records"],
    ["figure6"],
    ["results", "paper", "paper_text", "statistics"],
    ["paper_preset_methods", "paper_presets", "regime"],
    ["pages_markdown", "audit.lines", "audit.spreads", "audit.slips", "audit.gaps"],
    ["audit.findings", "audit.ranks", "audit.reports", "audit.values", "audit.copies", "audit"],
    ["claims.rules", "claims.paper", "claims.paper_sweeps", "claims.published", "claims.records"],
    ["claims.records_sweeps", "claims.table", "claims"],
    ["parameters_paper", "parameters_theorems", "parameters_theory", "parameters", "live"],
    ["plans", "passes", "footprint", "sizes", "estimate", "calibration", "grid"],
    ["protocol", "presets_text", "search", "campaign", "gpu"],
    [
        "cli_options",
        "cli_publish",
        "cli_tables",
        "cli_data",
        "cli_plan",
        "cli_estimate",
        "cli_grid",
        "cli_experiments",
        "cli_landscape",
        "cli_figure6",
        "cli_campaign",
        "cli_gpu",
    ],
    ["cli_paper", "cli_presets", "cli_regime", "cli", "__main__"],
    ["tables", "comparison", "figures", "figures_results", "figures_theory", "interactive"],
    ["figures_influence", "figures_streaming"],
    [
        "pages_data",
        "figures_methods",
        "pages_backbones",
        "pages_references",
        "pages_speed",
        "pages_pabi",
        "pages_card_text",
        "pages_card_runs",
    ],
    ["pages_cards", "pages_methods", "pages_theory", "pages_streaming"],
    ["figures_audit", "tables_audit", "pages_claims", "pages_numbers", "pages_presets"],
    ["pages_scale", "pages_gpu", "pages_search", "pages_time"],
    ["pages_errata", "pages_landing", "pages"],
]
ORDER = [module for layer in LAYERS for module in layer]


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """Modules of the package that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] != "ugradsl_core":
                continue
            inner = name.removeprefix("ugradsl_core").removeprefix(".")
            while inner and inner not in MODULES:  # a function or class of a module
                inner = inner.rpartition(".")[0]
            found.add(inner or "__init__")
    return found


def test_every_module_has_its_place() -> None:
    assert sorted(ORDER) == sorted(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_imports_flow_one_way(module: str) -> None:
    above = set(ORDER[: ORDER.index(module)])
    assert imports(MODULES[module]) <= above


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_longer_than_500_lines(module: str) -> None:
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= 500


def modules_after(statement: str) -> set[str]:
    code = f"{statement}\nimport json, sys\nprint(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_importing_the_package_leaves_heavy_libraries_out() -> None:
    loaded = modules_after("import ugradsl_core")
    heavy = {"pandas", "matplotlib", "seaborn", "sklearn", "optuna", "papermill", "typer"}
    assert not heavy & loaded


def test_the_metrics_import_neither_models_nor_loaders() -> None:
    assert imports(MODULES["metrics"]) == {"attack", "checks", "errors"}
