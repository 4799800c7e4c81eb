"""The comparator's page without records, its catalogue, and what its scripts carry."""

import base64
import json
import zlib
from pathlib import Path

import numpy as np
import torch

import campaign_records as campaign
from companion.experiments.records.outputs import Outputs, outputs_path, read_outputs, write_outputs
from companion.experiments.runs.outputs import set_outputs
from companion.files import RESULTS
from companion.pages import comparator


def published(book: Path) -> Path:
    """Records and outputs of three models in a book's folder; returns the folder of a setting."""
    campaign.write(book / "results", campaign.results({"ugradsl+": [1.0], "ft": [9.0]}))
    folder = book / "results" / "passes-1" / "cifar10-random10-bench"
    generator = torch.Generator().manual_seed(0)
    sets = {
        name: set_outputs(torch.randn(50, 10, generator=generator), torch.arange(50) % 10)
        for name in ("retain", "forget", "test")
    }
    for label in ("ugradsl+", "original", "retrain"):
        similarity = {"original": {"fc": 0.5, "odd": float("nan")}}
        outputs = Outputs(sets, {"label": label, "seed": "0"}, similarity)
        write_outputs(outputs_path(folder, label, 0), outputs)
    return folder


def test_without_outputs_the_page_says_so(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    text = comparator.comparator(tmp_path)
    assert "Not run yet" in text
    assert "make campaign" in text


def test_the_catalogue_has_every_model_with_its_metrics(tmp_path: Path) -> None:
    published(tmp_path)
    (setting,) = comparator.catalogue(tmp_path / "results")
    assert setting["classes"] == 10
    assert [model["key"] for model in setting["models"]] == [
        "original-0",
        "retrain-0",
        "ugradsl+-0",
    ]
    original, retrain, ours = setting["models"]
    assert original["metrics"] == {}
    assert retrain["metrics"]["UA"] == 50.0
    assert ours["metrics"]["UA"] == 51.0
    assert ours["similarity"] == {"original": {"fc": 0.5}}
    json.dumps(setting, allow_nan=False)
    assert 'data-figure="comparator"' in comparator.comparator(tmp_path)


def test_a_script_carries_what_the_model_said(tmp_path: Path) -> None:
    folder = published(tmp_path)
    comparator.write_scripts(tmp_path / "results", tmp_path / "html")
    path = tmp_path / "html" / "_static" / "outputs" / folder.name / "ugradsl+-0.js"
    text = path.read_text("utf-8")
    start = f'(window.ugsOutputs??={{}})["{folder.name}/ugradsl+-0.js"]='
    assert text.startswith(start)
    data = json.loads(text.removeprefix(start).rstrip(";\n"))
    labels = inflated(data["forget"]["labels"])
    assert labels.tolist() == np.repeat(np.arange(10), 5).tolist()
    said = read_outputs(folder / "outputs" / "ugradsl+-0.safetensors").sets["test"]
    order = np.argsort(said.labels, kind="stable")
    wrong = inflated(data["test"]["predictions"])
    assert (wrong ^ inflated(data["test"]["labels"])).tolist() == said.predictions[order].tolist()
    assert (inflated(data["test"]["margins"]).view("<f2") == said.margins[order]).all()


def test_the_models_of_a_setting_are_at_most_three_megabytes(tmp_path: Path) -> None:
    """Twenty-one methods, the original, two Retrains and no step, of two seeds each."""
    comparator.write_scripts(RESULTS, tmp_path)
    for folder in (tmp_path / "_static" / "outputs").iterdir():
        sizes = [path.stat().st_size for path in folder.iterdir()]
        assert 50 * sum(sizes) / len(sizes) <= 3e6, folder.name


def inflated(text: str) -> "np.ndarray[tuple[int], np.dtype[np.uint16]]":
    planes = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(2, -1)
    return planes.T.copy().view("<u2").ravel()
