"""What a card shows of runs: passes and seconds counted, and live rows beside other methods."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.summary import one_setting, published, record_label, summary
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.preset import SCALES, get_preset, load_presets
from companion.notebooks import live
from companion.pages import measurements
from companion.pages.markdown import list_table, mathematics, memory_of, raw_html, slug
from companion.tables import results
from ugradsl_core.methods import METHODS

BESIDE = ("retrain", "ft", "ugradsl+")
NOTEBOOK = "method_comparison.ipynb"


def cost(label: str, book: Path) -> str:
    """Passes as stated, and as counted in the live run and in the published records."""
    method = METHODS[label]
    stated = (
        f"In an epoch, samples pass forward and backward: {mathematics(method.passes)}. Extra "
        "memory, in models, beyond the model itself, its gradient and SGD's momentum: "
        f"{memory_of(label)}."
    )
    rows = []
    for where, found in _rows(book).items():
        if not {label, "retrain"} <= set(found) or not found[label]["n"]:
            continue
        rows.append([where, *_counts(found[label], found["retrain"])])
    parts = [stated]
    if rows:
        header = ("Counted", "Forward", "Backward", "Of Retrain's passes", "Seconds")
        parts.append(list_table(header, rows, kind="numbers"))
        parts.append("Means over seeds; seconds depend on the machine, passes do not.")
    speed = measurements.sentence(label, book)
    return "\n\n".join([*parts, speed] if speed else parts)


def _counts(row: Mapping[Any, Any], reference: Mapping[Any, Any]) -> list[str]:
    share = (row["forward"] + row["backward"]) / (reference["forward"] + reference["backward"])
    counts = [f"{row[name]:,.0f}" for name in ("forward", "backward")]
    return [*counts, f"{100 * share:.1f} %", f"{row['RTE']:.1f}"]


@cache
def _rows(book: Path) -> dict[str, dict[str, dict[Any, Any]]]:
    """Rows by label, of each place where passes were counted: the live run, published records."""
    found = {"live run, smoke scale": live.kept_records(book.parent / "notebooks" / NOTEBOOK)}
    for scale in SCALES:
        for preset in load_presets(scale):
            found[f"{preset}, {scale} scale"] = published(preset, scale, book / "results")
    return {
        where: {row["label"]: row for row in summary(records).to_dict(orient="records")}
        for where, records in found.items()
        if records
    }


def comparison(label: str, book: Path) -> str:
    """The method beside Retrain, FT and UGradSL+ in the live run of the comparison notebook."""
    records = live.kept_records(book.parent / "notebooks" / NOTEBOOK)
    wanted = {*BESIDE, label}
    chosen = [record for record in records if record_label(record) in wanted]
    if not any(record_label(record) == label for record in chosen):
        return ":::{note}\nThe notebook was run without this method.\n:::"
    first = one_setting(chosen)
    table = raw_html(results.results_table(chosen, f"live-{slug(label)}.csv", brief=True))
    searched = label in _searched(first) or label == "retrain"
    values = (
        "Its hyperparameters are those of the preset."
        if searched
        else f"**{title_of(label)} was not searched at this scale and ran with its defaults, so "
        "this row shows what it costs, not how well it can do.**"
    )
    return f"{table}\n\n{values}{_grain(first)}"


def _grain(record: Record) -> str:
    """What one forgotten image is worth, where the size of the forget set is known."""
    setting = record.setting
    if setting["paradigm"] != "random" or setting["train_size"] is None:
        return ""
    images = round(setting["train_size"] * setting["fraction"])
    return (
        f" With {images} forgotten images one image is {100 / images:g} points of UA: small "
        "differences are noise."
    )


def _searched(record: Record) -> set[str]:
    """The methods that the nearest preset of the record's setting has."""
    kind = "class" if record.setting["paradigm"] == "class-wise" else "random10"
    return set(get_preset(f"{record.setting['dataset']}-{kind}", record.scale)["methods"])
