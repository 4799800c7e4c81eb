"""Figures with a second rendering for phones, in which text keeps its size."""

import re
import shutil
from pathlib import Path

NARROW = "-narrow.svg"  # how the second rendering's name ends
IMAGE = re.compile(r'<img [^>]*src="([^"]*_images/)([\w-]+)\.svg"[^>]*>')


def with_narrow(body: str, sources: Path, images: Path) -> str:
    """A page's body in which a figure that has a narrow rendering shows it on a narrow screen.

    Args:
        body: HTML.
        sources: where ``NAME-narrow.svg`` is, beside ``NAME.svg``.
        images: the folder of the book's images, into which narrow ones are copied.
    """

    def chosen(found: re.Match[str]) -> str:
        name = f"{found[2]}{NARROW}"
        if not (sources / name).is_file():
            return found[0]
        images.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sources / name, images / name)
        source = f'<source media="(max-width: 600px)" srcset="{found[1]}{name}">'
        return f"<picture>{source}{found[0]}</picture>"

    return IMAGE.sub(chosen, body)
