"""The command line: what it prints, and how it refuses."""

import json
import warnings
from pathlib import Path

import pytest

from cli_cases import SMALL, Cli, refusal, written
from companion.experiments import data
from companion.experiments.records.store import read_records, write_records
from companion.experiments.settings.preset import SCALES, load_presets
from records import record
from ugradsl_core.methods import METHODS, make_config


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no data root."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(data.DATA_ROOT_VARIABLE, raising=False)
    return folder


def test_methods_as_json_and_as_text(cli: Cli) -> None:
    code, out, err = cli("methods", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert list(rows) == list(METHODS)
    assert rows["ugradsl"]["defaults"] == make_config("ugradsl").model_dump()
    code, text, _ = cli("methods")
    assert code == 0
    assert all(name in text for name in METHODS)


@pytest.mark.parametrize("scale", SCALES)
def test_presets_as_json_and_as_text(cli: Cli, scale: str) -> None:
    code, out, _ = cli("presets", "--scale", scale, "--json")
    assert code == 0
    assert json.loads(out) == load_presets(scale)
    code, text, _ = cli("presets", "--scale", scale)
    assert code == 0
    assert all(name in text for name in load_presets(scale))


def test_one_preset_with_its_values_and_their_origin(cli: Cli) -> None:
    code, text, _ = cli("presets", "cifar20-subclass", "--scale", "paper")
    assert code == 0
    lines = {line.split()[0]: line for line in text.splitlines() if line.split()}
    assert "trout" in lines["forgotten_group"]
    assert "not stated; that of cifar100 in Table 8" in lines["training.lr"]
    assert "Appendix E.1: epochs, lr" in lines["ft"]
    code, out, _ = cli("presets", "cifar20-subclass", "--scale", "paper", "--json")
    assert json.loads(out) == load_presets("paper")["cifar20-subclass"]
    refusal(cli, ["presets", "cifar20", "--scale", "paper"], "Did you mean 'cifar")


def test_an_experiment_forgets_a_users_own_samples(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "mine.txt").write_text("0 5 9 700")
    own = ["-p", "paradigm", "index", "-p", "index_file", "mine.txt"]
    run = ["experiment", "digits-random10", "--methods", "retrain", *SMALL, *own]
    code, out, _ = cli(*run, "--publish", "mine.jsonl")
    assert code == 0
    assert "digits, index (" in out
    (found,) = read_records(elsewhere / "mine.jsonl")
    assert found.metrics["UA"] in {0, 25, 50, 75, 100}  # four samples
    assert found.forward_samples == 116
    (elsewhere / "mine.txt").write_text("0 1348")
    refusal(cli, run, "should hold indices below 1348, the training samples of digits; found 1348")


def test_another_backbone_has_its_own_sizes(cli: Cli) -> None:
    other = ["-p", "model.name", "vit", "-p", "model.depth=1", "-p", "model.heads=1"]
    code, _, err = cli("experiment", "digits-random10", "--methods", "retrain", *SMALL, *other)
    assert code == 0, err


def test_an_experiment_prints_and_publishes_a_table(cli: Cli, elsewhere: Path) -> None:
    run = [
        "experiment", "digits-random10", "--methods", "retrain,ugradsl", *SMALL,
        "-p", "ugradsl.alpha", "-0.2", "-p", "ugradsl.epochs", "1",
    ]  # fmt: skip
    code, out, _ = cli(*run, "--publish", "mine.jsonl")
    assert code == 0
    assert "digits, random (0.1), scale smoke" in out
    records = read_records(elsewhere / "mine.jsonl")
    assert [(r.method, r.status) for r in records] == [("retrain", "ok"), ("ugradsl", "ok")]
    assert records[1].config["alpha"] == -0.2
    assert records[0].setting["training"]["epochs"] == records[0].config["epochs"] == 1
    # negative numbers, lists and tables from the file
    code, out, _ = cli("table", "digits-random10", "--scale", "smoke", "--records", "mine.jsonl")
    assert code == 0
    assert "UGradSL" in out
    assert f"{records[1].metrics['UA']:.2f}" in out
    _, out, _ = cli("table", "digits-random10", "--records", "mine.jsonl", "--scale=smoke", "--csv")
    assert out.startswith("label,method,n,")
    rows = json.loads(
        cli("table", "digits-random10", "--records", "mine.jsonl", "--scale=smoke", "--json")[1]
    )
    assert rows[1]["UA"] == pytest.approx(records[1].metrics["UA"])


def test_a_diverging_run_is_shown_and_is_no_failure(cli: Cli) -> None:
    code, out, _ = cli(
        "experiment", "digits-random10", "--methods", "retrain,ft", *SMALL,
        "-p", "ft.lr", "1e30",
    )  # fmt: skip
    assert code == 0
    assert "(+1 diverged)" in out


def test_a_run_whose_outputs_overflow_is_shown_as_diverged(cli: Cli) -> None:
    code, out, _ = cli(
        "experiment", "digits-random10", "--methods", "retrain,ga", *SMALL, "-p", "ga.lr", "1e6",
        "-p", "ga.epochs", "1", "-p", "ga.batch_size", "64",
    )  # fmt: skip
    assert code == 0
    assert "diverged" in out


def test_a_method_that_was_not_searched_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "digits-random10"
    searched = {"methods": {"ga": {"config": {"lr": 0.01, "epochs": 1}}}}
    stripped = {**load_presets("smoke")[name], **searched}
    monkeypatch.setattr(
        "companion.experiments.settings.preset.load_presets", lambda _: {name: stripped}
    )
    code, _, err = cli("experiment", name, "--methods", "ga,ugradsl:adaptive-inverse", *SMALL)
    assert code == 0
    assert "ugradsl:adaptive-inverse: not searched for digits-random10 at smoke scale" in err
    assert "ga, " not in err.splitlines()[0]


def test_class_wise_experiments_run(cli: Cli) -> None:
    code, out, _ = cli("experiment", "digits-class", "--methods", "retrain", *SMALL)
    assert code == 0
    assert "digits, class-wise (3)" in out


EXPERIMENT = ["experiment", "digits-random10", "--methods", "retrain"]
REFUSED: list[tuple[list[str], str]] = [
    (["experiment", "digits-random"], "Did you mean 'digits-random"),
    ([*EXPERIMENT, "--scale", "smoek"], "unknown scale 'smoek'. Did you mean 'smoke'"),
    (["experiment", "digits-random10", "--methods", "ugradls"], "Did you mean 'ugradsl'"),
    (["experiment", "digits-random10", "--methods", ","], "methods: should be a comma-separated"),
    ([*EXPERIMENT, "--seeds", ""], "seeds: should be a comma-separated list; found ''"),
    ([*EXPERIMENT, "--seeds", "a"], "seeds: should be whole numbers from 0; found 'a'"),
    ([*EXPERIMENT, "-p", "fractoin", "0.2"], "unknown parameter 'fractoin'. Did you mean 'fract"),
    ([*EXPERIMENT, "-p", "fraction", "1.5"], "fraction: should be less than 1; found"),
    (
        [*EXPERIMENT, "-p", "paradigm", "class"],
        "unknown paradigm 'class'. Did you mean 'class-wise'",
    ),
    ([*EXPERIMENT, "-p", "training.lrr", "1"], "unknown parameter 'lrr'. Did you mean"),
    ([*EXPERIMENT, "-p", "retrian.lr", "1"], "unknown method 'retrian'. Did you mean 'retrain'"),
    ([*EXPERIMENT, "-p", "ft.lr", "1"], "ft is not among the methods of digits-"),
    ([*EXPERIMENT, "-p", "retrain.lr", "-1"], "lr: should be greater than or equal to 0"),
    ([*EXPERIMENT, "-p", "fraction"], "-p: needs a name and a value"),
    (["run", "quickstrat"], "unknown notebook 'quickstrat'. Did you mean 'quickstart'"),
    (["run", "quickstart", "-p", "alhpa", "0"], "unknown parameter 'alhpa'. Did you mean 'alpha'"),
    (["run", "quickstart", "-p", "alpha", "2"], "alpha: should be less than or equal to 1"),
    (["run", "quickstart", "-p", "method", "gaa"], "unknown method 'gaa'. Did you mean 'ga'"),
    (["regime", "digit-random10", "--scale", "smoke"], "unknown smoke setting 'digit-random10'"),
    (["presets", "--scale", "bnech"], "unknown scale 'bnech'. Did you mean 'bench'"),
    (["table", "cifar10"], "unknown bench setting 'cifar10'. Did you mean"),
    (["table", "cifar10-random10", "--records", "no.jsonl"], "no.jsonl does not exist"),
]
FROM_THE_DATA: list[tuple[list[str], str]] = [
    ([*EXPERIMENT, "-p", "dataset", "digit"], "unknown data set 'digit'. Did you mean 'digits'"),
    ([*EXPERIMENT, "-p", "train_size", "2000"], "should be at most 1348"),
    (["experiment", "cifar10-random10", "--scale", "bench"], "set UGRADSL_DATA"),
    (["experiment", "digits-class", "-p", "forgotten_class", "10"], "should lie in 0…9; found 10"),
]
AFTER_THE_STORE: list[tuple[list[str], str]] = [
    ([*EXPERIMENT, *SMALL, "-p", "model.name", "resnet20"], "Did you mean 'resnet18'"),
    (["tune", "digits-random10", "--methods", "retrain"], "unknown method to search 'retrain'"),
    (["tune", "digits-random10", "--methods", "ft,pabi", "--accumulate", "2"], "PABI cannot be"),
    ([*EXPERIMENT, "--accumulate", "33"], "accumulate: should be at most 32, the samples"),
    (
        [*EXPERIMENT, "--methods", "be", "-p", "be.batch_size", "4", "--accumulate", "5"],
        "accumulate: should be at most 4, the samples",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED + FROM_THE_DATA)
def test_mistakes_are_one_line_and_nothing_is_written(
    cli: Cli, elsewhere: Path, arguments: list[str], message: str
) -> None:
    refusal(cli, arguments, message)
    assert written(elsewhere) == []


def test_unknown_options_are_refused(cli: Cli, elsewhere: Path) -> None:
    code, out, err = cli(*EXPERIMENT, "--frobnicate", "1")
    assert (code, out, written(elsewhere)) == (2, "", [])
    assert "No such option: --frobnicate" in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("arguments", "message"), AFTER_THE_STORE)
def test_mistakes_found_late_are_one_line(cli: Cli, arguments: list[str], message: str) -> None:
    refusal(cli, arguments, message)


@pytest.mark.parametrize(("arguments", "message"), AFTER_THE_STORE)
def test_mistakes_found_late_leave_nothing_behind(
    cli: Cli, elsewhere: Path, arguments: list[str], message: str
) -> None:
    refusal(cli, arguments, message)
    assert written(elsewhere) == []


def test_a_search_for_an_unknown_method_names_the_nearest(cli: Cli) -> None:
    refusal(cli, ["tune", "digits-random10", "--methods", "gaa"], "Did you mean 'ga'")


def test_a_store_of_another_version_is_refused(cli: Cli, elsewhere: Path) -> None:
    (elsewhere / "store").mkdir()
    (elsewhere / "store" / "store.json").write_text('{"format": 99}')
    refusal(cli, EXPERIMENT, "this store has format 99, this version reads format 1")
    assert written(elsewhere) == ["store", "store/store.json"]


def test_tables_of_damaged_or_mixed_records_are_refused(cli: Cli, elsewhere: Path) -> None:
    one = record("retrain", 0, 1.0, 2.0, 3.0, 4.0)
    table = ["table", "digits-random10", "--scale", "smoke", "--records", "mine.jsonl"]
    write_records(elsewhere / "mine.jsonl", [one, record("ga", 0, 1.0, 2.0, 3.0, 4.0, scale="x")])
    refusal(cli, table, "of several settings")
    path = elsewhere / "mine.jsonl"
    path.write_text(path.read_text()[:-9])
    refusal(cli, table, "mine.jsonl, line 2: record: the line is truncated")
    path.write_text("")
    refusal(cli, table, "no published records; run `ugradsl experiment` first")
    path.write_bytes(b"\x93NUMPY\xff")
    refusal(cli, table, "mine.jsonl cannot be read (it is no UTF-8 text)")
    (elsewhere / "folder").mkdir()
    refusal(cli, ["merge", "new.jsonl", "folder"], "folder cannot be read (Is a directory)")


def test_a_notebook_is_never_overwritten_by_its_run(cli: Cli, monkeypatch, elsewhere: Path) -> None:
    from companion import files

    monkeypatch.setattr(files, "NOTEBOOK_FOLDER", elsewhere)
    refusal(cli, ["run", "quickstart"], "does not exist; run from a clone of the project")
    (elsewhere / "quickstart.ipynb").write_text("{}")
    refusal(cli, ["run", "quickstart", "-o", "quickstart.ipynb"], "would overwrite the notebook")


def test_a_run_hands_validated_parameters_to_papermill(
    cli: Cli,
    monkeypatch,
    elsewhere: Path,
) -> None:
    import papermill

    from companion import files

    calls = []
    monkeypatch.setattr(files, "NOTEBOOK_FOLDER", elsewhere)
    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: calls.append((a, k)))
    (elsewhere / "quickstart.ipynb").write_text("{}")
    code, out, _ = cli(
        "run", "quickstart", "-p", "alpha", "-0.2", "-p", "epochs=2", "-o", "x.ipynb"
    )
    assert code == 0
    assert "Written to x.ipynb" in out
    ((source, target), options) = calls[0]
    assert (Path(source).name, target) == ("quickstart.ipynb", "x.ipynb")
    assert options["parameters"] == {"alpha": -0.2, "epochs": 2}


def test_parameters_may_stand_before_the_name(cli: Cli) -> None:
    code, _, err = cli("experiment", *SMALL, "digits-random10", "--methods", "retrain")
    assert code == 0, err


def test_a_warning_is_one_line_without_code(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn(*_: object, **__: object) -> None:
        warnings.warn("the damping is large", stacklevel=2)

    monkeypatch.setattr("companion.cli.main.app", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli("anything") == (0, "", "ugradsl: the damping is large\n")
