"""Numbers of our figures: "Fig. R.2" is the second of the part Results.

So no figure of ours is mistaken for the paper's "Figure 6", and a figure that is added to one
part leaves the numbers of the others as they are.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

LETTERS = {  # caption of a part in _toc.yml → the letter of its figures
    "Start": "S",
    "Results": "R",
    "Methods": "M",
    "Theory": "T",
    "The paper audited": "A",
    "Reference": "X",
}

Number = tuple[int | str, ...]
Numbers = MutableMapping[str, MutableMapping[str, Number]]  # kind → anchor → number


def renumber(parts: Sequence[tuple[str, Sequence[str]]], pages: Mapping[str, Numbers]) -> None:
    """Give each figure the letter of its part and its place in it.

    Args:
        parts: of each part the letter and its pages, in the order of the book.
        pages: page → numbers as Sphinx gives them, which run through the whole book. Changed
            in place.
    """
    seen: Counter[str] = Counter()
    for letter, names in parts:
        for page in names:
            figures = pages.get(page, {}).get("figure", {})
            for anchor in sorted(figures, key=figures.__getitem__):
                seen[letter] += 1
                figures[anchor] = (letter, seen[letter])


def parts_of(environment: BuildEnvironment) -> Iterator[tuple[str, list[str]]]:
    """The letter of each part and its pages, those of subsections included.

    The landing page belongs to the first part.
    """
    root = environment.config.root_doc
    yield next(iter(LETTERS.values())), [root]
    for tree in environment.get_doctree(root).findall(addnodes.toctree):
        yield LETTERS[tree["caption"]], list(_below(environment, tree["includefiles"]))


def _below(environment: BuildEnvironment, pages: Sequence[str]) -> Iterator[str]:
    for page in pages:
        yield page
        yield from _below(environment, environment.toctree_includes.get(page, []))


def number_figures(app: Sphinx, environment: BuildEnvironment) -> list[str]:
    """Number the figures anew, after Sphinx has; a handler of ``env-get-updated``."""
    renumber(list(parts_of(environment)), environment.toc_fignumbers)  # type: ignore[arg-type]
    return []
