"""Numbers, settings and models in words, as tables and captions show them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from companion.experiments.records import ties
from companion.experiments.records.record import Record
from companion.experiments.settings.forget_sets import forget_set
from companion.paper.names import name as name_of


def model_text(model: Mapping[str, Any]) -> str:
    """The backbone of a setting's identity and its sizes, in words."""
    sizes = [f"{size} {model[size]}" for size in ("width", "depth") if model.get(size) is not None]
    parts = [f"of {' and '.join(sizes)}"] if sizes else []
    parts += ["with the stem of ImageNet"] if model.get("stem") == "imagenet" else []
    parts += [f"pretrained ({model['pretrained']})"] if model.get("pretrained") else []
    return " ".join([name_of(model["name"]), *parts])


def mean_and_std(mean: float, std: float, digits: int = 2) -> str:
    """``mean ± std``; the mean alone for one seed; a dash where there is nothing."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" + ("" if math.isnan(std) else f" ± {std:.{digits}f}")


def metric_cell(row: Mapping[Any, Any], name: str, digits: int = 2) -> str:
    """A metric in a row of ``summary.summary``; ``no signal`` where no run's attack had one."""
    silent = row.get(f"{name}_no_signal", 0)
    if silent and math.isnan(row[name]):
        return "no signal"
    cell = mean_and_std(row[name], row[f"{name}_std"], digits)
    return cell + (f" ({silent} without signal)" if silent else "")


def describe(record: Record) -> str:
    """A record's setting in words: data, sizes, model, training and scale."""
    s = record.setting
    what = f"{name_of(s['dataset'])}, {forget_set(s).words()}"
    return f"{what}; {describe_training(s, record.scale)}"


def briefly(record: Record) -> str:
    """A record's data, forget set and scale in words; a page's setting box has the rest."""
    s = record.setting
    return f"{name_of(s['dataset'])}, {forget_set(s).words()}; {record.scale} scale"


def describe_training(setting: Mapping[str, Any], scale: str) -> str:
    """Training images, model, epochs and scale of a setting, in words."""
    size = setting["train_size"]
    some = "all" if size is None else f"{size:,}"
    kind = "texts" if setting["model"]["name"] == "bert" else "images"
    return (
        f"{some} training {kind}, {model_text(setting['model'])}, "
        f"{setting['training']['epochs']} epochs; {scale} scale"
    )


def seeds_of(records: Sequence[Record]) -> str:
    """The seeds of records, in words; three or more in a row as a range."""
    seeds = sorted({record.seed for record in records})
    if len(seeds) > 2 and seeds[-1] - seeds[0] == len(seeds) - 1:
        return f"seeds {seeds[0]} to {seeds[-1]}"
    return f"seed{'s' * (len(seeds) > 1)} " + ", ".join(map(str, seeds))


def metric_name(metric: str) -> str:
    """A metric as the text calls it."""
    return "additional MIA" if metric == "add_MIA" else metric


def percent(metric: str) -> str:
    """A metric and its unit as the head of a column."""
    return f"{metric_name(metric)}, %"


def diverged_of(row: Mapping[Any, Any]) -> str:
    """In a row of ``summary.summary``: how many runs diverged, if any did."""
    if not row["diverged"]:
        return ""
    return f" ({row['diverged']} diverged)" if row["n"] else f"diverged in {row['diverged']} runs"


def signed(number: float) -> str:
    """A number with its sign, to one digit; zero has none."""
    return ties.signed(number, digits=1)
