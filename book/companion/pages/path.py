"""Beside the playground: where recorded runs of real networks ended, on the way to Retrain."""

from dataclasses import asdict
from pathlib import Path

from companion.experiments.runs.evidence import load_evidence
from companion.experiments.settings.preset import preset_setting
from companion.figures import interactive
from companion.pages.markdown import NOT_RUN_YET, raw_html
from companion.tables import paths
from companion.tables.words import describe_training

PRESET, SCALE = "cifar10-random10", "bench"


def path(book: Path) -> str:
    """What is shown, in words, and the figure; without records that they are not run yet."""
    evidence = load_evidence(PRESET, SCALE, book / "results")
    found = paths.all_runs(evidence, book / "results")
    if not found:
        return NOT_RUN_YET
    training = describe_training(preset_setting(PRESET, SCALE).identity(), SCALE)
    series = [{**asdict(runs), "words": paths.words(runs)} for runs in found]
    lines = any(runs.line for runs in found)
    joined = (
        "A line joins the values of a sweep, in which nothing else changes. "
        if lines
        else "The sweeps that change α or p alone are not run yet; they will add a line. "
    )
    return "\n\n".join(
        [
            f"The plane is small enough to watch. For a real network ({training}), each dot is one "
            "recorded run, placed by its unlearning accuracy (UA) and its accuracy on the retained "
            "data (RA): the goal is Retrain, the diamond, and not a corner. In the trials of the "
            "search all hyperparameters vary at once, so two neighbouring dots may have little in "
            f"common. {joined}The gap also counts TA and MIA, so the dot that looks nearest need "
            "not be. The search chooses by the mean over three seeds; the trials shown are those "
            "of one seed.",
            raw_html(interactive.path(series, series[0]["words"])),
        ]
    )


FRAGMENTS = {"path.md": path}
