"""What a page says of itself to search engines, and to whoever shares its address."""

import re

from docutils import nodes
from sphinx import addnodes

SHORTEST = 40  # characters; a shorter paragraph is a heading in all but name
LONGEST = 200  # characters; search engines cut earlier
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>')
SKIPPED = (addnodes.index, nodes.raw, nodes.math, nodes.math_block)


def description(doctree: nodes.document | None) -> str:
    """A page's first paragraph of some length in plain text, cut after a sentence or a word.

    Args:
        doctree: the page; None for pages without a source, such as the search.
    """
    if doctree is None:
        return ""
    found = [
        " ".join(paragraph.astext().split())
        for paragraph in doctree.findall(nodes.paragraph)
        if not any(paragraph.findall(lambda node: isinstance(node, SKIPPED)))
    ]
    return shortened(
        next((text for text in found if len(text) >= SHORTEST), max(found, key=len, default=""))
    )


def without_viewport(tags: str) -> str:
    """Sphinx's tags without the one for the viewport, which the theme writes too."""
    return VIEWPORT.sub("", tags)


def shortened(text: str) -> str:
    """At most ``LONGEST`` characters of a text: whole sentences if one fits, else whole words."""
    if len(text) <= LONGEST:
        return text
    head = text[: LONGEST - 1]
    sentence = head.rfind(". ")
    if sentence > 0:
        return head[: sentence + 1]
    return f"{head.rpartition(' ')[0].rstrip(',;:')}…"
