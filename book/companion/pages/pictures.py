"""Figures as a part of their page: their text is text, and their ink is the page's.

A drawing in an ``<img>`` has neither: nothing in it can be found or selected, and it does not know
whether the page is dark.
"""

import html
import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from companion.figures.style import INK

NARROW = "-narrow.svg"  # how the name of a second rendering, for phones, ends
LEAST = 11  # px, of a label on a phone
IMAGE = re.compile(r'<img [^>]*src="[^"]*_images/([\w-]+)\.svg"[^>]*>')
ALT = re.compile(r' alt="([^"]*)"')
WIDTH = re.compile(r'viewBox="0 0 ([\d.]+) ')
LABEL = re.compile(r"<text [^>]*?font-size: ([\d.]+)px")
NAME = re.compile(r' id="([^"]+)"')
REFERENCE = re.compile(r'(url\(#|href="#)([^")]+)')


def inlined(body: str, find: Callable[[str], Path | None]) -> str:
    """A page's body in which every SVG image is an element of the page.

    A figure that is wider than the screen scrolls in its own box instead of shrinking until its
    labels cannot be read; one that has a second, narrow rendering shows that on a phone.

    Args:
        body: HTML.
        find: the file of an image of that name, or None where there is none.
    """
    seen: Counter[str] = Counter()

    def drawn(found: re.Match[str]) -> str:
        path, narrow = find(f"{found[1]}.svg"), find(f"{found[1]}{NARROW}")
        if path is None:
            return found[0]
        words = html.unescape(alt[1]) if (alt := ALT.search(found[0])) else ""
        kinds = {"drawing": path}
        if narrow is not None:
            kinds = {"drawing wide": path, "drawing narrow": narrow}
        parts = []
        for kind, source in kinds.items():
            seen["figures"] += 1
            svg = drawing(source.read_text("utf-8"), words, f"drawing-{seen['figures']}")
            parts.append(f'<span class="{kind}">{svg}</span>')
        return "".join(parts)

    return IMAGE.sub(drawn, body)


def drawing(text: str, words: str, name: str) -> str:
    """An SVG file as an element of a page, with words for those who do not see it.

    Args:
        text: of the file.
        words: what it shows.
        name: begins the names of its parts, which are the page's own then.
    """
    svg = text[text.index("<svg") :].strip().replace(INK, "currentcolor")
    used = {found[2] for found in REFERENCE.finditer(svg)}
    svg = NAME.sub(lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = REFERENCE.sub(lambda found: f"{found[1]}{name}-{found[2]}", svg)
    sizes = [float(size) for size in LABEL.findall(svg)]
    width = float(found[1]) if (found := WIDTH.search(svg)) else 0.0
    least = math.ceil(LEAST * width / min(sizes)) if sizes else 0
    box = f'role="img" aria-label="{html.escape(words)}" style="--least: {least}px"'
    return f"<svg {box} {svg.removeprefix('<svg ')}"
