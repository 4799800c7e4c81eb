"""What ``make test`` adds to pytest: what takes long starts first, notebooks run with one seed.

The cells whose outputs nbval compares show published records and theory, and know nothing of
``seeds``; the cells of live runs, whose outputs are not compared, run all their methods once.
``make book`` runs each notebook as it is, with all its seeds.
"""

import re

import pytest

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
            cell.source = re.sub(r'^(seeds: str = )"[^"]*"', r'\1"0"', cell.source, flags=re.M)
