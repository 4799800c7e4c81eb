"""What the landing page shows of the records: the answer, one figure, verdicts and one table."""

from collections.abc import Sequence
from pathlib import Path

from companion.experiments.records import summary
from companion.experiments.records.record import Record
from companion.experiments.records.ties import OUTSIDE
from companion.experiments.runs.evidence import load_evidence
from companion.figures import results, style
from companion.pages import pictures
from companion.pages.markdown import NOT_RUN_YET, raw_html
from companion.tables import comparison, findings, takeaways, words
from companion.tables.paper import paper_title

PRESET, SCALE = "cifar10-random10", "bench"
MAIN = {PRESET: "Random forgetting", "cifar10-class": "Class-wise forgetting"}
PAPER_TABLE = 10
FIGURE = "landing-gaps.svg"
NARROW = f"landing-gaps{pictures.NARROW}"
SMOOTHING = (
    "Does the smoothing itself help? {term}`NegGrad+` is {term}`UGradSL+` without smoothing "
    "(α = 0); over the data to forget alone it is {term}`UGradSL` without it. So each pair shows "
    "what the smoothing adds. Numbers are {term}`gaps to Retrain <Avg. Gap>` in percentage points; "
    "smaller is better."
)
SHOWN = ("ft", "ga", "ugradsl", "ugradsl:adaptive", "ugradsl+", "ugradsl+:adaptive")


def judged(book: Path) -> Sequence[Record]:
    """The records on the test set, once those of a method that is compared are among them."""
    records = load_evidence(PRESET, SCALE, book / "results").results
    compared = {summary.record_label(record) for record in records} - set(OUTSIDE)
    return records if compared else ()


def best_baselines(records: Sequence[Record]) -> list[str]:
    """The methods that others proposed with the smallest Avg. Gap: the paper's, then ours."""
    panels, _ = comparison.gap_panels(records, PRESET, [PAPER_TABLE])
    found = []
    for panel in reversed(panels.values()):
        ordered = panel.sort_values("gap")["label"].map(str)
        others = [x for x in ordered if not x.startswith("ugradsl") and x not in OUTSIDE]
        found += others[:1]
    return found


def selection(records: Sequence[Record]) -> list[str]:
    """The methods of the landing page, in the order of tables."""
    return comparison.ordered([*SHOWN, *best_baselines(records)])


def landing_figure(book: Path) -> str:
    """Avg. Gap of ours, once there are records, and of the paper beside it, as SVG."""
    records = judged(book)
    panels = comparison.gap_panels(records, PRESET, [PAPER_TABLE], selection(records))
    return style.to_svg(results.gap_columns(*panels))


def narrow_figure(book: Path) -> str:
    """The same for a phone: one column below the other, as SVG."""
    records = judged(book)
    panels, _ = comparison.gap_panels(records, PRESET, [PAPER_TABLE], selection(records))
    return style.to_svg(results.gaps(panels, style.NARROW))


def landing(book: Path) -> str:
    """The figure, then verdicts and the table of the selected methods."""
    records = judged(book)
    panels, methods = comparison.gap_panels(records, PRESET, [PAPER_TABLE], selection(records))
    best = best_baselines(records)
    which = f"{paper_title(best[0])} in the paper" + (
        f", {paper_title(best[1])} in our records" if len(best) > 1 else ""
    )
    ours = (
        f"First: our records ({_training(records[0])}; {words.seeds_of(records)}); large "
        f"marks are means, dots are seeds. Then: the paper's Table {PAPER_TABLE}, as printed "
        f"({comparison.paper_scale(PRESET)}). They differ in scale, so compare the order "
        "of the methods, not the lengths"
        if records
        else f"The paper's Table {PAPER_TABLE}, as printed ({comparison.paper_scale(PRESET)}); "
        "ours are not run yet"
    )
    parts = ["## What we found", SMOOTHING]
    for preset, title in MAIN.items():
        text = takeaways.answer(load_evidence(preset, SCALE, book / "results"))
        parts.append(raw_html(text.replace("<p>", f"<p><strong>{title}.</strong> ", 1)))
    parts.append(
        f""":::{{figure}} _generated/{FIGURE}
:name: fig-landing
:alt: {findings.gap_words(panels, list(methods))}
:class: dark-light

Avg. Gap to Retrain on CIFAR-10 with a random 10 % forgotten, for the paper's methods, the
two that they derive from, and the best method by others ({which}). {ours}. Hollow
marks are the self-adaptive forms.
:::"""
    )
    if not records:
        return "\n\n".join([*parts, NOT_RUN_YET])
    count = len({summary.record_label(record) for record in records})
    parts += [
        raw_html(findings.verdicts(records)),
        "The rule is fixed in the code: *better* or *worse* only where a paired *t* test over the "
        "seeds, corrected for all comparisons in this list, excludes a difference of 0 and the "
        "difference exceeds the noise floor; *tied* otherwise. Each verdict holds for our reduced "
        "scale. “Adaptive” uses the rate of Algorithm 1 as a negative one, “positive” with the "
        "sign that the algorithm prints "
        "([why](readings.md#the-sign-of-the-self-adaptive-rate)).",
        raw_html(
            comparison.side_by_side(records, PRESET, PAPER_TABLE, ["retrain", *selection(records)])
        ),
        f"All {count} rows that were run, with their signed distances to Retrain, cost, and "
        "the agreement of our ranking with the paper's, are under "
        "[random forgetting](../notebooks/random_forgetting.ipynb) and [class-wise "
        "forgetting](../notebooks/class_wise_forgetting.ipynb). Versions, commit and hardware "
        "behind these numbers are on the [status page](status.md); the search that found the "
        "hyperparameters is [here](hyperparameters.md).",
    ]
    return "\n\n".join(parts)


def _training(record: Record) -> str:
    return words.describe_training(record.setting, record.scale)
