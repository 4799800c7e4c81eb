"""A user's own forget set as a file: every format reads the same, every error is one sentence."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from companion.experiments.settings.index_files import check_range, file_sha256, read_index
from ugradsl_core.errors import ConfigError, DataError

indices = st.lists(st.integers(0, 10**6), min_size=1, max_size=40, unique=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=indices)
def test_all_formats_read_the_same(tmp_path: Path, values: list[int]) -> None:
    lines = "\n".join(map(str, values))
    (tmp_path / "a.txt").write_text(f"# a comment\n{lines}  # and one here\n")
    (tmp_path / "b.csv").write_text("name,index\n" + "".join(f"x,{v}\n" for v in values))
    (tmp_path / "c.csv").write_text(", ".join(map(str, values)))
    (tmp_path / "d.json").write_text(json.dumps(values))
    np.save(tmp_path / "e.npy", np.array(values))
    for path in tmp_path.iterdir():
        found = read_index(path)
        assert found.dtype == torch.int64
        assert found.tolist() == sorted(values)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "", "holds no index"),
        ("a.json", "[]", "holds no index"),
        ("a.csv", "index\n", "holds no index"),
        ("a.txt", "3 1 3", "should list every index once; found 3 again"),
        ("a.txt", "3 1 3 1", "found 1 and 1 more again"),
        ("a.txt", "3 -1", "entry 2: should be a whole number from 0; found '-1'"),
        ("a.txt", "3 1.5", "entry 2: should be a whole number from 0; found '1.5'"),
        ("a.txt", "3 1e300", "entry 2: should be a whole number from 0; found '1e300'"),
        ("a.txt", "3 1_0", "entry 2: should be a whole number from 0; found '1_0'"),
        ("a.txt", "3 nan", "entry 2: should be a whole number from 0; found 'nan'"),
        ("a.csv", "name\n1\n", "entry 1: should be a whole number from 0; found 'name'"),
        ("a.npz", "PK\x03\x04 cut short", "cannot be read"),
        ("a.pt", "no tensor", "cannot be read"),
        ("a.txt", "three", "entry 1: should be a whole number from 0; found 'three'"),
        ("a.txt", "9" * 30, "entry 1: should be a whole number from 0"),
        ("a.txt", "9" * 5000, "entry 1: should be a whole number from 0; found '9999"),
        ("a.json", "[" * 100_000, "cannot be read"),
        ("a.csv", '"' + "1" * 200_000, "cannot be read (field larger than field limit"),
        ("a.json", "[1, true]", "entry 2: should be a whole number from 0; found 'True'"),
        ("a.json", "[1, 2.5]", "entry 2: should be a whole number from 0; found '2.5'"),
        ("a.json", "[[1]]", "entry 1: should be a whole number from 0; found '[1]'"),
        ("a.json", '{"a": 1}', "should be a list; found dict"),
        ("a.json", "[1,", "cannot be read"),
        ("a.csv", "a,index\nx,1\ny\n", "entry 2: should be a whole number from 0; found ''"),
        ("a.npy", "no array", "cannot be read"),
        ("a.npy", "PK\x03\x04 cut short", "cannot be read"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        read_index(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"index_file: {path}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((2, 2), dtype=int), "should be one-dimensional; found shape (2, 2)"),
        (np.array([0.0, 1.5]), "entry 2: should be a whole number from 0; found '1.5'"),
        (np.array([0.0, 2.0**60]), "entry 2: should be a whole number from 0"),
        (np.array([False, False]), "holds no index"),
        (np.array(3), "should be one-dimensional; found shape ()"),
        (np.array([1, None], dtype=object), "cannot be read"),  # a pickle is never loaded
    ],
)
def test_wrong_arrays_are_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "a.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(DataError) as caught:
        read_index(path)
    assert message in str(caught.value)


def test_what_other_programs_write_reads_the_same(tmp_path: Path) -> None:
    """Floats of NumPy and pandas, columns, headers in any case, archives, tensors, UTF-16."""
    values = np.array([7, 0, 12])
    np.savetxt(tmp_path / "a.txt", values)
    np.save(tmp_path / "b.npy", values.astype(float)[:, None])
    np.savez(tmp_path / "c.npz", index=values, other=np.zeros(2))
    np.savez(tmp_path / "d.npz", values.astype(np.uint16))
    torch.save(torch.from_numpy(values), tmp_path / "e.pt")
    torch.save(values.tolist(), tmp_path / "f.pt")
    pd.DataFrame({"Idx": values.astype(float)}).to_csv(tmp_path / "g.csv")
    (tmp_path / "h.json").write_text("[7, 0.0, 12]", "utf-8-sig")
    (tmp_path / "i.txt").write_text("INDEX\n7\n0\n12\n", "utf-16")
    (tmp_path / "j.csv").write_text("name,Index\nx,7\ny,0\nz,12\n", "utf-16")
    (tmp_path / "k.txt").write_text("7 0 12", "utf-8-sig")
    for path in sorted(tmp_path.iterdir()):
        assert read_index(path).tolist() == [0, 7, 12], path.name


def test_a_mask_has_an_entry_for_each_training_sample(tmp_path: Path) -> None:
    mask = np.array([True, False, False, True])
    np.save(tmp_path / "a.npy", mask)
    torch.save(torch.from_numpy(mask), tmp_path / "b.pt")
    (tmp_path / "c.json").write_text(json.dumps(mask.tolist()))
    for path in sorted(tmp_path.iterdir()):
        assert read_index(path).tolist() == read_index(path, 4).tolist() == [0, 3]
        with pytest.raises(DataError, match=r"is a mask and should have 5 entries.* found 4"):
            read_index(path, 5)


def test_files_that_would_run_code_or_hold_much_are_refused(tmp_path: Path) -> None:
    torch.save({"index": Path()}, tmp_path / "a.pt")  # a pickle of a class is never loaded
    torch.save({"index": torch.arange(3)}, tmp_path / "b.pt")
    np.savez(tmp_path / "c.npz", a=np.arange(3), b=np.arange(3))
    np.savez(tmp_path / "d.npz", np.array([1, None], dtype=object))
    reasons = ["cannot be read", "found dict", "found a, b", "cannot be read"]
    for path, reason in zip(sorted(tmp_path.iterdir()), reasons, strict=True):
        with pytest.raises(DataError, match=reason) as caught:
            read_index(path)
        assert "\n" not in str(caught.value)


def test_an_archive_of_arrays_is_no_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", index=np.arange(3))
    path = (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"cannot be read \(the magic string is not correct"):
        read_index(path)


def test_a_missing_file_and_one_that_is_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.txt does not exist"):
        read_index(tmp_path / "no.txt")
    with pytest.raises(ConfigError, match="index_file: "):
        file_sha256(tmp_path)  # a directory
    with pytest.raises(DataError, match=r"below 5, the training samples of digits; found 5"):
        check_range(torch.tensor([1, 5]), 5, "a.txt", "digits")
    check_range(torch.tensor([1, 4]), 5, "a.txt", "digits")
