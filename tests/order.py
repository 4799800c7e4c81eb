"""What ``make test`` adds to pytest: what takes long starts first, notebooks' live runs are short.

The cells whose outputs nbval compares show published records and theory, and know nothing of the
seeds, methods and grids of live runs. The cells of live runs, whose outputs are not compared, run
with the first seed, the first distance and sign, the ends of their other grids, and few epochs,
models, points and steps. One notebook runs all methods; the others that run most take six of them.
``make book`` runs each notebook as it is.
"""

import re
import sys
from functools import partial

import pytest

from companion.notebooks import longest

# nbval is imported after this: without this library jsonschema does not compile grammars of
# addresses, which no notebook has, for two seconds in each process.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]

GRID = re.compile(
    r'^((seeds|distances|signs|fractions|(?:p|alpha|beta)_values|epochs): str = ")([^"]+)"', re.M
)
BRIEF = {
    "*": {"epochs": 2, "trained_epochs": 2, "models": 6, "widest": 64, "forget_sets": 3},
    "theory_8_landscape": {"points": 5, "steps": 5, "starts": 1},
}
SIZE = re.compile(r"^(\w+)(: int = )\d+", re.M)
FIRST = {"seeds", "distances", "signs"}  # of these the first alone
METHODS = re.compile(r'^methods: str = "(?:all|.*,salun,.*,ugradsl:adaptive,.*)"', re.M)
SIX = 'methods: str = "retrain,no-step,ft,ga,ugradsl,ugradsl+"'
RUNS_ALL = "method_comparison"
LONGEST = (  # unit tests that start processes or train, though they are few
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
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate((*LONGEST, *longest.LONGEST))}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        cell = getattr(item, "cell", None)  # of a notebook
        if cell is not None and "parameters" in cell.metadata.get("tags", []):
            cell.source = GRID.sub(_shorter, cell.source)
            brief = {**BRIEF["*"], **BRIEF.get(item.path.stem, {})}
            cell.source = SIZE.sub(partial(_smaller, brief), cell.source)
            if item.path.stem != RUNS_ALL:
                cell.source = METHODS.sub(SIX, cell.source)


def _shorter(found: re.Match[str]) -> str:
    first, *others = found[3].split(",")
    ends = [first] if found[2] in FIRST else [first, *others[-1:]]
    return f'{found[1]}{",".join(ends)}"'


def _smaller(brief: dict[str, int], found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{brief[found[1]]}" if found[1] in brief else found[0]
