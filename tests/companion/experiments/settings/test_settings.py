"""Settings, labels and presets; parameters of the notebooks."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from companion.experiments.records.summary import published
from companion.experiments.settings import preset as presets
from companion.experiments.settings.changes import parse_seeds, split_list
from companion.experiments.settings.forget_sets import forget_set
from companion.experiments.settings.labels import (
    VARIANTS,
    completed,
    label_of,
    split_label,
    title_of,
)
from companion.experiments.settings.preset import (
    SCALES,
    get_preset,
    load_presets,
    preset_config,
    preset_setting,
)
from companion.experiments.settings.setting import Setting, digest, is_retrained
from companion.notebooks import live
from companion.notebooks.parameters import (
    NOTEBOOKS,
    check_parameters,
    parse_parameters,
    preset_name,
    read_parameters,
)
from ugradsl_core.errors import ConfigError
from ugradsl_core.methods import METHODS, make_config

LABELS = [*METHODS, *VARIANTS]
PRESETS = [(scale, name) for scale in SCALES for name in load_presets(scale)]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_every_preset_is_valid_for_every_method(scale: str, name: str, label: str) -> None:
    config = preset_config(label, name, scale)
    assert label_of(split_label(label)[0], config.model_dump()) == label
    stored = get_preset(name, scale)["methods"].get(label)
    if stored is not None:
        for key, value in stored["config"].items():
            assert getattr(config, key) == completed("", {key: value})[key]
        assert stored["source"]["kind"]


@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_every_preset_has_a_valid_setting_of_its_scale(scale: str, name: str) -> None:
    setting = preset_setting(name, scale)
    assert setting.scale == scale
    kind = name.removeprefix(setting.dataset).split("-")[1]
    paradigm = {"class": "class-wise", f"random{round(100 * setting.fraction)}": "random"}
    assert setting.paradigm == paradigm.get(kind, "group")


@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_retrain_is_trained_as_the_original_was(scale: str, name: str) -> None:
    setting = preset_setting(name, scale)
    config = preset_config("retrain", name, scale)
    assert config.key_fields() == setting.training.model_dump()
    again = preset_config("retrain:again", name, scale)
    assert again.model_dump() == {**config.model_dump(), "initialisation": 1}


@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_presets_name_known_methods_only(scale: str, name: str) -> None:
    assert set(get_preset(name, scale)["methods"]) <= set(LABELS)


def test_changes_go_on_top_of_a_preset_and_are_checked() -> None:
    config = preset_config("ugradsl", "digits-random10", "smoke", p=0.5)
    assert config.model_dump()["p"] == 0.5
    with pytest.raises(ConfigError, match="p: should be less than or equal to 1"):
        preset_config("ugradsl", "digits-random10", "smoke", p=2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"paradigm": "class"}, "unknown paradigm 'class'. Did you mean 'class-wise'?"),
        ({"fraction": 0}, "fraction: should be greater than 0; found 0"),
        ({"fraction": 1.0}, "fraction: should be less than 1; found 1.0"),
        ({"fraction": float("nan")}, "fraction: should be a finite number"),
        ({"forgotten_class": -1}, "forgotten_class: should be greater than or equal to 0"),
        ({"train_size": 1}, "train_size: should be greater than or equal to 2"),
        ({"scale": "huge"}, "unknown scale 'huge'. Valid: bench, full, paper, smoke"),
        ({"datset": "digits"}, "unknown parameter 'datset'. Did you mean 'dataset'"),
        ({"model": {"widht": 8}}, "unknown parameter 'widht'. Did you mean 'width'"),
        ({"model": {"width": 0}}, "width: should be greater than or equal to 1"),
        ({"training": {"lr": -1}}, "lr: should be greater than or equal to 0"),
    ],
)
def test_bad_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Setting(**values)
    assert message in str(caught.value)


def test_identity_leaves_out_the_label_and_what_the_paradigm_does_not_use() -> None:
    base = Setting()
    assert base.identity() == Setting(scale="paper").identity()
    assert base.identity() == Setting(forgotten_class=5).identity()
    assert base.identity() != Setting(fraction=0.2).identity()
    by_class = Setting(paradigm="class-wise")
    assert by_class.identity() == Setting(paradigm="class-wise", fraction=0.2).identity()
    assert by_class.identity() != Setting(paradigm="class-wise", forgotten_class=5).identity()


def test_published_records_are_those_of_their_presets() -> None:
    for name in ("cifar10-random10", "cifar10-class"):
        records = published(name, "bench")
        # the campaign draws the training data anew with each seed
        setting = preset_setting(name, "bench").replace(resample=True).identity()
        assert {record.setting_hash for record in records} <= {digest(setting)}
        assert all(record.setting == setting for record in records)


GROUP: dict[str, Any] = {"paradigm": "group", "dataset": "digits-parity"}


def test_the_identity_of_a_group_is_the_group() -> None:
    one, two = (Setting(**GROUP, forgotten_group=group) for group in ("1", "2"))
    share = Setting(**GROUP, group_fraction=0.1)
    assert one.identity() != two.identity()
    assert one.identity()["forgotten_group"] == "1"
    assert "group_fraction" not in one.identity()
    assert share.identity()["group_fraction"] == 0.1
    assert "fraction" not in share.identity()
    assert share.identity() == Setting(**GROUP, group_fraction=0.1, fraction=0.5).identity()


def test_the_identity_of_an_index_file_is_its_content(tmp_path: Path) -> None:
    first, second = tmp_path / "a.txt", tmp_path / "b.txt"
    first.write_text("1 2")
    second.write_text("1 2")
    settings_ = [Setting(paradigm="index", index_file=str(path)) for path in (first, second)]
    assert settings_[0].identity() == settings_[1].identity()
    assert settings_[0].identity()["index_sha256"] == hashlib.sha256(b"1 2").hexdigest()
    assert "index_file" not in settings_[0].identity()
    second.write_text("1 3")
    changed = settings_[1].replace(index_file=str(second))
    assert changed.identity() != settings_[0].identity()
    json.dumps(changed.identity())


def test_options_of_the_data_enter_the_identity_where_they_are_given() -> None:
    base = Setting().identity()
    for name, value in (("image_size", 32), ("tokenizer", "bert-base-uncased"), ("max_length", 9)):
        assert name not in base
        assert Setting(**{name: value}).identity() == {**base, name: value}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"paradigm": "group"}, "forgotten_group: paradigm group needs forgotten_group or group_f"),
        (
            {"paradigm": "group", "forgotten_group": 1, "group_fraction": 0.1},
            "needs forgotten_group or group_fraction, not both",
        ),
        ({"forgotten_group": 1}, "forgotten_group: is for paradigm group; the paradigm is random"),
        ({"group_fraction": 0.1, "paradigm": "class-wise"}, "the paradigm is class-wise"),
        ({"paradigm": "group", "group_fraction": 1}, "group_fraction: should be less than 1"),
        ({"paradigm": "index"}, "index_file: paradigm index needs index_file"),
        ({"paradigm": "index", "index_file": "no.txt"}, "index_file: no.txt does not exist"),
        ({"image_size": 0}, "image_size: should be greater than or equal to 1"),
        ({"max_length": 0}, "max_length: should be greater than or equal to 1"),
        ({"tokenizer": ""}, "tokenizer: "),
    ],
)
def test_bad_forget_sets_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Setting(**values)
    assert message in str(caught.value)
    assert not str(caught.value).startswith("Setting")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"fraction": 0.2}, "a random 20 % forgotten"),
        ({"paradigm": "class-wise", "forgotten_class": 3}, "class 3 forgotten"),
        ({**GROUP, "forgotten_group": "3"}, "group 3 forgotten"),
        ({**GROUP, "group_fraction": 0.01}, "1 % of the groups forgotten"),
    ],
)
def test_forget_sets_in_words(values: dict[str, Any], text: str) -> None:
    assert forget_set(Setting(**values).identity()).words() == text


def test_digests_depend_on_content_and_not_on_order() -> None:
    assert digest({"a": 1, "b": [0.1]}) == digest({"b": [0.1], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest(None)) == 12


def test_labels_and_titles() -> None:
    assert split_label("ga") == ("ga", {})
    method, fixed = split_label("ugradsl+:adaptive")
    assert (method, fixed["alpha"]) == ("ugradsl+", None)
    assert title_of("ugradsl:adaptive") == "UGradSL (adaptive)"
    assert title_of("neggrad+:forget") == "NegGrad+ (over D_f)"
    assert title_of("retrain:again") == "Retrain again"
    assert label_of("neggrad+", {}) == "neggrad+:forget"  # as it was run before it had the field
    assert label_of("neggrad+", {"epoch_over": "retain"}) == "neggrad+"
    assert [label_of("retrain", c) for c in ({}, {"initialisation": 0})] == ["retrain"] * 2
    assert label_of("retrain", {"initialisation": 7}) == "retrain:again"
    assert [is_retrained(x) for x in ("retrain", "retrain:again", "ft")] == [True, True, False]


@pytest.mark.parametrize("label", LABELS)
def test_a_label_comes_back_from_the_config_it_fixes(label: str) -> None:
    method, fixed = split_label(label)
    assert label_of(method, make_config(method, **fixed).model_dump()) == label
    assert len({title_of(other) for other in LABELS}) == len(LABELS)


def test_unknown_names_come_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"unknown method 'ugradsl:adaptiv'\. Did you mean"):
        split_label("ugradsl:adaptiv")
    with pytest.raises(ConfigError, match=r"unknown scale 'smok'\. Did you mean 'smoke'"):
        load_presets("smok")
    with pytest.raises(
        ConfigError, match=r"unknown smoke setting 'digits'\. Did you mean 'digits-"
    ):
        get_preset("digits", "smoke")


def test_a_setting_of_other_scales_names_them() -> None:
    with pytest.raises(ConfigError, match=r"^setting: 'cifar10-random10' has no smoke scale; say"):
        get_preset("cifar10-random10", "smoke")
    with pytest.raises(ConfigError, match=r"has no bench scale; say --scale paper$"):
        get_preset("imagenet-class", "bench")


def test_a_winner_is_written_into_its_preset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "smoke.json"
    path.write_text(json.dumps(load_presets("smoke")))
    before = path.read_text()
    monkeypatch.setattr(presets, "preset_path", lambda _: path)
    config, source = {"lr": 0.03}, {"kind": "search", "seed": 1000}
    presets.store_winner("ga", "digits-random10", "smoke", config, source)
    assert preset_config("ga", "digits-random10", "smoke").lr == 0.03
    changed, original = json.loads(path.read_text()), json.loads(before)
    original["digits-random10"]["methods"]["ga"] = {"config": config, "source": source}
    assert changed == original
    with pytest.raises(ConfigError, match="not a preset"):
        presets.store_winner("ga", "digits", "smoke", config, source)


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_every_notebook_has_valid_defaults(notebook: str) -> None:
    assert check_parameters(notebook) == NOTEBOOKS[notebook]()


@pytest.mark.parametrize(
    ("notebook", "values", "message"),
    [
        ("quickstart", {"method": "ugradls"}, "unknown method 'ugradls'. Did you mean 'ugradsl'"),
        ("quickstart", {"alpha": 2}, "alpha: should be less than or equal to 1; found 2"),
        ("quickstart", {"alhpa": 0}, "unknown parameter 'alhpa'. Did you mean 'alpha'"),
        ("random_forgetting", {"fraction": 1}, "fraction: should be less than 1"),
        ("ugradsl_step_by_step", {"beta": -1}, "beta: should be greater than or equal to 0"),
        (
            "ugradsl_step_by_step",
            {"distance": "l2"},
            "unknown distance 'l2'. Valid: cosine, euclidean",
        ),
        ("random_forgetting", {"dataset": "cifar"}, "unknown data set 'cifar'. Did you mean"),
        (
            "class_wise_forgetting",
            {"dataset": "digits-parity"},
            "no preset of class-wise forgetting at the smoke scale; those with one: digits, words",
        ),
        ("random_forgetting", {"dataset": "words"}, "words has no preset of random forgetting"),
        ("group_forgetting", {"dataset": "digits"}, "digits has no preset of group forgetting"),
        ("random_forgetting", {"methods": "retrain,gaa"}, "unknown method 'gaa'. Did you mean 'ga"),
        ("random_forgetting", {"methods": "ga"}, "should name retrain"),
        ("random_forgetting", {"seeds": "0,x"}, "whole numbers from 0; found 'x'"),
        ("random_forgetting", {"forgotten_class": 1}, "unknown parameter 'forgotten_class'"),
        ("class_wise_forgetting", {"forgotten_class": -1}, "greater than or equal to 0"),
        ("quickstrat", {}, "unknown notebook 'quickstrat'. Did you mean 'quickstart'"),
    ],
)
def test_bad_notebook_parameters(notebook: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_parameters(notebook, **values)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("notebook", "dataset", "scale", "preset"),
    [
        ("random_forgetting", "digits", "smoke", "digits-random10"),
        ("random_forgetting", "mnist-m", "bench", "mnist-m-random10"),
        ("class_wise_forgetting", "words", "smoke", "words-class"),
        ("class_wise_forgetting", "imagenet", "paper", "imagenet-class"),
        ("method_comparison", "cifar100", "paper", "cifar100-random10"),
        ("group_forgetting", "digits-parity", "smoke", "digits-parity-subclass"),
        ("group_forgetting", "celeba", "bench", "celeba-identities1"),
    ],
)
def test_notebooks_find_the_preset_of_their_data_set(
    notebook: str, dataset: str, scale: str, preset: str
) -> None:
    parameters = check_parameters(notebook, dataset=dataset, scale=scale)
    assert preset_name(parameters) == preset


def test_a_group_takes_the_place_of_the_presets_forget_set() -> None:
    unnamed = check_parameters("group_forgetting", dataset="celeba", scale="bench")
    kept = live.plan_of(unnamed).setting
    assert (kept.group_fraction, kept.forgotten_group) == (0.01, None)
    named = check_parameters("group_forgetting", dataset="celeba", scale="bench", forgotten_group=7)
    setting = live.plan_of(named).setting
    assert (setting.group_fraction, setting.forgotten_group) == (None, 7)


def test_text_becomes_values_of_the_right_type() -> None:
    pairs = [("alpha", "-0.2"), ("epochs", "3"), ("method", "ga")]
    assert parse_parameters("quickstart", pairs) == {"alpha": -0.2, "epochs": 3, "method": "ga"}
    for nothing in ("None", "null"):
        assert parse_parameters("quickstart", [("alpha", nothing)]) == {"alpha": None}
    with pytest.raises(ConfigError, match="epochs"):
        parse_parameters("quickstart", [("epochs", "many")])


def test_lists_and_seeds() -> None:
    assert split_list(" a, b ,,c") == ["a", "b", "c"]
    assert parse_seeds("0, 2,10") == [0, 2, 10]
    for wrong in ("", " , "):
        with pytest.raises(ConfigError, match="comma-separated list"):
            split_list(wrong)
    for wrong in ("-1", "1.5", "a"):
        with pytest.raises(ConfigError, match="whole numbers"):
            parse_seeds(wrong)


def test_a_notebook_reads_its_parameters_from_its_names() -> None:
    names = {"alpha": -0.2, "seed": 3, "anything": object(), "parameters": None}
    read = read_parameters("quickstart", names)
    assert (read.alpha, read.seed, read.p) == (-0.2, 3, check_parameters("quickstart").p)
    with pytest.raises(ConfigError, match="alpha: should be less than or equal to 1; found 2"):
        read_parameters("quickstart", {"alpha": 2})
    with pytest.raises(ConfigError, match="unknown notebook"):
        read_parameters("quickstrat", {})
