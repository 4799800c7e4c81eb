"""Measurements of speed and memory that ``tests/benchmarks`` wrote, as lines of JSON."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from companion.experiments.records.provenance import short_commit
from companion.experiments.settings.labels import title_of
from companion.figures import measurements, style
from companion.pages.markdown import NOT_RUN_YET, list_table
from companion.tables.words import signed
from ugradsl_core.errors import StoreError

FOLDER = Path("measurements")  # no records of runs, so not in results
Line = dict[str, Any]


def measured(path: Path, keys: Sequence[str], name: str | None = None) -> list[Line]:
    """Lines that have all of ``keys``, the last one where the same was measured again.

    Args:
        path: a file that ``UGRADSL_BENCHMARK_JSON`` named; one that does not exist has no lines.
        keys: what tells measurements apart.
        name: only lines of this name.

    Raises:
        StoreError: a line is damaged; its number is in the message.
    """
    if not path.is_file():
        return []
    found: dict[tuple[Any, ...], Line] = {}
    for number, text in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            line = json.loads(text)
            if name is None or line["name"] == name:
                found[tuple(line[key] for key in keys)] = line
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}, line {number}: is damaged ({error})") from error
    return list(found.values())


def where(line: Line) -> str:
    """A sentence on when, on what and with which code a line was measured."""
    return (
        f"Measured on {line['created'][:10]}, {line['processor']}, torch {line['torch']}, commit "
        f"`{short_commit(line['commit'])}`."
    )


SPEED = FOLDER / "speed.jsonl"
PREFIX = "method "


def ratios(book: Path) -> list[Line]:
    """The last measurement of each ratio.

    Raises:
        StoreError: a line is damaged; its number is in the message.
    """
    return measured(book / SPEED, ("name",))


def sentence(label: str, book: Path) -> str:
    """A method's wall time over that of its bare passes; empty where it was not measured."""
    found = [line for line in ratios(book) if line["name"] == f"{PREFIX}{label}"]
    return "".join(
        f"Wall time: {line['ratio']:.2f} times that of a bare PyTorch loop over the same passes "
        f"(limit {line['limit']:.2f}; {_threads(line)}). {where(line)}"
        for line in found[-1:]
    )


def methods(book: Path) -> str:
    """One table over all methods."""
    lines = [line for line in ratios(book) if line["name"].startswith(PREFIX)]
    return _table(lines, "Method")


def parts(book: Path) -> str:
    """Everything else that was compared with bare PyTorch."""
    lines = [line for line in ratios(book) if not line["name"].startswith(PREFIX)]
    return _table(lines, "What / against what")


def _table(lines: list[Line], first: str) -> str:
    if not lines:
        return NOT_RUN_YET
    rows = [
        (
            title_of(name.removeprefix(PREFIX)) if name.startswith(PREFIX) else name,
            f"{1e3 * min(line['ours']):,.0f}",
            f"{1e3 * min(line['bare']):,.0f}",
            f"{line['ratio']:.2f}",
            f"{line['limit']:.2f}",
        )
        for line in lines
        for name in [line["name"]]
    ]
    header = (first, "Ours, ms", "Bare, ms", "Ratio", "Limit")
    note = (
        f"The fastest of {len(lines[0]['ours'])} interleaved runs each, {_threads(lines[0])}. "
        f"{where(lines[0])}"
    )
    return f"{list_table(header, rows, kind='numbers')}\n\n{note}"


def _threads(line: Line) -> str:
    return f"{line['device']}, {line['threads']} thread{'s' if line['threads'] > 1 else ''}"


STREAMING = FOLDER / "streaming.jsonl"
FIGURE = "streaming-memory.svg"
WAYS = {"stream": "streamed", "memory": "in memory"}
MEMORY, EPOCH, DECODING = "peak memory of an epoch", "streamed epoch", "decoding"
KEYS = {
    MEMORY: ("how", "images"),
    EPOCH: ("files", "decoding_threads"),
    DECODING: ("files",),
}
ALT = (
    "Two lines over the number of images. Peak memory of the streamed epochs stays level; that of "
    "the epochs from memory rises in proportion."
)


def streaming_lines(book: Path, name: str) -> list[Line]:
    """The measurements of a name, the last one where the same was measured again.

    Raises:
        StoreError: a line is damaged; its number is in the message.
    """
    return measured(book / STREAMING, KEYS[name], name)


def _series(lines: Sequence[Line]) -> dict[str, list[tuple[int, float]]]:
    """Way → number of images and peak in MiB, by number."""
    pairs = {
        title: sorted((line["images"], line["peak_mib"]) for line in lines if line["how"] == way)
        for way, title in WAYS.items()
    }
    return {title: found for title, found in pairs.items() if found}


def memory_figure(book: Path) -> str:
    """Peak memory against the number of images, as SVG; empty without measurements."""
    lines = streaming_lines(book, MEMORY)
    if not lines:
        return ""
    floor = max(line["imported_mib"] for line in lines)
    return style.to_svg(measurements.memory(_series(lines), floor))


def memory(book: Path) -> str:
    """The figure with its caption, and how much the peaks grew."""
    lines = streaming_lines(book, MEMORY)
    if not lines:
        return NOT_RUN_YET
    one = lines[0]
    side = one["image_size"]
    grown, flat = {}, 0.0
    for title, pairs in _series(lines).items():
        (least, first), (most, last) = pairs[0], pairs[-1]
        grown[title] = (last - first, 100 * (last / first - 1))
        at_four = [100 * (peak / first - 1) for images, peak in pairs if images == 4 * least]
        if title == WAYS["stream"]:
            flat = at_four[0] if at_four else grown[title][1]
    text = "; ".join(
        f"{title} by {signed(by)} MiB ({signed(share)}\u00a0%)"
        for title, (by, share) in grown.items()
    )
    return f""":::{{figure}} _generated/{FIGURE}
:name: fig-streaming-memory
:alt: {ALT}
:class: dark-light

Largest resident memory of a process that goes once through a folder of images ({side} × {side}
pixels, batches of {one["batch"]}, {one["workers"]} decoding threads, {one["prefetch"]} batches
ahead), with augmentation and without a model. Each point is a process of its own; the dotted line
is what the libraries take before any data are loaded. {where(one)}
:::

From {least:,} to {most:,} images the peak changed: {text}. At four times the images the streamed
epoch's peak differs by {signed(flat)}\u00a0%; the benchmark fails above 5\u00a0%."""


def epochs(book: Path) -> str:
    """Decoding alone, computing alone and both, for each size of files."""
    lines = streaming_lines(book, EPOCH)
    if not lines:
        return NOT_RUN_YET
    rows = [
        (
            line["files"],
            str(line["decoding_threads"]),
            *(f"{min(line[part]):.2f}" for part in ("decode", "compute", "both")),
            f"{line['ratio']:.2f}",
            f"{line['share_of_sum']:.2f}",
        )
        for line in sorted(lines, key=lambda line: line["decoding_threads"])
    ]
    header = (
        "Files",
        "Threads",
        "Decoding",
        "Computing",
        "Both",
        "… / larger",
        "… / sum",
    )
    one = lines[0]
    note = (
        f"Seconds for an epoch of {one['images']:,} JPEG files of as many pixels, with as many "
        "threads for decoding and as many for computing: each alone, both together, and the latter "
        f"over the larger and over the sum of the two. The model is {one['model']}, inputs are "
        f"{one['image_size']} × {one['image_size']} pixels, batches {one['batch']}; the fastest of "
        f"{len(one['both'])} runs in turn. {where(one)}"
    )
    return f"{list_table(header, rows, kind='numbers')}\n\n{note}"


def decoding(book: Path) -> str:
    """Images per second by threads and by processes."""
    lines = streaming_lines(book, DECODING)
    if not lines:
        return NOT_RUN_YET
    ways = {
        "one_thread": "One thread",
        "two_threads": "Two threads",
        "two_processes": "Two processes",
    }
    rows = [
        (line["files"], *(f"{line['images_per_second'][way]:,.0f}" for way in ways))
        for line in lines
    ]
    table = list_table(("Files", *ways.values()), rows, kind="numbers")
    note = (
        "Images decoded per second, the fastest of "
        f"{len(lines[0]['one_thread'])} runs in turn; the processes are those of PyTorch's "
        f"`DataLoader`, and their start is left out. {where(lines[0])}"
    )
    return f"{table}\n\n{note}"


FRAGMENTS = {
    "speed-methods.md": methods,
    "speed-parts.md": parts,
    FIGURE: memory_figure,
    "streaming-memory.md": memory,
    "streaming-epochs.md": epochs,
    "streaming-decoding.md": decoding,
}
