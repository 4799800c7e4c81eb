"""One style sheet and one script in place of many small ones: fewer requests for a page.

Sphinx's extensions bring a dozen files of their own. Those without attributes are joined, in
their order; what is deferred or carries data stays by itself.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

PLAIN = {"rel", "type", "priority", "filename"}  # attributes that say nothing of a file's own
LATE = ("pygments.css",)  # written anew by the theme when the pages are done
UNUSED = ("thebe", "design-tabs")  # live code, and tabs: the book has neither
ADDRESS = re.compile(r"url\((['\"]?)(?!data:|https?:|/|#)([^)'\"]+)\1\)")


def local(asset: Any) -> str | None:
    """The path of a plain file below ``_static``, or None for anything else."""
    name = str(getattr(asset, "filename", None) or "").partition("?")[0]
    own = {key for key, value in getattr(asset, "attributes", {}).items() if value is not None}
    path = name.removeprefix("_static/")
    return None if path == name or path in LATE or own - PLAIN else path


def is_unused(asset: Any) -> bool:
    """Whether a script or style sheet belongs to what the book does not use."""
    body = str(getattr(asset, "attributes", {}).get("body") or "")
    name = str(getattr(asset, "filename", None) or "")
    return "THEBE" in body or any(word in name for word in UNUSED)


def joined(static: Path, files: Iterable[str], ending: str) -> str:
    """The files' text, one after the other; addresses in styles are made to fit ``_static``."""
    parts = []
    for name in files:
        text = (static / name).read_text("utf-8")
        if ending == "css":
            folder = PurePosixPath(name).parent
            text = ADDRESS.sub(partial(_address, folder), text)
        parts.append(f"/* {name} */\n{text}\n" + (";\n" if ending == "js" else ""))
    return "".join(parts)


def _address(folder: PurePosixPath, found: re.Match[str]) -> str:
    return f"url({folder / found[2]})"


@cache
def bundle(static: Path, files: tuple[str, ...], ending: str) -> str:
    """Write the bundle of some files, once, and return its name, which follows from its text."""
    text = joined(static, files, ending)
    name = f"bundle-{hashlib.sha256(text.encode()).hexdigest()[:8]}.{ending}"
    (static / name).write_text(text, encoding="utf-8")
    return name


def bundled(assets: Sequence[Any], static: Path, make: Callable[[str], Any]) -> list[Any]:
    """A page's assets with one bundle at the place of the last plain one.

    A file that an extension writes only after the pages stays by itself.

    Args:
        assets: style sheets or scripts of a page.
        static: the folder ``_static`` of the built book.
        make: an asset from the address of its file.
    """
    kept = [asset for asset in assets if not is_unused(asset)]
    plain = [local(asset) for asset in kept]
    names = [name if name and (static / name).is_file() else None for name in plain]
    files = tuple(dict.fromkeys(name for name in names if name))
    if not files:
        return kept
    ending = files[0].rpartition(".")[2]
    last = max(place for place, name in enumerate(names) if name)
    single = make(f"_static/{bundle(static, files, ending)}")
    return [
        single if place == last else asset
        for place, (asset, name) in enumerate(zip(kept, names, strict=True))
        if name is None or place == last
    ]
