"""Take a model's outputs while it is judged, and compare its layers with those of two others."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from companion.experiments.records.outputs import SETS, Outputs, SetOutputs
from companion.experiments.records.store import load_state
from companion.experiments.runs.problems import Bench
from companion.theory.populations import linear_cka
from ugradsl_core.methods import get_method
from ugradsl_core.methods.problem import Problem
from ugradsl_core.models import load_weights
from ugradsl_core.samples import Samples
from ugradsl_core.samples.inputs import Inputs, to_device

COMPARED = 256  # test samples whose features are compared
State = Mapping[str, Tensor]
Pairs = Sequence[tuple[Tensor, Tensor]]
OnModel = Callable[[Problem, State, Samples, Pairs], None]


def set_outputs(logits: Tensor, labels: Tensor) -> SetOutputs:
    """Predictions and margins from logits (N, K) and labels (N,)."""
    log_p = logits.double().log_softmax(1)
    true = log_p.gather(1, labels[:, None].long()).squeeze(1)
    others = log_p.scatter(1, labels[:, None].long(), -torch.inf).logsumexp(1)
    small = np.uint8 if logits.shape[1] <= np.iinfo(np.uint8).max + 1 else np.int16
    limit = float(np.finfo(np.float16).max)
    margins = (true - others).clamp(-limit, limit)
    return SetOutputs(
        labels.numpy().astype(small),
        logits.argmax(1).numpy().astype(small),
        margins.numpy().astype(np.float16),
    )


def features_of(model: nn.Module, inputs: Inputs, count: int) -> dict[str, Tensor]:
    """The outputs of a model's direct children for a batch of ``count``, flattened to (N, p)."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, child in model.named_children():

        def keep(_: nn.Module, __: object, out: object, name: str = name) -> None:
            if isinstance(out, Tensor) and len(out) == count:
                found[name] = out.detach().flatten(1).float().cpu()

        if not isinstance(child, nn.Identity):
            handles.append(child.register_forward_hook(keep))
    try:
        with torch.inference_mode():
            model.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()
    return found


def similarity(
    problem: Problem, state: State, others: Mapping[str, State], judged: Samples
) -> dict[str, dict[str, float]]:
    """Linear CKA of every layer with the same layer of other models, on the first test samples."""
    rows = torch.arange(min(COMPARED, len(judged)))
    inputs = to_device(next(iter(judged.batches([rows])))[0], problem.execution.resolve())

    def features(weights: State) -> dict[str, Tensor]:
        return features_of(load_weights(problem.trained_model(), weights), inputs, len(rows))

    own = features(state)
    found = {}
    for name, weights in others.items():
        theirs = features(weights)
        found[name] = {layer: linear_cka(own[layer], theirs[layer]) for layer in own}
    return found


def retrained_at_hand(bench: Bench, seed: int) -> dict[str, State]:
    """Retrain's weights of a seed, if the store has them; nothing is trained."""
    config = get_method("retrain").config(**bench.setting.training.model_dump())
    stored = load_state(bench.store, bench.retrained_key(config, seed))
    return {} if stored is None else {"retrain": stored[0]}


def take_outputs(
    problem: Problem,
    state: State,
    judged: Samples,
    pairs: Pairs,
    retrained: Mapping[str, State],
    facts: Mapping[str, str],
) -> Outputs:
    """The outputs of a model from the (logits, labels) of D_r, D_f and D_te.

    Args:
        problem: of the seed, with the original model.
        state: the model's weights.
        judged: D_te.
        pairs: logits and labels, as the metrics have seen them.
        retrained: Retrain's weights, or nothing.
        facts: what the file says of itself.
    """
    sets = {name: set_outputs(*pair) for name, pair in zip(SETS, pairs, strict=True)}
    others = {"original": problem.trained_state, **retrained}
    return Outputs(sets, facts, similarity(problem, state, others, judged))
