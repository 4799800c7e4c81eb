"""The hyperparameter page: presets of every scale, and how close the reduced ones come."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from companion.experiments.records.record import Record
from companion.experiments.records.store import read_records
from companion.experiments.records.summary import natural_order, published, record_label
from companion.experiments.runs.protocol import SPACES, trial_gap
from companion.experiments.runs.regime import load_regime, of_setting, original_metrics
from companion.experiments.settings.forget_sets import forget_set
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.preset import (
    SCALES,
    get_preset,
    load_presets,
    preset_config,
    preset_setting,
)
from companion.experiments.settings.setting import digest
from companion.pages.markdown import NOT_RUN_YET, list_table, raw_html
from companion.pages.measurements import FOLDER, measured, where
from companion.paper.names import name
from companion.paper.numbers import SCHEMAS, Result, load_table
from companion.tables.presets import method_line, origin, setting_values, source_text
from companion.tables.words import model_text
from ugradsl_core.metrics import GAP_METRICS

CSV_NAME = "hyperparameters.csv"
CSV_HEADER = ("scale", "preset", "part", "field", "value", "origin")
TABLE_HEADER = ("Preset", "Scale", "Method", "lr", "Epochs", "Batch", "Others", "Where from")
SETTING = "(the setting)"  # in the column of methods: data, forget set, model and training
EXAMPLE = "for example: svhn salun"
CAPTION = (
    "Every preset: first its setting, with the training of the original model, then the "
    "hyperparameters of each method. A dash is a parameter that a method does not have."
)
REGIME_SCALES = ("bench",)


def table_8(book: Path) -> str:
    """Table 8 of the paper: one row for each data set and backbone."""
    table = load_table(8, book / "paper")
    settings = table.groupby(["dataset", "backbone"], sort=False)
    parameters = list(dict.fromkeys(table.parameter))
    rows = []
    for (dataset, backbone), cells in settings:
        printed = dict(zip(cells.parameter, cells.printed, strict=True))
        values = [_scientific(printed.get(parameter, "")) for parameter in parameters]
        rows.append([name(dataset), name(backbone), *values])
    return list_table(("Data set", "Backbone", *map(name, parameters)), rows, kind="numbers-2")


def _scientific(printed: str) -> str:
    """``1e-2`` as the mathematics it stands for; other text as it is."""
    mantissa, e, exponent = printed.partition("e")
    if not e:
        return printed or "–"
    return f"$10^{{{exponent}}}$" if mantissa == "1" else f"${mantissa} \\cdot 10^{{{exponent}}}$"


def overview_of(scale: str) -> Callable[[Path], str]:
    """The fragment of a scale: a row for each preset."""

    def fragment(_: Path) -> str:
        rows = [_overview(preset, scale) for preset in load_presets(scale)]
        header = ("Preset", "Data set", "Forgotten", "Model", "Epochs", _last(scale))
        return list_table(header, rows, kind="presets-list")

    return fragment


def _last(scale: str) -> str:
    return "Tables" if scale == "paper" else "Stands for"


def _overview(preset: str, scale: str) -> list[str]:
    setting = preset_setting(preset, scale).identity()
    entry = get_preset(preset, scale)
    last = entry.get("tables") if scale == "paper" else entry.get("stands_for", [preset])
    return [
        f"`{preset}`",
        name(setting["dataset"]),
        forget_set(setting).words().removesuffix(" forgotten"),
        model_text(setting["model"]),
        str(setting["training"]["epochs"]),
        ", ".join(f"{item}" if scale == "paper" else f"`{item}`" for item in last or []),
    ]


def table(_: Path) -> str:
    """Every preset of every scale in one table: its setting, then a row for each method."""
    rows = [row for scale in SCALES for p in load_presets(scale) for row in _rows(p, scale)]
    data = {
        "text": TABLE_HEADER,
        "numbers": [],
        "kinds": {},
        "rows": rows,
        "plain": {"filters": [0, 1, 2], "caption": CAPTION, "label": "Presets", "example": EXAMPLE},
    }
    encoded = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return raw_html(
        '<div id="all-presets" class="paper-numbers">'
        "<p>The table needs JavaScript. Without it, the file below has every value.</p></div>\n"
        f'<script type="application/json" id="all-presets-data">{encoded}</script>\n'
        '<script src="../_static/paper-numbers.js" defer></script>'
    )


def _rows(preset: str, scale: str) -> Iterator[list[str]]:
    """The rows of a preset in the order of the header."""
    entry = get_preset(preset, scale)
    training = preset_setting(preset, scale).identity()["training"]
    values = list(setting_values(preset, scale))
    sgd = {f"training.{field}": str(training[field]) for field in ("lr", "epochs", "batch_size")}
    others = "; ".join(f"{field} {value}" for field, value, _ in values if field not in sgd)
    stated = "; ".join(f"{field}: {text}" for field, _, text in values if text)
    where = " ".join(filter(None, (entry.get("note", ""), stated))) or "–"
    yield [preset, scale, SETTING, *sgd.values(), others, where.replace("`", "")]
    for label in entry["methods"]:
        cells = [cell or "–" for cell in method_line(label, preset, scale)]
        source = source_text(label, entry["methods"][label]).replace("`", "")
        yield [preset, scale, title_of(label), *cells, source]


def all_values(book: Path) -> str:
    """Every value of every preset in one CSV file, with where it comes from."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for scale in SCALES:
        for preset, entry in load_presets(scale).items():
            for field, value, text in setting_values(preset, scale):
                writer.writerow((scale, preset, "setting", field, value, text))
            for label, method in entry["methods"].items():
                writer.writerows(_method_values(scale, preset, label, method))
    return buffer.getvalue()


def _method_values(
    scale: str, preset: str, label: str, entry: Mapping[str, Any]
) -> Iterator[tuple[object, ...]]:
    for field, value in preset_config(label, preset, scale).model_dump().items():
        text = origin(entry, field) if scale == "paper" else source_text(label, entry)
        yield scale, preset, label, field, value, text if field in entry["config"] else "default"


def regime(book: Path) -> str:
    """One row for each bench preset: Original and Retrain of ours, the paper's in brackets."""
    rows = []
    for scale in REGIME_SCALES:
        records = load_regime(book / "results" / f"regime-{scale}.jsonl")
        for preset, entry in load_presets(scale).items():
            setting = preset_setting(preset, scale)
            record = of_setting(records, digest(setting.identity()))
            for paper in entry.get("stands_for", [preset]):
                shown = f"`{preset}`" if paper == preset else f"`{preset}`, for `{paper}`"
                rows.append([shown, *_with_paper(record, paper_retrain(paper, book / "paper"))])
    header = ("Setting", "Original UA", "Original MIA", *(f"Retrain {m}" for m in GAP_METRICS))
    return list_table(header, rows, kind="numbers dense")


def _with_paper(record: Record | None, printed: Mapping[str, str]) -> list[str]:
    """UA and MIA of our original model, then Retrain's metrics, ours and the paper's."""
    theirs = [f"({printed.get(metric, '–')})" for metric in GAP_METRICS]
    if record is None or record.status != "ok":
        status = "not run" if record is None else record.status
        return [status, "–", *(f"– {cell}" for cell in theirs)]
    before = original_metrics(record)
    ours = [f"{record.metrics[metric]:.1f}" for metric in GAP_METRICS]
    return [
        *(f"{before[metric]:.1f}" for metric in GAP_METRICS[:2]),
        *(f"{mine} {cell}" for mine, cell in zip(ours, theirs, strict=True)),
    ]


def paper_retrain(preset: str, root: Path) -> dict[str, str]:
    """Retrain's printed means in the first table of a preset of the paper's scale, by metric."""
    entry = get_preset(preset, "paper")
    setting = entry["setting"]
    for number in entry["tables"]:
        assert SCHEMAS[number] is Result
        table = load_table(number, root)
        rows = table[
            (table.dataset == setting["dataset"])
            & (table.paradigm == setting["paradigm"])
            & (table.method == "retrain")
            & (table.parameter != "occurrence")
        ]
        sized = rows.parameter == "forget_fraction"
        if setting["paradigm"] == "random" and sized.any():
            rows = rows[rows.parameter_value == f"{100 * setting['fraction']:g}%"]
        rows = rows[rows.backbone == _paper_backbone(setting)]
        found = {r.metric: r.printed.split(" ")[0] for r in rows.itertuples() if r.printed}
        if any(metric in found for metric in GAP_METRICS):
            return found
    return {}


def _paper_backbone(setting: Mapping[str, Any]) -> str:
    backbone = str(setting["model"]["name"])
    return {"resnet18": "resnet-18", "vgg16": "vgg-16"}.get(backbone, backbone)


def search_spaces(book: Path) -> str:
    """What the search varies for each method, and how many configurations it tries."""
    rows = []
    for label, space in SPACES.items():
        searched = "; ".join(f"{name} {d.words}" for name, d in space.dimensions.items())
        fixed = ", ".join(f"{name} {value}" for name, value in space.fixed.items())
        rows.append([title_of(label), searched.replace("-", "−"), fixed, str(space.points)])
    return list_table(("Method", "Searched", "Fixed", "Trials"), rows, kind="presets")


BEFORE = "before"  # folder of records that no protocol made
INCUMBENT = "the preset's values before this search"


def luck(book: Path) -> str:
    """A row for each method of a search after which a preset's earlier values were tried, too."""
    parts = []
    for preset in load_presets("bench"):
        path = book / "results" / BEFORE / f"{preset}-bench-search.jsonl"
        if path.is_file():
            reference, *trials = read_records(path)
            if any(trial.note == INCUMBENT for trial in trials):
                parts.append(_table(preset, reference, trials))
    return "\n\n".join(parts) or NOT_RUN_YET


def _table(preset: str, reference: Record, trials: list[Record]) -> str:
    rows = []
    for label in natural_order({record_label(trial) for trial in trials}):
        own = [trial for trial in trials if record_label(trial) == label]
        found = [trial_gap(trial, reference) for trial in own if trial.note != INCUMBENT]
        before = [trial_gap(trial, reference) for trial in own if trial.note == INCUMBENT]
        if found:
            earlier = f"{before[0]:.2f}" if before else "among the trials"
            rows.append((title_of(label), f"{min(found):.2f}", earlier))
    header = (f"`{preset}`", "Best of its own trials", "Imported values")
    return list_table(header, rows, kind="numbers")


TIMES = FOLDER / "bench-time.jsonl"


def bench_time(book: Path) -> str:
    """A row for each bench preset, with the minutes of a calibration and those of its records."""
    lines = {line["preset"]: line for line in measured(book / TIMES, ("preset",))}
    if not lines:
        return NOT_RUN_YET
    rows = []
    for preset in load_presets("bench"):
        line = lines.get(preset)
        estimated = (
            ("not estimated", "–")
            if line is None
            else (f"{line['minutes'] - line['parts']['iu']:.1f}", f"{line['parts']['iu']:.1f}")
        )
        rows.append((f"`{preset}`", *estimated, _recorded(book, preset)))
    last = max(lines.values(), key=lambda line: str(line["created"]))
    note = (
        "Estimated: the passes of the original model, of Retrain, of every method and of the "
        "evaluations, times the fastest of a few timed steps. IU is listed separately, with the "
        "most steps that it may take; it stops as soon as it has converged. In records: the wall "
        "time of all methods and their variants, Retrain included, "
        f"mean over seeds. Threads: {last['threads']} in the calibration. {where(last)}"
    )
    header = ("Setting", "All but IU, min", "IU at most, min", "In records, min")
    return f"{list_table(header, rows, kind='numbers dense')}\n\n{note}"


def _recorded(book: Path, preset: str) -> str:
    records = published(preset, "bench", book / "results")
    if not records:
        return "–"
    seeds = {record.seed for record in records}
    return f"{sum(record.seconds for record in records) / len(seeds) / 60:.1f}"


FRAGMENTS: dict[str, Callable[[Path], str]] = {
    "hyperparameters-paper.md": table_8,
    "presets.md": table,
    **{f"presets-{scale}.md": overview_of(scale) for scale in SCALES},
    "presets-regime.md": regime,
    CSV_NAME: all_values,
    "search-spaces.md": search_spaces,
    "search-luck.md": luck,
    "presets-time.md": bench_time,
}
