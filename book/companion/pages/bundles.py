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


def is_later(asset: Any) -> bool:
    """Whether a script runs after the page is read, wherever it is named."""
    own = getattr(asset, "attributes", {})
    return "defer" in own or "async" in own


def _priority(asset: Any) -> int:
    return int(getattr(asset, "priority", 500))


def bundled(assets: Sequence[Any], static: Path, make: Callable[..., Any]) -> list[Any]:
    """A page's assets in their order, each run of plain files as one bundle.

    Sphinx sorts assets by their priority, and so are they joined. A script of the page that needs
    a file stays behind it: it ends the run. What is deferred ends none. A file that an extension
    writes only after the pages stays by itself.

    Args:
        assets: style sheets or scripts of a page.
        static: the folder ``_static`` of the built book.
        make: an asset from the address of its file and its ``priority``.
    """
    made: list[Any] = []
    run: dict[str, Any] = {}
    seen: set[str] = set()

    def end_run() -> None:
        if run:
            ending = next(iter(run)).rpartition(".")[2]
            name = f"_static/{bundle(static, tuple(run), ending)}"
            made.append(make(name, priority=_priority(list(run.values())[-1])))
            run.clear()

    for asset in sorted((asset for asset in assets if not is_unused(asset)), key=_priority):
        name = local(asset)
        if name and (static / name).is_file():
            if name not in seen:
                run[name] = asset
            seen.add(name)
            continue
        if not is_later(asset):
            end_run()
        made.append(asset)
    end_run()
    return made
