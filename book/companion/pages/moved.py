"""Pages that have moved: at the old address a page that leads to the new one, section and all."""

import html
import posixpath
from pathlib import Path

MOVED = {"book/errata": "book/readings"}  # old → new, below the built book, without the ending

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>This page has moved</title>
<meta name="robots" content="noindex">
<link rel="canonical" href="{address}">
<script>window.location.replace("{address}" + window.location.hash);</script>
<noscript><meta http-equiv="refresh" content="0; url={address}"></noscript>
</head>
<body><p>This page has moved: <a href="{address}">{address}</a>.</p></body>
</html>
"""


def write(target: Path) -> None:
    """Write a page at each old address of a built book.

    Args:
        target: the folder of the built book.
    """
    for old, new in MOVED.items():
        address = posixpath.relpath(f"{new}.html", posixpath.dirname(old) or ".")
        path = target / f"{old}.html"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PAGE.format(address=html.escape(address)), encoding="utf-8")
