"""The paper's claims: the place of each, what would decide it, by which rule, and the outcome.

A rule is applied to the paper's own numbers after the audit, and to our published records. Rules
are code: ``paper`` and ``paper_sweeps``, ``records`` and ``records_sweeps``.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from companion.paper.audit import Audit, audit
from companion.paper.claims.published import Published, load_published
from companion.paper.claims.rules import Judgement
from companion.paper.claims.table import CLAIMS, Claim


@dataclass(frozen=True)
class Scored:
    """A claim and its two verdicts."""

    claim: Claim
    paper: Judgement
    ours: Judgement

    def as_json(self) -> dict[str, Any]:
        """The row as JSON has it."""
        fields = ("key", "title", "place", "words", "measure", "rule")
        row = {field: getattr(self.claim, field) for field in fields}
        return {**row, "paper": asdict(self.paper), "ours": asdict(self.ours)}


def scoreboard(
    audited: Audit | None = None,
    published: Published | None = None,
    root: Path | None = None,
) -> list[Scored]:
    """Every claim, judged by the paper's audited numbers and by our records.

    Args:
        audited: of the paper's tables; by default it is made.
        published: our records; by default those of the ``bench`` scale are read.
        root: the book's folder, for the defaults; the repository's by default.
    """
    if audited is None:
        audited = audit(root=root / "paper" if root else None)
    if published is None:
        published = load_published(root=root / "results" if root else None)
    return [Scored(claim, claim.paper(audited), claim.ours(published)) for claim in CLAIMS]


def counts(scored: Sequence[Scored]) -> dict[str, dict[str, int]]:
    """How often each outcome came out, for the paper's numbers and for ours."""
    found: dict[str, dict[str, int]] = {"paper": {}, "ours": {}}
    for row in scored:
        for side, judged in (("paper", row.paper), ("ours", row.ours)):
            found[side][judged.outcome] = found[side].get(judged.outcome, 0) + 1
    return found
