"""Metrics against per-sample loops, hand values, statistics and what must not change them."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ugradsl_core.errors import DataError
from ugradsl_core.metrics import (
    GAP_METRICS,
    MIAScores,
    accuracy,
    additional_mia,
    attack_scalars,
    average_gap,
    gap_of_means,
    mia,
    report,
    unlearning_accuracy,
)
from ugradsl_core.metrics import scores as scoress
from ugradsl_core.metrics.attack import Solver

Pair = tuple[Tensor, Tensor]
SCALARS = ["correctness", "confidence", "entropy", "modified_entropy", "probability"]


def outputs(n: int, right: float, margin: float, spread: float, seed: int, k: int = 10) -> Pair:
    """Logits like a trained model's: a share ``right`` is right, by a margin that varies."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n,), generator=g)
    winner = torch.where(
        torch.rand(n, generator=g) < right, labels, torch.randint(k, (n,), generator=g)
    )
    logits = torch.randn(n, k, generator=g)
    logits[torch.arange(n), winner] += (margin + spread * torch.randn(n, generator=g)).clamp(min=0)
    return logits, labels


def members(n: int, seed: int) -> Pair:
    return outputs(n, 0.99, 9, 2, seed)


def nonmembers(n: int, seed: int) -> Pair:
    return outputs(n, 0.65, 6, 3, seed + 1000)


def test_accuracy_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, -1.0], [0.0, 5.0]])
    labels = torch.tensor([0, 1, 1, 1])
    assert accuracy(logits, labels) == 75.0
    assert unlearning_accuracy(logits, labels) == 25.0


def test_scalars_are_those_of_a_loop_over_samples() -> None:
    logits, labels = outputs(12, 0.6, 3, 2, 0, k=4)
    found = attack_scalars(logits, labels)
    assert list(found) == SCALARS
    for i, (row, y) in enumerate(zip(logits.tolist(), labels.tolist(), strict=True)):
        total = math.fsum(math.exp(value) for value in row)
        p = [math.exp(value) / total for value in row]
        modified = -(1 - p[y]) * math.log(p[y])
        modified -= math.fsum(p[j] * math.log(1 - p[j]) for j in range(4) if j != y)
        assert found["correctness"][i] == [float(row.index(max(row)) == y)]
        assert found["confidence"][i, 0] == pytest.approx(p[y])
        assert found["entropy"][i, 0] == pytest.approx(-math.fsum(q * math.log(q) for q in p))
        assert found["modified_entropy"][i, 0] == pytest.approx(modified)
        assert found["probability"][i].tolist() == pytest.approx(p)


def test_scalars_of_a_sample_do_not_depend_on_the_others() -> None:
    """A widely copied modified entropy indexes all labels of the batch for each row."""
    logits, labels = outputs(9, 0.6, 3, 2, 0)
    together = attack_scalars(logits, labels)
    for i in range(9):
        alone = attack_scalars(logits[i : i + 1], labels[i : i + 1])
        for name, values in alone.items():
            assert values[0].tolist() == pytest.approx(together[name][i].tolist(), rel=1e-12)


def test_extreme_logits_are_not_clipped() -> None:
    logits = torch.tensor([[100.0, -100.0, -100.0]] * 2)
    right, wrong = torch.tensor([0, 0]), torch.tensor([1, 1])
    sure, fooled = attack_scalars(logits, right), attack_scalars(logits, wrong)
    assert sure["modified_entropy"][0, 0] == pytest.approx(0, abs=1e-60)
    assert sure["entropy"][0, 0] == pytest.approx(400 * math.exp(-200), rel=1e-6)
    # −(1 − p_y)·log p_y = 200, and −p_0·log(1 − p_0) = 200 − log 2
    assert fooled["modified_entropy"][0, 0] == pytest.approx(400 - math.log(2))
    assert fooled["confidence"][0, 0] == pytest.approx(math.exp(-200))
    for found in (sure, fooled):
        assert all(bool(torch.isfinite(torch.from_numpy(v)).all()) for v in found.values())


def test_mia_survives_extreme_and_constant_logits() -> None:
    sure = torch.tensor([[100.0, -100.0, -100.0]]).repeat(20, 1), torch.zeros(20, dtype=torch.long)
    unsure = torch.zeros(20, 3), torch.zeros(20, dtype=torch.long)
    separated = mia(*sure, *unsure, *unsure)
    assert separated.confidence == separated.entropy == separated.probability == 100.0
    assert math.isnan(separated.correctness)  # all are right
    assert mia(*sure, *unsure, *sure).confidence == 0.0


def constant(n: int, seed: int, jitter: float = 1e-6) -> Pair:
    """What a collapsed model answers: the same for every input, up to rounding."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.linspace(-2, 3, 10) + jitter * torch.randn(n, 10, generator=g)
    return logits, torch.randint(10, (n,), generator=g)


@pytest.mark.parametrize("solver", ["newton", "svc"])
def test_the_mia_of_a_collapsed_model_has_no_signal(solver: Solver) -> None:
    """Its confidence varies with the label, which says nothing about membership."""
    sets = [*constant(90, 0), *constant(80, 1), *constant(30, 2)]
    assert all(math.isnan(score) for score in mia(*sets, solver=solver).values())
    found = report(constant(90, 0), constant(30, 2), constant(80, 1), solver=solver)
    assert math.isnan(found.MIA)
    assert math.isnan(found.add_MIA)
    varied = report(constant(90, 0, 0.5), constant(30, 2, 0.5), constant(80, 1, 0.5))
    assert not math.isnan(varied.MIA + varied.add_MIA)


def test_a_saturated_model_keeps_the_signal_that_its_logarithms_have() -> None:
    """One class for every input: probabilities are constant, modified entropy is not."""
    g = torch.Generator().manual_seed(0)
    sets = []
    for n in (60, 60, 30):
        logits = torch.randn(n, 3, generator=g) - torch.tensor([0.0, 500.0, 500.0])
        sets += [logits, torch.randint(3, (n,), generator=g)]
    fast, slow = mia(*sets), mia(*sets, solver="svc")
    assert fast.modified_entropy == pytest.approx(slow.modified_entropy, abs=2)
    assert all(math.isnan(fast[name]) for name in SCALARS if name != "modified_entropy")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("forget_like", [members, nonmembers])
def test_newton_agrees_with_the_svc(seed: int, forget_like: Callable[..., Pair]) -> None:
    sets = members(500, seed), nonmembers(500, seed), forget_like(800, seed + 50)
    flat = [tensor for pair in sets for tensor in pair]
    fast, slow = mia(*flat), mia(*flat, solver="svc")
    for name in SCALARS:
        assert fast[name] == pytest.approx(slow[name], abs=0.5), name


def test_newton_agrees_with_the_svc_where_the_sets_differ_in_size() -> None:
    flat = [*members(700, 7), *nonmembers(300, 7), *outputs(500, 0.7, 5, 3, 9)]
    fast, slow = mia(*flat), mia(*flat, solver="svc")
    for name in SCALARS:
        assert fast[name] == pytest.approx(slow[name], abs=0.5), name


def test_mia_does_not_depend_on_the_order() -> None:
    sets = [members(200, 0), nonmembers(200, 0), nonmembers(150, 5)]
    g = torch.Generator().manual_seed(0)
    moved = []
    for logits, labels in sets:
        order = torch.randperm(len(labels), generator=g)
        moved += [logits[order], labels[order]]
    before = mia(*[tensor for pair in sets for tensor in pair])
    assert dict(mia(*moved)) == pytest.approx(dict(before), abs=1e-9)


def test_mia_calls_members_members_and_strangers_strangers() -> None:
    train = [*members(400, 0), *outputs(400, 0.1, 1, 1, 5)]
    assert mia(*train, *members(400, 2)).confidence < 5
    assert mia(*train, *outputs(400, 0.1, 1, 1, 8)).confidence > 95


def test_mia_scores_are_a_mapping_of_the_five_names() -> None:
    scores = mia(*members(30, 0), *nonmembers(30, 0), *members(20, 2))
    assert isinstance(scores, MIAScores)
    assert list(scores) == SCALARS
    assert len(scores) == 5
    assert scores["entropy"] == scores.entropy
    with pytest.raises(KeyError):
        scores["MIA"]


@pytest.mark.parametrize(
    ("n_f", "n_te", "runs"), [(40, 200, 120), (600, 2000, 60), (600, 10_000, 30)]
)
def test_additional_mia_of_one_distribution_is_chance_in_the_mean(
    n_f: int, n_te: int, runs: int
) -> None:
    """Folds by rank read 53.2, 51.3 and 50.9 here; one draw of the folds has the same mean."""
    found = torch.tensor(
        [
            additional_mia(*nonmembers(n_f, 2 * seed), *nonmembers(n_te, 2 * seed + 1), repeats=1)
            for seed in range(runs)
        ]
    )
    error = float(found.std()) / math.sqrt(runs)
    assert error < 0.7
    assert float(found.mean()) == pytest.approx(50, abs=2.6 * error)


def test_additional_mia_grows_with_the_difference() -> None:
    test = nonmembers(1000, 0)
    found = [
        additional_mia(*outputs(600, 0.65 + shift, 6, 3, 5), *test) for shift in (0, 0.15, 0.3)
    ]
    assert found[0] < 55 < found[1] < found[2] - 2


def test_additional_mia_finds_what_can_be_separated() -> None:
    wrong = outputs(100, 0, 15, 1, 0)
    known = outputs(300, 1, 15, 1, 1)
    wrong = wrong[0], (wrong[0].argmax(1) + 1) % 10
    assert additional_mia(*known, *wrong) > 99
    assert additional_mia(*wrong, *known) > 99


def test_additional_mia_weighs_both_sets_alike() -> None:
    """With nine times as many test samples, chance is still 50 and not 90."""
    score = additional_mia(*nonmembers(200, 0), *nonmembers(1800, 3))
    assert score == pytest.approx(50, abs=3 * 50 * math.sqrt(0.25 / 200 + 0.25 / 1800) * 2)


def test_additional_mia_of_a_small_forget_set_is_that_of_a_large_one() -> None:
    """Unbalanced, the attack would call all of the smaller set test samples: 50."""
    test = nonmembers(1500, 0)
    small, large = additional_mia(*members(150, 0), *test), additional_mia(*members(1500, 1), *test)
    assert large > 65
    assert small == pytest.approx(large, abs=3 * 50 * math.sqrt(0.25 / 150))


def test_additional_mia_does_not_depend_on_the_order() -> None:
    forget, test = members(120, 0), nonmembers(150, 0)
    g = torch.Generator().manual_seed(0)
    a, b = torch.randperm(120, generator=g), torch.randperm(150, generator=g)
    moved = additional_mia(forget[0][a], forget[1][a], test[0][b], test[1][b])
    assert moved == pytest.approx(additional_mia(*forget, *test), abs=1e-9)


def test_additional_mia_agrees_with_the_svc() -> None:
    flat = [*members(300, 0), *nonmembers(300, 0)]
    assert additional_mia(*flat) == pytest.approx(additional_mia(*flat, solver="svc"), abs=0.5)


EMPTY = torch.zeros(0, 10), torch.zeros(0, dtype=torch.long)


@pytest.mark.parametrize(("place", "name"), [(0, "member"), (1, "nonmember"), (2, "forget")])
def test_mia_refuses_an_empty_set(place: int, name: str) -> None:
    sets = [members(10, 0), nonmembers(10, 0), members(10, 1)]
    sets[place] = EMPTY
    with pytest.raises(DataError, match=f"the {name} set is empty"):
        mia(*[tensor for pair in sets for tensor in pair])


def test_other_metrics_refuse_empty_sets() -> None:
    with pytest.raises(DataError, match="at least one sample"):
        accuracy(*EMPTY)
    with pytest.raises(DataError, match="at least 5 samples in each set"):
        additional_mia(*members(4, 0), *nonmembers(10, 0))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_logits_that_are_not_finite_are_refused(value: float) -> None:
    broken = members(20, 0)
    broken[0][3, 4] = value
    with pytest.raises(DataError):
        mia(*broken, *nonmembers(20, 0), *members(20, 1))


def test_report_collects_the_metrics_in_percent() -> None:
    retain, forget, test = members(300, 0), nonmembers(60, 2), nonmembers(200, 0)
    found = report(retain, forget, test)
    assert unlearning_accuracy(*forget) == found.UA
    assert accuracy(*retain) == found.RA
    assert accuracy(*test) == found.TA
    assert found.mia.confidence == found.MIA
    assert additional_mia(*forget, *test) == found.add_MIA
    assert list(found.as_dict()) == ["UA", "MIA", "RA", "TA", "add_MIA", "mia"]


def test_report_fits_the_attack_on_equally_many_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(m_logits: Tensor, m: Tensor, n_logits: Tensor, n: Tensor, *rest: Tensor, **_: object):
        seen.append((m_logits, len(m), len(n)))
        return MIAScores(0, 0, 0, 0, 0)

    monkeypatch.setattr(scoress, "mia", spy)
    for sizes in [(300, 100), (80, 100), (90, 90)]:
        report(members(sizes[0], 0), members(20, 1), nonmembers(sizes[1], 0))
        assert seen[-1][1:] == (min(sizes), min(sizes))
    report(members(300, 0), members(20, 1), nonmembers(100, 0))
    report(members(300, 0), members(20, 1), nonmembers(100, 0), seed=1)
    assert torch.equal(seen[0][0], seen[-2][0])
    assert not torch.equal(seen[0][0], seen[-1][0])


def test_report_of_a_single_forget_sample_has_no_additional_mia() -> None:
    assert math.isnan(report(members(20, 0), members(1, 1), nonmembers(20, 0)).add_MIA)


def run_of(*values: float) -> dict[str, float]:
    return dict(zip(GAP_METRICS, values, strict=True))


def test_gaps_by_hand() -> None:
    retrain = run_of(30, 50, 100, 70)
    assert average_gap(run_of(10, 52, 99, 70), retrain) == pytest.approx((20 + 2 + 1 + 0) / 4)
    assert average_gap(retrain, retrain) == 0
    # without a signal, in either run, a metric counts as 100 points away
    blind = run_of(10, math.nan, 99, 70)
    assert average_gap(blind, retrain) == pytest.approx((20 + 100 + 1 + 0) / 4)
    assert average_gap(retrain, blind) == average_gap(blind, retrain)
    assert gap_of_means([blind, retrain], [retrain] * 2) == pytest.approx((10 + 100 + 0.5) / 4)
    # ±4 around Retrain in UA: the means agree, each seed does not
    runs = [run_of(34, 50, 100, 70), run_of(26, 50, 100, 70)]
    assert gap_of_means(runs, [retrain] * 2) == 0
    assert [average_gap(run, retrain) for run in runs] == [1, 1]


percents = st.tuples(*[st.floats(0, 100)] * 4).map(lambda values: run_of(*values))


@given(st.lists(st.tuples(percents, percents), min_size=1, max_size=6))
def test_the_gap_of_means_never_exceeds_the_mean_of_gaps(
    pairs: list[tuple[dict[str, float], dict[str, float]]],
) -> None:
    runs, references = [a for a, _ in pairs], [b for _, b in pairs]
    gaps = [average_gap(run, reference) for run, reference in pairs]
    assert gap_of_means(runs, references) <= sum(gaps) / len(gaps) + 1e-9
