"""Repairs of generated HTML that keeps a keyboard or a screen reader out."""

import re
from collections.abc import Callable
from typing import Any

NAMED_TWICE = re.compile(r'<summary aria-label="Toggle hidden content">')
NO_LIST = re.compile(r'<div role="list" class="citation-list">')
NO_ENTRY = re.compile(r' role="doc-biblioentry"')
SIGNATURE = re.compile(
    r'<dl>\s*((?:<dd>(?:<em class="sig-param">|<span class="sig-).*?</dd>\s*)+)</dl>', re.DOTALL
)


def mend(body: str) -> str:
    """A page's body after repairs.

    * A button's label that says something else than its text goes.
    * A bibliography is no list of ARIA, as its children are no list items.
    * Arguments of a long signature are no definitions without terms.
    """
    body = NAMED_TWICE.sub("<summary>", body)
    body = NO_ENTRY.sub("", NO_LIST.sub('<div class="citation-list">', body))
    return SIGNATURE.sub(_arguments, body)


def _arguments(found: re.Match[str]) -> str:
    inner = found[1].replace("<dd>", "<div>").replace("</dd>", "</div>")
    return f'<div class="sig-arguments">{inner}</div>'


def name_toggles(make: Callable[..., Any]) -> Callable[..., Any]:
    """A maker of navigation trees whose toggles have names.

    Args:
        make: returns a tree as ``BeautifulSoup``, or as text where the theme wants that.
    """

    def named(*arguments: Any, **options: Any) -> Any:
        tree = make(*arguments, **options)
        for summary in tree.select("summary") if hasattr(tree, "select") else ():
            link = summary.find_parent("li").find("a")
            summary["aria-label"] = f"Pages below {link.get_text(strip=True)}"
        return tree

    return named
