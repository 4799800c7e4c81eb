"""The order of a notebook's cell: what it shows, then the code that made it, folded away."""

from typing import Any

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform


class CodeBelow(SphinxPostTransform):
    """Put folded code below its output, where a reader of that looks for it.

    Above it, its line would stand below the caption of the figure before, and say nothing of
    what it unfolds.
    """

    default_priority = 200  # after MyST-NB has folded it
    formats = ("html",)

    def run(self, **_: Any) -> None:
        """Reorder the cells whose code is folded and whose output is shown."""
        for cell in self.document.findall(nodes.container):
            last = cell.children[-1] if cell.children else None
            if cell.get("hide_mode") != "input" or not isinstance(last, nodes.Element):
                continue
            if last.get("nb_element") == "cell_code_output":
                code, *shown = cell.children
                cell.children = [*shown, code]
