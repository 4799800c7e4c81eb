"""The measures of Section 5.1 for the chapters' small models, and what they leave out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from companion.experiments.theory.worked import RetrainedExample, TrainedExample
from companion.theory.risks import model_at
from ugradsl_core import metrics


@dataclass(frozen=True, eq=False)
class Outputs:
    """Logits on D_r, D_f and D_te, each (n, K)."""

    retain: Tensor
    forget: Tensor
    test: Tensor


def outputs(original: TrainedExample, removal: RetrainedExample, theta: Tensor) -> Outputs:
    """What the model with parameters θ answers."""
    model = model_at(original.risk, theta)
    sets = (removal.retain.batches, removal.forget.batches, original.test)
    with torch.no_grad():
        return Outputs(*(torch.cat([model(inputs) for inputs, _ in batches]) for batches in sets))


def measures(
    original: TrainedExample, removal: RetrainedExample, found: Outputs
) -> dict[str, float]:
    """UA, MIA, RA and TA in percent."""
    labels = [
        torch.cat([labels for _, labels in batches])
        for batches in (removal.retain.batches, removal.forget.batches, original.test)
    ]
    pairs = zip((found.retain, found.forget, found.test), labels, strict=True)
    report = metrics.report(*pairs)
    return {name: getattr(report, name) for name in metrics.GAP_METRICS}


def output_distance(first: Tensor, second: Tensor) -> float:
    """Mean total variation distance of two sets of predictions, in percent: 0 alike, 100 disjoint.

    Args:
        first: logits (n, K).
        second: logits (n, K) of the same samples.
    """
    return 50 * float((first.softmax(1) - second.softmax(1)).abs().sum(1).mean())


def permuted(theta: Tensor, features: int, order: Tensor) -> Tensor:
    """θ of the same function with its hidden units in another order.

    Args:
        theta: of an ``"mlp"`` of :func:`companion.experiments.theory.worked.make_model`.
        features: inputs of the network.
        order: a permutation of its hidden units.
    """
    hidden = len(order)
    first, bias, rest = torch.split(theta, [hidden * features, hidden, 10 * hidden + 10])
    last = rest[: 10 * hidden].view(10, hidden)[:, order].flatten()
    return torch.cat(
        [first.view(hidden, features)[order].flatten(), bias[order], last, rest[10 * hidden :]]
    )


def lookup_table_answers(
    original: Tensor, forget_labels: Tensor, other: Tensor, labels: Tensor
) -> Tensor:
    """Replace the answers on D_f by those for unseen samples of the same class.

    Such a model passes the attack without having forgotten anything.

    Args:
        original: logits of a model on D_f, (n_f, K); where no unseen sample of a class is left,
            its answer stays.
        forget_labels: (n_f,).
        other: logits of the same model on samples that it never saw, (m, K).
        labels: theirs, (m,).
    """
    found = original.clone()
    for label in torch.unique(forget_labels):
        places = (forget_labels == label).nonzero().flatten()
        donors = (labels == label).nonzero().flatten()[: len(places)]
        found[places[: len(donors)]] = other[donors]
    return found
