"""A section for a model card: what was forgotten, how, with which scores, and what they show."""

import hashlib
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ugradsl_core.api.comparison import RETRAINED, Comparison
from ugradsl_core.api.unlearned import Run, Unlearned
from ugradsl_core.config import VERSION
from ugradsl_core.errors import ConfigError, unknown_name
from ugradsl_core.methods import get_method
from ugradsl_core.metrics.scores import GAP_METRICS, NO_SIGNAL_GAP
from ugradsl_core.samples.overlap import NOT_SEEN
from ugradsl_core.training.files import write_text

LIMITS = (
    "This does not prove deletion. The scores say how the model answers for the forgotten samples; "
    "they do not certify that its weights are free of them.",
    "MIA is one attack, fitted on the outputs for retained and test samples. A stronger attack, or "
    "one that also has the original model, may still find the forgotten samples.",
    "A model that is worse than a retrained one on the forgotten samples has not forgotten better: "
    "that, too, tells them apart.",
    "Nothing but these weights has changed: the original model, its earlier checkpoints, models "
    "derived from it and copies of the data are as they were.",
)


def model_card(
    result: Unlearned,
    scores: Comparison,
    *,
    forgotten: str,
    name: str = "unlearned",
    path: str | Path | None = None,
) -> str:
    """A section of a model card in Markdown, to pass on with the weights.

    It says what was forgotten and how, gives the scores of all models that were compared, with
    their gaps where a retrained one is among them, and what none of this proves.

    Args:
        result: of :func:`unlearn`.
        scores: of :func:`compare`, this result among them.
        forgotten: what was forgotten, and on whose request, in words.
        name: of this result in ``scores``.
        path: where to write it, too.

    Raises:
        ConfigError: ``forgotten`` says nothing, or ``scores`` has no model called ``name``.
        StoreError: the file cannot be written.
    """
    for given, value, kind in (("result", result, Unlearned), ("scores", scores, Comparison)):
        if not isinstance(value, kind):
            raise ConfigError(f"{given}: should be of {kind.__name__}; found {value!r:.60}")
    if not isinstance(forgotten, str) or not forgotten.strip():
        raise ConfigError(f"forgotten: should say what was forgotten; found {forgotten!r}")
    if name not in scores.reports or name == RETRAINED:
        raise unknown_name("name", name, set(scores.reports) - {RETRAINED})
    limits = [*LIMITS, *([NOT_SEEN[result.run.check_overlap]] if result.run else [])]
    parts = [
        "## Unlearning",
        "### What was forgotten",
        " ".join(forgotten.split()),
        *([_sizes(result.run)] if result.run else []),
        "### How",
        _how(result),
        "### Scores",
        scores.to_markdown(),
        _meaning(scores, name),
        "### What this does not prove",
        "\n".join(f"- {line}" for line in limits),
    ]
    text = "\n\n".join(parts) + "\n"
    if path is not None:
        write_text(path, text)
    return text


def _sizes(run: Run) -> str:
    share = 100 * run.forget / (run.forget + run.retain)
    return (
        f"{run.forget:,} of {run.forget + run.retain:,} training samples ({share:.2g} %); "
        f"{run.retain:,} are retained."
    )


def _how(result: Unlearned) -> str:
    values = ", ".join(f"{k}={v!r}" for k, v in result.config.model_dump().items())
    did = result.result
    lines = [
        f"Method: {get_method(result.method).title} (`{result.method}`)",
        f"Hyperparameters: `{values}`",
        *([f"Seed: {result.run.seed}"] if result.run else []),
        f"Work: {did.steps:,} steps, {did.forward_samples:,} samples passed forward and "
        f"{did.backward_samples:,} backward",
        f"Software: ugradsl-core {VERSION}, PyTorch {torch.__version__}",
        f"Weights, SHA-256: `{weights_sha256(did.state_dict)}`",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _meaning(scores: Comparison, name: str) -> str:
    """What the numbers of the table are, and what they are compared with."""
    words = [
        "In percent. UA is the error on the forgotten samples, RA the accuracy on the retained "
        "ones and TA on test samples. MIA is the share of forgotten samples that an attack takes "
        "for samples never trained on.",
    ]
    reference = scores.reports.get(RETRAINED)
    if reference is None:
        words.append(
            "No model was retrained without the forgotten samples, so there is nothing to "
            "compare these scores with: none of them is good or bad by its size."
        )
    else:
        (row,) = (row for row in scores.rows() if row["model"] == name)
        words.append(
            "The reference is a model retrained without the forgotten samples; Δ is the "
            f"difference to it, in percentage points. Over {', '.join(GAP_METRICS)} the mean "
            f"distance is {row['avg_gap']:.2f} points. This is one run; another seed gives "
            "another distance, and that of a second retrained model is not zero either."
        )
    if any(math.isnan(report.MIA) for report in scores.reports.values()):
        words.append(
            "An MIA of nan is not a score: the model answers alike for all inputs, and the attack "
            f"has nothing to learn from. As a gap it counts as {NO_SIGNAL_GAP:.0f} points."
        )
    return " ".join(words)


def weights_sha256(state: dict[str, Any]) -> str:
    """SHA-256 of a state dict: of names, types, shapes and values of its tensors, in its order."""
    hashed = hashlib.sha256()
    for name, value in state.items():
        if isinstance(value, Tensor):
            whole = value.detach().cpu().contiguous()
            hashed.update(f"{name}:{whole.dtype}:{tuple(whole.shape)}:".encode())
            hashed.update(whole.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
