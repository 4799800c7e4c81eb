"""Splits: disjoint, covering, stratified, exact in size, determined by the generator."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from companion.experiments.settings.forget_sets import (
    class_split,
    complement,
    find_group,
    group_share_split,
    group_split,
    index_split,
    random_split,
    stratified_sample,
    whole_groups,
    without_class,
)
from toys import generator
from ugradsl_core.errors import ConfigError, DataError

label_sets = st.lists(st.integers(0, 5), min_size=8, max_size=80).map(torch.tensor)


def covers(labels: Tensor, retain: Tensor, forget: Tensor) -> bool:
    return sorted([*retain.tolist(), *forget.tolist()]) == list(range(len(labels)))


@given(labels=label_sets, fraction=st.floats(0.1, 0.9), stratified=st.booleans())
def test_random_splits_are_disjoint_covering_sorted_and_of_the_size_asked_for(
    labels: Tensor, fraction: float, stratified: bool
) -> None:
    split = random_split(labels, fraction, generator(), stratified=stratified)
    assert covers(labels, split.retain, split.forget)
    assert len(split.forget) == round(fraction * len(labels))
    for index in (split.retain, split.forget):
        assert index.tolist() == sorted(index.tolist())


@given(labels=label_sets, share=st.floats(0, 1), seed=st.integers(0, 99))
def test_stratified_counts_are_within_one_of_their_share(
    labels: Tensor, share: float, seed: int
) -> None:
    size = round(share * len(labels))
    if size == 0:
        return
    chosen = stratified_sample(labels, size, generator(seed))
    assert len(chosen) == len(set(chosen.tolist())) == size
    for label in labels.unique():
        exact = int((labels == label).sum()) * size / len(labels)
        assert abs(int((labels[chosen] == label).sum()) - exact) < 1


def test_equal_classes_are_forgotten_equally() -> None:
    labels = torch.arange(10).repeat(50)
    split = random_split(labels, 0.1, generator())
    assert torch.bincount(labels[split.forget]).tolist() == [5] * 10
    assert split.description == "random 0.1"
    assert split.forgotten_class is None


def test_a_uniform_draw_need_not_be_stratified() -> None:
    labels = torch.arange(10).repeat(50)
    split = random_split(labels, 0.1, generator(), stratified=False)
    assert len(split.forget) == 50
    assert torch.bincount(labels[split.forget], minlength=10).tolist() != [5] * 10


@pytest.mark.parametrize("stratified", [True, False])
def test_the_generator_determines_the_split(stratified: bool) -> None:
    labels = torch.arange(4).repeat(20)
    a, b, c = (
        random_split(labels, 0.25, generator(seed), stratified=stratified).forget
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_every_sample_is_forgotten_equally_often() -> None:
    labels, draws = torch.arange(4).repeat(5), 600
    g = generator()
    counts = torch.zeros(20)
    for _ in range(draws):
        counts[random_split(labels, 0.2, g).forget] += 1
    error = math.sqrt(draws * 0.2 * 0.8)
    # the largest of twenty deviations: 3 standard errors would be exceeded once in 20 runs
    assert float((counts - draws * 0.2).abs().max()) < 4 * error


def test_random_splits_leave_the_global_random_state() -> None:
    state = torch.get_rng_state()
    random_split(torch.arange(4).repeat(5), 0.2, generator())
    assert torch.equal(torch.get_rng_state(), state)


@given(labels=label_sets)
def test_class_splits_forget_the_class_and_nothing_else(labels: Tensor) -> None:
    label = int(labels[0])
    if bool((labels == label).all()):
        return
    split = class_split(labels, label, 6)
    assert covers(labels, split.retain, split.forget)
    assert bool((labels[split.forget] == label).all())
    assert not bool((labels[split.retain] == label).any())
    assert split.forgotten_class == label
    assert split.description == f"class {label}"
    assert torch.equal(without_class(labels, label), split.retain)


def test_complement_by_hand() -> None:
    assert complement(5, torch.tensor([3, 0])).tolist() == [1, 2, 4]
    assert complement(2, torch.tensor([], dtype=torch.long)).tolist() == [0, 1]


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, math.nan])
def test_fractions_outside_the_open_interval_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction: should lie strictly between 0 and 1"):
        random_split(torch.arange(4), fraction, generator())


@pytest.mark.parametrize(("n", "fraction"), [(4, 0.1), (4, 0.9), (0, 0.5), (1, 0.5)])
def test_a_split_with_an_empty_side_is_refused(n: int, fraction: float) -> None:
    with pytest.raises(DataError, match="leaves D_f or D_r empty"):
        random_split(torch.zeros(n, dtype=torch.long), fraction, generator())


@pytest.mark.parametrize("label", [-1, 4])
def test_a_class_out_of_range_is_refused(label: int) -> None:
    with pytest.raises(DataError, match=f"forgotten_class: should lie in 0…3; found {label}"):
        class_split(torch.arange(4), label, 4)


@pytest.mark.parametrize("labels", [[0, 0, 1], [2, 2], []])
def test_a_class_without_samples_or_with_all_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match=r"class 2 holds (none|all) of D_tr"):
        class_split(torch.tensor(labels), 2, 4)


group_sets = st.lists(st.integers(0, 9), min_size=6, max_size=80).map(torch.tensor)


def members(groups: Tensor, index: Tensor) -> set[int]:
    return set(groups[index].tolist())


@given(groups=group_sets, fraction=st.floats(0.05, 0.95), seed=st.integers(0, 99))
def test_drawn_groups_are_whole_and_as_many_as_asked_for(
    groups: Tensor, fraction: float, seed: int
) -> None:
    present = len(groups.unique())
    count = round(fraction * present)
    if count in {0, present}:
        with pytest.raises(DataError, match="leaves D_f or D_r empty"):
            group_share_split(groups, fraction, generator(seed))
        return
    split = group_share_split(groups, fraction, generator(seed))
    assert covers(groups, split.retain, split.forget)
    assert not members(groups, split.retain) & members(groups, split.forget)
    assert len(members(groups, split.forget)) == count
    assert split.forgotten_class is None


@given(groups=group_sets, number=st.integers(0, 9))
def test_one_group_is_forgotten_and_nothing_else(groups: Tensor, number: int) -> None:
    if int((groups == number).sum()) in {0, len(groups)}:
        with pytest.raises(DataError, match=r"forgotten_group: ten holds (none|all) of D_tr"):
            group_split(groups, number, "ten")
        return
    split = group_split(groups, number, "ten")
    assert covers(groups, split.retain, split.forget)
    assert members(groups, split.forget) == {number}
    assert number not in members(groups, split.retain)
    assert (split.description, split.forgotten_class) == ("group ten", None)


@given(groups=group_sets, size=st.integers(1, 80), seed=st.integers(0, 99))
def test_subsets_of_whole_groups_are_within_one_group_of_the_size(
    groups: Tensor, size: int, seed: int
) -> None:
    size = min(size, len(groups))
    chosen = whole_groups(groups, size, generator(seed))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    inside, outside = members(groups, chosen), members(groups, complement(len(groups), chosen))
    assert inside
    assert not inside & outside
    assert abs(len(chosen) - size) < int(torch.bincount(groups).max())


def test_no_groups_for_no_samples() -> None:
    assert whole_groups(torch.tensor([1, 1]), 0, generator()).tolist() == []
    assert whole_groups(torch.tensor([], dtype=torch.long), 3, generator()).tolist() == []


def test_every_group_is_drawn_equally_often() -> None:
    groups, draws, g = torch.arange(10).repeat(3), 600, generator()
    counts = torch.zeros(10)
    for _ in range(draws):
        counts[groups[group_share_split(groups, 0.2, g).forget].unique()] += 1
    assert float((counts - draws * 0.2).abs().max()) < 4 * math.sqrt(draws * 0.2 * 0.8)


def test_the_paper_forgets_82_of_8192_identities() -> None:
    split = group_share_split(torch.arange(8192), 0.01, generator())
    assert len(split.forget) == 82


@pytest.mark.parametrize("fraction", [0.0, 1.0, math.nan])
def test_shares_of_groups_outside_the_open_interval_are_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="group_fraction: should lie strictly between 0 and 1"):
        group_share_split(torch.arange(4), fraction, generator())


def test_groups_are_found_by_name_before_number() -> None:
    names = ("trout", "shark", "ray")
    assert [find_group(group, names) for group in ("shark", 1, "1", "0", 0)] == [1, 1, 1, 0, 0]
    with pytest.raises(ConfigError, match=r"unknown forgotten_group 'truot'\. Did you mean 'tr"):
        find_group("truot", names)
    with pytest.raises(ConfigError, match="should lie in 0…2, or be a name; found 3"):
        find_group(3, names)
    with pytest.raises(ConfigError, match="there are 500 groups, such as 'n0'"):
        find_group("x", [f"n{i}" for i in range(500)])


def test_an_unknown_identity_is_not_taken_for_the_place_of_another() -> None:
    assert [find_group(group, ("2", "5", "13")) for group in ("5", 5, "2")] == [1, 1, 0]
    for unknown in ("1", 1, 0):
        with pytest.raises(ConfigError, match=f"unknown forgotten_group '?{unknown}'?. .*Valid"):
            find_group(unknown, ("2", "5", "13"))
    with pytest.raises(ConfigError, match="unknown forgotten_group '7'; there are 500 groups"):
        find_group("7", [str(2 * i) for i in range(500)])


@given(
    size=st.integers(2, 50),
    forget=st.sets(st.integers(0, 49), min_size=1).map(sorted),
)
def test_listed_samples_are_forgotten(size: int, forget: list[int]) -> None:
    listed = torch.tensor([value for value in forget if value < size], dtype=torch.long)
    if len(listed) in {0, size}:
        with pytest.raises(DataError, match="leaves D_f or D_r empty"):
            index_split(size, listed)
        return
    split = index_split(size, listed)
    assert covers(torch.zeros(size), split.retain, split.forget)
    assert torch.equal(split.forget, listed)
