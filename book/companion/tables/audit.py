"""The audit as HTML: lists of findings, and tables of gaps and rankings."""

import html
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from companion.figures.audit import Implied
from companion.paper.audit import Audit, directions, explained
from companion.paper.audit.findings import KINDS, SEVERITIES, Finding, listed, points
from companion.paper.audit.gaps import GapCheck, implied
from companion.paper.audit.lines import SLACK, TOLERANCE, describe, recomputed_gap
from companion.paper.audit.ranks import Ranking, place
from companion.paper.names import name
from companion.tables.html import Cell, to_html

NOTHING = "<p><em>Nothing of this kind in these tables.</em></p>"
EXPLANATION_TITLES = {
    "rounding": "Follows",
    "elsewhere": "Cell elsewhere",
    "other-retrain": "Other Retrain",
    "per-seed": "Per-seed gaps",
    "misprint": "A digit",
    "unexplained": "Unexplained",
}
COUNTED = {"minor": ("minor finding", "minor findings"), "note": ("note", "notes")}
FOLDED = tuple(COUNTED)
SWEEPS = (6, 7, 13, 14, 15, 16)
SHOWN = 4  # methods in a panel


def badge(severity: str) -> str:
    """A severity as a label."""
    return f'<span class="verdict severity-{severity}">{severity}</span>'


def findings_list(findings: Iterable[Finding], kinds: Sequence[str] = tuple(KINDS)) -> str:
    """Findings of some kinds, each with the cells that it rests on; those that matter little
    are folded away."""
    found = [finding for finding in findings if finding.kind in kinds]
    open_, folded = ([f for f in found if (f.severity in FOLDED) is away] for away in (False, True))
    text = _list(open_) if open_ else ""
    if folded:
        counts = Counter[str](finding.severity for finding in folded)
        words = " and ".join(
            f"{counts[s]} {COUNTED[s][counts[s] > 1]}" for s in FOLDED if counts[s]
        )
        text += f'<details class="folded"><summary>{words}</summary>\n{_list(folded)}</details>\n'
    return text or NOTHING


def _list(findings: Iterable[Finding]) -> str:
    items = "".join(map(_item, findings))
    return f'<ul class="verdicts findings">\n{items}</ul>\n'


def _item(finding: Finding) -> str:
    cells = "".join(f"<li>{html.escape(cell)}</li>" for cell in finding.cells)
    count = f"{len(finding.cells)} cell{'s' * (len(finding.cells) > 1)}"
    return (
        f'<li data-severity="{finding.severity}" '
        f'data-tables="{" ".join(map(str, finding.tables))}">'
        f"{badge(finding.severity)} {html.escape(finding.sentence)}\n"
        f"<details><summary>{count} of the CSV files</summary><ul>{cells}</ul></details></li>\n"
    )


def overview(findings: Sequence[Finding]) -> str:
    """How many findings of each kind there are, by severity, and the rule of each kind."""
    rows: list[list[Cell]] = []
    for kind, (title, rule) in KINDS.items():
        own = [finding.severity for finding in findings if finding.kind == kind]
        counts = ", ".join(
            f"{own.count(s)} {s}{'s' * (s == 'note' and own.count(s) > 1)}"
            for s in SEVERITIES
            if s in own
        )
        rows.append([(title, rule), counts or "none"])
    meanings = "; ".join(f"{severity}: {meaning}" for severity, meaning in SEVERITIES.items())
    table = to_html(["Kind and rule", "Found"], rows, f"What the audit looks for. {meanings}.")
    return _wide(table) + chooser(findings)


def chooser(findings: Sequence[Finding]) -> str:
    """Where a reader chooses findings by table and by severity, with JavaScript."""
    data = {
        "severities": [s for s in SEVERITIES if any(f.severity == s for f in findings)],
        "tables": sorted({number for finding in findings for number in finding.tables}),
    }
    return (
        '<div id="choose-findings" class="numbers-controls" '
        f"data-choices='{html.escape(json.dumps(data))}'></div>"
        '<p id="chosen-findings" class="numbers-count" role="status"></p>\n'
        '<script defer src="../_static/findings.js"></script>\n'
    )


def _wide(table: str) -> str:
    """A table of words: its lines break."""
    return table.replace('class="results-table"', 'class="results-table words"')


def gaps_table(checks: Sequence[GapCheck]) -> str:
    """For each table, how many printed gaps have which explanation."""
    rows, total = [], dict.fromkeys(EXPLANATION_TITLES, 0)
    for number, counts in explained(checks).items():
        total = {kind: total[kind] + counts[kind] for kind in total}
        cells = [str(counts[kind] or "–") for kind in EXPLANATION_TITLES]
        rows.append([f"Table {number}", str(sum(counts.values())), *cells])
    rows.append(["All", str(sum(total.values())), *map(str, total.values())])
    caption = (
        "Printed gaps that can be recomputed, by what explains them. “Follows” is up to rounding; "
        "the other columns are the explanations in the order in which they are tried."
    )
    header = ["", "Gaps", *EXPLANATION_TITLES.values()]
    return to_html(header, rows, caption, kinds={len(rows) - 1: "strong"})


def directions_table(checks: Sequence[GapCheck]) -> str:
    """Whether odd gaps are printed too small or too large, for the paper's methods and others."""
    rows = [
        [group, *(str(counts[key]) for key in ("gaps", "smaller", "larger"))]
        for group, counts in directions(checks).items()
    ]
    caption = (
        "Gaps that neither rounding nor per-seed gaps explain, by their sign: printed smaller or "
        "larger than recomputed. A smaller gap flatters a method."
    )
    return to_html(["Methods", "Gaps", "Smaller", "Larger"], rows, caption)


def ranking_table(ranked: Sequence[Ranking]) -> str:
    """The best method of every block as printed and as recomputed, and UGradSL+'s place."""
    rows, kinds = [], {}
    for number, ranking in enumerate(ranked):
        places = [place(order, "ugradsl+") for order in (ranking.printed, ranking.recomputed)]
        rows.append(
            [
                describe(ranking.block),
                _first(ranking.best_printed, ranking.printed[0][1]),
                _first(ranking.best_recomputed, ranking.recomputed[0][1]),
                " → ".join(map(str, dict.fromkeys(places))),
                str(len(ranking.printed)),
            ]
        )
        if ranking.changed:
            kinds[number] = "strong"
    header = ["Where", "Best, printed", "Best, recomputed", "UGradSL+'s place", "Methods"]
    caption = (
        "The method with the smallest Avg. Gap, and the place of UGradSL+ at a fixed rate (printed "
        "→ recomputed, where they differ). Stressed: the best method changes."
    )
    return to_html(header, rows, caption, kinds=kinds)


def _first(methods: Sequence[str], gap: float) -> str:
    return f"{listed(map(name, methods))} {points(gap)}"


def difference_rows(checks: Sequence[GapCheck]) -> list[tuple[str, float, str]]:
    """What ``audit.differences`` draws."""
    return [(f"Table {c.line.table}", c.difference, c.explanation) for c in checks]


def bound_rows(checks: Sequence[GapCheck]) -> list[tuple[float, float, str]]:
    """What ``audit.against_bound`` draws: the tables that vary a parameter."""
    return [
        (check.largest - check.recomputed, check.difference, check.explanation)
        for check in checks
        if check.line.table in SWEEPS and check.largest is not None
    ]


def implied_rows(audited: Audit, tolerance: float = TOLERANCE) -> list[Implied]:
    """What ``audit.implied_reference`` draws: the block with another Retrain value."""
    return [
        Implied(
            name(check.line.method),
            tuple(implied(check.line, check.reference, fit.metric, tolerance)),
            check.explanation,
        )
        for block, fit in audited.others.items()
        for check in audited.checks
        if check.line.block == block
    ]


def order_panels(ranked: Sequence[Ranking]) -> dict[str, list[tuple[str, float, float]]]:
    """What ``audit.two_orders`` draws: the best methods where another one is best."""
    panels = {}
    for ranking in ranked:
        printed = dict(ranking.printed)
        if ranking.changed:
            panels[describe(ranking.block)] = [
                (name(method), printed[method], gap) for method, gap in ranking.recomputed[:SHOWN]
            ]
    return panels


def references_table(audited: Audit) -> str:
    """A block whose gaps come from two references: every method measured from either."""
    parts = []
    for block, fit in audited.others.items():
        checks = [check for check in audited.checks if check.line.block == block]
        other = {**fit.reference.mean, fit.metric: round(fit.value, 2)}
        columns = [fit.reference, replace(fit.reference, mean=other)]
        gaps = [
            {c.line.method: recomputed_gap(c.line, reference) or 0.0 for c in checks}
            for reference in columns
        ]
        best = [min(found.values()) for found in gaps]
        rows = []
        for check in sorted(checks, key=lambda c: c.printed):
            cells = [
                points(found[check.line.method])
                + (" *" if found[check.line.method] <= least + SLACK else "")
                for found, least in zip(gaps, best, strict=True)
            ]
            rows.append([name(check.line.method), f"{check.printed:.2f}", *cells])
        heads = [f"from {fit.metric} {c.mean[fit.metric]:.2f}" for c in columns]
        caption = (
            f"{describe(block)}: Avg. Gap as printed, and measured from either value of Retrain's "
            f"{fit.metric}. An asterisk marks the smallest."
        )
        parts.append(to_html(["Method", "Printed", *heads], rows, caption))
    return "".join(parts) or NOTHING
