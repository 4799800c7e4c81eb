"""What the campaign's records of a setting say, for the results pages: tables, figures and words.

Every part says in a sentence what is missing where records have not come yet.
"""

import html
import math
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from companion.experiments.records import ties
from companion.experiments.records.luck import (
    best_quantile,
    expected_best,
    expected_best_with_replacement,
)
from companion.experiments.records.record import Record
from companion.experiments.records.statistics import signed_gaps
from companion.experiments.records.summary import (
    METRICS,
    by_label,
    natural_order,
    one_setting,
    summary,
)
from companion.experiments.records.ties import FIVE, FLOOR, FOUR, NO_STEP, REFERENCE, Ranking
from companion.experiments.runs.evidence import (
    COMMAND,
    Evidence,
    Trial,
    design,
    transferred,
    winners,
)
from companion.experiments.settings.labels import LABELS, title_of
from companion.experiments.settings.preset import load_presets
from companion.experiments.settings.setting import is_retrained
from companion.figures import results as figures_results
from companion.figures import search, style
from companion.paper.claims.rules import BASES
from companion.tables.comparison import gap_panels, paper_scale
from companion.tables.html import Cell, show, to_html
from companion.tables.results import signed_table, verdict_list
from companion.tables.words import (
    briefly,
    describe,
    diverged_of,
    mean_and_std,
    metric_cell,
    percent,
    seeds_of,
)
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd

EXPECTED = tuple(label for label in LABELS if not label.endswith("-inverse"))
ON_TOP = (REFERENCE, FLOOR, NO_STEP)  # rows above the methods
BAND = (0.1, 0.9)
DRAWS = (4, 8, 16)
SET = re.compile(r"\bD_(r|f|te|tr)\b")
NO_VERDICT = (
    "<p>A run at the <strong>smoke</strong> scale supports no verdict: it shows that the code "
    "runs, and its forget set is so small that the difference between two methods is mostly "
    "noise.</p>"
)


def note(text: str) -> str:
    """A sentence in place of what is missing."""
    return f"<p><em>{code(text)}</em></p>"


def not_yet(evidence: Evidence, what: str) -> str:
    """A sentence for a part that has no records, with the command that makes them."""
    return note(
        f"Not run yet: {what} of {evidence.name} at the {evidence.scale} scale. The command "
        f"`{COMMAND}` runs it, in the order of its plan, and resumes."
    )


def listed(titles: Sequence[str]) -> str:
    """Titles in a sentence."""
    return " and ".join([", ".join(titles[:-1]), titles[-1]] if len(titles) > 1 else titles)


def coverage(evidence: Evidence) -> str:
    """The setting of ours and of the paper in full, and how much of the campaign there is.

    Captions refer to this box: they name the data, the scale and the seeds only.
    """
    good = by_label(evidence.results)
    done = [label for label in EXPECTED if good.get(label)]
    if not done:
        return not_yet(evidence, "the results")
    missing = [title_of(label) for label in EXPECTED if label not in good]
    seeds = sorted({len(good[label]) for label in done})
    count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    text = f"Records of {len(done)} of {len(EXPECTED)} rows, with {count} seeds each."
    if missing:
        text += (
            f" Not run yet: {listed(missing)}; `{COMMAND}` goes on with them. Verdicts and ranks "
            "compare only the methods that have been run."
        )
    borrowed = transferred([*evidence.trials, *evidence.results])
    if borrowed:
        text += (
            f" The configurations of {listed([title_of(x) for x in natural_order(borrowed)])} were "
            f"transferred from the search of {listed(sorted(set(borrowed.values())))}; only the "
            "choice among them was made here."
        )
    return f'<div class="setting">\n<p>{code(setting(evidence))}</p>\n<p>{code(text)}</p>\n</div>'


def setting(evidence: Evidence) -> str:
    """What ours and the paper's numbers on a page were measured with, in full."""
    first = one_setting(evidence.results)
    text = f"Ours: {describe(first)}; {seeds_of(evidence.results)}."
    if evidence.name in load_presets("paper"):
        text += f" The paper's: {paper_scale(evidence.name)}."
    return text


def code(text: str) -> str:
    """Escape text, set what is between backticks as code, and the names of sets with indices."""
    parts = html.escape(text).split("`")
    return "".join(
        f"<code>{x}</code>" if i % 2 else SET.sub(r"<i>D</i><sub>\1</sub>", x)
        for i, x in enumerate(parts)
    )


# ----- the search


def searched(evidence: Evidence) -> str:
    """For each method what the search tried, what it chose, and what came of it on the test set."""
    trials = design(evidence.trials)
    if not trials:
        return not_yet(evidence, "the search")
    chosen, gaps = winners(evidence.trials), ties.seed_gaps(evidence.results)
    rows: list[list[Cell]] = []
    data: list[dict[str, Any]] = []
    for label in natural_order(trials):
        own, winner = trials[label], chosen.get(label)
        tested = list(gaps.get(label, {}).values())
        best = min(trial.gap for trial in own)
        test = sum(tested) / len(tested) if tested else math.nan
        cells: list[Cell] = [title_of(label), f"{len(own)}", f"{best:.2f}"]
        row = {"label": label, "trials": len(own), "best": best, "test": test}
        if winner is None:
            cells.append("its best six are not run again yet")
        else:
            row |= {"winner": winner.gap, "place": winner.first, "passed": winner.passed}
            row |= {name: winner.config[name] for name in sorted(winner.config)}
            again = f"{winner.gap:.2f}"
            seeds = ", ".join(f"{gap:.1f}" for gap in winner.gaps.values())
            cells += [
                (again, seeds) if len(winner.gaps) > 1 else again,
                f"{winner.first}",
                f"{test:.2f}" if tested else "–",
                f"{winner.passed / 1000:,.1f}",
                _values(winner.config),
            ]
        rows.append(cells)
        data.append(row)
    import pandas as pd

    header = [
        "Method", "Trials", "Best trial", "Winner", "Its place", "On the test set",
        "Passes, thousands", "Its values",
    ]  # fmt: skip
    caption = (
        f"What the search found: {evidence.name}, {evidence.scale} scale. Trials: configurations "
        "of the Sobol design, each run once, on search seed 1000. Best trial: the smallest "
        "validation gap among them. Winner: the configuration with the smallest mean gap over "
        "three search seeds among the best six; below the mean, its gap in each. Its place: where "
        "it stood among all trials on seed 1000. On the test set: its mean Avg. Gap over fresh "
        "seeds. All gaps in percentage points. A best trial far below the winner's mean is luck "
        "that did not repeat."
    )
    table = pd.DataFrame(data)
    return to_html(header, rows, caption, table, f"{evidence.name}-search.csv")


def _values(config: Mapping[str, Any]) -> str:
    """The values of a configuration that a search varies, in words."""
    names = (
        "lr", "epochs", "schedule", "bn_mode", "p", "alpha", "gamma", "k", "mask_ratio", "c0",
        "msteps", "forget_batch_size", "samples",
    )  # fmt: skip
    parts = [
        f"{name} {value:g}".replace("-", "−")
        if isinstance(value, int | float)
        else f"{name} {value}"
        for name in names
        if (value := config.get(name)) is not None
    ]
    return ", ".join(parts) or "–"


def by_median(trials: Mapping[str, Sequence[Trial]]) -> dict[str, str]:
    """Label → title, the method with the smallest median gap first."""
    order = sorted(trials, key=lambda label: median(t.gap for t in trials[label]))
    return {label: title_of(label) for label in order}


def strip(evidence: Evidence) -> Any:
    """Every trial of every method, as a notebook shows it."""
    import pandas as pd

    trials = design(evidence.trials)
    if not trials:
        return show(not_yet(evidence, "the search"))
    chosen = {label: found.gaps for label, found in winners(evidence.trials).items()}
    rows = []
    for label, own in trials.items():
        first = next(iter(chosen[label].values())) if label in chosen else math.nan
        rows += [{"label": label, "gap": t.gap, "chosen": t.gap == first} for t in own]
    methods = by_median(trials)
    return style.show(search.strip(pd.DataFrame(rows), methods), strip_words(trials, methods))


def strip_words(trials: Mapping[str, Sequence[Trial]], methods: Mapping[str, str]) -> str:
    """What :func:`strip` shows, in words."""
    parts = []
    for label, title in methods.items():
        gaps = [trial.gap for trial in trials[label]]
        parts.append(f"{title}: {min(gaps):.1f} to {max(gaps):.1f}, median {median(gaps):.1f}")
    return (
        "A row of dots for each method, one for each trial of its search, by validation gap in "
        f"percentage points. {'; '.join(parts)}."
    )


def luck_curves(evidence: Evidence) -> "dict[str, pd.DataFrame]":
    """Label → for each k the expected best of k trials, and the middle 80 % of the best of k."""
    import pandas as pd

    found = {}
    for label, own in design(evidence.trials).items():
        values = [trial.gap for trial in own]
        found[label] = pd.DataFrame(
            {
                "k": k,
                "mean": expected_best(values, k),
                "low": best_quantile(values, k, BAND[0]),
                "high": best_quantile(values, k, BAND[1]),
                "with_replacement": expected_best_with_replacement(values, k),
            }
            for k in range(1, len(values) + 1)
        )
    return found


def by_luck(curves: "Mapping[str, pd.DataFrame]", draws: int = DRAWS[1]) -> dict[str, float]:
    """Label → expected best of a number of trials, the smallest first; those with fewer are out."""
    found = {
        label: float(curve["mean"].iloc[draws - 1])
        for label, curve in curves.items()
        if len(curve) >= draws
    }
    return dict(sorted(found.items(), key=lambda item: item[1]))


def luck(evidence: Evidence) -> Any:
    """The expected best of k trials over k for every method, as a notebook shows it."""
    curves = luck_curves(evidence)
    order = by_luck(curves)
    if not order:
        return show(not_yet(evidence, "the search"))
    methods = {label: title_of(label) for label in order}
    words = (
        "A panel for each method: the expected smallest validation gap of k trials, falling with "
        f"k, and a band around it. After {DRAWS[1]} trials, in percentage points: "
        f"{search.spoken([(title_of(x), gap) for x, gap in order.items()])}."
    )
    return style.show(search.luck({x: curves[x] for x in order}, methods), words)


def luck_table(evidence: Evidence) -> str:
    """For each method how many trials there were, and what a part of them can be hoped to bring."""
    import pandas as pd

    curves = luck_curves(evidence)
    if not curves:
        return not_yet(evidence, "the search")
    trials = design(evidence.trials)
    rows: list[list[Cell]] = []
    for label in natural_order(curves):
        curve, values = curves[label].set_index("k"), [t.gap for t in trials[label]]
        cells: list[Cell] = [title_of(label), f"{len(values)}", f"{median(values):.1f}"]
        for k in DRAWS:
            if k in curve.index:
                low, mean, high = (float(curve[name].loc[k]) for name in ("low", "mean", "high"))
                cells.append((f"{mean:.1f}", f"[{low:.1f}, {high:.1f}]"))
            else:
                cells.append("–")
        rows.append([*cells, f"{min(values):.1f}"])
    caption = (
        f"How much luck a search needs: {evidence.name}, {evidence.scale} scale. Expected smallest "
        "validation gap of 4, 8 and 16 of a method's trials, in percentage points: the mean over "
        "all subsets of that size (Tang et al., 2020), and below it the middle 80 % of them. With "
        "all trials no luck is left, and the band closes on the best one; that says nothing of "
        "another search. The download has every number of trials, and the estimate with "
        "replacement (Dodge et al., 2019), which is larger."
    )
    data = pd.concat(curve.assign(label=label) for label, curve in curves.items())
    header = ["Method", "Trials", "Median", *(f"Best of {k}" for k in DRAWS), "Best of all"]
    return to_html(header, rows, caption, data, f"{evidence.name}-luck.csv")


# ----- results on the test set


def rankings(records: Sequence[Record]) -> dict[str, Ranking]:
    """The ranking by each measure that the records allow."""
    return {m: ties.rank(ties.gap_table(records, m)) for m in ties.measures_of(records)}


def row_order(records: Sequence[Record]) -> list[str]:
    """Retrain, the noise floor and no step; then methods by their mean gap; then the unranked."""
    groups = by_label(records)
    first = [label for label in ON_TOP if label in groups]
    labels = list(ties.rank(ties.gap_table(records)).labels)
    return [*first, *labels, *natural_order(set(groups) - {*first, *labels})]


def rank_text(found: Ranking, label: str) -> str:
    """The ranks that a method may have, or why it has none."""
    if label in found.ranks:
        low, high = found.ranks[label]
        return f"{low}" if low == high else f"{low}–{high}"
    return found.unranked.get(label, "–")


def results(evidence: Evidence) -> str:
    """The table of a setting: methods with the samples they pass, gaps with ranks, metrics."""
    records = evidence.results
    if not records:
        return not_yet(evidence, "the results")
    first, table = one_setting(records), summary(records)
    found = {str(row["label"]): row for row in table.to_dict(orient="records")}
    ranked = rankings(records)
    gaps = {FOUR: "mean_of_gaps", FIVE: "mean_of_gaps_add_MIA"}
    shown = {measure: gaps[measure] for measure in ranked}
    names = [name for name in METRICS if name != "add_MIA" or FIVE in shown]
    rows: list[list[Cell]] = []
    kinds: dict[int, str] = {}
    for label in row_order(records):
        row = found[label]
        if not row["n"]:
            rows.append([title_of(label), diverged_of(row)])
            continue
        if label in ranked[FOUR].best:
            kinds[len(rows)] = "strong"
        passes = f"{(row['forward'] + row['backward']) / 1000:,.1f} k passes"
        cells: list[Cell] = [(title_of(label) + diverged_of(row), passes)]
        for measure, column in shown.items():
            std = column.replace("mean_of_gaps", "mean_of_gaps_std")
            gap, place = mean_and_std(row[column], row[std]), rank_text(ranked[measure], label)
            ranks = f"rank {place}" if label in ranked[measure].ranks else place
            cells.append(gap if label == REFERENCE else (gap, ranks))
        rows.append([*cells, *(metric_cell(row, name, 1) for name in names)])
    header = ["Method", *shown, *map(percent, names)]
    families = ", ".join(
        f"{each.family} pairs of {len(each.labels)} methods" for each in ranked.values()
    )
    caption = (
        f"Ours: {briefly(first)}; {seeds_of(records)}. Mean ± sample standard deviation over "
        f"seeds. {FOUR}: the mean over seeds of each seed's gap to Retrain over UA, MIA, RA and "
        f"TA; {FIVE}: with the additional MIA as well; in percentage points. Below it, every "
        "rank that a method may have; two methods differ where a paired t test says so at the 5 % "
        f"level after Holm's correction ({families}) and by more than the noise floor. In bold: "
        f"what cannot be told from the best by {FOUR}. k passes: thousands of samples, "
        "forward and backward together."
    )
    return to_html(header, rows, caption, table, f"{evidence.name}-results.csv", kinds)


def columns(evidence: Evidence, preset: str, numbers: Sequence[int]) -> Any:
    """Our gaps beside those of paper tables, as a notebook shows them."""
    if not ties.seed_gaps(evidence.results):
        return show(not_yet(evidence, "the results"))
    panels, methods = gap_panels(evidence.results, preset, numbers)
    return style.show(figures_results.gap_columns(panels, methods), gap_words(panels))


def gap_words(panels: "Mapping[str, pd.DataFrame]", chosen: Sequence[str] = LABELS) -> str:
    """What columns of gaps show of the chosen labels, in words."""
    parts = []
    for title, panel in panels.items():
        rows = panel.sort_values("gap").to_dict(orient="records")
        gaps = [(title_of(str(r["label"])), float(r["gap"])) for r in rows if r["label"] in chosen]
        parts.append(f"{title.replace(chr(10), ' ')}: {search.spoken(gaps)}")
    return f"Average gap to Retrain in percentage points, smallest first. {'; '.join(parts)}."


def signed_figure(evidence: Evidence) -> Any:
    """Method − Retrain for four metrics, as a notebook shows it."""
    gaps = signed_gaps(evidence.results)
    if gaps.empty:
        return show(not_yet(evidence, "the results"))
    parts = []
    for metric in GAP_METRICS:
        own = gaps[gaps["metric"] == metric]
        far = list(zip(own["method"], own["difference"], strict=True))
        parts.append(f"{metric}: {search.spoken(far)}")
    words = (
        "Four panels, UA, MIA, RA and TA, with a mark and an interval for each method beside a "
        f"line at zero, which is Retrain. In percentage points: {'; '.join(parts)}."
    )
    return style.show(figures_results.signed_gaps(gaps, GAP_METRICS), words)


def signed(evidence: Evidence) -> str:
    """Method − Retrain with its intervals."""
    if signed_gaps(evidence.results).empty:
        return not_yet(evidence, "the results")
    return signed_table(evidence.results, f"{evidence.name}-{evidence.scale}-signed.csv")


def live_order(records: Sequence[Record]) -> str:
    """A sentence on who came nearest and farthest, and where ours are beside their bases.

    It says what this run showed, the unflattering part first, and draws no conclusion from it.
    """
    rows = summary(records).dropna(subset=["mean_of_gaps"]).set_index("label")["mean_of_gaps"]
    gaps = {str(x): float(gap) for x, gap in rows.items() if not is_retrained(str(x))}
    if not gaps:
        return note("This run has no method to compare with Retrain.")
    near, far = min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)
    pairs = [(a, b) for a, b in BASES if a in gaps and b in gaps]
    lost = [(a, b) for a, b in pairs if gaps[a] > gaps[b]]
    won = [pair for pair in pairs if pair not in lost]
    clauses = [
        f"{title_of(a)}, at {gaps[a]:.1f}, is {word} Retrain than {title_of(b)}, at {gaps[b]:.1f}"
        for some, word in ((lost, "further from"), (won, "nearer to"))
        for a, b in some
    ]
    text = f"In this run {'; '.join(clauses)}. " if clauses else ""
    text += (
        f"The smallest gap is that of {title_of(near)} ({gaps[near]:.1f} points), the largest that "
        f"of {title_of(far)} ({gaps[far]:.1f} points)."
    )
    return f"<p>{code(text)}</p>"


def verdicts(records: Sequence[Record]) -> str:
    """Verdicts on what the paper compares; a sentence for a smoke run and for no records."""
    if any(record.scale == ties.SMOKE for record in records):
        return NO_VERDICT
    if not records:
        return note(f"Not run yet: there are no records to compare; `{COMMAND}` makes them.")
    return verdict_list(ties.verdicts(records))
