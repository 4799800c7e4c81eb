"""What a page says of itself to search engines, and to whoever shares its address."""

import re

from docutils import nodes
from sphinx import addnodes

LONGEST = 200  # characters; search engines cut earlier
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>')
SKIPPED = (addnodes.index, nodes.raw, nodes.math, nodes.math_block)


def description(doctree: nodes.document | None) -> str:
    """A page's first paragraph in plain text, cut at the end of a sentence or of a word.

    Args:
        doctree: the page; None for pages without a source, such as the search.
    """
    if doctree is None:
        return ""
    for paragraph in doctree.findall(nodes.paragraph):
        if not any(paragraph.findall(lambda node: isinstance(node, SKIPPED))):
            text = " ".join(paragraph.astext().split())
            if text:
                return shortened(text)
    return ""


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
