"""The commands ``ugradsl audit`` and ``ugradsl claims``: what the book says of the paper."""

import textwrap
from typing import Annotated

import typer

from companion.cli.options import AsJson, print_json
from companion.cli.printing import aligned
from companion.paper.audit import audit as audit_tables
from companion.paper.audit import directions, explained
from companion.paper.audit.findings import KINDS, SEVERITIES
from companion.paper.audit.lines import RESULT_TABLES, TOLERANCE
from ugradsl_core.errors import unknown_name

WIDTH = 100
ALL = "all"


def audit(
    table: Annotated[
        list[int] | None, typer.Option(help="A table to report on; may be repeated.")
    ] = None,
    kind: Annotated[str, typer.Option(help=f"{ALL}, or a kind of finding.")] = ALL,
    severity: Annotated[str, typer.Option(help=f"{ALL}, or {', '.join(SEVERITIES)}.")] = ALL,
    tolerance: Annotated[
        float, typer.Option(help="Difference of gaps that is rounding, in points.")
    ] = TOLERANCE,
    as_json: AsJson = False,
) -> None:
    """Check the paper's tables: every gap recomputed, contradictions and impossible numbers."""
    if kind not in (ALL, *KINDS):
        raise unknown_name("kind", kind, [ALL, *KINDS])
    if severity not in (ALL, *SEVERITIES):
        raise unknown_name("severity", severity, [ALL, *SEVERITIES])
    found = audit_tables(table or RESULT_TABLES, tolerance)
    chosen = [
        finding
        for finding in found.findings
        if kind in (ALL, finding.kind) and severity in (ALL, finding.severity)
    ]
    if as_json:
        report = {
            "tolerance": tolerance,
            "gaps": explained(found.checks),
            "directions": directions(found.checks),
            "findings": [finding.as_json() for finding in chosen],
        }
        print_json(report)
        return
    for level, meaning in SEVERITIES.items():
        own = [finding for finding in chosen if finding.severity == level]
        if own:
            print(f"{level.upper()}: {meaning}")
        for finding in own:
            text = f"{KINDS[finding.kind][0]}. {finding.sentence}"
            print(_wrapped(text, "  - "))
    gaps = len(found.checks)
    fitting = sum(check.explanation == "rounding" for check in found.checks)
    print(f"{len(chosen)} findings; {fitting} of {gaps} printed gaps follow from their rows.")


def claims(
    details: Annotated[bool, typer.Option("--details", help="Print rules and evidence.")] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the paper's claims by its own audited numbers and by the published records."""
    from companion.paper.claims import scoreboard

    scored = scoreboard()
    if as_json:
        print_json([row.as_json() for row in scored])
        return
    header = ("claim", "paper's numbers", "strength", "our records", "strength")
    rows = [
        (r.claim.title, r.paper.outcome, r.paper.strength, r.ours.outcome, r.ours.strength)
        for r in scored
    ]
    if not details:
        for line in aligned([header, *rows]):
            print(line.rstrip())
        return
    for row in scored:
        print(f"{row.claim.title} ({row.claim.key}; {row.claim.place})")
        for name, text in (
            ("the paper", f"“{row.claim.words}”"),
            ("measure", row.claim.measure),
            ("rule", row.claim.rule),
            (f"its numbers: {row.paper.outcome}, {row.paper.strength}", row.paper.evidence),
            (f"our records: {row.ours.outcome}, {row.ours.strength}", row.ours.evidence),
        ):
            print(_wrapped(f"{name}: {text}", "  "))


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent="    ", break_on_hyphens=False
    )
