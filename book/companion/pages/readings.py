"""Fragments of the readings page: what the paper's own tables show when they are compared."""

from collections.abc import Callable
from pathlib import Path

from companion.pages.markdown import list_table
from companion.paper.audit import audit, explained
from companion.paper.audit.gaps import EXPLANATIONS
from companion.paper.audit.lines import read_lines, spaced
from companion.paper.audit.values import spread_is_gap_lines
from companion.paper.names import name
from companion.paper.numbers import load_table
from ugradsl_core.metrics import GAP_METRICS

SIZED = (17, 18)
TITLES = {
    "rounding": "the gap of the printed means, up to rounding",
    "elsewhere": "that gap with a cell as another table prints it",
    "other-retrain": "that gap from another value of Retrain",
    "per-seed": "larger, as a mean of per-seed gaps can be",
    "misprint": "that gap with one digit changed",
    "unexplained": "something else",
}


def printed_order(book: Path) -> str:
    """Table 19 at ten epochs and Table 18 at 40 % and 50 %, under the headers as printed."""
    rows = []
    for number, method, values in ((18, "retrain", ("40%", "50%")), (19, "ga", ("10",))):
        table = load_table(number, book / "paper")
        for value in values:
            line = table[table.method.eq(method) & table.parameter_value.eq(value)]
            printed = dict(zip(line.metric, line.printed, strict=True))
            what = spaced(value) if number == 18 else f"{value} epochs"
            where = f"Table {number}, {name(method)}, {what}"
            rows.append([where, *(printed[measure] for measure in GAP_METRICS)])
    return list_table(("Where", *GAP_METRICS), rows, kind="numbers")


def spread_is_gap(book: Path) -> str:
    """How many lines of Tables 17 and 18 have distances to Retrain after ±."""
    lines = read_lines(SIZED, book / "paper")
    odd = spread_is_gap_lines(lines)
    compared = [line for line in lines if line.method != "retrain"]
    own = ("ugradsl", "ugradsl+")
    groups = {
        "10 %, all methods": [x for x in compared if x.size == "10%"],
        "20 % to 50 %, UGradSL and UGradSL+": [
            x for x in compared if x.size != "10%" and x.method in own
        ],
        "20 % to 50 %, the other methods": [
            x for x in compared if x.size != "10%" and x.method not in own
        ],
    }
    rows = [
        (title, str(len(group)), str(sum(line in odd for line in group)))
        for title, group in groups.items()
    ]
    header = ("Forget set", "Rows", "± is the distance to Retrain in every metric")
    return list_table(header, rows, kind="numbers")


def printed_gaps(book: Path) -> str:
    """What the printed Avg. Gap is, over all lines in which it can be recomputed."""
    counts = explained(audit(root=book / "paper").checks).values()
    rows = [(TITLES[kind], str(sum(count[kind] for count in counts))) for kind in EXPLANATIONS]
    rows.append(("all rows with legible means", str(sum(int(row[1]) for row in rows))))
    return list_table(("The printed Avg. Gap is …", "Rows"), rows, kind="numbers")


def findings(*kinds: str, minor: bool = True) -> Callable[[Path], str]:
    """A fragment: the audit's findings of some kinds, as a list; perhaps without minor ones."""

    def fragment(book: Path) -> str:
        found = [f for f in audit(root=book / "paper").findings if f.kind in kinds]
        return "\n".join(f"- {f.sentence}" for f in found if minor or f.severity != "minor")

    return fragment


FRAGMENTS = {
    "readings-order.md": printed_order,
    "readings-spread.md": spread_is_gap,
    "readings-gaps.md": printed_gaps,
    "readings-repeats.md": findings("copied-line"),
    "readings-references.md": findings("gap-other-retrain"),
    "readings-twice.md": findings("printed-twice", minor=False),
    "readings-misprints.md": findings("gap-elsewhere", "gap-misprint"),
    "readings-impossible.md": findings("impossible-spread"),
    "readings-spreads-copied.md": findings("copied-spread"),
    "readings-weak.md": findings("weak-reference"),
    "readings-times.md": findings("run-time"),
    "readings-lost.md": findings("lost-cell"),
}
