"""Settings to data and forget sets: what is whole stays whole; old settings stay as they were."""

from pathlib import Path
from typing import Any

import pytest
import torch

from benches import bench_of
from companion.experiments.runs.problems import load_data
from companion.experiments.settings.preset import preset_setting
from companion.experiments.settings.setting import Setting, digest
from toys import CPU
from ugradsl_core.errors import ConfigError, DataError

GROUPS: dict[str, Any] = {"dataset": "digits-parity", "paradigm": "group"}


def index_setting(path: Path, *listed: int, **changes: Any) -> Setting:
    path.write_text("\n".join(map(str, listed)))
    return Setting(paradigm="index", index_file=str(path), **changes)


# checksum, training and validation subsets, D_f and D_r of seed 0, as drawn at commit 95f389c
DRAWN_AT_95F389C = {
    "digits-random10": "d7b13fc126cf 843a489397fc e80328b57fb3 2eea32850594 ef860418c2d1",
    "digits-class": "d7b13fc126cf 843a489397fc e80328b57fb3 330b3458ccb5 6fc8245edb0e",
}


@pytest.mark.parametrize("name", DRAWN_AT_95F389C)
def test_old_settings_draw_what_they_drew(name: str) -> None:
    setting = preset_setting(name, "smoke")
    loaded = load_data(setting, CPU)
    split = setting.split(loaded.train, 0, loaded.rows)
    validation: Any = loaded.validation
    drawn = [loaded.rows, validation.index, split.forget, split.retain]
    found = [loaded.checksum, *(digest(index.tolist()) for index in drawn)]
    assert " ".join(found) == DRAWN_AT_95F389C[name]


@pytest.mark.parametrize(("train_size", "validation_size"), [(700, 300), (400, 0), (None, 300)])
def test_a_share_of_the_groups_is_forgotten_whole_from_a_subset_of_whole_groups(
    train_size: int | None, validation_size: int
) -> None:
    setting = Setting(
        **GROUPS, group_fraction=0.3, train_size=train_size, validation_size=validation_size
    )
    loaded = load_data(setting, CPU)
    parts = {"train": loaded.train.groups, "validation": loaded.validation.groups}
    assert all(groups is not None for groups in parts.values())
    inside = {name: set(groups.tolist()) for name, groups in parts.items()}  # type: ignore[union-attr]
    assert not inside["train"] & inside["validation"]
    whole = load_data(Setting(**GROUPS, group_fraction=0.3), CPU).train.groups
    assert whole is not None
    largest = int(torch.bincount(whole).max())
    for name, asked in (("train", train_size or 1048), ("validation", validation_size)):
        count = sum(int((whole == group).sum()) for group in inside[name])
        assert count == len(getattr(loaded, name))
        assert abs(count - asked) < largest
    split = setting.split(loaded.train, 0, loaded.rows)
    forgotten, retained = (
        set(loaded.train.groups[index].tolist())  # type: ignore[index]
        for index in (split.forget, split.retain)
    )
    assert not forgotten & retained
    assert len(forgotten) == round(0.3 * len(inside["train"]))
    assert setting.split(loaded.train, 1).forget.tolist() != split.forget.tolist()


@pytest.mark.parametrize("group", ["3", 3])
def test_a_forgotten_group_leaves_the_test_set_as_it_is(group: str | int) -> None:
    setting = Setting(**GROUPS, forgotten_group=group, train_size=400, validation_size=100)
    loaded = load_data(setting, CPU)
    split = setting.split(loaded.train, 0, loaded.rows)
    groups = loaded.train.groups
    assert groups is not None
    assert set(groups[split.forget].tolist()) == {3}
    assert 3 not in groups[split.retain].tolist()
    assert set(loaded.train.labels[split.forget].tolist()) == {1}
    assert bench_of(setting, loaded).judged("test") is loaded.test
    assert bench_of(setting, loaded).judged("validation") is loaded.validation
    assert split.description == "group 3"


@pytest.mark.parametrize("changes", [{}, {"train_size": 200, "validation_size": 100}])
def test_listed_samples_are_in_the_subset_and_are_forgotten(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    listed = [0, 5, 700, 1347]
    setting = index_setting(tmp_path / "mine.txt", *listed, **changes)
    loaded = load_data(setting, CPU)
    split = setting.split(loaded.train, 0, loaded.rows)
    assert loaded.rows[split.forget].tolist() == listed
    assert len(loaded.train) == changes.get("train_size", 1348)
    validation: Any = loaded.validation
    held = [] if validation.index is None else validation.index.tolist()
    assert not set(held) & set(loaded.rows.tolist())
    assert len(held) == changes.get("validation_size", 0)
    assert bench_of(setting, loaded).judged("test") is loaded.test


def test_a_file_that_changes_after_the_setting_was_made_is_refused(tmp_path: Path) -> None:
    setting = index_setting(tmp_path / "mine.txt", 1, 2)
    (tmp_path / "mine.txt").write_text("1 3")
    with pytest.raises(DataError, match=r"mine\.txt has changed since the setting was made"):
        load_data(setting, CPU)


def test_forget_sets_that_the_data_do_not_have_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="index_file: lists 3 samples, and D_tr has 3"):
        load_data(index_setting(tmp_path / "a.txt", 1, 2, 3, train_size=3), CPU)
    with pytest.raises(DataError, match="below 1348, the training samples of digits; found 1348"):
        load_data(index_setting(tmp_path / "b.txt", 1348), CPU)
    with pytest.raises(DataError, match="paradigm: digits has no groups, so none can be forgotten"):
        load_data(Setting(paradigm="group", group_fraction=0.1), CPU)
    with pytest.raises(ConfigError, match="unknown forgotten_group 'ten'"):
        load_data(Setting(**GROUPS, forgotten_group="ten"), CPU)
    with pytest.raises(ConfigError, match=r"unknown forgotten_group 10\..* Valid: 0, 1, 2"):
        load_data(Setting(**GROUPS, forgotten_group=10), CPU)
    whole = Setting(**GROUPS, group_fraction=0.01)
    with pytest.raises(DataError, match=r"0\.01 of 10 groups leaves D_f or D_r empty"):
        whole.split(load_data(whole, CPU).train, 0)
    with pytest.raises(ConfigError, match="image_size: digits does not know this option"):
        load_data(Setting(image_size=32), CPU)


def test_originals_are_shared_unless_their_subset_differs(tmp_path: Path) -> None:
    loaded: Any = type("Loaded", (), {"checksum": "data"})

    def key(setting: Setting) -> str:
        return bench_of(setting, loaded).model_key("original", 0)

    some: dict[str, Any] = {"train_size": 100}
    lists = [tmp_path / name for name in "ab"]
    of_all = [index_setting(path, number) for number, path in enumerate(lists)]
    assert len({key(Setting()), *map(key, of_all)}) == 1
    of_some = [index_setting(path, n, **some) for n, path in enumerate(lists)]
    assert len({key(Setting(**some)), *map(key, of_some)}) == 3
    parity = Setting(dataset="digits-parity")
    shares = [Setting(**GROUPS, group_fraction=share) for share in (0.1, 0.2)]
    assert len({key(parity), *map(key, shares)}) == 1
    subsets = [Setting(**GROUPS, group_fraction=share, **some) for share in (0.1, 0.2)]
    named = Setting(**GROUPS, forgotten_group=1, **some)
    stratified = Setting(dataset="digits-parity", **some)
    assert key(subsets[0]) == key(subsets[1]) != key(stratified) == key(named)
