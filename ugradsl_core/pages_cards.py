"""The parts of a method card that are computed: defaults, variants, costs, live rows, references.

A card is a page of prose, ``book/methods/<slug>.md``, that includes these fragments; so what the
code decides cannot differ between the code and its card.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ugradsl_core import live, pages_pabi, tables
from ugradsl_core.config_docs import Parameter, parameters, shown, summary_of
from ugradsl_core.pages_markdown import list_table, raw_html
from ugradsl_core.pages_references import references
from ugradsl_core.paper_text import statements, tables_with
from ugradsl_core.results import one_setting, published, record_label, summary
from ugradsl_core.settings import (
    SCALES,
    get_preset,
    load_presets,
    preset_config,
    title_of,
)
from ugradsl_core.training import SGDConfig
from ugradsl_core.types import Record
from ugradsl_core.unlearning import METHODS

SYMBOL = re.compile(r"(?<![\w&#-])(\d*)(D_r|D_f|D_tr|n_r|n_f|[nNKTEtk])(?![\w-])")
FOLDER = "methods"
LONG = 60
BESIDE = ("retrain", "ft", "ugradsl+")
NOTEBOOK = "method_comparison.ipynb"
NO_PRESET = "no preset yet"
OF_ADAPTIVE_RATES = {"beta", "distance", "adaptive_sign"}


def slug(label: str) -> str:
    """The name of a method in file names and addresses."""
    return label.replace("+", "-plus")


def glance(label: str, book: Path) -> str:
    """What ``METHODS`` says of a method, and where the paper shows it."""
    method = METHODS[label]
    shown_in = tables_with(label, book / "paper")
    rows = [
        ("In the code", f"`{label}`"),
        ("Reads", mathematics(method.reads)),
        ("Passes in an epoch", mathematics(method.passes)),
        ("Extra memory, in models", memory_of(label)),
        ("Guarantee", method.guarantee),
        ("In the paper", _listed("Table", shown_in) if shown_in else "not in the paper"),
    ]
    return list_table(("At a glance", ""), rows, kind="glance")


def memory_of(label: str) -> str:
    """What a method keeps besides the model, its gradient and momentum: how much, and what."""
    amount, _, what = METHODS[label].memory.partition(": ")
    return f"{amount} ({what})" if what else amount


def mathematics(text: str) -> str:
    """``D_r``, ``2n_f``, ``K`` and the like as mathematics."""
    found = SYMBOL.sub(lambda m: f"${m[1]}{m[2]}$", text)
    return found.replace("$·$", "\\,")


def _listed(word: str, numbers: tuple[int, ...]) -> str:
    return f"{word}{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def defaults(label: str, book: Path) -> str:
    """The parameters of a method's config, its values by scale, and what the paper states."""
    config = METHODS[label].config
    found = parameters(config)
    own = [p for name, p in found.items() if name not in SGDConfig.model_fields]
    shared = [p for name, p in found.items() if name in SGDConfig.model_fields]
    rows = [[f"`{p.name}`", f"`{p.default}`", _rule(p), _meaning(p)] for p in (*own, *shared)]
    table = list_table(("Parameter", "Default", "Allowed", "Meaning"), rows, kind="parameters")
    return "\n\n".join(
        [
            f"**The defaults of the code.** {summary_of(config).replace('``', '`')}",
            table,
            _by_scale(label),
            _stated(label, book),
        ]
    )


def _rule(parameter: Parameter) -> str:
    """A cell that begins with ``>`` would be a quotation."""
    return parameter.rule.replace(">", "\\>", 1) if parameter.rule[:1] == ">" else parameter.rule


def _sets(text: str) -> str:
    """``D_r`` and ``D_f`` as mathematics."""
    return re.sub(r"\b(D_r|D_f)\b", r"$\1$", text)


def _meaning(parameter: Parameter) -> str:
    """Switches with a long explanation have it in the table of variants, and a link here."""
    if parameter.choices and len(parameter.meaning) > LONG:
        return "see [below](#faults-in-public-code)"
    if parameter.meaning == "E":
        return "number of epochs, $E$"
    return _sets(parameter.meaning.rstrip("."))


def _by_scale(label: str) -> str:
    """One row for the defaults and for each preset, with the parameters that differ."""
    places: list[tuple[str, Mapping[str, Any], str]] = [
        ("the code's own", METHODS[label].config().model_dump(), "")
    ]
    for scale in SCALES:
        for preset in load_presets(scale):
            config = preset_config(label, preset, scale).model_dump()
            places.append((f"`{scale}`: {preset}", config, _source(label, preset, scale)))
    fixed_rate = all(values.get("alpha") is not None for _, values, _ in places)
    names = [name for name in places[0][1] if not (fixed_rate and name in OF_ADAPTIVE_RATES)]
    differing = [name for name in names if len({str(values[name]) for _, values, _ in places}) > 1]
    rows = [
        [where, *(shown(values[name]) for name in differing), source]
        for where, values, source in places
    ]
    header = ("Where", *(f"`{name}`" for name in differing), "Where from")
    fixed = ", ".join(
        f"`{name}` {shown(places[0][1][name])}" for name in names if name not in differing
    )
    text = [
        "**By scale.** What the presets hold, and so what this book's records and live runs use; "
        "see [](../hyperparameters.md) for the search."
    ]
    if any(source == NO_PRESET for _, _, source in places):
        text.append(
            "Where there is no preset yet, the code's own values hold, with the batch size and "
            "augmentation of the original training."
        )
    if fixed:
        text.append(f"The same everywhere: {fixed}.")
    return f"{' '.join(text)}\n\n{list_table(header, rows, kind='presets')}"


def _source(label: str, preset: str, scale: str) -> str:
    if label == "retrain":
        return "trained as the original model"
    entry = get_preset(preset, scale)["methods"].get(label)
    if entry is None:
        return NO_PRESET
    source = entry["source"]
    if source["kind"] != "search":
        return str(source["note"])
    return f"search, {source['trials']} trials; validation gap {source['validation_gap']:.2f}"


def _stated(label: str, book: Path) -> str:
    """What the paper's text states of a method's settings, as quoted."""
    found = statements(label, book / "paper")
    if not tables_with(label, book / "paper"):
        return "**The paper** does not have this method."
    if not found:
        return "**The paper** states no setting of this method."
    quoted = "; ".join(f"{s.quantity} “{s.printed}” ({s.place})" for s in found)
    return f"**The paper** states: {quoted}. The values behind its tables are not printed."


def variants(label: str, book: Path) -> str:
    """The choices that a config offers, each with its default and its meaning."""
    found = [p for p in parameters(METHODS[label].config).values() if p.choices]
    rows = [
        [f"`{p.name}`", f"`{p.default}`", _others(p), _sets(p.meaning)]
        for p in found
        if p.name not in SGDConfig.model_fields
    ]
    if not rows:
        return "There is one reading of this method, and so no `variant`."
    header = ("Switch", "Default", "Also", "What they do")
    return list_table(header, rows, kind="presets")


def _others(parameter: Parameter) -> str:
    return ", ".join(f"`{choice}`" for choice in parameter.choices if choice != parameter.default)


def cost(label: str, book: Path) -> str:
    """Passes as stated, and as counted in the live run and in the published records."""
    method = METHODS[label]
    stated = (
        f"In an epoch, samples pass forward and backward: {mathematics(method.passes)}. Extra "
        "memory, in models, beyond the model itself, its gradient and SGD's momentum: "
        f"{memory_of(label)}."
    )
    rows = []
    for where, records in _runs(book).items():
        found = {row["label"]: row for row in summary(records).to_dict(orient="records")}
        if label not in found or not found[label]["n"]:
            continue
        rows.append([where, *_counts(found[label], found["retrain"])])
    if not rows:
        return stated
    header = ("Counted", "Forward", "Backward", "Of Retrain's passes", "Seconds")
    note = "Means over seeds; seconds depend on the machine, passes do not."
    return f"{stated}\n\n{list_table(header, rows, kind='numbers')}\n\n{note}"


def _counts(row: Mapping[Any, Any], reference: Mapping[Any, Any]) -> list[str]:
    share = (row["forward"] + row["backward"]) / (reference["forward"] + reference["backward"])
    counts = [f"{row[name]:,.0f}" for name in ("forward", "backward")]
    return [*counts, f"{100 * share:.1f} %", f"{row['RTE']:.1f}"]


def _runs(book: Path) -> dict[str, list[Record]]:
    """Where passes were counted: the live run, then published records."""
    found = {"live run, smoke scale": live.kept_records(book.parent / "notebooks" / NOTEBOOK)}
    for scale in SCALES:
        for preset in load_presets(scale):
            found[f"{preset}, {scale} scale"] = published(preset, scale, book / "results")
    return {where: records for where, records in found.items() if records}


def comparison(label: str, book: Path) -> str:
    """The method beside Retrain, FT and UGradSL+ in the live run of the comparison notebook."""
    records = live.kept_records(book.parent / "notebooks" / NOTEBOOK)
    wanted = {*BESIDE, label}
    chosen = [record for record in records if record_label(record) in wanted]
    if not any(record_label(record) == label for record in chosen):
        return ":::{note}\nThe notebook was run without this method.\n:::"
    first = one_setting(chosen)
    table = raw_html(tables.results_table(chosen, f"live-{slug(label)}.csv", brief=True))
    searched = label in get_preset(_preset(first), first.scale)["methods"] or label == "retrain"
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


def _preset(record: Record) -> str:
    kind = "class" if record.setting["paradigm"] == "class-wise" else "random10"
    return f"{record.setting['dataset']}-{kind}"


PARTS: dict[str, Callable[[str, Path], str]] = {
    "glance": glance,
    "defaults": defaults,
    "variants": variants,
    "cost": cost,
    "live": comparison,
}
FRAGMENTS: dict[str, Callable[[Path], str]] = {
    **{
        f"card-{slug(label)}-{part}.md": partial(write, label)
        for label in METHODS
        for part, write in PARTS.items()
    },
    **{
        f"card-{slug(label)}-references.md": partial(references, f"{FOLDER}/{slug(label)}.md")
        for label in (*METHODS, "gli")
    },
    "card-pabi-guarantee.md": pages_pabi.guarantees,
    "card-pabi-limit.md": pages_pabi.limit,
}
