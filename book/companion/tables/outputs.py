"""Do the forgotten stand out? Two-sample tests on what models said of every sample."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from companion.experiments.records.outputs import FOLDER, Outputs, read_outputs
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.records.ties import ALPHA, holm
from companion.experiments.settings.labels import place_of, title_of
from companion.files import RESULTS

if TYPE_CHECKING:
    import pandas as pd

ORIGINAL = "original"
Models = Mapping[tuple[str, int], Outputs]


def title(label: str) -> str:
    """A label as tables print it; the original model is one of them here."""
    return "Original model" if label == ORIGINAL else title_of(label)


def load_models(preset: str, scale: str = "bench", root: Path | None = None) -> Models:
    """(label, seed) → published outputs of a setting, the original first; none where not run."""
    folder = (root or RESULTS) / PROTOCOL / f"{preset}-{scale}" / FOLDER
    found = [read_outputs(path) for path in sorted(folder.glob("*.safetensors"))]
    keyed = {(each.facts["label"], int(each.facts["seed"])): each for each in found}
    return {key: keyed[key] for key in sorted(keyed, key=_place)}


def _place(key: tuple[str, int]) -> tuple[int, tuple[int, str], int]:
    label, seed = key
    return (0, (0, ""), seed) if label == ORIGINAL else (1, place_of(label), seed)


def stand_out(models: Models) -> "pd.DataFrame":
    """Kolmogorov–Smirnov tests of the losses on D_f, for every model and seed.

    ``D_test`` is the largest distance of the distribution functions of the losses on D_f and on
    D_te, both of the model; ``D_retrain`` that of its losses on D_f and those of Retrain of the
    same seed. ``p_test`` and ``p_retrain`` are adjusted by Holm's procedure over the column.
    Retrain has no distance from itself.
    """
    import pandas as pd
    from scipy.stats import ks_2samp

    rows = []
    for (label, seed), own in models.items():
        forgotten, test = own.sets["forget"].losses, own.sets["test"].losses
        within = ks_2samp(forgotten, test)
        row = {
            "label": label,
            "method": title(label),
            "seed": seed,
            "median_forget": float(pd.Series(forgotten).median()),
            "median_test": float(pd.Series(test).median()),
            "D_test": float(within.statistic),
            "p_test": float(within.pvalue),
        }
        reference = models.get(("retrain", seed))
        if reference is not None and label != "retrain":
            between = ks_2samp(forgotten, reference.sets["forget"].losses)
            row |= {"D_retrain": float(between.statistic), "p_retrain": float(between.pvalue)}
        rows.append(row)
    names = ["label", "method", "seed", "median_forget", "median_test"]
    table = pd.DataFrame(rows, columns=[*names, "D_test", "p_test", "D_retrain", "p_retrain"])
    for column in ("p_test", "p_retrain"):
        known = table[column].dropna()
        table.loc[known.index, column] = holm(known.tolist())
    return table


def told_apart(table: "pd.DataFrame") -> str:
    """Who stands out, and who cannot be told from Retrain, in sentences made from the table."""
    groups = {str(label): rows for label, rows in table.groupby("label", sort=False)}
    loud = [label for label, rows in groups.items() if (rows["p_test"] < ALPHA).all()]
    quiet = [label for label, rows in groups.items() if (rows["p_test"] >= ALPHA).all()]
    same = [
        label
        for label, rows in groups.items()
        if rows["p_retrain"].notna().any() and (rows["p_retrain"].dropna() >= ALPHA).all()
    ]
    count = table["seed"].nunique()
    seeds = "the seed" if count == 1 else f"each of {count} seeds"
    parts = [
        f"Losses on the forgotten samples differ from those on test samples in {seeds} with "
        f"{_listed(loud)}." if loud else "No model's losses on D_f differ from those on D_te.",
        f"They do not with {_listed(quiet)}." if quiet else "",
        f"On the forgotten samples these cannot be told from Retrain: {_listed(same)}."
        if same
        else "On the forgotten samples every model can be told from Retrain.",
    ]  # fmt: skip
    return "<p>" + " ".join(filter(None, parts)) + "</p>"


def _listed(labels: Sequence[str]) -> str:
    names = [title(label) for label in labels]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
