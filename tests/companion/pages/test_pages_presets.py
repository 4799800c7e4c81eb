"""The hyperparameter page and how near the reduced settings come, made from presets and records."""

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import pytest

from benches import bench_of
from companion.experiments.records.store import open_store, read_records, write_records
from companion.experiments.runs import regime
from companion.experiments.runs.problems import load_data
from companion.experiments.settings import preset as presets
from companion.experiments.settings.labels import title_of
from companion.experiments.settings.preset import (
    SCALES,
    load_presets,
    preset_config,
    preset_setting,
)
from companion.experiments.settings.setting import digest
from companion.pages import presets as pages_presets
from companion.pages.markdown import NOT_RUN_YET
from companion.pages.presets import FRAGMENTS
from companion.tables.presets import origin, places_text, setting_values, source_text, value_text
from records import record
from toys import CPU
from ugradsl_core.errors import ConfigError

BOOK = Path(__file__).parents[3] / "book"


def lines_of(fragment: str) -> list[str]:
    """One line for each row of a list table."""
    return fragment.replace("\n  - ", " | ").splitlines()


@pytest.fixture(scope="module")
def table() -> dict[tuple[str, str, str], dict[str, str]]:
    """The rows of the one table, by scale, preset and method."""
    text = FRAGMENTS["presets.md"](BOOK)
    data = json.loads(text.split('-data">')[1].split("</script>")[0])
    rows = [dict(zip(data["text"], row, strict=True)) for row in data["rows"]]
    assert all(isinstance(cell, str) for row in rows for cell in row.values())
    return {(row["Scale"], row["Preset"], row["Method"]): row for row in rows}


@pytest.mark.parametrize("scale", SCALES)
def test_every_preset_is_on_the_page_of_its_scale(scale: str) -> None:
    text = FRAGMENTS[f"presets-{scale}.md"](BOOK)
    for name in load_presets(scale):
        assert text.count(f"* - `{name}`\n") == 1
    assert "None" not in text


@pytest.mark.parametrize("scale", SCALES)
def test_the_table_has_every_setting_and_every_method(scale: str, table: Any) -> None:
    for name, preset in load_presets(scale).items():
        training = preset_setting(name, scale).training
        own = table[scale, name, pages_presets.SETTING]
        assert (float(own["lr"]), int(own["Epochs"])) == (training.lr, training.epochs)
        assert preset.get("note", "").replace("`", "") in own["Where from"]
        for label in preset["methods"]:
            config = preset_config(label, name, scale).model_dump()
            shown = table[scale, name, title_of(label)]["lr"].replace("−", "-")
            assert shown == "–" if config.get("lr") is None else float(shown) == config["lr"]
    methods = sum(1 + len(preset["methods"]) for preset in load_presets(scale).values())
    assert sum(key[0] == scale for key in table) == methods


def test_the_paper_scale_says_for_each_value_where_it_is_stated(table: Any) -> None:
    setting = table["paper", "celeba-identities1", pages_presets.SETTING]
    assert "1% of the identities (82 identities)" in setting["Where from"]
    assert "training.lr: not stated; that of cifar10 in Table 8" in setting["Where from"]
    scrub = table["paper", "celeba-identities1", "SCRUB"]
    assert "Appendix E.1: gamma, alpha, lr, epochs, batch_size" in scrub["Where from"]


def test_a_preset_without_a_search_says_whose_values_it_has(table: Any) -> None:
    found = table["bench", "cifar10-random10-vgg16", "UGradSL+"]["Where from"]
    assert "not searched; as for cifar10-random10, learning rate × 0.5" in found


def test_a_method_that_was_searched_later_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bench.json"
    known = json.loads(presets.preset_path("bench").read_text("utf-8"))
    known["mnist-m-random10"]["methods"] = {}  # as before its campaign
    path.write_text(json.dumps(known), "utf-8")
    monkeypatch.setattr(presets, "preset_path", lambda _: path)
    source = {"kind": "search", "trials": 8, "validation_gap": 1.0}
    presets.store_winner("ft", "mnist-m-random10", "bench", {"lr": 0.5}, source)
    stored = json.loads(path.read_text("utf-8"))["mnist-m-random10"]["methods"]
    assert list(stored) == ["ft"]  # what is carried over is not written down
    rows = {row[2]: row for row in pages_presets._rows("mnist-m-random10", "bench")}
    assert "8 trials; validation gap 1.00" in rows["FT"][-1]
    assert "not searched" in rows["GA"][-1]
    assert preset_config("ft", "mnist-m-random10", "bench").model_dump()["lr"] == 0.5


def test_the_file_has_every_value_of_every_preset() -> None:
    rows = list(csv.DictReader(io.StringIO(FRAGMENTS["hyperparameters.csv"](BOOK))))
    found: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in rows:
        part = found.setdefault((row["scale"], row["preset"], row["part"]), {})
        assert row["field"] not in part
        part[row["field"]] = row["value"]
    for scale in SCALES:
        for name, preset in load_presets(scale).items():
            training = preset_setting(name, scale).training
            printed = found[scale, name, "setting"]
            assert float(printed["training.lr"].replace("−", "-")) == training.lr
            for label in preset["methods"]:
                config = preset_config(label, name, scale).model_dump()
                stored = {key: "" if v is None else str(v) for key, v in config.items()}
                assert found[scale, name, label] == stored
    assert {row["scale"] for row in rows} == set(SCALES)


def test_values_and_places_in_words() -> None:
    assert [value_text("alpha", None), value_text("samples", None)] == ["adaptive", "all"]
    assert [value_text("lr", 1e-6), value_text("alpha", -0.4)] == ["1e−6", "−0.4"]
    places = [("smoke", "a"), ("bench", "b"), ("smoke", "c")]
    assert places_text(places) == "`smoke`: a, c; `bench`: b"
    entry = {"stated": {"p": {"place": "Section 1", "printed": "2"}}, "not_stated": {"q": "ours"}}
    assert [origin(entry, field) for field in "pqr"] == ["Section 1: 2", "not stated; ours", ""]
    values = {field: value for field, value, _ in setting_values("words-class", "smoke")}
    assert (values["model.width"], values["training.epochs"]) == ("64", "20")


def test_a_winner_at_the_edge_of_its_space_is_marked() -> None:
    source = {"kind": "search", "protocol": "passes-1", "trials": 44, "validation_gap": 1.234}
    inside = {"config": {"lr": 0.05, "p": 0.9}, "source": source}
    text = "44 trials; validation gap 1.23"
    assert source_text("neggrad+", inside) == text
    for lr, p in ((0.45, 0.801), (0.00051, 0.9989)):  # within 3 % of the range's length
        edge = {"config": {"lr": lr, "p": p}, "source": source}
        assert source_text("neggrad+", edge) == f"{text}; at the edge of the space: lr, p"
    del source["protocol"]
    assert source_text("neggrad+", inside).startswith("search before the protocol, 44 trials; val")


def test_the_luck_of_a_search_is_its_best_beside_the_values_before(tmp_path: Path) -> None:
    assert pages_presets.luck(tmp_path) == NOT_RUN_YET
    (tmp_path / "results" / "before").mkdir(parents=True)
    name = "cifar10-random10"

    def trial(method: str, ua: float, note: str = "") -> Any:
        one = record(method, 1000, ua, 50.0, 90.0, 60.0)
        return dataclasses.replace(one, kind="trial", note=note)

    trials = [
        trial("retrain", 40.0),
        trial("ft", 20.0), trial("ft", 32.0), trial("ft", 38.0, pages_presets.INCUMBENT),
        trial("ga", 36.0), trial("ga", 0.0),
    ]  # fmt: skip
    write_records(tmp_path / "results" / "before" / f"{name}-bench-search.jsonl", trials)
    assert lines_of(pages_presets.luck(tmp_path))[4:7] == [
        f"* - `{name}` | Best of its own trials | Imported values",
        "* - FT | 2.00 | 0.50",
        "* - GA | 1.00 | among the trials",
    ]


def regime_of(name: str, **changes: Any) -> Any:
    setting = preset_setting(name, "bench").identity()
    one = record("retrain", 0, 35.5, 50.25, 99.5, 64.0, scale="bench")
    metrics = {**one.metrics, "original": {"UA": 0.5, "MIA": 3.0, "RA": 99.0, "TA": 66.0}}
    hashed = digest(setting)
    return dataclasses.replace(
        one, kind=regime.KIND, setting=setting, setting_hash=hashed, metrics=metrics, **changes
    )


def test_how_near_they_come_is_read_from_records(tmp_path: Path) -> None:
    book = tmp_path / "book"
    (book / "results").mkdir(parents=True)
    (book / "paper").symlink_to(BOOK / "paper")
    empty = lines_of(pages_presets.regime(book))
    assert sum("not run" in line for line in empty) == len(load_presets("bench"))
    path = book / "results" / "regime-bench.jsonl"
    regime.publish(path, regime_of("mnist-m-random10"))
    regime.publish(path, regime_of("cifar100-class", status="diverged"))
    rows = {line.split(" | ")[0]: line for line in lines_of(pages_presets.regime(book))}
    assert rows["* - `mnist-m-random10`, for `svhn-random10`"].split(" | ")[1:] == [
        "0.5", "3.0", "35.5 (4.95)", "50.2 (15.59)", "99.5 (99.99)", "64.0 (95.61)",
    ]  # fmt: skip
    assert "diverged" in rows["* - `cifar100-class`"]
    assert "not run" in rows["* - `cifar20-subclass`"]
    # the same setting and seed is published once, in place of the older record
    regime.publish(path, regime_of("mnist-m-random10", created="later"))
    found = read_records(path)
    assert len(found) == 2
    assert found[-1].created == "later"


def test_the_papers_retrain_rows_are_those_of_the_setting() -> None:
    root = BOOK / "paper"
    assert pages_presets.paper_retrain("cifar10-random50", root)["UA"] == "7.91"
    assert pages_presets.paper_retrain("cifar10-random10-vgg16", root)["RA"] == "74.65"
    assert pages_presets.paper_retrain("cifar10-class-vit", root)["TA"] == "58.94"
    assert pages_presets.paper_retrain("svhn-random10", root)["UA"] == "4.95"
    assert "UA" not in pages_presets.paper_retrain("celeba-identities1", root)  # not legible


def test_records_of_another_kind_are_refused() -> None:
    with pytest.raises(ConfigError, match="should be of kind regime; found 'result'"):
        regime.of_setting([record("retrain", 0, 1.0, 2.0, 3.0, 4.0)], "x")


def test_a_regime_is_retrains_record_with_the_original_beside_it(tmp_path: Path) -> None:
    setting = preset_setting("digits-random10", "smoke")
    setting = setting.replace(training={**setting.training.model_dump(), "epochs": 2})
    loaded, store = load_data(setting, CPU), open_store(tmp_path)
    found = regime.regime_record(bench_of(setting, loaded, store), 0)
    again = regime.regime_record(bench_of(setting, loaded, store), 0)
    assert found == again
    assert found.kind == "regime"
    before = regime.original_metrics(found)
    assert set(before) == set(found.metrics) - {"original"}
    assert before["UA"] != found.metrics["UA"]


def test_the_command_trains_and_publishes(cli: Any, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    small = preset_setting("digits-random10", "smoke").replace(
        training={"lr": 0.1, "epochs": 1, "batch_size": 64}, train_size=150
    )
    monkeypatch.setattr("companion.experiments.settings.preset.preset_setting", lambda *_: small)
    code, out, _ = cli("regime", "digits-random10", "--scale", "smoke", "--publish", "mine.jsonl")
    assert code == 0
    (found,) = read_records(tmp_path / "mine.jsonl")
    assert f"{found.metrics['RA']:.2f}" in out
    assert f"{found.metrics['original']['RA']:.2f}" in out
