"""The parts of a method card that are computed: defaults, variants, costs, live rows, references.

A card is a page of prose, ``book/methods/<slug>.md``, that includes these fragments; so what the
code decides cannot differ between the code and its card.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from companion.experiments.settings.preset import SCALES, get_preset, load_presets, preset_config
from companion.pages import pabi
from companion.pages.card_runs import comparison, cost
from companion.pages.markdown import list_table, mathematics, memory_of, sets, slug
from companion.pages.references import references
from companion.paper.statements import statements, tables_with
from companion.tables.config_text import Parameter, parameters, shown, summary_of
from companion.tables.presets import places_text, source_text
from ugradsl_core.config import Config
from ugradsl_core.methods import METHODS
from ugradsl_core.training import SGDConfig

FOLDER = "methods"
LONG = 60
NO_PRESET = "no preset yet"
OF_ADAPTIVE_RATES = {"beta", "distance", "adaptive_sign", "rates"}


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


def _meaning(parameter: Parameter) -> str:
    """Switches with a long explanation have it in the table of variants, and a link here."""
    if parameter.choices and len(parameter.meaning) > LONG:
        return "see [below](#faults-in-public-code)"
    if parameter.meaning == "E":
        return "number of epochs, $E$"
    return sets(parameter.meaning.rstrip("."))


def _by_scale(label: str) -> str:
    """One row for the defaults and for the presets of a scale that agree, with what differs."""
    default: Mapping[str, Any] = METHODS[label].config().model_dump()
    same: dict[tuple[str, Config, str], list[tuple[str, str]]] = {}
    for scale in SCALES:
        for preset in load_presets(scale):
            config = preset_config(label, preset, scale)
            row = scale, config, _source(label, preset, scale)
            same.setdefault(row, []).append((scale, preset))
    places: list[tuple[str, Mapping[str, Any], str]] = [("the code's own", default, "")]
    for (_, config, source), presets in same.items():
        places.append((places_text(presets), config.model_dump(), source))
    fixed_rate = all(values.get("alpha") is not None for _, values, _ in places)
    names = [name for name in default if not (fixed_rate and name in OF_ADAPTIVE_RATES)]
    differing = [
        name for name in names if len({shown(values[name]) for _, values, _ in places}) > 1
    ]
    rows = [
        [where, *(shown(values[name]) for name in differing), source]
        for where, values, source in places
    ]
    header = ("Where", *(f"`{name}`" for name in differing), "Where from")
    fixed = ", ".join(f"`{name}` {shown(default[name])}" for name in names if name not in differing)
    text = [
        "**By scale.** What the presets hold, and so what this book's records and live runs use; "
        "see [](../hyperparameters.md) for the search, and for what the paper states of each."
    ]
    if any(source == NO_PRESET for _, _, source in places):
        text.append(
            "Where there is no preset yet, the code's own values hold, with the batch size and "
            "augmentation of the original training."
        )
    if fixed:
        text.append(f"The same everywhere: {fixed}.")
    return f"{' '.join(text)}\n\n{list_table(header, rows, kind='scales')}"


def _source(label: str, preset: str, scale: str) -> str:
    if label == "retrain":
        return "trained as the original model"
    entry = get_preset(preset, scale)["methods"].get(label)
    if entry is None:
        return NO_PRESET
    return source_text(label, entry)


def _stated(label: str, book: Path) -> str:
    """What the paper's text states of a method's settings, as quoted."""
    found = statements(label, book / "paper")
    if not tables_with(label, book / "paper"):
        return "**The paper** does not have this method."
    if not found:
        return "**The paper** states no setting of this method."
    quoted = "; ".join(f"{s.quantity} “{s.printed}” ({s.place})" for s in found)
    rest = "" if label == "retrain" else " The values behind its tables are not printed."
    return f"**The paper** states: {quoted}.{rest}"


def variants(label: str, book: Path) -> str:
    """The choices that a config offers, each with its default and its meaning."""
    found = [p for p in parameters(METHODS[label].config).values() if p.choices]
    rows = [
        [f"`{p.name}`", f"`{p.default}`", _others(p), sets(p.meaning)]
        for p in found
        if p.name not in SGDConfig.model_fields
    ]
    if not rows:
        return "There is one reading of this update, and so no `variant`."
    header = ("Switch", "Default", "Also", "What they do")
    return list_table(header, rows, kind="presets")


def _others(parameter: Parameter) -> str:
    return ", ".join(f"`{choice}`" for choice in parameter.choices if choice != parameter.default)


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
    "card-pabi-guarantee.md": pabi.guarantees,
    "card-pabi-limit.md": pabi.limit,
}
