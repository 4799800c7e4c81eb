"""Metrics: logits, labels and scores in; percentages out. No model, no loader."""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ugradsl_core.errors import DataError, check_labels
from ugradsl_core.metrics.attack import Array, Solver, fit_attack

GAP_METRICS = ("UA", "MIA", "RA", "TA")
FIVE_METRICS = (*GAP_METRICS, "add_MIA")
GAP_NAMES = {GAP_METRICS: "Avg. Gap", FIVE_METRICS: "Avg. Gap (5)"}
NO_SIGNAL_GAP = 100.0  # percentage points: the largest that there is
NO_SPAN = 1e-4  # of probabilities, scores and entropies; float32 logits are rounded to about 1e-6


def _checked(logits: Tensor, labels: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Logits (N, K) and labels (N,) in 0…K−1, N ≥ 1, on the CPU and without gradients."""
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise DataError(
            f"{name}: needs logits (N, K) and labels (N,); "
            f"found {tuple(logits.shape)} and {tuple(labels.shape)}"
        )
    if len(labels) == 0:
        raise DataError(f"{name} is empty: needs at least one sample")
    logits, labels = logits.detach().cpu(), labels.detach().cpu()
    check_labels(labels, logits.shape[1], name)
    return logits, labels


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """Share of samples whose largest logit is at the label, in percent; logits (N, K), labels (N,).

    Raises:
        DataError: no samples, or logits and labels that do not fit.
    """
    logits, labels = _checked(logits, labels, "accuracy: the set")
    return 100.0 * int((logits.argmax(1) == labels).sum()) / len(labels)


def unlearning_accuracy(forget_logits: Tensor, forget_labels: Tensor) -> float:
    """UA: share of D_f that is classified wrongly, in percent (Section 5.1)."""
    return 100.0 - accuracy(forget_logits, forget_labels)


@dataclass(frozen=True)
class MIAScores(Mapping[str, float]):
    """Share of D_f that an attack calls non-member, in percent, for each scalar it looks at.

    Attributes:
        correctness: whether the prediction is right.
        confidence: softmax at the true label. "The" MIA of the unlearning papers.
        entropy: of the softmax.
        modified_entropy: entropy that knows the true label (Song & Mittal, 2021).
        probability: the whole softmax vector.
    """

    correctness: float
    confidence: float
    entropy: float
    modified_entropy: float
    probability: float

    def __getitem__(self, name: str) -> float:
        if name not in self.__dataclass_fields__:
            raise KeyError(name)
        return float(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in fields(self))

    def __len__(self) -> int:
        return len(fields(self))


def attack_scalars(logits: Tensor, labels: Tensor) -> dict[str, Array]:
    """The scalars that the five attacks look at, each (N, d) in float64.

    −p·log p is computed from log-probabilities, and log(1 − p) of the largest p as the log-sum-exp
    of the other classes, so that nothing is clipped. Each row depends on its own sample alone.
    """
    log_p = F.log_softmax(logits.to(torch.float64), dim=1)
    p = log_p.exp()
    column = labels.unsqueeze(1)
    p_true = p.gather(1, column)
    log_not_p = torch.log1p(-p)
    top = log_p.argmax(1, keepdim=True)  # only there can 1 − p cancel
    others = log_p.scatter(1, top, -torch.inf).logsumexp(1, keepdim=True)
    log_not_p = log_not_p.scatter(1, top, others).clamp(max=0)
    wrong = -(p * log_not_p)
    modified = -(1 - p_true) * log_p.gather(1, column)
    modified += wrong.sum(1, keepdim=True) - wrong.gather(1, column)
    values = {
        "correctness": (logits.argmax(1) == labels).to(torch.float64).unsqueeze(1),
        "confidence": p_true,
        "entropy": -(p * log_p.clamp(min=-1e3)).sum(1, keepdim=True),
        "modified_entropy": modified,
        "probability": p,
    }
    return {name: value.numpy() for name, value in values.items()}


def collapsed(members: Array, nonmembers: Array) -> bool:
    """Tell whether an attack has nothing to learn from: all of its inputs are equal up to rounding.

    Inputs (n, d) and (m, d) are one of :func:`attack_scalars`, or log-probabilities. The attack's
    kernel has a width of 1. On a span of ``NO_SPAN`` it is constant, so that an attack's answer is
    decided by rounding and by which set is larger, and is 0 or 100 by chance.
    """
    low = np.minimum(members.min(0), nonmembers.min(0))
    high = np.maximum(members.max(0), nonmembers.max(0))
    size = np.maximum(1, np.maximum(np.abs(low), np.abs(high)))  # unbounded scalars may be large
    return bool((high - low <= NO_SPAN * size).all())


def mia(
    member_logits: Tensor,
    member_labels: Tensor,
    nonmember_logits: Tensor,
    nonmember_labels: Tensor,
    forget_logits: Tensor,
    forget_labels: Tensor,
    *,
    solver: Solver = "newton",
) -> MIAScores:
    """The MIA score of Section 5.1: true-negative rate on D_f, for five scalars.

    An attack model is fitted on the unlearned model's outputs with retained samples as members and
    test samples as non-members; the score is the share of D_f that it calls non-member.

    Args:
        member_logits: (n, K), retained samples; as many as test samples in the literature.
        member_labels: (n,).
        nonmember_logits: (m, K), test samples.
        nonmember_labels: (m,).
        forget_logits: (n_f, K), D_f.
        forget_labels: (n_f,).
        solver: ``"newton"`` (fast) or ``"svc"`` (scikit-learn's SVC; minutes at 20,000 samples).

    Returns:
        Five percentages. NaN marks an attack without a signal (:func:`collapsed`): those on
        probabilities where the softmax is the same for every input, as that of a model at chance;
        modified entropy where its logarithm is, too; and any whose own scalar is constant, as
        correctness is where nothing is misclassified.

    Raises:
        DataError: one of the three sets is empty or has logits that are not finite.
    """
    pairs = {
        "member": (member_logits, member_labels),
        "nonmember": (nonmember_logits, nonmember_labels),
        "forget": (forget_logits, forget_labels),
    }
    sets = {name: _checked(*pair, f"mia: the {name} set") for name, pair in pairs.items()}
    for name, (logits, _) in sets.items():
        if not bool(torch.isfinite(logits).all()):
            raise DataError(f"mia: the logits of the {name} set hold NaN or infinite values")
    member, nonmember, forget = (attack_scalars(*pair) for pair in sets.values())
    logs = [
        F.log_softmax(sets[name][0].double(), dim=1).numpy() for name in ("member", "nonmember")
    ]
    constant = dict.fromkeys(forget, collapsed(member["probability"], nonmember["probability"]))
    constant["modified_entropy"] = collapsed(logs[0], logs[1])  # it sees the label's logarithm
    scores = {}
    for name, values in forget.items():
        if constant[name] or collapsed(member[name], nonmember[name]):
            scores[name] = math.nan
            continue
        decision = fit_attack(member[name], nonmember[name], solver=solver)
        scores[name] = 100.0 * float((decision(values) <= 0).mean())
    return MIAScores(**scores)


def additional_mia(
    forget_logits: Tensor,
    forget_labels: Tensor,
    test_logits: Tensor,
    test_labels: Tensor,
    *,
    folds: int = 5,
    repeats: int = 4,
    solver: Solver = "newton",
) -> float:
    """The additional MIA of Section 5.4: accuracy of an attack that tells D_f from D_te, percent.

    Both sets have the same total weight, so 50 is chance. The attack sees the confidence at the
    true label and is judged on samples that it was not fitted on; the paper does not say either.

    Two samples of one distribution give 50 on average, whatever their sizes, if the folds
    are independent of the scores: then held-out samples of both sets have the same law given the
    fitted attack, and what it gains in one it loses in the other. Folds by rank, or any fixed
    function of the rank, are not: the fitted part has the held-out part's empirical distribution,
    and its noise carries over. Nor can the order of samples decide, if it is not to matter. So the
    scores are sorted, which is the same for every order, and dealt to the folds by random
    permutations whose generator is seeded with the SHA-256 of which set each of the sorted scores
    belongs to. That number tells nothing about where a score stands: to the attack, the folds are
    drawn afresh for every model. Rounding does not change it unless it changes the order. The
    result is the mean over ``repeats`` of such draws of all folds.

    Args:
        forget_logits: (n_f, K), D_f.
        forget_labels: (n_f,).
        test_logits: (n_te, K), D_te.
        test_labels: (n_te,).
        folds: parts of each set, of almost the same size; each is judged by a fit to the others.
        repeats: draws of the folds.
        solver: as in :func:`mia`.

    Returns:
        The balanced accuracy; NaN where the attack has nothing to learn from
        (:func:`collapsed`).

    Raises:
        DataError: fewer than ``folds`` samples in a set.
    """
    if min(len(forget_labels), len(test_labels)) < folds:
        raise DataError(f"additional_mia: needs at least {folds} samples in each set")
    forget_set = _checked(forget_logits, forget_labels, "additional_mia: the forget set")
    test_set = _checked(test_logits, test_labels, "additional_mia: the test set")
    scalars = [attack_scalars(*forget_set), attack_scalars(*test_set)]
    if any(collapsed(*(s[name] for s in scalars)) for name in ("probability", "confidence")):
        return math.nan
    forget, test = (np.sort(s["confidence"], axis=0) for s in scalars)
    order = np.argsort(np.concatenate([forget, test]).ravel(), kind="stable")
    digest = hashlib.sha256(np.packbits(order < len(forget)).tobytes()).digest()
    generator = np.random.default_rng(int.from_bytes(digest, "big"))
    right = {"forget": 0, "test": 0}
    for _ in range(repeats):
        fold_f = generator.permutation(len(forget)) % folds
        fold_t = generator.permutation(len(test)) % folds
        for fold in range(folds):
            decision = fit_attack(
                forget[fold_f != fold], test[fold_t != fold], solver=solver, balanced=True
            )
            right["forget"] += int((decision(forget[fold_f == fold]) > 0).sum())
            right["test"] += int((decision(test[fold_t == fold]) <= 0).sum())
    return 50.0 * (right["forget"] / len(forget) + right["test"] / len(test)) / repeats


@dataclass(frozen=True)
class Report:
    """The metrics of Section 5.1 in percent; ``MIA`` is the confidence score of ``mia``.

    NaN in ``MIA``, ``add_MIA`` or ``mia`` says that an attack has no signal; records keep ``null``.
    """

    UA: float
    MIA: float
    RA: float
    TA: float
    add_MIA: float  # noqa: N815
    mia: MIAScores

    def as_dict(self) -> dict[str, float | dict[str, float]]:
        """Plain numbers, for a record."""
        return asdict(self)


def report(
    retain: tuple[Tensor, Tensor],
    forget: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    *,
    solver: Solver = "newton",
    seed: int = 0,
) -> Report:
    """All metrics from (logits, labels) of D_r, D_f and D_te.

    The attack is fitted on as many retain as test samples: a subset of the larger set, drawn with
    ``seed``.
    """
    size = min(len(retain[1]), len(test[1]))
    generator = torch.Generator().manual_seed(seed)
    members, nonmembers = (
        (logits, labels) if len(labels) == size else (logits[chosen], labels[chosen])
        for logits, labels in (retain, test)
        for chosen in [torch.randperm(len(labels), generator=generator)[:size]]
    )
    scores = mia(*members, *nonmembers, *forget, solver=solver)
    folds = min(5, len(forget[1]), len(test[1]))
    return Report(
        UA=unlearning_accuracy(*forget),
        MIA=scores.confidence,
        RA=accuracy(*retain),
        TA=accuracy(*test),
        add_MIA=additional_mia(*forget, *test, folds=folds, solver=solver)
        if folds > 1
        else float("nan"),
        mia=scores,
    )


def average_gap(
    metrics: Mapping[str, float],
    reference: Mapping[str, float],
    names: Sequence[str] = GAP_METRICS,
) -> float:
    """Avg. Gap of one run: mean of |method − Retrain| over ``names``: UA, MIA, RA and TA.

    Table 4 of the paper takes ``add_MIA`` in as well: ``FIVE_METRICS``, "Avg. Gap (5)". An attack
    without a signal, NaN in either run, counts as a gap of 100 percentage points, the largest that
    there is: a model whose outputs have collapsed must not win by what cannot be measured.
    """
    gaps = [abs(metrics[name] - reference[name]) for name in names]
    return sum(NO_SIGNAL_GAP if math.isnan(gap) else gap for gap in gaps) / len(names)


def gap_of_means(
    runs: Sequence[Mapping[str, float]],
    references: Sequence[Mapping[str, float]],
    names: Sequence[str] = GAP_METRICS,
) -> float:
    """Avg. Gap between the seed means of a method and those of Retrain.

    Never above the mean over seeds of each seed's :func:`average_gap` (Jensen) where every attack
    has a signal.

    A metric without a signal in any of the runs counts as in :func:`average_gap`.
    """
    means = [
        {name: float(np.mean([run[name] for run in group])) for name in names}
        for group in (runs, references)
    ]
    return average_gap(means[0], means[1], names)
