"""Two-sample tests on outputs: who stands out, by made-up models of which that is known."""

import zlib
from pathlib import Path

import numpy as np

from companion.experiments.records.outputs import Outputs, SetOutputs
from companion.figures import outputs as figures
from companion.tables.outputs import (
    load_models,
    stand_out,
    stand_out_by_class,
    stand_out_by_setting,
    told_apart,
)


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
    assert "their losses are larger)," in text
    assert "FT (in 1 of 2 seeds)" in text
    quiet = {(label, 0): model(label, 1.0, 1.0) for label in ("retrain", "ugradsl+")}
    assert "do not stand out from test samples, as the paper says." in told_apart(stand_out(quiet))


def shifted(number: int, by: float) -> Outputs:
    """A model whose margins on the forgotten samples of one class are larger by so much."""
    plain = model("ft", 1.0, 1.0)
    forget = plain.sets["forget"]
    moved = (forget.margins + by * (forget.labels == number)).astype(np.float16)
    sets = {**plain.sets, "forget": SetOutputs(forget.labels, forget.predictions, moved)}
    return Outputs(sets, plain.facts, {})


def test_within_a_class_only_the_class_that_was_moved_stands_out() -> None:
    table = stand_out_by_class({("ft", 0): shifted(3, 5.0), ("ft", 1): shifted(4, 5.0)}, seed=0)
    assert table["class"].tolist() == list(range(10))
    assert table.loc[table["p"] < 0.05, "class"].tolist() == [3]
    assert table["D"].idxmax() == 3


def test_distances_by_class_are_a_star_for_each_that_is_told_apart() -> None:
    table = stand_out_by_class({("ft", 0): shifted(3, 5.0)})
    distances = table.pivot_table("D", "method", "class")
    figure = figures.distances_by_class(distances, distances > 0.5)
    (axis,) = figure.axes
    words = [text.get_text() for text in axis.texts]
    assert len(words) == 10
    assert [word.endswith("*") for word in words] == [number == 3 for number in range(10)]


def test_settings_stand_side_by_side_with_the_seeds_that_differ() -> None:
    first = stand_out({("ft", seed): model("ft", 1 + 5 * seed, 1.0, seed) for seed in (0, 1)})
    second = stand_out({("ga", 0): model("ga", -3.0, 1.0)})
    table = stand_out_by_setting({"one": first, "other": second})
    assert table.loc["FT", "one"].endswith("(1 of 2)")
    assert table.loc["GA", "other"].endswith("(1 of 1)")
    assert table.loc["GA", "one"] == "–"


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
