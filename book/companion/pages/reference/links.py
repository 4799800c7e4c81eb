"""Links from `code` words to what they name: public objects and commands.

A word such as `unlearn`, `metrics.mia()` or `ugradsl experiment` in the prose becomes a link
where exactly one public object, or one command, has that name. Headings, code blocks and what is
a link already stay as they are.
"""

import html
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, cast

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.python import ObjectEntry, PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

from companion.pages.reference import api, cli

NAME = re.compile(r"^[A-Za-z_][\w.]*(?:\(.*\))?$")
PLAIN = re.compile(r"^[a-z0-9]+$")
COMMAND = re.compile(r"^(?:\$ )?ugradsl ([a-z0-9]+)\b")
PUBLIC = {"function", "class", "exception", "data", "module"}
RAW_CODE = re.compile(
    r"<(a|pre|script|style|summary|button|h[1-6])\b.*?</\1>|<code>([^<>]+)</code>", re.DOTALL
)
CLOSED = (nodes.reference, nodes.title, nodes.literal_block, addnodes.desc_signature, nodes.term)


def find(word: str, kinds: Mapping[str, str], exports: Mapping[str, str]) -> str | None:
    """The full name of the one public object that a word names, or None.

    A plain word, such as `workers` or `forward`, is likely to be no more than a word: it has to be
    exported by a package.

    Args:
        word: as in the prose: a name, a dotted name or its end, perhaps with a call's brackets.
        kinds: full name → kind of each public object, such as ``function`` or ``module``.
        exports: shorter full names of some of them.
    """
    if not NAME.match(word):
        return None
    bare, bracket, _ = word.partition("(")
    for place in (bare, f"{api.CORE}.{bare}"):
        if place in exports:
            return exports[place]
        if place in kinds:
            return place
    short = {full for name, full in exports.items() if name.endswith(f".{bare}")}
    if PLAIN.match(bare) and not bracket:
        ends = short
    else:
        ends = short | {name for name in kinds if name.endswith(f".{bare}")}
    ends = {name for name in ends if kinds.get(name) != "module"} or ends
    return ends.pop() if len(ends) == 1 else None


def public_names(env: BuildEnvironment) -> dict[str, ObjectEntry]:
    """What the API pages document, by full name; attributes and methods are left out."""
    domain = cast(PythonDomain, env.get_domain("py"))
    return {
        name: entry
        for name, entry in domain.objects.items()
        if entry.objtype in PUBLIC and not entry.aliased
    }


def kinds_of(names: Mapping[str, ObjectEntry]) -> dict[str, str]:
    """The kind of each object."""
    return {name: entry.objtype for name, entry in names.items()}


def add_exports(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """List shorter names, such as ``ugradsl_core.unlearn``, in the inventory of objects."""
    domain = cast(PythonDomain, env.get_domain("py"))
    for alias, full in api.exports().items():
        if full in domain.objects and alias not in domain.objects:
            home = domain.objects[full]
            domain.objects[alias] = ObjectEntry(home.docname, home.node_id, home.objtype, True)
    return []


def in_html(text: str, linked: Callable[[re.Match[str]], str]) -> str:
    """HTML with each `code` word passed through a function, but for those in links and blocks.

    Args:
        text: the HTML.
        linked: from a match, whose second group is the word, to what takes its place.
    """
    return RAW_CODE.sub(lambda found: linked(found) if found[2] else found[0], text)


class LinkCode(SphinxPostTransform):
    """Turn `code` words into links where they name something public."""

    default_priority = 9  # before references are resolved: what is one already is left alone

    def run(self, **_: Any) -> None:
        """Look at every inline literal of the page."""
        names, exports = public_names(self.env), api.exports()
        commands = cli.anchors()

        def linked(found: re.Match[str]) -> str:
            target = self._target(html.unescape(found[2]), names, exports, commands)
            if target is None:
                return found[0]
            address = self.app.builder.get_relative_uri(self.env.docname, target[0])
            return f'<a class="code-link" href="{address}#{target[1]}">{found[0]}</a>'

        for raw in list(self.document.findall(nodes.raw)):
            if raw.get("format") == "html" and "<code>" in raw.astext():
                raw[:] = [nodes.Text(in_html(raw.astext(), linked))]
        for literal in list(self.document.findall(nodes.literal)):
            if any(isinstance(parent, (*CLOSED, addnodes.pending_xref)) for parent in up(literal)):
                continue
            target = self._target(literal.astext(), names, exports, commands)
            if target is None or self._here(literal, target[1]):
                continue
            link = make_refnode(
                self.app.builder, self.env.docname, *target, literal.deepcopy(), target[1]
            )
            link["classes"].append("code-link")
            literal.replace_self(link)

    def _target(
        self,
        word: str,
        names: Mapping[str, ObjectEntry],
        exports: Mapping[str, str],
        commands: Mapping[str, str],
    ) -> tuple[str, str] | None:
        command = COMMAND.match(word)
        if command and command[1] in commands:
            return cli.PAGE, commands[command[1]]
        found = find(word, kinds_of(names), exports)
        known = names.get(found) if found else None
        return (known.docname, known.node_id) if known else None

    @staticmethod
    def _here(literal: nodes.Node, identifier: str) -> bool:
        """Whether the word is within the description of what it names."""
        return any(
            identifier in signature["ids"]
            for parent in up(literal)
            if isinstance(parent, addnodes.desc)
            for signature in parent.findall(addnodes.desc_signature)
        )


def up(node: nodes.Node) -> Iterable[nodes.Node]:
    """The parents of a node, from the nearest on."""
    while node.parent is not None:
        node = node.parent
        yield node


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, contnode: nodes.Element
) -> nodes.Element | None:
    """Resolve what docstrings and signatures name; objects of other packages stay plain text."""
    if node.get("refdomain") != "py":
        return None
    names = public_names(env)
    target = str(node.get("reftarget", ""))
    found = find(target.lstrip("~."), kinds_of(names), api.exports())
    if found in names:
        entry = names[found]
        return make_refnode(
            app.builder, node["refdoc"], entry.docname, entry.node_id, contnode, found
        )
    return None if is_ours(target) else cast(nodes.Element, contnode)


def is_ours(target: str) -> bool:
    """Whether a name that was not found should have been: it names an object that is documented."""
    module, _, name = target.rpartition(".")
    if not module.startswith(api.ROOTS) or name.startswith("_"):
        return False
    try:
        return name in api.own_objects(import_module(module))
    except ModuleNotFoundError:
        return True
