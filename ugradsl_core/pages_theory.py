"""What the status page says of the records behind the chapters on theory."""

from collections.abc import Iterable
from pathlib import Path

from ugradsl_core import figure6
from ugradsl_core.pages_markdown import NOT_RUN_YET, list_table
from ugradsl_core.types import Record


def _joined(values: Iterable[object]) -> str:
    return ", ".join(dict.fromkeys(map(str, values)))


def _in_words(record: Record) -> str:
    s = record.setting
    model = {"linear": "softmax regression", "mlp": f"one hidden layer of {s['hidden']}"}
    name = model.get(s["model"], f"ResNet-18 of width {s['hidden']}")
    again = ", retrained from scratch" if s["fresh"] else ""
    return f"{name}, {s['train_size']} {s['dataset']}{again}"


def status_theory(book: Path) -> str:
    """One row for each setting of Figure 6: what it is, how many forget sets, and its origin."""
    records = figure6.published("bench", book / "results" / "theory")
    if not records:
        return NOT_RUN_YET
    rows = []
    for name in dict.fromkeys(record.config["name"] for record in records):
        own = [record for record in records if record.config["name"] == name]
        origin = (
            _joined(f"commit `{record.commit[:10]}`" for record in own),
            _joined(f"torch {record.versions['torch']}" for record in own),
            _joined(record.hardware["processor"] for record in own),
            _joined(record.created[:10] for record in own),
        )
        what = f"{_joined(map(_in_words, own))}; {_joined(r.scale for r in own)} scale"
        rows.append([f"`{name}`", what, str(len(own)), "; ".join(origin)])
    header = ("Setting", "Model and data", "Forget sets", "Run with")
    return list_table(header, rows, kind="records")


FRAGMENTS = {"status-theory.md": status_theory}
