"""Results that are saved, loaded, exported and compared."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from api_cases import FORGET, RETAIN, TEST, model, run
from toys import CPU, SIDE, K, copied, mlp, same_bits
from ugradsl_core import (
    METHODS,
    Comparison,
    ConfigError,
    ModelError,
    StoreError,
    Unlearned,
    compare,
    evaluate,
    load_result,
)
from user_models_cases import ExtraState

SETS: dict[str, Any] = {"retain": RETAIN, "forget": FORGET, "test": TEST, "execution": CPU}


@pytest.mark.parametrize("method", METHODS)
def test_a_result_is_the_same_after_saving(method: str, tmp_path: Path) -> None:
    network = model()
    before = copied(network.state_dict())
    found = run(method, network)
    found.save(tmp_path / "new folder" / "result.safetensors")
    again = load_result(tmp_path / "new folder" / "result.safetensors", network)
    assert isinstance(again, Unlearned)
    assert (again.method, again.config) == (method, found.config)
    assert type(again.config) is METHODS[method].config
    assert same_bits(again.model.state_dict(), found.model.state_dict())
    assert same_bits(again.result.state_dict, found.result.state_dict)
    for name in ("steps", "forward_samples", "backward_samples", "seconds", "losses"):
        assert getattr(again.result, name) == getattr(found.result, name)
    assert same_bits(before, network.state_dict())
    assert not again.model.training
    assert evaluate(again.model, **SETS) == evaluate(found.model, **SETS)


def test_wrapped_and_widened_models_are_loaded(tmp_path: Path) -> None:
    for network, method, changes in [
        (nn.DataParallel(model()), "ft", {}),
        (model(), "be", {"variant": "kept"}),
        (nn.DataParallel(model()), "be", {"variant": "kept"}),
    ]:
        found = run(method, network, **changes)
        found.save(tmp_path / "x")
        again = load_result(tmp_path / "x", network)
        assert type(again.model) is type(network)
        assert same_bits(again.model.state_dict(), found.model.state_dict())


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flat, self.a, self.b = nn.Flatten(), nn.Linear(SIDE**2, K), nn.Linear(SIDE**2, K)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.a(self.flat(x)) + self.b(self.flat(x))


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    found = run("ft", Tied())
    found.save(tmp_path / "x")
    again = load_result(tmp_path / "x", Tied()).model
    assert same_bits(again.state_dict(), found.model.state_dict())
    assert again.a.weight is again.b.weight


def test_any_reader_of_safetensors_finds_weights_and_words(tmp_path: Path) -> None:
    from safetensors import safe_open

    found = run("ugradsl")
    found.save(str(tmp_path / "x"))
    with safe_open(tmp_path / "x", "pt") as file:
        assert set(file.keys()) == set(found.model.state_dict())
        told = file.metadata()
    assert told["method"] == "ugradsl"
    assert json.loads(told["config"])["alpha"] == found.config.alpha
    assert json.loads(told["counts"])["steps"] == found.result.steps


def test_files_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(StoreError, match="cannot be read"):
        load_result(tmp_path / "missing", model())
    (tmp_path / "text").write_text("no weights")
    with pytest.raises(StoreError, match="cannot be read"):
        load_result(tmp_path / "text", model())
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(StoreError, match=r"was not written by save\(\); found format None"):
        load_result(tmp_path / "other", model())
    run("ft").save(tmp_path / "x")
    with pytest.raises(ModelError, match=r"^model: the weights do not fit it") as caught:
        load_result(tmp_path / "x", mlp())
    assert "\n" not in str(caught.value)
    with pytest.raises(StoreError, match="a file holds tensors alone; the state '_extra_state'"):
        run("ft", ExtraState()).save(tmp_path / "y")
    assert not (tmp_path / "y").exists()


@pytest.mark.parametrize(
    "changed",
    [
        {"method": None},
        {"config": "{"},
        {"config": "[]"},
        {"counts": "{}"},
        {"run": '{"retain": 3}'},
    ],
)
def test_a_damaged_head_of_a_file_is_one_sentence(changed: dict[str, Any], tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    run("ft").save(tmp_path / "x")
    with safe_open(tmp_path / "x", "pt") as file:
        told, state = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    told = {name: text for name, text in {**told, **changed}.items() if text is not None}
    save_file(state, tmp_path / "y", metadata=told)
    with pytest.raises(StoreError, match=r"y: what save\(\) wrote is damaged \(") as caught:
        load_result(tmp_path / "y", model())
    assert "\n" not in str(caught.value)


def test_paths_and_models_of_another_type_are_one_sentence() -> None:
    found = run("ft")
    for path in (3, None):
        with pytest.raises(StoreError, match=f"^{path}: cannot be written"):
            found.save(path)
        with pytest.raises(StoreError, match=f"^{path}: cannot be read"):
            load_result(path, model())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"^model: should be a torch\.nn\.Module; found Unle"):
        load_result("x", found)


def test_an_unlearned_model_can_be_exported() -> None:
    found = run("ugradsl").model
    x = torch.randn(5, 1, SIDE, SIDE)
    sizes = ({0: torch.export.Dim("samples")},)
    exported = torch.export.export(found, (x[:2],), dynamic_shapes=sizes)
    torch.testing.assert_close(exported.module()(x), found(x))


def test_an_unlearned_model_becomes_onnx(tmp_path: Path) -> None:
    reference = pytest.importorskip("onnx.reference")
    pytest.importorskip("onnxscript")
    found = run("ugradsl").model
    x = torch.randn(2, 1, SIDE, SIDE)
    torch.onnx.export(found, (x,), tmp_path / "x.onnx", dynamo=True)
    network = reference.ReferenceEvaluator(str(tmp_path / "x.onnx"))
    (logits,) = network.run(None, {network.input_names[0]: x.numpy()})
    torch.testing.assert_close(torch.from_numpy(logits), found(x).detach(), atol=1e-5, rtol=1e-4)


# --- compare --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return {name: run(name, epochs=4) for name in ("retrain", "ugradsl", "ga")}


def test_scores_and_signed_gaps_side_by_side(results: dict[str, Any], tmp_path: Path) -> None:
    found = compare(
        original=model(),
        unlearned={"UGradSL": results["ugradsl"], "GA": results["ga"].model},
        retrained=results["retrain"],
        **SETS,
    )
    reports = {
        "original": evaluate(model(), **SETS),
        "UGradSL": evaluate(results["ugradsl"].model, **SETS),
        "GA": evaluate(results["ga"].model, **SETS),
        "retrained": evaluate(results["retrain"].model, **SETS),
    }
    assert found.reports == reports
    for row in found.rows():
        report, reference = reports[row["model"]], reports["retrained"]
        gaps = {m: getattr(report, m) - getattr(reference, m) for m in ("UA", "MIA", "RA", "TA")}
        assert all(row[m] == getattr(report, m) for m in gaps)
        if row["model"] == "retrained":
            assert set(row) == {"model", *gaps}
        else:
            assert {m: row[f"gap_{m}"] for m in gaps} == gaps
            assert row["avg_gap"] == pytest.approx(sum(map(abs, gaps.values())) / 4)
    assert any(row.get("gap_UA", 0) < 0 or row.get("gap_RA", 0) < 0 for row in found.rows())
    text = found.to_csv(tmp_path / "gaps.csv")
    assert (tmp_path / "gaps.csv").read_text("utf-8") == text
    read = list(csv.DictReader(io.StringIO(text)))
    assert [line["model"] for line in read] == list(reports)
    assert float(read[1]["gap_UA"]) == found.rows()[1]["gap_UA"]
    assert read[-1]["avg_gap"] == ""
    assert found._repr_html_().count("<tr>") == 5
    assert "Avg. Gap" in str(found)


def test_the_figure_draws_each_gap(results: dict[str, Any]) -> None:
    found = compare(
        original=model(), unlearned=results["ugradsl"], retrained=results["retrain"], **SETS
    )
    (axis,) = found.figure().axes
    heights = [[bar.get_height() for bar in bars] for bars in axis.containers]
    expected = [
        [row[f"gap_{m}"] for m in ("UA", "MIA", "RA", "TA")]
        for row in found.rows()
        if row["model"] != "retrained"
    ]
    assert heights == expected
    assert axis.get_legend_handles_labels()[1] == ["original", "unlearned"]


def test_without_a_retrained_model_there_are_no_gaps(results: dict[str, Any]) -> None:
    found = compare(unlearned=results["ga"], **SETS)
    (row,) = found.rows()
    assert set(row) == {"model", "UA", "MIA", "RA", "TA"}
    with pytest.raises(ConfigError, match=r"^retrained: is needed for gaps"):
        found.figure()
    assert isinstance(found, Comparison)
    with pytest.raises(ConfigError, match="unlearned: the name 'original' is taken"):
        compare(original=model(), unlearned={"original": results["ga"]}, **SETS)
    with pytest.raises(ModelError, match=r"model: should be a torch\.nn\.Module; found str"):
        compare(unlearned="ga", **SETS)
    for none in (None, {}):
        with pytest.raises(ConfigError, match=r"^unlearned: should be a model, or models by nam"):
            compare(unlearned=none, **SETS)
    with pytest.raises(ConfigError, match=r"unknown option 'batchsize'. Did you mean 'batch_si"):
        compare(unlearned=results["ga"], batchsize=8, **SETS)


def test_names_are_escaped_in_a_notebook(results: dict[str, Any]) -> None:
    found = compare(unlearned={"<b>": results["ga"]}, **SETS)
    assert "<td>&lt;b&gt;</td>" in found._repr_html_()
