"""Presets of every scale: the paper's as printed, ours for each of its settings, and they run."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from benches import bench_of
from companion import backbones
from companion.experiments import data
from companion.experiments.data import loader_options
from companion.experiments.records.store import open_store, read_records
from companion.experiments.records.summary import campaign_records, published, record_label
from companion.experiments.runs import protocol
from companion.experiments.runs.evidence import references_in
from companion.experiments.runs.problems import load_data
from companion.experiments.runs.protocol import trial_gap
from companion.experiments.settings import preset as presets
from companion.experiments.settings.labels import label_of
from companion.experiments.settings.preset import (
    SCALES,
    get_preset,
    load_presets,
    preset_config,
    preset_path,
    preset_setting,
)
from companion.experiments.settings.setting import DATA_OPTIONS, SGD_FIELDS, digest
from companion.files import PAPER_FOLDER
from companion.paper import presets as paper_presets
from companion.paper.statements import load_setting_statements, load_statements
from toys import CPU
from ugradsl_core.models import find_head

PAPER = load_presets("paper")
OWN_SCALES = ("smoke", "bench")
PRESETS = [(scale, name) for scale in SCALES for name in load_presets(scale)]
SMOKE = list(load_presets("smoke"))
OUR_BACKBONES = {"resnet18": "resnet-18", "vgg16": "vgg-16", "vit": "vit", "bert": "bert"}
FIELDS = {"batch_size": int, "learning_rate": float, "epochs": int}
OUR_FIELDS = {"learning_rate": "lr"}


def rows_of(name: str) -> list[dict[str, str]]:
    with (PAPER_FOLDER / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_file_is_what_the_papers_tables_give() -> None:
    built = paper_presets.build()
    assert json.dumps(load_presets("paper")) == json.dumps(built)  # in the same order
    assert json.loads(preset_path("paper").read_text("utf-8")) == presets.factored(built)


@pytest.mark.parametrize(
    ("base", "value", "changes"),
    [
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"b": 3}),
        ({"a": 1, "b": 2}, {"b": 2, "c": {"d": None}}, {"a": None, "c": {"d": {"=": None}}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "c": 2}}, {"a": {"b": {"=": None}}}),
        ({"a": 1, "c": 3}, {"a": 1, "b": 2, "c": 3}, {"=": {"a": 1, "b": 2, "c": 3}}),
        ({"a": {"b": 1}}, {"a": [1, 2]}, {"a": [1, 2]}),
        ({"a": 1}, {"a": {"b": {"c": 2}}}, {"a": {"b": {"c": 2}}}),
        ({"a": 1}, {}, {"a": None}),
        ({"a": 1}, {"a": 1}, {}),
    ],
)
def test_differences_make_the_value_again(base: Any, value: Any, changes: Any) -> None:
    assert presets.differences(base, value) == changes
    before = json.dumps(base)
    assert json.dumps(presets.merged(base, changes)) == json.dumps(value)
    assert json.dumps(base) == before


def test_a_winner_in_a_preset_that_is_stored_as_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "paper.json"
    path.write_text(preset_path("paper").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(presets, "preset_path", lambda _: path)
    config, source = {"lr": 0.03}, {"kind": "search"}
    presets.store_winner("ft", "cifar10-random20", "paper", config, source)
    changed = load_presets("paper")
    entry = changed["cifar10-random20"]["methods"].pop("ft")
    assert entry == {"config": config, "source": source}
    unchanged = json.loads(json.dumps(PAPER))
    del unchanged["cifar10-random20"]["methods"]["ft"]
    assert changed == unchanged


@pytest.mark.parametrize("row", rows_of("table-08.csv"), ids=lambda row: "-".join(row.values()))
def test_training_is_as_table_8_prints_it(row: dict[str, str]) -> None:
    of_row = [
        preset
        for preset in PAPER.values()
        if preset["setting"]["dataset"] == row["dataset"]
        and OUR_BACKBONES[preset["setting"]["model"]["name"]] == row["backbone"]
    ]
    assert of_row
    field = OUR_FIELDS.get(row["parameter"], row["parameter"])
    for preset in of_row:
        assert preset["setting"]["training"][field] == FIELDS[row["parameter"]](row["value"])
        stated = preset["stated"][f"training.{field}"]
        assert stated == {"place": "Table 8", "printed": row["value"]}


def test_the_settings_are_those_of_the_papers_tables() -> None:
    """Counted by hand from the headings of Tables 1–4, 6, 7 and 9–19."""
    assert set(PAPER) == {
        "cifar100-class", "imagenet-class",  # Table 1
        "cifar100-random10", "tiny-imagenet-random10",  # Table 2
        "cifar20-subclass", "celeba-identities1",  # Table 3
        "cifar10-class", "cifar10-random10",  # Table 4
        "20newsgroups-class", "svhn-class",  # Table 9
        "svhn-random10",  # Table 10
        "cifar10-class-vit",  # Table 11
        "cifar10-random10-vgg16",  # Table 12
        "cifar10-random20", "cifar10-random30", "cifar10-random40", "cifar10-random50",  # Table 17
        "cifar100-random20", "cifar100-random30", "cifar100-random40", "cifar100-random50",  # 18
    }  # fmt: skip
    tables = {number for preset in PAPER.values() for number in preset["tables"]}
    assert tables == {1, 2, 3, 4, 6, 7, *range(9, 20)}
    assert PAPER["cifar10-random10"]["tables"] == [4, 6, 7, 10, 13, 14, 15, 16, 17, 19]


def test_a_table_that_is_changed_changes_the_presets(tmp_path: Path) -> None:
    for path in PAPER_FOLDER.rglob("*.csv"):
        target = tmp_path / path.relative_to(PAPER_FOLDER)
        target.parent.mkdir(exist_ok=True)
        target.write_text(path.read_text("utf-8"), "utf-8")
    eight = tmp_path / "table-08.csv"
    text = eight.read_text("utf-8")
    eight.write_text(text.replace("svhn,resnet-18,epochs,160", "svhn,resnet-18,epochs,7"), "utf-8")
    built = paper_presets.build(tmp_path)
    changed = [name for name in PAPER if built[name] != PAPER[name]]
    assert sorted(changed) == ["svhn-class", "svhn-random10"]
    assert built["svhn-class"]["setting"]["training"]["epochs"] == 7


@pytest.mark.parametrize("name", PAPER)
def test_every_value_of_the_paper_scale_is_stated_or_said_not_to_be(name: str) -> None:
    preset = PAPER[name]
    told = {*preset["stated"], *preset["not_stated"]}
    training = {f"training.{field}" for field in SGD_FIELDS}
    forget = {"fraction", "forgotten_class", "forgotten_group", "group_fraction"}
    assert training | {"model.name"} | (forget & set(preset["setting"])) <= told
    for label, entry in preset["methods"].items():
        assert set(entry["config"]) <= {*entry["stated"], *entry["not_stated"]}, label
        assert entry["source"]["note"]
        for field, statement in entry["stated"].items():
            assert set(statement) == {"place", "printed"}, field


QUOTED = {row.printed for row in load_statements()} | {r.printed for r in load_setting_statements()}
WORDS = {"ResNet-18", "VGG-16", "ViT", "Bert", "cosine distance"}
WORDS |= {"the median of all pairwise distances"}


@pytest.mark.parametrize("name", PAPER)
def test_what_is_stated_is_quoted_from_the_transcription(name: str) -> None:
    preset = PAPER[name]
    found = [*preset["stated"].values()]
    found += [s for entry in preset["methods"].values() for s in entry["stated"].values()]
    table_8 = {row["value"] for row in rows_of("table-08.csv")}
    for statement in found:
        printed = statement["printed"]
        if statement["place"] == "Table 8":
            assert printed in table_8
        elif statement["place"] in {"Table 17", "Table 18"}:
            assert printed == f"{100 * preset['setting']['fraction']:g}%"
        else:
            assert set(printed.split("; ")) <= QUOTED | WORDS


@pytest.mark.parametrize("name", PAPER)
def test_baselines_are_as_appendix_e1_states_them(name: str) -> None:
    config = {
        label: preset_config(label, name, "paper").model_dump() for label in PAPER[name]["methods"]
    }
    lr = PAPER[name]["setting"]["training"]["lr"]
    epochs = 5 if name.startswith("imagenet") else 10
    for label in ("ft", "rl"):
        assert (config[label]["lr"], config[label]["epochs"]) == (lr, epochs)
    assert config["l1-sparse"]["lr"] == 1e-3
    assert 1e-5 <= config["l1-sparse"]["gamma"] <= 1e-1
    assert 1e-9 <= config["ff"]["alpha"] <= 1e-6
    assert (config["scrub"]["gamma"], config["scrub"]["alpha"]) == (0.99, 0.001)
    assert 0.5 <= config["salun"]["mask_ratio"] <= 0.9
    setting = PAPER[name]["setting"]
    mixed = setting["dataset"] in {"cifar100", "tiny-imagenet"}
    order = "shuffled" if mixed else "sequential"
    assert config["rl"]["variant"] == config["salun"]["order"] == order
    assert config["ga"]["lr"] == (5e-4 if setting["paradigm"] == "random" else 1e-4)
    slow = setting["model"]["name"] in {"vgg16", "vit", "bert"}
    assert ("not expected to train" in PAPER[name]["note"]) is slow
    why = PAPER[name]["methods"]["iu"]["not_stated"]["samples"]
    assert ("300,000" in why) == name.startswith("imagenet")
    for label in ("ugradsl", "ugradsl+"):
        assert (config[label]["p"], config[label]["alpha"]) == (0.9, -0.4)
        assert config[f"{label}:adaptive"]["beta"] is None
        assert config[f"{label}:adaptive"]["distance"] == "cosine"


def _found_before(entry: dict[str, Any]) -> bool:
    source = entry["source"]
    return source["kind"] == "search" and "protocol" not in source


SEARCHED = [
    name
    for name, preset in load_presets("bench").items()
    if any(map(_found_before, preset["methods"].values()))
]
BY_THE_PROTOCOL = [
    (name, label)
    for name, preset in load_presets("bench").items()
    for label, entry in preset["methods"].items()
    if entry["source"].get("protocol")
]


@pytest.mark.parametrize(("name", "label"), BY_THE_PROTOCOL)
def test_winners_by_the_protocol_are_the_best_of_their_published_trials(
    name: str, label: str
) -> None:
    """Every trial of the design is published; the mean over the search seeds decides."""
    entry = get_preset(name, "bench")["methods"][label]
    source = entry["source"]
    records = campaign_records(name, "bench")
    trials = [r for r in records if r.kind == "trial" and record_label(r) == label]
    references = references_in([r for r in records if r.kind == "trial"])
    chosen, gap = protocol.winner(trials, references)
    assert chosen.config == entry["config"]
    assert source["validation_gap"] == pytest.approx(gap, abs=1e-4)
    assert source["protocol"] == protocol.PROTOCOL
    assert source["trials"] == len(trials)
    if not protocol.is_transferred(trials):
        points = protocol.find_space(label).points
        assert len(trials) == protocol.trials_of(points)
        assert len({r.config_hash for r in trials if r.seed == protocol.SEARCH_SEEDS[0]}) == points


@pytest.mark.parametrize(
    "name", [name for name in load_presets("bench") if published(name, "bench")]
)
def test_results_are_those_of_the_winners(name: str) -> None:
    """What is judged on the test set is what the published trials chose, for every method."""
    records = campaign_records(name, "bench")
    references = references_in([r for r in records if r.kind == "trial"])
    for record in (r for r in records if r.kind == "result"):
        label = record_label(record)
        if label not in protocol.SPACES:
            continue  # Retrain, Retrain again and no step are not searched
        trials = [r for r in records if r.kind == "trial" and record_label(r) == label]
        chosen, _ = protocol.winner(trials, references)
        assert record.config_hash == chosen.config_hash, label


@pytest.mark.parametrize("name", SEARCHED)
def test_winners_are_the_best_of_the_published_trials(name: str) -> None:
    """One budget, one reference, one machine; no configuration twice; the gap as in the preset."""
    path = PAPER_FOLDER.parent / "results" / "before" / f"{name}-bench-search.jsonl"
    reference, *trials = read_records(path)
    assert (reference.method, {r.kind for r in trials}) == ("retrain", {"trial"})
    setting = preset_setting(name, "bench")
    everything = [reference, *trials]
    assert {r.setting_hash for r in everything} == {digest(setting.identity())}
    for fact in ("seed", "hardware", "data_checksum"):
        assert len({str(getattr(r, fact)) for r in everything}) == 1, fact
    assert all(re.fullmatch("[0-9a-f]{40}", r.commit) for r in everything)  # no "+changes"
    methods = get_preset(name, "bench")["methods"]
    before = {x: methods[x] for x in methods if _found_before(methods[x])}
    by_label: dict[str, dict[str, float]] = {x: {} for x in protocol.SPACES if x in before}
    for trial in trials:
        gaps = by_label.get(label_of(trial.method, dict(trial.config)))
        if gaps is not None:  # else the protocol's own search has replaced this one
            assert trial.config_hash not in gaps
            gaps[trial.config_hash] = trial_gap(trial, reference)
    for label, gaps in by_label.items():
        source = methods[label]["source"]
        assert len(gaps) == source["trials"] >= 8
        best = digest(preset_config(label, name, "bench").key_fields())
        assert gaps[best] == min(gaps.values()) == pytest.approx(source["validation_gap"], abs=1e-4)


@pytest.mark.parametrize("scale", OWN_SCALES)
def test_each_of_the_papers_settings_has_one_of_ours(scale: str) -> None:
    presets = load_presets(scale)
    stood_for = [
        name for own, preset in presets.items() for name in preset.get("stands_for", [own])
    ]
    assert sorted(stood_for) == sorted(PAPER)
    for name, preset in presets.items():
        for other in preset.get("stands_for", [name]):
            paper, own = preset_setting(other, "paper"), preset_setting(name, scale)
            assert own.paradigm == paper.paradigm
            assert own.model.name.removesuffix("-bn") == paper.model.name
            assert own.fraction == paper.fraction


def test_nothing_that_stands_in_is_called_svhn_or_imagenet() -> None:
    for scale in OWN_SCALES:
        for name, preset in load_presets(scale).items():
            assert not name.startswith(("svhn", "imagenet"))
            assert preset["setting"]["dataset"] not in {"svhn", "imagenet"}
            if scale == "bench" and preset.get("stands_for", [name]) != [name]:
                assert preset["note"].startswith("Stands in for ")


@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_loaders_know_the_options_of_a_preset(scale: str, name: str) -> None:
    setting = preset_setting(name, scale)
    given = {option for option in DATA_OPTIONS if getattr(setting, option) is not None}
    assert given <= set(loader_options(data.find_loader(setting.dataset)))


@pytest.mark.parametrize(("scale", "name"), PRESETS)
def test_the_model_of_a_preset_can_be_built(scale: str, name: str) -> None:
    setting = preset_setting(name, scale)
    source = data.SOURCES[setting.dataset]
    text = setting.model.name == "bert"
    shape = (setting.max_length or 16,) if text else source.shape
    with torch.device("meta"):
        model = backbones.build(
            setting.model,
            num_classes=source.classes or 2,
            input_shape=shape,
            vocabulary=100 if text else None,
        )
    assert find_head(model, source.classes or 2)


def test_a_preset_that_is_like_another_has_its_methods() -> None:
    like, other = (get_preset(name, "bench") for name in ("cifar10-random20", "cifar10-random10"))
    assert like["methods"].keys() == other["methods"].keys()
    for label, entry in like["methods"].items():
        assert entry["config"] == other["methods"][label]["config"]
        assert entry["source"]["note"] == "not searched; as for cifar10-random10"
    slower = get_preset("cifar10-random10-vgg16", "bench")
    for label, entry in slower["methods"].items():
        first = other["methods"][label]["config"]
        assert entry["config"].keys() == first.keys()
        if "lr" in first:
            assert entry["config"]["lr"] == pytest.approx(first["lr"] / 2, rel=5e-3)
            assert entry["source"]["note"].endswith("learning rate × 0.5")


@pytest.mark.parametrize("name", SMOKE)
def test_every_smoke_preset_runs(name: str, tmp_path: Path) -> None:
    from companion.experiments.runs.run import run_grid

    full = preset_setting(name, "smoke")
    training = {**full.training.model_dump(), "epochs": 1, "batch_size": 64, "lr": 0.01}
    whole_groups = full.group_fraction is not None
    setting = full.replace(
        train_size=450 if whole_groups else 150, validation_size=150, training=training
    )
    changes: dict[str, Any] = {"epochs": 1, "batch_size": 64}
    configs = {label: preset_config(label, name, "smoke", **changes) for label in ("ft", "ugradsl")}
    retrain = preset_config("retrain", name, "smoke", **training)
    loaded = load_data(setting, CPU)
    bench = bench_of(setting, loaded, open_store(tmp_path))
    records = run_grid(bench, {"retrain": retrain, **configs}, [0])
    assert [record.status for record in records] == ["ok"] * 3
    forget = round(full.fraction * 150) if setting.paradigm == "random" else None
    split = setting.split(loaded.train, 0, loaded.rows)
    assert forget in {None, len(split.forget)}
    assert records[0].setting["paradigm"] == setting.paradigm
    for record in records:
        assert 0 <= record.metrics["UA"] <= 100


def test_random_forgetting_of_any_size_shares_one_original() -> None:
    settings = [preset_setting(f"cifar10-random{size}", "bench") for size in (10, 20, 50)]
    loaded: Any = type("Loaded", (), {"checksum": "data"})
    assert len({bench_of(setting, loaded).model_key("original", 0) for setting in settings}) == 1
    assert len({bench_of(setting, loaded).model_key("retrain", 0) for setting in settings}) == 3
