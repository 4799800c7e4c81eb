"""What ``make test`` adds to pytest: what takes long starts first, notebooks' live runs are short.

The cells whose outputs nbval compares show published records and theory, and know nothing of the
seeds and of the grids of sweeps. The cells of live runs, whose outputs are not compared, run all
their methods with the first seed, and the ends of their grids. ``make book`` runs each notebook as
it is.
"""

import re

import pytest

GRID = re.compile(
    r'^((?:seeds|fractions|p_values|alpha_values|beta_values|epochs): str = ")([^"]+)"', re.M
)
LONGEST = (
    # unit tests that start processes or train, though they are few
    "test_gpu",
    "test_grid",
    "test_adding",
    "test_processes",
    "test_experiments",
    "test_presentation",
    "test_campaign",
    "test_wheel",
    "test_label_ldp",
    "test_cli_refusals",
    "test_build",
    "test_workers",
    # notebooks
    "method_comparison",
    "class_wise_forgetting",
    "random_forgetting",
    "theory_5_theorem_2",
    "adaptive_rate",
    "stability",
    "own_checkpoint",
    "theory_2_influence",
    "epochs",
    "sharper_questions",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        cell = getattr(item, "cell", None)  # of a notebook
        if cell is not None and "parameters" in cell.metadata.get("tags", []):
            cell.source = GRID.sub(_shorter, cell.source)


def _shorter(found: re.Match[str]) -> str:
    first, *others = found[2].split(",")
    ends = [first] if found[1].startswith("seeds") else [first, *others[-1:]]
    return f'{found[1]}{",".join(ends)}"'
