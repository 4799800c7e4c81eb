"""All numbers of the paper's result tables in one table that a reader can search and sort."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from companion.pages.markdown import raw_html
from companion.paper.audit import audit_lines
from companion.paper.audit.findings import KINDS, Finding
from companion.paper.audit.lines import MEASURES, RESULT_TABLES, Line, read_lines, spaced
from companion.paper.names import name
from companion.paper.numbers import NOTES, TABLES, TIME_UNITS, Result, read_rows

CSV_NAME = "paper-numbers.csv"
TEXT_COLUMNS = ("Table", "Data set", "Paradigm", "Backbone", "Method", "Varied")
NUMBERS = (*MEASURES, "avg_gap")
HEADS = {"add_MIA": "Additional MIA", "avg_gap": "Avg. Gap"}
VARIED = {
    "p": "p",
    "alpha": "α",
    "beta;distance": "β",
    "epochs": "epochs",
    "forget_fraction": "D_f",
}
OF_RETRAIN = ("printed-twice", "lost-cell", "run-time")  # kinds that its line is told of


def all_cells(book: Path) -> str:
    """Every result cell in one CSV file, as the files of the single tables have it."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(Result.model_fields)
    for number in RESULT_TABLES:
        for row in read_rows(number, book / "paper"):
            writer.writerow(row.model_dump().values())
    return buffer.getvalue()


def table(book: Path) -> str:
    """The page's table: its data, and what is there before the script has run."""
    lines = read_lines(root=book / "paper")
    audited = audit_lines(lines)
    notes = _notes(audited.findings)
    gaps = {(c.line.table, c.line.row["avg_gap"]): c.recomputed for c in audited.checks}
    data = {
        "text": TEXT_COLUMNS,
        "numbers": [*(HEADS.get(metric, metric) for metric in NUMBERS), "Recomputed", "RTE"],
        "kinds": {kind: title for kind, (title, _) in KINDS.items()},
        "rows": [_row(line, gaps, notes) for line in by_block(lines)],
    }
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return raw_html(
        '<div id="paper-numbers" class="paper-numbers">'
        "<p>The table needs JavaScript. Without it, the file below has every number.</p></div>\n"
        f'<script type="application/json" id="paper-numbers-data">{encoded}</script>\n'
        '<script src="../_static/paper-numbers.js" defer></script>'
    )


def by_block(lines: Sequence[Line]) -> list[Line]:
    """Lines that are compared with each other one below the other, else in the paper's order."""
    order = list(dict.fromkeys(line.block for line in lines))
    return sorted(lines, key=lambda line: order.index(line.block))


def _row(
    line: Line, gaps: dict[tuple[int, int], float], notes: dict[tuple[int, int], list[str]]
) -> list[object]:
    places = (line.dataset, line.paradigm, line.backbone, line.method)
    text = [line.table, *map(name, places), _varied(line)]
    cells = [_cell(line, metric) for metric in NUMBERS]
    recomputed = gaps.get((line.table, line.row.get("avg_gap", 0)))
    time = _cell(line, "RTE")
    if isinstance(time, list):
        time.append(TIME_UNITS[line.unit])
    found = sorted(
        {
            kind
            for row in line.row.values()
            for kind in notes.get((line.table, row), ())
            if line.method != "retrain" or kind in OF_RETRAIN
        }
    )
    return [*text, *cells, None if recomputed is None else [round(recomputed, 4)], time, found]


def _varied(line: Line) -> str:
    value = spaced(line.parameter_value).replace(";", ", ").replace("-", "−")
    if line.parameter == "occurrence":
        return "printed again"
    return f"{VARIED[line.parameter]} {value}" if line.parameter else ""


def _cell(line: Line, metric: str) -> list[object] | str | None:
    """Mean and spread; the reason where there is none; nothing where there is no such column."""
    if metric in line.mean:
        return [line.mean[metric], line.spread.get(metric)]
    return line.reason.get(metric)


def _notes(findings: Iterable[Finding]) -> dict[tuple[int, int], list[str]]:
    """File and row → kinds of findings that rest on the cell."""
    found: dict[tuple[int, int], list[str]] = {}
    for finding in findings:
        for cell in finding.cells:
            place, _, _ = cell.partition(":")
            file, _, row = place.partition(" row ")
            found.setdefault((int(file[6:8]), int(row)), []).append(finding.kind)
    return found


def notes(book: Path) -> str:
    """What each table shows, and what its transcription had to decide."""
    lines = []
    for number, title in TABLES.items():
        note = f" {NOTES[number]}" if number in NOTES else ""
        lines.append(f"Table {number}\n: {title}.{note}")
    return "\n\n".join(lines)


FRAGMENTS = {CSV_NAME: all_cells, "paper-numbers.md": table, "paper-notes.md": notes}
