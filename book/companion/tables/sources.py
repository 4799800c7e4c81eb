"""The line under a figure or table: data · records · cell · command · commit."""

import base64
import html
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

from companion.experiments.records.record import Record
from companion.experiments.records.store import record_line
from companion.experiments.records.summary import METRICS, record_label
from companion.experiments.runs.evidence import COMMAND, Evidence
from companion.tables.words import describe, seeds_of

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["results", "trials"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RECORDS = "records"  # folder of the built book with the campaign's records as files
MEDIA = {"CSV": "text/csv", "JSONL": "application/jsonl"}
UNITS = {
    **dict.fromkeys(METRICS, "percent"),
    "seconds": "s",
    "forward_samples": "samples",
    "backward_samples": "samples",
}


def records_frame(records: Sequence[Record]) -> "pd.DataFrame":
    """One row for each record and number, with all that a reader needs to use it by itself.

    Columns are ``setting`` (in words), ``setting_hash``, ``scale``, ``protocol``, ``kind``,
    ``label``, ``config`` (JSON), ``seed``, ``status``, ``quantity``, ``value`` (NaN for a run that
    diverged or an attack without a signal), ``unit`` and ``commit``.
    """
    import pandas as pd

    rows = []
    for record in records:
        own = {
            "setting": describe(record),
            "setting_hash": record.setting_hash,
            "scale": record.scale,
            "protocol": record.protocol,
            "kind": record.kind,
            "label": record_label(record),
            "config": json.dumps(dict(record.config), sort_keys=True),
            "seed": record.seed,
            "status": record.status,
        }
        for name, unit in UNITS.items():
            value = record.metrics.get(name) if name in METRICS else getattr(record, name)
            measured = {"quantity": name, "value": value, "unit": unit, "commit": record.commit}
            rows.append(own | measured)
    columns = [
        "setting", "setting_hash", "scale", "protocol", "kind", "label", "config", "seed",
        "status", "quantity", "value", "unit", "commit",
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype({"value": float})


def source_line(
    name: str,
    command: str,
    *,
    records: Sequence[Record] = (),
    data: "pd.DataFrame | None" = None,
    cell: str = "",
    folder: str = "",
) -> str:
    """Where a figure's numbers come from, with downloads, as a paragraph of HTML.

    Args:
        name: of the downloads, without an ending.
        command: that makes the records, or the figure.
        records: behind the figure: a JSONL file as published, and a CSV file with setting, scale,
            seed and unit of every number.
        data: numbers that are drawn, where they are no records, such as the paper's.
        cell: name of the figure, whose cell holds the code.
        folder: address of the folder in which the book keeps the files of the records; without it
            the line holds them itself.
    """
    parts = []
    if data is not None:
        parts.append(_download("data (CSV)", f"{name}-data.csv", _csv(data), "text/csv"))
    if records:
        count = f"{len(records)} record{'s' * (len(records) > 1)}"
        scales = ", ".join(sorted({record.scale for record in records}))
        own = record_files(name, () if folder else records)
        parts += [
            _link(f"records ({kind})", f"{folder}/{file}")
            if folder
            else _download(f"records ({kind})", file, text, MEDIA[kind])
            for kind, (file, text) in zip(MEDIA, own.items(), strict=True)
        ]
        parts[-1] += html.escape(f": {count}, {scales} scale, {seeds_of(records)}")
    elif data is None:
        parts.append("no records yet")
    if cell and (records or data is not None):  # or there is no figure
        parts.append(f'<a href="#{html.escape(cell)}">cell</a>')
    parts.append(f"<code>{html.escape(command)}</code>")
    commits = sorted({record.commit.partition("+")[0][:7] for record in records})
    if commits:
        parts.append(html.escape(f"commit{'s' * (len(commits) > 1)} {', '.join(commits)}"))
    return f'<p class="figure-source">{" · ".join(parts)}</p>\n'


def record_files(name: str, records: Sequence[Record]) -> dict[str, str]:
    """File name → content of records as they can be downloaded: CSV, then JSONL as published."""
    return {
        f"{name}-records.csv": _csv(records_frame(records)),
        f"{name}-records.jsonl": "".join(record_line(record) + "\n" for record in records),
    }


def published_line(evidence: Evidence, kind: Kind, cell: str) -> str:
    """:func:`source_line` of the campaign's records, whose files the book keeps."""
    name, records = published_set(evidence, kind)
    return source_line(name, COMMAND, records=records, cell=cell, folder=f"../{RECORDS}")


def published_set(evidence: Evidence, kind: Kind) -> tuple[str, tuple[Record, ...]]:
    """The name of a setting's results or trials among the files, and the records."""
    return f"{evidence.name}-{evidence.scale}-{kind}", getattr(evidence, kind)


def _link(text: str, address: str) -> str:
    return f'<a download href="{html.escape(address)}">{text}</a>'


def _csv(table: "pd.DataFrame") -> str:
    return str(table.to_csv(index=False, lineterminator="\n"))


def _download(text: str, file: str, content: str, kind: str) -> str:
    data = base64.b64encode(content.encode()).decode()
    return f'<a download="{html.escape(file)}" href="data:{kind};base64,{data}">{text}</a>'
