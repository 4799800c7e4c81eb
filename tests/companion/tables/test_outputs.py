"""Two-sample tests on outputs: who stands out, by made-up models of which that is known."""

import zlib
from pathlib import Path

import numpy as np

from companion.experiments.records.outputs import Outputs, SetOutputs
from companion.figures import outputs as figures
from companion.tables.outputs import load_models, stand_out, told_apart


def model(label: str, forget: float, test: float, seed: int = 0) -> Outputs:
    """Margins around two means; the larger, the surer."""
    generator = np.random.default_rng(zlib.crc32(f"{label}{seed}".encode()))

    def one(mean: float, n: int) -> SetOutputs:
        labels = (np.arange(n) % 10).astype(np.uint8)
        return SetOutputs(labels, labels, generator.normal(mean, 1, n).astype(np.float16))

    sets = {"retain": one(6, 500), "forget": one(forget, 300), "test": one(test, 2000)}
    return Outputs(sets, {"label": label, "seed": str(seed)}, {})


def test_who_stands_out_is_found_and_who_does_not_is_not() -> None:
    models = {
        (label, seed): model(label, forget, 1.0, seed)
        for seed in (0, 1)
        for label, forget in (("original", 6.0), ("retrain", 1.0), ("ga", -3.0), ("ft", 1.0))
    }
    table = stand_out(models)
    p = table.set_index(["label", "seed"])["p_test"]
    assert (p["original"] < 1e-6).all()
    assert (p["ga"] < 1e-6).all()
    assert (p["retrain"] > 0.05).all()
    assert table.set_index("label").loc["retrain", "D_retrain"].isna().all()
    text = told_apart(table)
    assert "from those on test samples: Original model, GA." in text
    assert "No difference is found: Retrain, FT." in text
    assert "cannot be told from Retrain: FT." in text


def test_ours_come_first_and_seeds_that_disagree_are_counted() -> None:
    models = {
        (label, seed): model(label, forget, 1.0, seed)
        for seed in (0, 1)
        for label, forget in (("retrain", 1.0), ("ft", 1.0 + 5 * seed), ("ugradsl+", -3.0))
    }
    text = told_apart(stand_out(models))
    assert text.startswith(
        '<ul class="take-away"><li><strong>UGradSL+</strong>: the forgotten stand'
    )
    assert "in 2 of 2 seeds" in text
    assert "their losses are larger." in text
    assert "FT (in 1 of 2 seeds)" in text
    quiet = {(label, 0): model(label, 1.0, 1.0) for label in ("retrain", "ugradsl+")}
    assert "do not stand out from test samples, as the paper says." in told_apart(stand_out(quiet))


def test_nothing_published_is_an_empty_table(tmp_path: Path) -> None:
    models = load_models("cifar10-random10", root=tmp_path)
    assert models == {}
    assert stand_out(models).empty


def test_the_figures_have_a_panel_for_each_model() -> None:
    found = model("ft", 1.0, 1.0)
    losses = found.sets["forget"].losses, found.sets["test"].losses
    drawn = figures.loss_distributions(dict.fromkeys("abcd", losses))
    assert [axis.get_title("left") for axis in drawn.axes if axis.get_visible()] == list("abcd")
    counts = np.eye(10)[found.sets["forget"].labels].T @ np.eye(10)[found.sets["forget"].labels]
    drawn = figures.confusions({"a": counts})
    assert (
        drawn.axes[0].collections[0].get_array().reshape(10, 10).diagonal().tolist() == [100] * 10
    )
