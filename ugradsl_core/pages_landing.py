"""What the landing page shows of the records: one figure, verdicts and the first table."""

from pathlib import Path
from typing import TYPE_CHECKING

from ugradsl_core import figures, tables
from ugradsl_core.metrics import average_gap
from ugradsl_core.pages_markdown import NOT_RUN_YET
from ugradsl_core.results import improves, paired, published, summary
from ugradsl_core.settings import VARIANTS
from ugradsl_core.unlearning import METHODS

if TYPE_CHECKING:
    import pandas as pd

    from ugradsl_core.types import Record

PRESET, SCALE = "cifar10-random10", "bench"
PAPER_TABLE = 10
CLAIMS = (("ugradsl", "ga"), ("ugradsl+", "ft"))
FIGURE = "landing-gaps.svg"
ALT = (
    "Horizontal bars of the average gap to Retrain for each method, in the paper and in our "
    "records; shorter is better."
)
CAPTION = (
    "Average gap to Retrain in percentage points; shorter is better. Hatched bars are the "
    "self-adaptive forms, dots are single seeds. The two panels differ in scale: compare the "
    "order of the methods, not the lengths."
)


def landing_figure(book: Path) -> str:
    """Avg. Gap of the paper and, once there are records, of ours below it, as SVG."""
    panels = {f"The paper, Table {PAPER_TABLE} (paper scale)": _paper_panel()}
    if records := published(PRESET, SCALE, book / "results"):
        panels[f"Ours ({SCALE} scale)"] = _our_panel(records)
    return figures.to_svg(figures.gaps(panels))


def landing(book: Path) -> str:
    """The figure, then verdicts and the table of results where there are any."""
    parts = [
        "## What came out",
        f":::{{figure}} _generated/{FIGURE}\n:alt: {ALT}\n:class: dark-light\n\n{CAPTION}\n:::",
    ]
    records = published(PRESET, SCALE, book / "results")
    if not records:
        return "\n\n".join([*parts, NOT_RUN_YET])
    verdicts = [improves(records, better, worse) for better, worse in CLAIMS]
    parts += [f"- **{v.claim}: {v.outcome}.** {v.evidence}" for v in verdicts]
    table = tables.results_table(records, f"{PRESET}-{SCALE}.csv")
    return "\n\n".join([*parts, f"```{{raw}} html\n{table}\n```"])


def _paper_panel() -> "pd.DataFrame":
    rows = tables.paper_rows(PAPER_TABLE, "cifar10", "random", [*METHODS, *VARIANTS])
    rows = rows[rows.label.ne("retrain")].assign(gap=rows.avg_gap)
    return rows.sort_values("gap", ascending=False, ignore_index=True)


def _our_panel(records: "list[Record]") -> "pd.DataFrame":
    table = summary(records)
    table = table[table.label.ne("retrain")].assign(gap=table.mean_of_gaps)
    table["seeds"] = table.label.map(lambda label: _seed_gaps(records, label))
    return table.sort_values("gap", ascending=False, ignore_index=True)


def _seed_gaps(records: "list[Record]", label: str) -> list[float]:
    return [
        average_gap(run, reference) for run, reference in zip(*paired(records, label), strict=True)
    ]
