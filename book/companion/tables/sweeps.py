"""Sweeps as tables and words: the paper's, our published ones, and what to take away from them."""

import html
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.experiments.campaign.campaign import published_sweep
from companion.experiments.records import sweeps
from companion.experiments.records.record import Record
from companion.experiments.records.summary import campaign_records, record_label
from companion.experiments.records.sweeps import (
    NUMBERS,
    REFERENCES,
    SYMBOLS,
    level,
    ranking,
    text_of,
    value_text,
    varied,
)
from companion.experiments.records.ties import (
    BETTER,
    FLOOR,
    NO_STEP,
    NOT_RUN,
    REFERENCE,
    SMOKE,
    WORSE,
    compare,
    gap_table,
    rank,
)
from companion.experiments.runs.evidence import COMMAND, trial_gaps
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.experiments.settings.labels import title_of
from companion.figures.sweeps import front
from companion.paper.claims.rules import GOOD, STABLE, sweep_parts
from companion.paper.numbers import load_table
from companion.tables.findings import code, listed, note
from companion.tables.html import Cell, to_html
from companion.tables.paper import PAPER_LABELS
from companion.tables.words import describe, mean_and_std, seeds_of
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import GAP_METRICS

if TYPE_CHECKING:
    import pandas as pd

PAPER_NAMES = {"forget_fraction": "fraction"}  # the paper's parameter → ours


# ----- records and printed numbers


def published(
    setting: str,
    labels: Sequence[str],
    names: Sequence[str],
    scale: str = "bench",
    root: Path | None = None,
) -> list[Record]:
    """The published sweeps of methods, and the references of their setting; none without a sweep.

    Raises:
        DataError: a file of the campaign holds something else.
        StoreError: a line is damaged.
    """
    swept = [r for label in labels for r in published_sweep(setting, scale, label, names, root)]
    if not swept:
        return []
    seeds = {record.seed for record in swept}
    known = [r for r in campaign_records(setting, scale, root) if r.kind == "result"]
    return [r for r in known if record_label(r) in REFERENCES and r.seed in seeds] + swept


def published_fractions(
    dataset: str, labels: Sequence[str], scale: str = "bench", root: Path | None = None
) -> list[Record]:
    """Published results of random forgetting by the share forgotten, on the seeds of all shares.

    A share without a Retrain, and one without any of the methods, is left out.

    Raises:
        DataError: a file of the campaign holds something else.
        StoreError: a line is damaged.
    """
    found: dict[int, list[Record]] = {}
    for percent in (10, 20, 30, 40, 50):
        known = campaign_records(f"{dataset}-random{percent}", scale, root)
        own = [r for r in known if r.kind == "result" and record_label(r) in (*REFERENCES, *labels)]
        if {REFERENCE} < {record_label(r) for r in own}:
            found[percent] = own
    seeds = [{r.seed for r in own if record_label(r) == REFERENCE} for own in found.values()]
    shared = set.intersection(*seeds) if seeds else set()
    return [record for own in found.values() for record in own if record.seed in shared]


def printed(numbers: Sequence[int]) -> "pd.DataFrame":
    """The paper's tables of a sweep in the form of ``sweeps.summary``, gaps as printed.

    Retrain has no value where the tables print it once. ``table`` is the number of the table, and
    ``passes`` is NaN: the paper counts none.
    """
    import pandas as pd

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    names: list[str] = []
    for number in numbers:
        table = load_table(number)
        for cell in table.astype(object).where(table.notna(), None).to_dict(orient="records"):
            label = PAPER_LABELS.get(cell["method"], cell["method"])
            swept = {}
            if cell["parameter"] not in (None, "", "occurrence"):
                parts = zip(
                    cell["parameter"].split(";"), cell["parameter_value"].split(";"), strict=True
                )
                swept = {PAPER_NAMES.get(name, name): _number(text) for name, text in parts}
            names += [name for name in swept if name not in names]
            row = rows.setdefault(
                (label, *swept.items()),
                {"label": label, "method": title_of(label), **swept, "table": number},
            )
            column = "gap" if cell["metric"] == "avg_gap" else cell["metric"]
            if column in NUMBERS and row.get(column) is None:
                row[column], row[f"{column}_std"] = cell["mean"], cell["std"]
    columns = ["label", "method", *names, "table"]
    columns += [f"{name}{suffix}" for name in NUMBERS for suffix in ("", "_std")]
    found = pd.DataFrame(list(rows.values()), columns=columns)
    for name in names:
        found[name] = pd.Series([row.get(name) for row in rows.values()], dtype=object)
    floats = {f"{name}{suffix}": float for name in NUMBERS for suffix in ("", "_std")}
    return found.astype(floats)


def _number(text: str) -> float | str | None:
    if text == "median":
        return None
    if text.endswith("%"):
        return round(float(text[:-1]) / 100, 4)
    try:
        return float(text)
    except ValueError:
        return text


def trials(
    setting: str, label: str, scale: str = "bench", root: Path | None = None
) -> "pd.DataFrame":
    """The published trials of a method's search on its first seed: p, α, lr and validation gap."""
    import pandas as pd

    records = [r for r in campaign_records(setting, scale, root) if r.kind == "trial"]
    rows = [
        {**{n: record.config[n] for n in ("p", "alpha", "lr", "epochs", "bn_mode")}, "gap": gap}
        for record, gap in trial_gaps(records).get(label, [])
        if record.seed == SEARCH_SEEDS[0]
    ]
    return pd.DataFrame(rows, columns=["p", "alpha", "lr", "epochs", "bn_mode", "gap"])


def trial_records(
    setting: str, labels: Sequence[str], scale: str = "bench", root: Path | None = None
) -> list[Record]:
    """The records behind :func:`trials`, with Retrain's."""
    return [
        record
        for record in campaign_records(setting, scale, root)
        if record.kind == "trial" and record_label(record) in (REFERENCE, *labels)
    ]


# ----- words


def not_yet(what: str) -> str:
    """A sentence for a sweep without records, with the command that makes them."""
    return note(
        f"Not run yet: {what}. The command `{COMMAND}` runs it, in the order of its plan, and "
        "resumes; the figures and sentences of this page fill in by themselves."
    )


def gaps_of(table: "pd.DataFrame", label: str, names: Sequence[str]) -> dict[str, float]:
    """Swept values in words → Avg. Gap of one method, where there is one."""
    rows = table[table["label"] == label].to_dict(orient="records")
    return {
        text_of([row[name] for name in names], names): float(row["gap"])
        for row in rows
        if not math.isnan(row["gap"])
    }


def labels_in(table: "pd.DataFrame") -> list[str]:
    """The methods of a sweep, without its references, in the order of the table."""
    return list(dict.fromkeys(map(str, varied(table)["label"])))


def _ends(gaps: Mapping[str, float]) -> tuple[str, str]:
    """The values with the smallest and the largest gap."""
    return min(gaps, key=gaps.__getitem__), max(gaps, key=gaps.__getitem__)


def spoken(tables: "Mapping[str, pd.DataFrame]", names: Sequence[str]) -> str:
    """Who is near Retrain at which value and who is far, with numbers, for a figure's words."""
    parts = []
    for title, table in tables.items():
        own = []
        for label in labels_in(table):
            gaps = gaps_of(table, label, names)
            if gaps:
                near, far = _ends(gaps)
                own.append(
                    f"{title_of(label)} is nearest at {near} ({gaps[near]:.1f}) and farthest at "
                    f"{far} ({gaps[far]:.1f})"
                )
        levels = {"no step": level(table, NO_STEP), "noise floor": level(table, FLOOR)}
        own += [f"{name} {value:.1f}" for name, value in levels.items() if not math.isnan(value)]
        parts.append(f"{title}: {'; '.join(own) or 'not run yet'}")
    return f"Avg. Gap to Retrain in percentage points. {'. '.join(parts)}."


def _ratio(values: Mapping[str, float]) -> float:
    return max(values.values()) / min(values.values()) if min(values.values()) else math.inf


def contradiction(records: Sequence[Record], paper: "pd.DataFrame", names: Sequence[str]) -> str:
    """The first sentence of a page: where our records say the opposite of what the paper prints.

    By the rule of the claims: stable is a largest gap of at most twice the smallest. Empty where
    nothing can be compared or nothing contradicts.
    """
    if not records:
        return ""
    ours = sweeps.summary(records, names)
    parts = []
    for label in labels_in(ours):
        own, theirs = gaps_of(ours, label, names), gaps_of(paper, label, names)
        if len(own) < 3 or len(theirs) < 3:
            continue
        if (_ratio(own) <= STABLE) != (_ratio(theirs) <= STABLE):
            parts.append(
                f"{title_of(label)} varies {_ratio(own):.1f}-fold here "
                f"({min(own.values()):.1f} to {max(own.values()):.1f} points) and "
                f"{_ratio(theirs):.1f}-fold in the paper "
                f"({min(theirs.values()):.1f} to {max(theirs.values()):.1f})"
            )
    if not parts:
        return ""
    symbol = " and ".join(SYMBOLS.get(name, name) for name in names)
    text = f"Our records contradict the paper on {symbol}: {listed(parts)}."
    return f"<p><strong>{code(text)}</strong></p>\n"


def take_away(
    records: Sequence[Record], paper: "pd.DataFrame", names: Sequence[str], what: str
) -> str:
    """What a published sweep says, whatever it is, as a list; beside it what the paper prints.

    Args:
        records: of the sweep and its references; none gives a sentence with the command.
        paper: :func:`printed`.
        names: of the swept parameters.
        what: the sweep, in words.
    """
    if not records:
        return _printed_only(paper, names) + not_yet(what)
    ours = sweeps.summary(records, names)
    floor, still = level(ours, FLOOR), level(ours, NO_STEP)
    items = []
    for label in labels_in(ours):
        gaps = gaps_of(ours, label, names)
        if gaps:
            items.append(_about(records, label, gaps, names, still))
    if not math.isnan(floor):
        items.append(
            f"Two models retrained on the same data are {floor:.1f} points apart; differences "
            "between values that are smaller than that decide nothing."
        )
    lost = int(varied(ours)["diverged"].sum())
    if lost:
        items.append(f"Runs that diverged, and so have no gap: {lost}.")
    body = "".join(f"<li>{code(text)}</li>\n" for text in items)
    return (
        f"{contradiction(records, paper, names)}{_printed_only(paper, names)}"
        f'<ul class="take-away">\n{body}</ul>\n'
    )


def _about(
    records: Sequence[Record],
    label: str,
    gaps: Mapping[str, float],
    names: Sequence[str],
    still: float,
) -> str:
    near, far = _ends(gaps)
    text = (
        f"{title_of(label)}: Avg. Gap from {gaps[near]:.1f} points at {near} to {gaps[far]:.1f} at "
        f"{far}"
    )
    found = ranking(records, names, label)
    if len(found.labels) > 1:
        best = len(found.best)
        text += f"; {best} of {len(found.labels)} values cannot be told from the best one"
    if not math.isnan(still):
        below = sum(gap < still for gap in gaps.values())
        text += (
            f"; {below} of {len(gaps)} have a smaller mean gap than leaving the weights as they "
            f"are ({still:.1f})"
        )
    if len(gaps) >= 3:
        (outcome,), _ = sweep_parts({label: gaps}, {})
        known = "is at most" if outcome == GOOD else "is more than"
        text += f". The largest gap {known} {STABLE:g} times the smallest ({_ratio(gaps):.1f})"
    return f"{text}."


def _printed_only(paper: "pd.DataFrame", names: Sequence[str]) -> str:
    parts = []
    for label in labels_in(paper):
        gaps = gaps_of(paper, label, names)
        if gaps:
            near, far = _ends(gaps)
            parts.append(
                f"{title_of(label)} from {gaps[near]:.2f} at {near} to {gaps[far]:.2f} at {far}"
            )
    return f"<p>The paper prints Avg. Gaps of {code(listed(parts))}.</p>\n" if parts else ""


# ----- tables


def table(
    found: "pd.DataFrame", names: Sequence[str], caption: str, csv_name: str, digits: int = 2
) -> str:
    """A sweep as a table: references first, then every method and value with four metrics."""
    order = [x for x in REFERENCES if x in set(found["label"])]
    rows: list[list[Cell]] = []
    records = found.to_dict(orient="records")
    for row in sorted(records, key=lambda row: row["label"] not in order):
        values = [
            "–" if row["label"] in REFERENCES and row[name] is None else value_text(row[name])
            for name in names
        ]
        numbers = [mean_and_std(row[n], row[f"{n}_std"], digits) for n in ("gap", *GAP_METRICS)]
        cells: list[Cell] = [str(row["method"]), *values, *numbers]
        if "n" in found and not row["n"]:
            cells = [str(row["method"]), *values, "diverged"]
        rows.append(cells)
    header = ["Method", *(SYMBOLS.get(name, name) for name in names), "Avg. Gap"]
    return to_html([*header, *(f"{n} %" for n in GAP_METRICS)], rows, caption, found, csv_name)


def our_table(records: Sequence[Record], names: Sequence[str], csv_name: str) -> str:
    """Records of a sweep as a table, with its setting, seeds and scale in the caption."""
    if not records:
        return ""
    found = sweeps.summary(records, names)
    first = next((r for r in records if record_label(r) not in REFERENCES), records[0])
    caption = (
        f"Ours: {describe(first)}; {seeds_of(records)}. Mean ± sample standard deviation over "
        "seeds; Avg. Gap is the mean over seeds of each seed's gap to its Retrain, in percentage "
        "points."
    )
    return table(found, names, caption, csv_name, 1)


def control(records: Sequence[Record]) -> str:
    """What the control of the self-adaptive rate says: own rates against shuffled ones.

    By the protocol's test over seeds, for each method; all methods together are one family.
    """
    if not records:
        return not_yet("the control, the same rates shuffled over the samples of each batch")
    if any(record.scale == SMOKE for record in records):
        raise DataError("records: are of the smoke scale, which supports no verdict")
    whole = sweeps.gap_table(records, ["rates"])
    labels = labels_in(sweeps.summary(records, ["rates"]))
    own, shuffled = (
        [sweeps.key(label, [rates], ["rates"]) for label in labels] for rates in ("own", "shuffled")
    )
    found = compare([(whole, *pair) for pair in zip(own, shuffled, strict=True)])
    items = ""
    for label, each in zip(labels, found, strict=True):
        if each.outcome == NOT_RUN:
            continue
        words = {
            BETTER: "Its own rates come nearer to Retrain than the same rates shuffled",
            WORSE: "Its own rates are further from Retrain than the same rates shuffled",
        }.get(each.outcome, "Its own rates cannot be told from the same rates shuffled")
        text = (
            f"{title_of(label)}: {each.means[0]:.1f} points with its own rates, "
            f"{each.means[1]:.1f} with shuffled ones, {each.decision.n} seeds. {words} "
            f"({each.outcome})."
        )
        items += f"<li>{html.escape(text)}</li>\n"
    return f'<ul class="take-away">\n{items}</ul>\n'


def map_words(panels: "Mapping[str, pd.DataFrame]") -> str:
    """Where a search's best and worst trials are, with numbers, for a map's words."""
    parts = []
    for title, trials in panels.items():
        ordered = trials.sort_values("gap")
        near, far = (
            f"p = {row['p']:g}, α = {row['alpha']:g}, learning rate {row['lr']:g}, "
            f"{row['gap']:.1f} points"
            for row in (ordered.iloc[0], ordered.iloc[-1])
        )
        parts.append(f"{title}: nearest to Retrain at {near}; farthest at {far}")
    return f"Three maps of dots coloured by validation gap. {'. '.join(parts)}.".replace("-", "−")


def front_words(panels: "Mapping[str, pd.DataFrame]", name: str) -> str:
    """Which runs are on the Pareto front, with their cost and gap, for a figure's words."""
    parts = []
    for title, found in panels.items():
        runs = [
            f"{row['method']} with {name} {value_text(row[name])} at {row['passes']:,.0f} samples "
            f"({row['gap']:.1f} points)"
            for row in front(found).to_dict(orient="records")
        ]
        parts.append(f"{title}: {', '.join(runs)}")
    return f"Avg. Gap against samples passed. On the Pareto front, {'. '.join(parts)}."


def of(record: Record, labels: Sequence[str]) -> bool:
    """Whether a record is of one of the methods, or a reference."""
    return record_label(record) in (*REFERENCES, *labels)


def best_by(records: Sequence[Record], name: str) -> str:
    """Which methods cannot be told from the best at each value of a setting, by the protocol."""
    items = ""
    for value in dict.fromkeys(sweeps.value_of(record, name) for record in records):
        own = [record for record in records if sweeps.value_of(record, name) == value]
        found = rank(gap_table(own))
        if not found.labels:
            continue
        best = [title_of(label) for label in found.labels if label in found.best]
        text = (
            f"{text_of([value], [name])}: {listed(best)}, of {len(found.labels)} methods, cannot "
            "be told from the best."
        )
        items += f"<li>{html.escape(text)}</li>\n"
    return f'<ul class="take-away">\n{items}</ul>\n' if items else ""
