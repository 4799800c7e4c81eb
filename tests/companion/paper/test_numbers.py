"""The paper's numbers: complete, valid, as printed, and guarded against bad cells."""

import csv
import shutil
from pathlib import Path

import pandas
import pytest

from companion.files import PAPER_FOLDER
from companion.paper.numbers import METRICS, NOTES, TABLES, load_table, read_rows
from ugradsl_core.errors import ConfigError, DataError

RESULT_TABLES = [number for number in TABLES if number not in (5, 8)]

ROWS = {
    1: 16 * 12,
    2: 16 * 12,
    3: 4 * 12,
    4: 14 * 14,
    5: 27,
    6: 23 * 5,
    7: 23 * 5,
    8: 7 * 3,
    9: (7 + 15) * 6,
    10: (13 + 13) * 6,
    11: 7 * 6,
    12: 11 * 6,
    13: 21 * 5,
    14: 21 * 5,
    15: 10 * 5,
    16: 10 * 5,
    17: 5 * 11 * 6,
    18: 5 * 11 * 6,
    19: (7 + 5 + 1) * 2 * 5,
}

MISSING = {1: 11, 2: 4, 3: 8, 4: 2, 9: 2, 10: 2, 17: 5, 18: 5, 19: 27} | dict.fromkeys(
    (6, 7, 11, 12, 13, 14, 15, 16), 1
)


def printed(number: int, **where: str) -> str:
    frame = load_table(number)
    for column, value in where.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1
    return str(frame["printed"].iloc[0])


@pytest.mark.parametrize("number", TABLES)
def test_table_is_valid_and_complete(number: int) -> None:
    assert len(load_table(number)) == ROWS[number]


def test_every_file_is_a_table_and_every_note_has_one() -> None:
    names = {path.name for path in PAPER_FOLDER.glob("*.csv")}
    assert names == {f"table-{number:02d}.csv" for number in TABLES}
    assert list(TABLES) == list(range(1, 20))
    assert NOTES.keys() <= TABLES.keys()


@pytest.mark.parametrize("number", RESULT_TABLES)
def test_missing_numbers_are_missing_and_never_zero(number: int) -> None:
    frame = load_table(number)
    missing = frame[frame["missing_reason"] != ""]
    assert len(missing) == MISSING[number]
    assert missing["mean"].isna().all()
    assert (missing["printed"] == "").all()
    assert frame["mean"].notna().sum() == len(frame) - len(missing)


@pytest.mark.parametrize("number", RESULT_TABLES)
def test_every_block_has_one_reference_and_every_row_the_same_metrics(number: int) -> None:
    frame = load_table(number)
    frame["block"] = frame["parameter_value"].where(frame["parameter"] == "forget_fraction", "")
    for _, block in frame.groupby(["dataset", "paradigm", "backbone", "block"]):
        reference = block[(block["method"] == "retrain") & (block["parameter"] != "occurrence")]
        metrics = set(reference["metric"])
        assert len(reference) == len(metrics)
        assert metrics <= set(METRICS)
        for _, row in block.groupby(["method", "parameter", "parameter_value"]):
            assert set(row["metric"]) == metrics


@pytest.mark.parametrize("number", RESULT_TABLES)
def test_numbers_are_floats_and_text_keeps_the_printed_digits(number: int) -> None:
    frame = load_table(number)
    assert frame["mean"].dtype == frame["std"].dtype == "float64"
    for row, text in zip(read_rows(number), frame["printed"], strict=True):
        cells = row.model_dump()
        assert text == (f"{cells['mean']} ± {cells['std']}" if cells["std"] else cells["mean"])


@pytest.mark.parametrize(
    ("number", "where", "text"),
    [
        (1, {"dataset": "cifar100", "method": "gli", "metric": "UA"}, "39.78 ± 7.4"),
        (1, {"dataset": "cifar100", "method": "pabi", "metric": "UA"}, "100 ± 0.00"),
        (1, {"dataset": "imagenet", "method": "retrain", "metric": "RA"}, "71.62 ± 0.12"),
        (1, {"dataset": "imagenet", "method": "retrain", "metric": "TA"}, ""),
        (1, {"dataset": "imagenet", "method": "ugradsl+", "metric": "RTE"}, "4.19"),
        (2, {"dataset": "cifar100", "method": "l1-sparse", "metric": "UA"}, "8.19 ± 38.38"),
        (2, {"dataset": "cifar100", "method": "ugradsl", "metric": "MIA"}, "47.01 ± 0.13"),
        (2, {"dataset": "tiny-imagenet", "method": "pabi", "metric": "avg_gap"}, "50.38"),
        (3, {"dataset": "cifar20", "method": "ga", "metric": "UA"}, "87.93 ± 2.92"),
        (3, {"dataset": "celeba", "method": "iu", "metric": "RA"}, "93.05 ± 0.00"),
        (4, {"paradigm": "class-wise", "method": "salun", "metric": "add_MIA"}, "98.63 ± 0.59"),
        (4, {"paradigm": "random", "method": "ft", "metric": "UA"}, "11.10 ± 0.19"),
        (6, {"parameter_value": "0.2;cosine", "metric": "avg_gap"}, "2.34"),
        (7, {"parameter_value": "median;euclidean", "metric": "MIA"}, "21.02 ± 2.23"),
        (8, {"dataset": "imagenet", "parameter": "batch_size"}, "1024"),
        (8, {"backbone": "vit", "parameter": "learning_rate"}, "1e-6"),
        (8, {"backbone": "bert", "parameter": "epochs"}, "60"),
        (9, {"dataset": "20newsgroups", "method": "bs", "metric": "TA"}, "90.93 ± 0.81"),
        (9, {"dataset": "svhn", "method": "cf-k", "metric": "avg_gap"}, "55.88"),
        (10, {"dataset": "cifar10", "method": "retrain", "metric": "UA"}, "8.07 ± 0.47"),
        (10, {"dataset": "cifar10", "method": "ugradsl+ (adp)", "metric": "RTE"}, "9.23"),
        (10, {"dataset": "svhn", "method": "rl", "metric": "MIA"}, "29.40 ± 11.92"),
        (11, {"method": "be", "metric": "RA"}, "99.55 ± 0.01"),
        (12, {"method": "scrub", "metric": "UA"}, "61.16 ± 50.89"),
        (13, {"parameter_value": "0.80", "metric": "UA"}, "12.47 ± 1.01"),
        (14, {"parameter_value": "0.91", "metric": "avg_gap"}, "1.40"),
        (15, {"parameter_value": "-0.4", "metric": "MIA"}, "13.60 ± 3.42"),
        (16, {"parameter_value": "-0.4", "metric": "avg_gap"}, "1.43"),
        (17, {"parameter_value": "50%", "method": "bs", "metric": "RTE"}, "2.12"),
        (18, {"parameter_value": "10%", "method": "ugradsl", "metric": "MIA"}, "40.71 ± 0.13"),
        (19, {"method": "ga", "parameter_value": "10", "metric": "RA"}, "6.49"),
    ],
)
def test_known_cells(number: int, where: dict[str, str], text: str) -> None:
    assert printed(number, **where) == text


def test_values_stay_under_the_printed_header() -> None:
    half = {"parameter_value": "50%", "method": "retrain"}
    assert printed(18, **half, metric="TA") == "99.99"
    assert printed(18, **half, metric="RA") == "67.22"
    assert printed(19, method="ga", parameter_value="5", metric="TA") == "100"


@pytest.mark.parametrize(("number", "method"), [(9, "rl"), (19, "retrain")])
def test_rows_printed_twice_are_told_apart(number: int, method: str) -> None:
    frame = load_table(number)
    rows = frame[(frame["method"] == method) & frame["dataset"].isin(["svhn", "cifar10"])]
    again = rows["parameter"] == "occurrence"
    columns = ["metric", "mean", "std"]
    pandas.testing.assert_frame_equal(
        rows.loc[~again, columns].reset_index(drop=True),
        rows.loc[again, columns].reset_index(drop=True),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (5, 8, 10):
        shutil.copy(PAPER_FOLDER / f"table-{number:02d}.csv", tmp_path)
    return tmp_path


def plant(path: Path, row: int, **cells: str) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    for column, value in cells.items():
        rows[row - 2][header.index(column)] = value
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"mean": "108.07"}, r"mean: must lie in 0\.\.100; found '108.07'"),
        ({"mean": "-8.07"}, "mean: must be empty or a decimal number.*found '-8.07'"),
        ({"mean": "8,07"}, "mean: must be empty or a decimal number.*found '8,07'"),
        ({"mean": "nan"}, "mean: must be empty or a decimal number.*found 'nan'"),
        ({"mean": "", "std": ""}, "missing_reason: must be given exactly where"),
        ({"missing_reason": "not reported"}, "missing_reason: must be given exactly where"),
        ({"missing_reason": "lost"}, "missing_reason: must be .*found 'lost'"),
        ({"mean": "", "missing_reason": "not reported"}, "std: must be empty where the mean"),
        ({"std": "-0.1"}, "std: must be empty or a decimal number.*found '-0.1'"),
        ({"metric": "F1"}, "metric: must be 'UA'.*found 'F1'"),
        ({"method": "Retrain"}, "method: must be 'retrain'.*found 'Retrain'"),
        ({"paradigm": "classwise"}, "paradigm: must be .*found 'classwise'"),
        ({"dataset": "CIFAR-10"}, "dataset: must be .*found 'CIFAR-10'"),
        ({"backbone": "resnet"}, "backbone: must be .*found 'resnet'"),
        ({"unit": "minute"}, "unit: must be minute or hour for RTE.*found 'minute'"),
        ({"parameter_value": "0.9"}, "parameter_value: must be given exactly where"),
        ({"parameter": "p"}, "parameter_value: must be given exactly where"),
        ({"table": "11"}, "table: must be 10; found 11"),
        ({"table": "ten"}, "table: must be a valid integer.*found 'ten'"),
        ({"metric": "MIA"}, "must be unique; found"),
    ],
)
def test_bad_cell_is_named(folder: Path, cells: dict[str, str], message: str) -> None:
    plant(folder / "table-10.csv", 2, **cells)
    row = 3 if "unique" in message else 2
    with pytest.raises(DataError, match=rf"table-10\.csv, row {row}, .*{message}"):
        load_table(10, folder)


def test_bad_hyperparameter_and_symbol_are_named(folder: Path) -> None:
    plant(folder / "table-08.csv", 9, value="fast")
    with pytest.raises(DataError, match=r"table-08\.csv, row 9, value: must be .*found 'fast'"):
        load_table(8, folder)
    plant(folder / "table-05.csv", 4, symbol="")
    with pytest.raises(DataError, match=r"table-05\.csv, row 4, symbol: .*found ''"):
        load_table(5, folder)


def test_wrong_columns_short_rows_and_missing_files_are_named(folder: Path) -> None:
    path = folder / "table-10.csv"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("mean,std", "std,mean", 1), encoding="utf-8")
    with pytest.raises(DataError, match=r"table-10\.csv, row 1: the columns must be"):
        load_table(10, folder)
    path.write_text(text + "10,cifar10\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 158: must have 12 cells; found 2"):
        load_table(10, folder)
    path.write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"table-10\.csv: not a readable table"):
        load_table(10, folder)
    with pytest.raises(DataError, match=r"table-09\.csv: not a readable table .*book/paper"):
        load_table(9, folder)


@pytest.mark.parametrize("number", [0, 20, -1])
def test_unknown_table_lists_the_valid_ones(number: int) -> None:
    with pytest.raises(ConfigError, match=rf"unknown table {number}\. Valid: 1, 2, 3, .*18, 19"):
        load_table(number)
