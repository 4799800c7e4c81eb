"""What the landing page shows of the records: one figure, verdicts and the first tables."""

from pathlib import Path

from ugradsl_core import figures, results, tables
from ugradsl_core.pages_markdown import NOT_RUN_YET
from ugradsl_core.settings import VARIANTS
from ugradsl_core.unlearning import METHODS

PRESET, SCALE = "cifar10-random10", "bench"
PAPER_TABLE, DATASET, PARADIGM = 10, "cifar10", "random"
FIGURE = "landing-gaps.svg"
ALT = (
    "Two panels of horizontal bars, the average gap to Retrain of each method: above as the paper "
    "prints it, below in our runs, where dots show single seeds. Shorter is better."
)


def landing_figure(book: Path) -> str:
    """Avg. Gap of the paper and, once there are records, of ours below it, as SVG."""
    paper = tables.paper_rows(PAPER_TABLE, DATASET, PARADIGM, [*METHODS, *VARIANTS])
    paper = paper[paper.label != "retrain"].assign(gap=lambda table: table.avg_gap)
    panels = {"The paper, Table 10: width 64, 50,000 images": paper}
    if records := results.published(PRESET, SCALE, book / "results"):
        setting = results.one_setting(records).setting
        title = f"Ours: width {setting['model']['width']}, {setting['train_size']:,} images"
        panels[title] = results.gap_panel(records)
    return figures.to_svg(figures.gaps(panels))


def landing(book: Path) -> str:
    """The figure, then verdicts and the tables of both."""
    records = results.published(PRESET, SCALE, book / "results")
    ours = (
        f"below in our records ({tables.describe(records[0])}; {tables.seeds_of(records)}; bars "
        "are means, dots are seeds). The two panels differ in scale, so compare the order of the "
        "methods, not the length of the bars"
        if records
        else "ours are not run yet"
    )
    parts = [
        "## What came out",
        f""":::{{figure}} _generated/{FIGURE}
:name: fig-landing
:alt: {ALT}
:class: dark-light

Avg. Gap to Retrain on CIFAR-10 with a random 10 % forgotten: above as printed in the paper's Table
10; {ours}. Hatched bars are the self-adaptive forms.
:::""",
    ]
    if not records:
        return "\n\n".join([*parts, NOT_RUN_YET])
    verdicts = [results.improves(records, *claim) for claim in results.CLAIMS]
    parts += [
        _html(tables.verdict_list(verdicts)),
        "The rule is fixed in the code: *reproduced* if the gap is smaller in every one of at "
        "least three seeds, *partly* if it is smaller in the mean, *not reproduced* otherwise. "
        "Each verdict is one on our reduced scale. “Adaptive” uses the rate of Algorithm 1 as a "
        "negative one, “adaptive, positive” with the sign that the algorithm prints; the paper "
        "supports both ([why](errata.md#the-sign-of-the-self-adaptive-rate)).",
        _html(tables.results_table(records, f"{PRESET}-{SCALE}.csv", brief=True)),
        _html(
            tables.paper_table(
                PAPER_TABLE,
                DATASET,
                PARADIGM,
                "The paper, Table 10: CIFAR-10, random 10 % forgotten, ResNet-18 of width 64; "
                "paper scale. Mean ± standard deviation as printed.",
                [*METHODS, *VARIANTS],
            )
        ),
        "Versions, commit and hardware behind these numbers are on the [status page](status.md); "
        "the search that found the hyperparameters is [here](hyperparameters.md).",
    ]
    return "\n\n".join(parts)


def _html(text: str) -> str:
    return f"```{{raw}} html\n{text}\n```"
