"""Presets in words, for the command line and for the page: values and where they come from."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from companion.experiments.runs.protocol import at_the_edge
from companion.experiments.settings.labels import split_label
from companion.experiments.settings.preset import get_preset, preset_config, preset_setting
from companion.experiments.settings.setting import DATA_FIELDS, YOUNGER_FIELDS
from companion.tables.config_text import shown
from ugradsl_core.methods import get_method
from ugradsl_core.training import SGDConfig

RATE = "lr"
COLUMNS = (RATE, "epochs", "batch_size")
TELLING = ("p", "alpha", "gamma", "k", "mask_ratio", "c0", "samples")  # shown whatever their value
IN_THE_LABEL = ("adaptive_sign",)


def source_text(label: str, entry: Mapping[str, Any]) -> str:
    """Where the values of a method in a preset come from, and which a wider search could move.

    Args:
        label: of the method.
        entry: its ``config`` and ``source``.
    """
    source = entry["source"]
    if source["kind"] != "search":
        return str(source["note"])
    if "protocol" not in source:
        return (
            f"search before the protocol, {source['trials']} trials; "
            f"validation gap {source['validation_gap']:.2f}"
        )
    text = f"{source['trials']} trials; validation gap {source['validation_gap']:.2f}"
    edges = at_the_edge(label, entry["config"])
    return text + (f"; at the edge of the space: {', '.join(edges)}" if edges else "")


def places_text(places: Iterable[tuple[str, str]]) -> str:
    """Scales and presets in a cell: ```smoke`: one, another; `bench`: a third``."""
    by_scale: dict[str, list[str]] = {}
    for scale, preset in places:
        by_scale.setdefault(scale, []).append(preset)
    return "; ".join(f"`{scale}`: {', '.join(presets)}" for scale, presets in by_scale.items())


def method_line(label: str, name: str, scale: str) -> tuple[str, str, str, str]:
    """Learning rate, epochs, batch size, and what else a preset sets other than the defaults."""
    config = preset_config(label, name, scale).model_dump()
    default = get_method(split_label(label)[0]).config().model_dump()
    own = [
        f"{field} {value_text(field, value)}"
        for field, value in config.items()
        if field not in (*COLUMNS, *IN_THE_LABEL) and (field in TELLING or value != default[field])
    ]
    first, second, third = (value_text(field, config.get(field, "–")) for field in COLUMNS)
    return first, second, third, ", ".join(own)


def value_text(field: str, value: Any) -> str:
    """A value as readers see it: α that is None is self-adaptive, any number of samples is all."""
    if value is None:
        return {"alpha": "adaptive", "samples": "all"}.get(field, "None")
    return shown(value)


def setting_values(name: str, scale: str) -> Iterator[tuple[str, str, str]]:
    """Each value of a preset's setting: its field, the value, and where it comes from.

    At the paper's scale the origin is a place in the paper, or what stands in for a value that is
    not stated; elsewhere it is ours.
    """
    preset = get_preset(name, scale)
    for field, value in _flat(name, scale).items():
        yield field, value, origin(preset, field)


def origin(entry: Mapping[str, Any], field: str) -> str:
    """Where a value of a preset or of a method in it comes from; empty where it is ours."""
    stated, missing = entry.get("stated", {}), entry.get("not_stated", {})
    parts = []
    if field in stated:
        parts.append(f"{stated[field]['place']}: {stated[field]['printed']}")
    if field in missing:
        reason = missing[field]
        parts.append(reason if field in stated else f"not stated; {reason}")
    return "; ".join(parts)


def _flat(name: str, scale: str) -> dict[str, str]:
    """Field → value of a setting, in the order of reading."""
    setting = preset_setting(name, scale)
    data = [*DATA_FIELDS, *YOUNGER_FIELDS]
    values: dict[str, Any] = {field: getattr(setting, field) for field in data}
    values["train_size"] = "all" if setting.train_size is None else setting.train_size
    values = {field: value for field, value in values.items() if value is not None}
    preset = get_preset(name, scale)
    missing = preset.get("not_stated", {})
    values |= {field: "the loader's own" for field in data if field in missing}
    values["paradigm"] = setting.paradigm
    values |= setting.forget.identity()
    values |= {f"model.{field}": value for field, value in setting.model.identity().items()}
    for field in missing:
        if field.startswith("model.") and field not in values:
            values[field] = getattr(setting.model, field.removeprefix("model."), None) or "–"
    for field in SGDConfig.model_fields:
        values[f"training.{field}"] = getattr(setting.training, field)
    return {field: shown(value) for field, value in values.items()}
