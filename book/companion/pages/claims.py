"""The scoreboard of the paper's claims: a table for the landing page, and a page with the rules."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

from companion.pages.markdown import list_table, raw_html
from companion.paper.claims import Scored, counts, scoreboard
from companion.paper.claims.rules import STRENGTHS, Judgement
from companion.tables.results import VERDICT_CLASSES

PAPER_CLASSES = {
    "supported": "yes",
    "partly": "partly",
    "not supported": "no",
    "no numbers": "none",
}
CLASSES = {**VERDICT_CLASSES, **PAPER_CLASSES}
OUTCOMES = (
    "supported",
    "reproduced",
    "partly",
    "tied",
    "undecided",
    "not supported",
    "not reproduced",
    "too few seeds",
    "no numbers",
)


def badge(judged: Judgement, *, strength: bool = True) -> str:
    """An outcome as a label, and how strong the evidence for it is."""
    label = f'<span class="verdict verdict-{CLASSES[judged.outcome]}">{judged.outcome}</span>'
    shown = strength and judged.strength != "none"
    return label + (f'<small class="strength">{judged.strength}</small>' if shown else "")


def board(scored: Sequence[Scored]) -> str:
    """One row for each claim: both verdicts, the strength of evidence, and where it is shown."""
    rows = [
        [
            f"{{ref}}`{row.claim.title} <claim-{row.claim.key}>`",
            badge(row.paper),
            badge(row.ours),
            ", ".join(f"[{title}]({path})" for title, path in row.claim.pages[:2]),
        ]
        for row in scored
    ]
    header = ("The paper says", "The paper's numbers, audited", "Our records", "Shown in")
    return list_table(header, rows, kind="scoreboard")


def scoreboard_section(book: Path) -> str:
    """The scoreboard of the landing page, with its heading."""
    scored = scoreboard(root=book)
    return "\n\n".join(
        [
            "## Scoreboard",
            f"{len(scored)} claims of the paper, each with two verdicts: one from the paper's own "
            "tables after an [audit](../notebooks/paper_audit.ipynb), one from our published "
            f"records at the bench scale. {summary(scored)} The rules are fixed in the code; "
            "[a page of their own](claims.md) gives each claim's words, measure, rule and "
            "evidence. Each verdict comes with the strength of its evidence.",
            board(scored),
        ]
    )


def summary(scored: Sequence[Scored]) -> str:
    """How often each verdict came out, in two sentences."""
    found = counts(scored)
    theirs, ours = (
        ", ".join(
            f"{found[side][outcome]} {outcome}"
            for outcome in (*OUTCOMES, "not run")
            if outcome in found[side]
        )
        for side in ("paper", "ours")
    )
    return f"The paper's numbers: {theirs}. Our records: {ours}."


def details(book: Path) -> str:
    """Every claim with its place, the paper's words, measure, rule and both verdicts."""
    return "\n\n".join(_section(row) for row in scoreboard(root=book))


def _section(row: Scored) -> str:
    claim = row.claim
    pages = ", ".join(f"[{title}]({path})" for title, path in claim.pages)
    facts = raw_html(
        '<dl class="claim-facts">'
        f"<dt>The paper's numbers</dt><dd>{badge(row.paper)} {escape(row.paper.evidence)}</dd>"
        f"<dt>Our records</dt><dd>{badge(row.ours)} {escape(row.ours.evidence)}</dd>"
        f"<dt>Measure</dt><dd>{escape(claim.measure)}.</dd>"
        f"<dt>Rule</dt><dd>{escape(claim.rule)}</dd>"
        "</dl>"
    )
    return "\n\n".join(
        [
            f"(claim-{claim.key})=\n## {claim.title}",
            f"“{claim.words}” ({claim.place})",
            facts,
            f"Shown in: {pages}.",
        ]
    )


def strengths(book: Path) -> str:
    """What the words for the strength of evidence mean."""
    return list_table(("Strength", "What there is to go by"), list(STRENGTHS.items()))


FRAGMENTS = {
    "scoreboard.md": scoreboard_section,
    "claims.md": details,
    "claims-strengths.md": strengths,
}
