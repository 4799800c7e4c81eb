"""A user's own method beside the others: experiment, search, tables, refusals before training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from companion.experiments.records.store import read_records
from companion.experiments.records.summary import natural_order, record_label, summary
from companion.experiments.runs import protocol
from companion.experiments.settings.changes import read_labels
from companion.experiments.settings.labels import split_label, title_of
from companion.experiments.settings.preset import preset_setting
from companion.figures import results as figures
from companion.notebooks.live import labels_of
from companion.notebooks.parameters import check_parameters
from companion.tables.results import results_table
from ugradsl_core.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parents[4] / "book" / "examples"
NAME = "my_ideas:to_uniform"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def _examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))


def test_one_command_compares_it_with_the_others(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli(
        "experiment", "digits-random10", "--methods", f"retrain,ga,{NAME}", "--store",
        str(tmp_path / "store"), "--publish", str(tmp_path / "mine.jsonl"),
        "-p", "training.epochs", "2", "-p", f"{NAME}.weight", "2", "-p", f"{NAME}.epochs", "1",
    )  # fmt: skip
    assert code == 0
    assert "To uniform" in out
    records = read_records(tmp_path / "mine.jsonl")
    (mine,) = (r for r in records if r.method == NAME)
    assert (mine.status, mine.config["weight"]) == ("ok", 2.0)
    assert record_label(mine) == NAME
    assert "To uniform" in set(summary(records)["method"])
    assert "To uniform" in results_table(records, "x.csv")
    assert figures.mark(NAME)


def test_records_outlive_the_code_that_made_them() -> None:
    assert title_of("gone_module:my_method") == "my_method"
    assert split_label(NAME) == (NAME, {})
    assert natural_order([NAME, "ugradsl+", "ft"]) == ["ft", "ugradsl+", NAME]


def test_all_may_stand_beside_it() -> None:
    labels = read_labels(f"all,{NAME}", "digits-random10", "smoke")
    assert labels[0] == "retrain"
    assert labels[-1] == NAME
    assert len(labels) == len(set(labels)) > 10
    parameters = check_parameters("random_forgetting", methods=f"all,{NAME}")
    assert labels_of(parameters)[-1] == NAME
    with pytest.raises(ConfigError, match="the module 'no_such' of 'no_such:f' was not found"):
        check_parameters("random_forgetting", methods="retrain,no_such:f")


def test_it_is_searched_within_the_budget_as_all_are() -> None:
    setting = preset_setting("cifar10-random10", "bench")
    sizes = protocol.Sizes(retain=5400, forget=600, classes=10)
    configs = protocol.design(NAME, setting, sizes)
    assert len(configs) == protocol.find_space(NAME).points == 24
    assert all(sizes.cost(config) <= sizes.budget for config in configs)
    assert all(1e-3 <= config.lr <= 0.3 and 0.1 <= config.weight <= 10 for config in configs)
    assert len({config.epochs for config in configs}) > 3


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (None, "has no search space"),
        ({}, "has no search space"),
        ({"leraning": (0, 1)}, "unknown parameter in SPACE 'leraning'"),
        ({"lr": (0.3, 0.1)}, r"lr should be \(low, high\) above 0"),
        ({"lr": (0, 0.1)}, r"lr should be \(low, high\) above 0"),
        ({"lr": "0.1"}, "found '0.1'"),
        ({"lr": []}, r"found \[\]"),
    ],
)
def test_a_search_space_that_is_none_is_refused(
    space: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import my_ideas  # type: ignore[import-not-found]

    monkeypatch.setattr(my_ideas.ToUniformConfig, "SPACE", space)
    with pytest.raises(ConfigError, match=message):
        protocol.find_space(NAME)


def test_choices_and_linear_bounds_are_dimensions_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import my_ideas

    space = {"weight": (0.0, 1.0, "linear"), "batch_size": (8, 64), "schedule": ["constant"]}
    monkeypatch.setattr(my_ideas.ToUniformConfig, "SPACE", space)
    found = protocol.find_space(NAME).dimensions
    assert found["weight"].at(0.5) == 0.5
    assert isinstance(found["batch_size"].at(0.3), int)
    assert found["schedule"].at(0.9) == "constant"


def test_a_method_that_fails_is_found_out_before_anything_is_trained(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails_late.py").write_text(
        "from ugradsl_core.methods import UnlearnConfig\n"
        "def f(problem, config: UnlearnConfig, *, generator):\n    return None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    store = tmp_path / "store"
    code, _, err = cli("experiment", "digits-random10", "--methods", "retrain,fails_late:f",
                       "--store", str(store))  # fmt: skip
    assert code != 0
    assert "fails_late:f should return an UnlearnResult; found NoneType" in err
    assert "Traceback" not in err
    assert not list(store.rglob("*.safetensors"))


def test_its_cost_is_estimated_and_a_campaign_plans_its_search(cli: Cli, tmp_path: Path) -> None:
    code, out, _ = cli("estimate", "digits-random10", "--methods", NAME)
    assert code == 0
    assert NAME in out
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        "protocol: passes-1\nscale: bench\nblocks:\n  - {kind: search, setting: cifar10-random10, "
        f"seeds: [0, 1, 2, 3, 4], methods: ['{NAME}']}}\n",
        "utf-8",
    )
    code, out, _ = cli(
        "campaign", str(plan), "--dry-run", "--publish", str(tmp_path / "out"),
        "--store", str(tmp_path / "store"),
    )  # fmt: skip
    assert code == 0
    assert f"search-cifar10-random10-{NAME.replace(':', '--')}" in out
    assert f"final-cifar10-random10-{NAME.replace(':', '--')}" in out
