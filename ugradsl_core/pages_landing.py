"""What the landing page shows of the records: one figure, verdicts and one table."""

from collections.abc import Sequence
from pathlib import Path

from ugradsl_core import comparison, figures, figures_results, results, tables
from ugradsl_core.pages_markdown import NOT_RUN_YET, raw_html
from ugradsl_core.tables import paper_title
from ugradsl_core.types import Record

PRESET, SCALE = "cifar10-random10", "bench"
PAPER_TABLE = 10
FIGURE = "landing-gaps.svg"
ALT = (
    "Two columns of marks, the average gap to Retrain of each method: in our runs, with a dot for "
    "each seed, and as the paper prints it. Nearer to zero is better."
)
SHOWN = ("ft", "ga", "ugradsl", "ugradsl:adaptive", "ugradsl+", "ugradsl+:adaptive")


def best_baselines(records: Sequence[Record]) -> list[str]:
    """The methods that others proposed with the smallest Avg. Gap: the paper's, then ours."""
    panels, _ = comparison.gap_panels(records, PRESET, [PAPER_TABLE])
    found = []
    for panel in reversed(panels.values()):
        others = panel[~panel["label"].str.startswith("ugradsl")].sort_values("gap")
        found.append(str(others["label"].iloc[0]))
    return found


def selection(records: Sequence[Record]) -> list[str]:
    """The methods of the landing page, in the order of tables."""
    return comparison.ordered([*SHOWN, *best_baselines(records)])


def landing_figure(book: Path) -> str:
    """Avg. Gap of ours, once there are records, and of the paper beside it, as SVG."""
    records = results.published(PRESET, SCALE, book / "results")
    panels = comparison.gap_panels(records, PRESET, [PAPER_TABLE], selection(records))
    return figures.to_svg(figures_results.gap_columns(*panels))


def landing(book: Path) -> str:
    """The figure, then verdicts and the table of the selected methods."""
    records = results.published(PRESET, SCALE, book / "results")
    best = best_baselines(records)
    which = f"{paper_title(best[0])} in the paper" + (
        f", {paper_title(best[1])} in our records" if len(best) > 1 else ""
    )
    ours = (
        f"Left: our records ({_training(records[0])}; {tables.seeds_of(records)}); large "
        f"marks are means, dots are seeds. Right: the paper's Table {PAPER_TABLE}, as printed "
        f"({comparison.paper_scale(PRESET)}). The columns differ in scale, so compare the order "
        "of the methods, not the lengths"
        if records
        else f"The paper's Table {PAPER_TABLE}, as printed ({comparison.paper_scale(PRESET)}); "
        "ours are not run yet"
    )
    parts = [
        "## What came out",
        f""":::{{figure}} _generated/{FIGURE}
:name: fig-landing
:alt: {ALT}
:class: dark-light

Avg. Gap to Retrain on CIFAR-10 with a random 10 % forgotten, of the paper's methods, of
their two origins, and of the best method by others ({which}). {ours}. Hollow
marks are the self-adaptive forms.
:::""",
    ]
    if not records:
        return "\n\n".join([*parts, NOT_RUN_YET])
    claims = [claim for claim in results.CLAIMS if not any("-positive" in x for x in claim)]
    verdicts = [results.improves(records, *claim) for claim in claims]
    count = len({results.record_label(record) for record in records})
    parts += [
        raw_html(tables.verdict_list(verdicts)),
        "The rule is fixed in the code: *reproduced* if the gap is smaller in every one of at "
        "least three seeds, *partly* if it is smaller in the mean, *not reproduced* otherwise. "
        "Each verdict is one on our reduced scale. “Adaptive” uses the rate of Algorithm 1 as a "
        "negative one. The paper supports the sign that the algorithm prints as well "
        "([why](errata.md#the-sign-of-the-self-adaptive-rate)); with that sign the self-adaptive "
        "forms are judged under [random forgetting](../notebooks/random_forgetting.ipynb).",
        raw_html(comparison.beside(records, PRESET, PAPER_TABLE, ["retrain", *selection(records)])),
        f"All {count} methods that were run, with their signed distances to Retrain, cost, and "
        "the agreement of our ranking with the paper's, are under "
        "[random forgetting](../notebooks/random_forgetting.ipynb) and [class-wise "
        "forgetting](../notebooks/class_wise_forgetting.ipynb). Versions, commit and hardware "
        "behind these numbers are on the [status page](status.md); the search that found the "
        "hyperparameters is [here](hyperparameters.md).",
    ]
    return "\n\n".join(parts)


def _training(record: Record) -> str:
    return tables.describe_training(record.setting, record.scale)
