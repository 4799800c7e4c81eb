"""What was measured and computed on a GPU: the speed table, and records of the scale ``full``."""

import math
from pathlib import Path

from companion.experiments.records.summary import published, summary
from companion.pages.markdown import list_table, raw_html
from companion.pages.measurements import FOLDER, Line, measured, where
from companion.tables.comparison import side_by_side

LINES = FOLDER / "gpu.jsonl"
SCALE = "full"
TABLES = {  # of the paper, for each preset of the scale
    "cifar100-random10": 2,
    "cifar10-random10": 10,
    "cifar100-class": 1,
    "cifar10-class": 4,
}
NOT_MEASURED = ":::{note}\nNot measured: no GPU was available yet. `make gpu` fills this in.\n:::"


def _lines(book: Path, name: str | None = None, keys: tuple[str, ...] = ("name",)) -> list[Line]:
    return measured(book / LINES, (*keys, "card"), name)


def speed(book: Path) -> str:
    """Images per second of training, in each precision, memory format and form."""
    lines = _lines(book, "training", ("precision", "channels_last", "compile", "width", "batch"))
    if not lines:
        return NOT_MEASURED
    header = (
        "Precision", "Channels last", "Compiled", "Ours", "Bare loop", "Ours / bare",
        "Limit by operations", "Limit by bytes",
    )  # fmt: skip
    rows = [
        (
            line["precision"],
            *("yes" if line[switch] else "no" for switch in ("channels_last", "compile")),
            *(f"{line[rate]:,.0f}" for rate in ("ours_rate", "bare_rate")),
            f"{line['ours_rate'] / line['bare_rate']:.2f}",
            *(f"{line[limit]:,.0f}" for limit in ("flops_limit", "bytes_limit")),
        )
        for line in lines
    ]
    last = lines[-1]
    note = (
        f"ResNet-18 of width {last['width']}, batch {last['batch']}, images per second on one "
        f"{last['card']}. {where(last)}"
    )
    return f"{list_table(header, rows, kind='numbers dense')}\n\n{note}"


def parts(book: Path) -> str:
    """Methods over the passes that they need, the loader, and several processes on one card."""
    lines = _lines(book) if (book / LINES).is_file() else []
    rows = [
        (
            line["name"],
            f"{1e3 * min(line['ours']):,.0f}",
            f"{1e3 * min(line['bare']):,.0f}",
            f"{line['ratio']:.2f}",
            f"{line['limit']:.2f}",
        )
        for line in lines
        if "ratio" in line
    ]
    if not rows:
        return NOT_MEASURED
    header = ("What / against what", "Ours, ms", "Bare, ms", "Ratio", "Limit")
    text = [list_table(header, rows, kind="numbers")]
    for line in lines:
        if line["name"] == "loader":
            text.append(
                f"With crops and flips: {line['ours_rate']:,.0f} images per second, and "
                f"{line['loader_rate']:,.0f} by a `DataLoader` of {line['workers']} workers with "
                "torchvision's transforms."
            )
        if line["name"] == "small":
            text.append(
                f"At the bench scale's width of 8: {line['alone_rate']:,.0f} images for each "
                f"second by one process, {line['together_rate']:,.0f} by {line['processes']} at "
                "once on one card."
            )
    return "\n\n".join(text)


def records(book: Path) -> str:
    """Our version of the paper's table of each setting, and the gaps beside the bench scale's."""
    found = []
    for name, number in TABLES.items():
        here, there = (published(name, scale, book / "results") for scale in (SCALE, "bench"))
        if not here:
            found.append(f"**`{name}`**: not measured.")
            continue
        found.append(raw_html(side_by_side(here, name, number)))
        bench = dict(summary(there)[["label", "mean_of_gaps"]].values) if there else {}
        rows = [
            (row["method"], *map(_number, (row["mean_of_gaps"], bench.get(row["label"]))))
            for row in summary(here).to_dict(orient="records")
            if row["label"] != "retrain"
        ]
        header = ("Method", f"Avg. Gap, `{SCALE}` scale", "Avg. Gap, `bench` scale")
        found.append(list_table(header, rows, kind="numbers"))
        device = here[0].hardware["device"]
        found.append(f"Computed on one {device}; values from public code, nothing searched.")
    return "\n\n".join(found)


def _number(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.2f}"


FRAGMENTS = {"gpu-speed.md": speed, "gpu-parts.md": parts, "gpu-records.md": records}
