"""Splits: disjoint, covering, stratified, exact in size, determined by the generator."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toys import generator

from ugradsl_core.errors import ConfigError, DataError
from ugradsl_core.splits import (
    class_split,
    complement,
    random_split,
    stratified_sample,
    without_class,
)

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
    with pytest.raises(ConfigError, match=f"forgotten_class: should lie in 0…3; found {label}"):
        class_split(torch.arange(4), label, 4)


@pytest.mark.parametrize("labels", [[0, 0, 1], [2, 2], []])
def test_a_class_without_samples_or_with_all_is_refused(labels: list[int]) -> None:
    with pytest.raises(DataError, match="class 2 holds none or all"):
        class_split(torch.tensor(labels), 2, 4)
