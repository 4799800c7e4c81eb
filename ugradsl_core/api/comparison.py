"""Original, unlearned and retrained models side by side: scores, and signed gaps to Retrain."""

import csv
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from ugradsl_core.api import UserSet, evaluate
from ugradsl_core.api.unlearned import Unlearned
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.metrics.scores import GAP_METRICS, Report, average_gap
from ugradsl_core.training.files import write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Model = nn.Module | Unlearned
RETRAINED = "retrained"


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of models side by side, as :func:`compare` returns them; a notebook shows a table.

    Attributes:
        reports: of each model by its name, in percent; ``retrained`` is the reference.
    """

    reports: Mapping[str, Report]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each model: UA, MIA, RA and TA in percent, and gaps in percentage points.

        A gap is the model's score minus that of the retrained one, and ``avg_gap`` the mean of
        their sizes. Without a retrained model there are none.
        """
        reference = self.reports.get(RETRAINED)
        rows = []
        for name, report in self.reports.items():
            row: dict[str, Any] = {"model": name}
            scores = report.as_dict()
            row |= {metric: scores[metric] for metric in GAP_METRICS}
            if reference is not None and name != RETRAINED:
                row |= {f"gap_{m}": row[m] - getattr(reference, m) for m in GAP_METRICS}
                row["avg_gap"] = average_gap(row, vars(reference))
            rows.append(row)
        return rows

    def to_csv(self, path: str | Path | None = None) -> str:
        """The rows as CSV, also written to ``path`` where one is given.

        Raises:
            StoreError: the file cannot be written.
        """
        rows, text = self.rows(), io.StringIO()
        writer = csv.DictWriter(text, self._columns(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        if path is not None:
            write_text(path, text.getvalue())
        return text.getvalue()

    def _columns(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows() for name in row))

    def _cells(self) -> list[list[str]]:
        def cell(name: str, value: object) -> str:
            if not isinstance(value, float):
                return "" if value is None else str(value)
            return f"{value:+.2f}" if name.startswith("gap_") else f"{value:.2f}"

        columns = self._columns()
        titles = [c.replace("avg_gap", "Avg. Gap").replace("gap_", "Δ ") for c in columns]
        return [titles, *([cell(c, row.get(c)) for c in columns] for row in self.rows())]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join(
            "  ".join(text.rjust(width) for text, width in zip(row, widths, strict=True))
            for row in cells
        )

    def to_markdown(self) -> str:
        """The rows as a table in Markdown."""
        head, *body = ([text.replace("|", "\\|") for text in line] for line in self._cells())
        rule = [":--", *["--:"] * (len(head) - 1)]
        return "\n".join(f"| {' | '.join(line)} |" for line in (head, rule, *body))

    def _repr_html_(self) -> str:
        head, *body = self._cells()

        def line(cells: list[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        rows = "".join(line(cells, "td") for cells in body)
        caption = "Scores in percent; Δ is the difference to the retrained model in points."
        return (
            f"<table><caption>{caption}</caption><thead>{line(head, 'th')}</thead>"
            f"<tbody>{rows}</tbody></table>"
        )

    def figure(self) -> "Figure":
        """Bars of the signed gaps to the retrained model, in percentage points.

        Raises:
            ConfigError: there is no retrained model.
        """
        from matplotlib import rcParams
        from matplotlib.figure import Figure

        rows = [row for row in self.rows() if "avg_gap" in row]
        if not rows:
            raise ConfigError("retrained: is needed for gaps; pass it to compare()")
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axis = figure.subplots()
        width = 0.8 / len(rows)
        for number, row in enumerate(rows):
            places = [k + (number - (len(rows) - 1) / 2) * width for k in range(len(GAP_METRICS))]
            gaps = [row[f"gap_{metric}"] for metric in GAP_METRICS]
            axis.bar(places, gaps, 0.92 * width, label=row["model"])
        axis.axhline(0, color=rcParams["axes.edgecolor"], linewidth=0.8)
        axis.set_xticks(range(len(GAP_METRICS)), GAP_METRICS)
        axis.set_ylabel("gap to the retrained model,\npercentage points")
        axis.legend(frameon=False)
        return figure


def compare(
    *,
    original: Model | None = None,
    unlearned: Model | Mapping[str, Model],
    retrained: Model | None = None,
    retain: UserSet,
    forget: UserSet,
    test: UserSet,
    **options: Any,
) -> Comparison:
    """Evaluate models on the same three sets, as :func:`evaluate` does, and compare them.

    Args:
        original: the model that was trained on everything.
        unlearned: the unlearned model, or several by name; results of ``unlearn`` will do.
        retrained: the reference, trained without D_f; gaps are to it.
        retain: D_r.
        forget: D_f.
        test: D_te.
        **options: of :func:`evaluate`, such as ``execution``, ``workers`` and ``batch_size``.

    Raises:
        ConfigError: a name that stands for two models, or a wrong option.
        DataError: as for :func:`evaluate`.
        ModelError: as for :func:`evaluate`.
    """
    several = unlearned if isinstance(unlearned, Mapping) else {"unlearned": unlearned}
    given = [("original", original), *several.items(), (RETRAINED, retrained)]
    names = [name for name, model in given if model is not None]
    unknown = set(options) - set(signature(evaluate).parameters)
    if unknown:
        raise unknown_name("option", min(unknown), signature(evaluate).parameters)
    if all(model is None for model in several.values()):
        raise ConfigError("unlearned: should be a model, or models by name; found none")
    if len(set(names)) < len(names):
        taken = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"unlearned: the name {taken!r} is taken; choose another one")
    reports = {}
    for name, model in given:
        if model is not None:
            network = model.model if isinstance(model, Unlearned) else model
            reports[name] = evaluate(network, retain=retain, forget=forget, test=test, **options)
    return Comparison(reports)
