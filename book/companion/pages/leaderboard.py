"""The leaderboard: every method in every setting and at every scale that has records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from companion.experiments.records import ties
from companion.experiments.records.record import Record
from companion.experiments.records.summary import METRICS, summary
from companion.experiments.records.ties import FIVE, FOUR, Ranking
from companion.experiments.runs.evidence import COMMAND
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.preset import SCALES
from companion.pages.markdown import raw_html
from companion.paper.claims.published import load_published
from companion.tables.findings import note, rank_text, rankings, row_order
from companion.tables.html import Cell, to_html
from companion.tables.words import mean_and_std, metric_cell, percent
from ugradsl_core.metrics import GAP_METRICS

HEADER = (
    "Method", FOUR, "Rank", "Setting", "Scale", "Seeds", *map(percent, GAP_METRICS), FIVE,
    "Rank (5)", "Passes, thousands",
)  # fmt: skip
FILTERS = ("Setting", "Scale", "Method")
CAPTION = (
    "All published results. Settings one below the other, in each the methods by Avg. Gap: mean ± "
    "sample standard deviation over seeds of the mean distance to Retrain in UA, MIA, RA and TA, "
    "in percentage points; “Avg. Gap (5)” includes the additional MIA. Rank: every rank that a "
    "method may have within its setting; methods that share one are tied. Bold: cannot be told "
    "from the best. Passes: thousands of samples, forward and backward together. “Transferred”: "
    "the configuration comes from another setting's search."
)
REFERENCES = "No method has been run yet, only what methods are measured against."


def leaderboard(book: Path) -> str:
    """The table, with what it is filtered by; a sentence where nothing has been run."""
    import pandas as pd

    rows: list[list[Cell]] = []
    data: list[dict[str, Any]] = []
    kinds: dict[int, str] = {}
    for scale in SCALES:
        published = load_published(scale, book / "results")
        for setting, records in published.settings.items():
            borrowed = published.transferred.get(setting, frozenset())
            for entry in entries(records, scale != ties.SMOKE):
                if entry["best"]:
                    kinds[len(rows)] = "strong"
                entry |= {
                    "setting": setting,
                    "scale": scale,
                    "transferred": entry["label"] in borrowed,
                }
                rows.append(_cells(entry))
                data.append({key: value for key, value in entry.items() if key != "row"})
    if not rows:
        return raw_html(note(f"Not run yet: there are no results; `{COMMAND}` makes them."))
    table = to_html(HEADER, rows, CAPTION, pd.DataFrame(data), "leaderboard.csv", kinds)
    waiting = {entry["label"] for entry in data} <= set(ties.OUTSIDE)
    lead = f"{note(f'{REFERENCES} `{COMMAND}` runs the methods.')}\n" if waiting else ""
    filters = ";".join(FILTERS)
    return raw_html(f'{lead}<div class="leaderboard" data-filters="{filters}">\n{table}</div>')


def entries(records: Sequence[Record], judged: bool) -> list[dict[str, Any]]:
    """What a row holds, for every method of one setting, Retrain and the nearest first.

    Args:
        records: of the setting.
        judged: whether its scale supports verdicts; without them no method has a rank.
    """
    found = {str(row["label"]): row for row in summary(records).to_dict(orient="records")}
    ranked = rankings(records) if judged else {}
    return [_entry(found[label], ranked) for label in row_order(records)]


def _entry(row: Mapping[Any, Any], ranked: Mapping[str, Ranking]) -> dict[str, Any]:
    label = str(row["label"])
    columns = (*METRICS, "mean_of_gaps", "mean_of_gaps_add_MIA")
    std = {name: name.replace("gaps", "gaps_std", 1) for name in columns[5:]}
    best = ranked[FOUR].best if FOUR in ranked else frozenset()
    return {
        "label": label,
        "method": title_of(label),
        "row": row,
        "seeds": int(row["n"]),
        "diverged": int(row["diverged"]),
        "best": label in best,
        **{f"rank, {measure}": rank_text(each, label) for measure, each in ranked.items()},
        **{name: row[name] for name in columns},
        **{f"{name}_std": row[std.get(name, f"{name}_std")] for name in columns},
        **{name: row[name] for name in ("RTE", "forward", "backward")},
    }


def _cells(entry: Mapping[str, Any]) -> list[Cell]:
    row = entry["row"]
    seeds = str(entry["seeds"])
    lost = f"{entry['diverged']} diverged" if entry["diverged"] else ""
    scale = (entry["scale"], "transferred") if entry["transferred"] else entry["scale"]
    passes = (row["forward"] + row["backward"]) / 1000
    return [
        entry["method"],
        _split(mean_and_std(entry["mean_of_gaps"], entry["mean_of_gaps_std"])),
        entry.get(f"rank, {FOUR}", "–"),
        entry["setting"],
        scale,
        (seeds, lost) if lost else seeds,
        *(_metric(row, name) if entry["seeds"] else "–" for name in GAP_METRICS),
        _split(mean_and_std(entry["mean_of_gaps_add_MIA"], entry["mean_of_gaps_add_MIA_std"])),
        entry.get(f"rank, {FIVE}", "–"),
        f"{passes:,.1f}" if entry["seeds"] else "–",
    ]


def _metric(row: Mapping[Any, Any], name: str) -> Cell:
    """A metric, and below it in how many runs the attack had no signal."""
    number, _, silent = metric_cell(row, name, 1).rstrip(")").partition(" (")
    return _split(number, silent)


def _split(number: str, remark: str = "") -> Cell:
    """A mean, and below it its standard deviation and a remark: half the width of one line."""
    mean, _, std = number.partition(" ± ")
    below = "; ".join(part for part in (f"± {std}" if std else "", remark) if part)
    return (mean, below) if below else mean


FRAGMENTS = {"leaderboard.md": leaderboard}
