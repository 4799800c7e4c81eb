"""Do the forgotten stand out? Two-sample tests on what models said of every sample."""

from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from companion.experiments.records.outputs import FOLDER, Outputs, read_outputs
from companion.experiments.records.summary import PROTOCOL
from companion.experiments.records.ties import ALPHA, holm
from companion.experiments.settings.labels import place_of, title_of
from companion.files import RESULTS

if TYPE_CHECKING:
    import pandas as pd

ORIGINAL = "original"
PROPOSED = ("ugradsl+", "ugradsl")
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


READABLE = {  # column of stand_out → head of a column
    "method": "Method",
    "seed": "Seed",
    "median_forget": "Median loss, D_f",
    "median_test": "Median loss, D_te",
    "D_test": "Distance to D_te",
    "p_test": "p, D_te",
    "D_retrain": "Distance to Retrain",
    "p_retrain": "p, Retrain",
}


def readable(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table of :func:`stand_out` as a page shows it; a dash where there is no number."""
    shown = table[list(READABLE)].rename(columns=READABLE).set_index(["Method", "Seed"])
    return shown.map(lambda number: "–" if isnan(number) else f"{number:.3f}")


def stand_out_by_class(models: Models, seed: int = 0) -> "pd.DataFrame":
    """Kolmogorov–Smirnov tests of D_f against D_te within each class, for every model of a seed.

    Columns are ``label``, ``method``, ``class``, ``D`` (the largest distance of the distribution
    functions of the losses) and ``p``, adjusted by Holm's procedure over all rows. A class that
    either set lacks is left out.
    """
    import pandas as pd
    from scipy.stats import ks_2samp

    rows = []
    for (label, drawn), own in models.items():
        if drawn != seed:
            continue
        forgotten, test = own.sets["forget"], own.sets["test"]
        for number in sorted({*forgotten.labels.tolist()} & {*test.labels.tolist()}):
            found = ks_2samp(
                forgotten.losses[forgotten.labels == number], test.losses[test.labels == number]
            )
            rows.append((label, title(label), number, float(found.statistic), float(found.pvalue)))
    table = pd.DataFrame(rows, columns=["label", "method", "class", "D", "p"])
    table["p"] = holm(table["p"].tolist())
    return table


def stand_out_by_setting(
    settings: "Mapping[str, pd.DataFrame]", against: Literal["test", "retrain"] = "test"
) -> "pd.DataFrame":
    """A distance of every model (rows) in every setting (columns): mean, and seeds that differ.

    Args:
        settings: a setting's name → its table by :func:`stand_out`.
        against: what the losses on D_f are compared with: those on D_te, or Retrain's on D_f.
    """
    import pandas as pd

    columns = {}
    for name, table in settings.items():
        known = table[table[f"D_{against}"].notna()]
        groups = known.groupby("method", sort=False)
        columns[name] = groups.apply(
            lambda rows: (
                f"{rows[f'D_{against}'].mean():.2f} "
                f"({int((rows[f'p_{against}'] < ALPHA).sum())} of {len(rows)})"
            ),
        )
    return pd.DataFrame(columns).fillna("–").rename_axis("method")


def told_apart(table: "pd.DataFrame") -> str:
    """A list of the models that stand out and of those that cannot be told from Retrain.

    A model of one seed in two is named with the number of its seeds. The table of a smoke run
    supports no verdict and should not be read in this way.
    """
    groups = {str(label): rows for label, rows in table.groupby("label", sort=False)}
    ours = [label for label in PROPOSED if label in groups]
    items = [_of_ours(label, groups[label]) for label in ours]
    rest = {label: rows for label, rows in groups.items() if label not in ours}
    items.append(
        "Losses on the forgotten samples differ from those on test samples: "
        + _counted(rest, "p_test", told=True)
    )
    items.append("No difference is found: " + _counted(rest, "p_test", told=False))
    if table["p_retrain"].notna().any():
        compared = {label: rows for label, rows in groups.items() if label != "retrain"}
        items.append(
            "On the forgotten samples these cannot be told from Retrain: "
            + _counted(compared, "p_retrain", told=False)
        )
    return '<ul class="take-away">' + "".join(f"<li>{item}</li>" for item in items) + "</ul>"


def _of_ours(label: str, rows: "pd.DataFrame") -> str:
    """A sentence on a method of the paper, which says that the forgotten do not stand out."""
    told = int((rows["p_test"] < ALPHA).sum())
    above = bool((rows["median_forget"] > rows["median_test"]).all())
    count = "in the one seed" if len(rows) == 1 else f"in {told} of {len(rows)} seeds"
    text = f"<strong>{title(label)}</strong>: the forgotten "
    if not told:
        return text + "do not stand out from test samples, as the paper says."
    return (
        f"{text}stand out from test samples {count} (distance "
        f"{rows['D_test'].min():.2f} to {rows['D_test'].max():.2f}"
        + ("; their losses are larger" if above else "")
        + "), whereas the paper says that the method makes them no more distinguishable."
    )


def _counted(groups: "Mapping[str, pd.DataFrame]", column: str, *, told: bool) -> str:
    """The models for which the test says so, with their number of seeds where it is not in all."""
    parts = []
    for label, rows in groups.items():
        known = rows[column].dropna()
        found = int((known < ALPHA).sum() if told else (known >= ALPHA).sum())
        if found:
            every = found == len(known)
            parts.append(title(label) + ("" if every else f" (in {found} of {len(known)} seeds)"))
    return (", ".join(parts) or "none") + "."
