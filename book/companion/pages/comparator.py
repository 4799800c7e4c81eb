"""The comparator: two models of a setting side by side, from what they said of every sample.

The page carries a catalogue; what a model said is a script of its own, which the page loads when
the model is chosen. A script, and no JSON: a page that is opened as a file may load nothing else.
"""

import base64
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from companion.experiments.records.outputs import FOLDER, SETS, Outputs, read_outputs
from companion.experiments.records.summary import published, published_settings, record_label
from companion.experiments.runs.evidence import COMMAND
from companion.experiments.settings.labels import place_of, title_of
from companion.experiments.settings.preset import preset_setting
from companion.figures import interactive
from companion.pages.markdown import raw_html
from companion.paper.claims.published import setting_title

ORIGINAL = "original"
TARGET = Path("_static") / "outputs"
NOT_RUN = (
    ":::{note}\nNot run yet: no model's outputs are published. "
    f"`{COMMAND}` writes them beside its records.\n:::"
)
LABEL = "Two models side by side: accuracies, losses, confidences, an attack, and their layers"


def _folders(results: Path) -> Iterator[tuple[str, str, Path]]:
    """Preset, scale and folder of every setting with outputs."""
    for preset, scale, setting in published_settings(results):
        if (setting / FOLDER).is_dir():
            yield preset, scale, setting / FOLDER


def _models(folder: Path) -> list[tuple[Path, Outputs]]:
    """Outputs of a setting: the original model first, then as methods are ordered, by seed."""
    found = [(path, read_outputs(path)) for path in sorted(folder.glob("*.safetensors"))]

    def place(each: tuple[Path, Outputs]) -> tuple[int, tuple[int, str], int]:
        label = each[1].facts["label"]
        first = label == ORIGINAL
        return (
            0 if first else 1,
            (0, "") if first else place_of(label),
            int(each[1].facts["seed"]),
        )

    return sorted(found, key=place)


def catalogue(results: Path) -> list[dict[str, Any]]:
    """The settings and models that the page offers, with the published metrics of each."""
    settings = []
    for preset, scale, folder in _folders(results):
        records = {(record_label(r), r.seed): r for r in published(preset, scale, results)}
        models = []
        for path, outputs in _models(folder):
            label, seed = outputs.facts["label"], int(outputs.facts["seed"])
            record = records.get((label, seed))
            models.append(
                {
                    "file": f"{folder.parent.name}/{path.stem}.js",
                    "key": path.stem,
                    "title": "Original model" if label == ORIGINAL else title_of(label),
                    "seed": seed,
                    "metrics": {} if record is None else _plain(dict(record.metrics)),
                    "similarity": _plain(dict(outputs.similarity)),
                }
            )
        title = setting_title(preset_setting(preset, scale).identity())
        settings.append(
            {
                "name": folder.parent.name,
                "title": f"{title}; {scale} scale",
                "classes": 1
                + max(int(o.sets[x].labels.max()) for _, o in _models(folder) for x in SETS),
                "models": models,
            }
        )
    return settings


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Numbers to four digits, for JSON; what is no number is left out."""
    return {
        key: _plain(dict(value)) if isinstance(value, dict) else round(float(value), 4)
        for key, value in values.items()
        if isinstance(value, dict) or (value is not None and not math.isnan(value))
    }


def script(name: str, outputs: Outputs) -> str:
    """What a model said of every sample, as a script: base64 of deflated uint16 and float16.

    Samples are in the order of their labels, which deflate to nothing so. Predictions are stored as
    the exclusive or with the labels, which is 0 for the right ones.
    """
    sets = {}
    for part in SETS:
        own = outputs.sets[part]
        order = np.argsort(own.labels, kind="stable")  # the same for all models of a set
        labels, predictions = (x[order].astype("<u2") for x in (own.labels, own.predictions))
        sets[part] = {
            "labels": _deflated(labels),
            "predictions": _deflated(predictions ^ labels),
            "margins": _deflated(own.margins[order].astype("<f2")),
        }
    data = json.dumps(sets, separators=(",", ":"))
    return f"(window.ugsOutputs??={{}})[{json.dumps(name)}]={data};\n"


def _deflated(values: "np.ndarray[Any, Any]") -> str:
    """All low bytes, then all high bytes, which deflate better apart."""
    planes = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 2).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")


def write_scripts(results: Path, target: Path) -> None:
    """Write the script of every model that is published.

    Args:
        results: the folder of published records.
        target: the built book's folder of static files.
    """
    for _, _, folder in _folders(results):
        for path, outputs in _models(folder):
            place = target / TARGET / folder.parent.name / f"{path.stem}.js"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(script(f"{folder.parent.name}/{path.stem}.js", outputs), "utf-8")


def comparator(book: Path) -> str:
    """The interactive figure of the page, or that nothing is published yet."""
    settings = catalogue(book / "results")
    if not settings:
        return NOT_RUN
    fallback = (
        "The comparator needs JavaScript. The same models' metrics are in the tables of the "
        "results pages."
    )
    return raw_html(interactive.figure("comparator", LABEL, {"settings": settings}, fallback))


FRAGMENTS = {"comparator.md": comparator}
