"""Repairs of generated HTML that keeps a keyboard or a screen reader out."""

import re

REPAIRS = (
    # The button's label says something else than its text.
    (re.compile(r'<summary aria-label="Toggle hidden content">'), "<summary>"),
    # A bibliography is no list of ARIA: its children are no list items.
    (
        re.compile(
            r'(<div class="citation-list"|<div class="docutils citation-list"|'
            r'<div role="list" class="citation-list")([^>]*)>'
        ),
        r"\1\2>",
    ),
)


def mend(body: str) -> str:
    """A page's body with every repair made."""
    for pattern, replacement in REPAIRS:
        body = pattern.sub(replacement, body)
    return body
