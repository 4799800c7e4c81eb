"""Repairs of generated HTML that keeps a keyboard or a screen reader out."""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

NAMED_TWICE = re.compile(r'<summary aria-label="Toggle hidden content">')
NO_LIST = re.compile(r'<div role="list" class="citation-list">')
NO_ENTRY = re.compile(r' role="doc-biblioentry"')
SIGNATURE = re.compile(
    r'<dl>\s*((?:<dd>(?:<em class="sig-param">|<span class="sig-).*?</dd>\s*)+)</dl>', re.DOTALL
)
EMPTY_HEAD = re.compile(r"<th([^>]*)>\s*(?:<p>\s*</p>)?\s*</th>")
FORMULA_HEAD = re.compile(
    r'<th([^>]*)>(<p>)?(<span class="math[^"]*">\\\((.*?)\\\)</span>)(</p>)?\s*</th>', re.DOTALL
)
SCOPE = re.compile(r' scope="[a-z]+"')
PART = re.compile(r"<(thead|tbody)\b.*?</\1>", re.DOTALL)
UNSCOPED = re.compile(r"<th\b(?![^>]*\bscope=)")
TWO_HEADS = re.compile(
    r"<thead>\s*<tr[^>]*>((?:(?!</tr>).)*)</tr>\s*<tr[^>]*>((?:(?!</tr>).)*)</tr>\s*</thead>",
    re.DOTALL,
)
FRAME = re.compile(r'(<table[^>]* class="dataframe[^>]*>)(.*?)</table>', re.DOTALL)
ROW = re.compile(r"(<tr[^>]*>)(.*?)</tr>", re.DOTALL)
CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.DOTALL)
ROWSPAN = re.compile(r' rowspan="(\d+)"')
REGION = re.compile(r'(role="region"[^>]*? aria-label=")([^"]+)(")')


def mend(body: str) -> str:
    """A page's body after repairs.

    * A button's label that says something other than its text goes.
    * A bibliography is no list of ARIA, as its children are no list items.
    * Arguments of a long signature are no definitions without terms.
    * A data frame has one row of heads, its index among them, and a head for each of its rows.
    * An empty head of a column is a cell like any other, and one that is a formula has a name.
    * Heads say whether they are a column's or a row's.
    * Regions of one name are numbered.
    """
    body = NAMED_TWICE.sub("<summary>", body)
    body = NO_ENTRY.sub("", NO_LIST.sub('<div class="citation-list">', body))
    body = FRAME.sub(_frame, body)
    body = EMPTY_HEAD.sub(lambda found: f"<td{SCOPE.sub('', found[1])}></td>", body)
    body = PART.sub(_scoped, FORMULA_HEAD.sub(_named, body))
    return _numbered(SIGNATURE.sub(_arguments, body))


def _named(found: re.Match[str]) -> str:
    attributes, start, formula, tex, end = found.groups(default="")
    spoken = re.sub(r"[\\{}$&;<>]|amp|mathrm", " ", tex)
    label = " ".join(spoken.replace('"', " ").split())
    hidden = f'<span class="visually-hidden">{label}</span>'
    return f"<th{attributes}>{start}{formula}{hidden}{end}</th>"


def _frame(found: re.Match[str]) -> str:
    body = TWO_HEADS.sub(_one_head, found[2])
    return f"{found[1]}{_without_rowspans(body) if ROWSPAN.search(body) else body}</table>"


def _one_head(found: re.Match[str]) -> str:
    """Heads of columns and names of the index in one row, if no column has both."""
    upper, lower = (list(CELL.finditer(row)) for row in found.groups())
    if len(upper) != len(lower) or "colspan" in found[0]:
        return found[0]
    pairs = list(zip(upper, lower, strict=True))
    if any(above[3].strip() and below[3].strip() for above, below in pairs):
        return found[0]
    cells = "".join(above[0] if above[3].strip() else below[0] for above, below in pairs)
    return f"<thead><tr>{cells}</tr></thead>"


def _without_rowspans(body: str) -> str:
    """Rows in which a head that spans several of them is repeated."""
    pending: list[tuple[int, str]] = []  # of each leading head: rows to come, and the head

    def row(found: re.Match[str]) -> str:
        nonlocal pending
        repeated = [(left - 1, head) for left, head in pending if left]
        own, cells = [], ""
        for cell in CELL.finditer(found[2]):
            span = ROWSPAN.search(cell[2])
            text = ROWSPAN.sub("", cell[0], count=1)
            if span:
                own.append((int(span[1]) - 1, text))
            cells += text
        pending = [*repeated, *own]
        return f"{found[1]}{''.join(head for _, head in repeated)}{cells}</tr>"

    return ROW.sub(row, body)


def _scoped(part: re.Match[str]) -> str:
    scope = "col" if part[1] == "thead" else "row"
    return UNSCOPED.sub(f'<th scope="{scope}"', part[0])


def _numbered(body: str) -> str:
    seen: Counter[str] = Counter()

    def number(found: re.Match[str]) -> str:
        seen[found[2]] += 1
        again = f" ({seen[found[2]]})" if seen[found[2]] > 1 else ""
        return f"{found[1]}{found[2]}{again}{found[3]}"

    return REGION.sub(number, body)


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
