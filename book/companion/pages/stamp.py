"""The stamp at the foot of every page: built when, from what, and how old its records are."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from companion.experiments.records import provenance
from companion.experiments.records.store import read_records

SECONDS = "seconds.json"  # beside the notebooks: name → seconds of the live run of this build
ALL = ("passes-*/*/*.jsonl",)
RECORDS: dict[str, tuple[str, ...]] = {  # page → the records that it shows, below book/results
    "book/index": ALL,
    "book/claims": ALL,
    "book/leaderboard": ALL,
    "book/comparator": ALL,
    "book/which-method": ALL,
    "book/status": ("**/*.jsonl",),
    "book/hyperparameters": ("regime-bench.jsonl", "before/*.jsonl", *ALL),
    "notebooks/random_forgetting": ("passes-*/cifar10-random10-bench/*.jsonl",),
    "notebooks/class_wise_forgetting": ("passes-*/cifar10-class-bench/*.jsonl",),
    "notebooks/group_forgetting": (
        "passes-*/cifar20-subclass-bench/*.jsonl",
        "passes-*/celeba-identities1-bench/*.jsonl",
    ),
    "notebooks/stability": ("passes-*/cifar10-*-bench/sweep-*.jsonl",),
    "notebooks/adaptive_rate": ("passes-*/cifar10-*-bench/*.jsonl",),
    "notebooks/forget_fraction": ("passes-*/*/*.jsonl",),
    "notebooks/epochs": ("passes-*/cifar10-random10-bench/sweep-*.jsonl",),
    "notebooks/forgotten": ("passes-*/cifar10-*-bench/*.jsonl",),
    "notebooks/sharper_questions": ("passes-*/cifar10-*-bench/*.jsonl",),
    "notebooks/theory_5_theorem_2": ("theory/*.jsonl",),
    "notebooks/theory_8_landscape": ("*-landscape.jsonl",),
}


@dataclass(frozen=True)
class Stamp:
    """What the foot of a page says.

    Attributes:
        built: ISO 8601, in UTC.
        day: of it, with the time to the minute.
        commit: in words.
        sentences: of the live run, and of the records.
    """

    built: str
    day: str
    commit: str
    sentences: tuple[str, ...]


def build_time() -> datetime:
    """Now, or the moment that ``SOURCE_DATE_EPOCH`` names, for builds that can be repeated."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch else datetime.now(UTC)
    return moment.replace(microsecond=0)


def commit_in_words() -> str:
    """The commit that the code was at, to ten digits, and whether it had been changed."""
    commit = provenance.commit()
    digits, changed, _ = commit.partition("+")
    if digits == "unknown":
        return "code that is not under version control"
    return f"commit {digits[:10]}{', with changes' if changed else ''}"


def record_days(results: Path, patterns: Sequence[str]) -> tuple[str, str, int] | None:
    """The first and the last day of records, and how many there are; None without any."""
    paths = sorted({path for pattern in patterns for path in results.glob(pattern)})
    days = [record.created[:10] for path in paths for record in read_records(path)]
    return (min(days), max(days), len(days)) if days else None


def sentences(page: str, source: Path) -> list[str]:
    """What a page says of its live run and of its records.

    Args:
        page: its path below the sources, without the ending.
        source: the folder of the sources, with ``book/`` and ``notebooks/`` in it.
    """
    found = []
    if page.startswith("notebooks/"):
        path = source / "notebooks" / SECONDS
        seconds = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        name = page.removeprefix("notebooks/")
        if name in seconds:
            found.append(f"Its live run took {seconds[name]:.0f} s in this build.")
        else:
            found.append("Its outputs are those that the notebook was committed with.")
    if page in RECORDS:
        days = record_days(source / "book" / "results", RECORDS[page])
        if days is None:
            found.append("Its records: not run yet.")
        else:
            first, last, count = days
            when = first if first == last else f"{first} to {last}"
            found.append(f"Its {count:,} records are of {when}.")
    return found


def stamp_of(page: str, source: Path) -> Stamp:
    """The stamp of a page."""
    built = build_time()
    lines = tuple(sentences(page, source))
    return Stamp(built.isoformat(), f"{built:%Y-%m-%d %H:%M} UTC", commit_in_words(), lines)
