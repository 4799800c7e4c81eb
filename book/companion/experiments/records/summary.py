"""Records to tables: means, spread and gaps to Retrain."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from companion.experiments.records.record import Record
from companion.experiments.records.store import read_records
from companion.experiments.settings.labels import label_of, place_of, title_of
from companion.files import RESULTS
from ugradsl_core.errors import DataError
from ugradsl_core.metrics import FIVE_METRICS, GAP_METRICS, average_gap, gap_of_means

if TYPE_CHECKING:
    import pandas as pd


METRICS = FIVE_METRICS
GAP_COLUMNS = tuple(
    f"{column}{suffix}"
    for suffix in ("", "_add_MIA")
    for column in ("gap_of_means", "mean_of_gaps", "mean_of_gaps_std")
)
SILENT = tuple((name, f"{name}_no_signal") for name in ("MIA", "add_MIA"))
PROTOCOL = "passes-1"  # rules of the records in the folder of this name
SWEEP = "sweep-"  # files there that hold no comparison of methods begin so


def published(name: str, scale: str, root: Path | None = None) -> list[Record]:
    """Published results of a setting, or an empty list where it has not been run.

    Those of the protocol, once there are any; before, the file of runs outside one.
    """
    found = [r for r in campaign_records(name, scale, root) if r.kind == "result"]
    path = (root or RESULTS) / f"{name}-{scale}.jsonl"
    return found or (read_records(path) if path.exists() else [])


def published_settings(root: Path | None = None) -> list[tuple[str, str, Path]]:
    """Preset, scale and folder of every setting with records of the protocol, in order of folders.

    Args:
        root: folder of the record files; the repository's by default.
    """
    folders = sorted(path for path in ((root or RESULTS) / PROTOCOL).glob("*-*") if path.is_dir())
    names = [folder.name.rpartition("-") for folder in folders]
    return [(name, scale, folder) for (name, _, scale), folder in zip(names, folders, strict=True)]


def campaign_records(name: str, scale: str, root: Path | None = None) -> list[Record]:
    """Every record of the protocol in a setting: one file for each label, trials and results.

    Files of sweeps are left out.

    Raises:
        DataError: a file holds records of several labels or outside the protocol.
        StoreError: a line is damaged.
    """
    folder = (root or RESULTS) / PROTOCOL / f"{name}-{scale}"
    found = []
    for path in sorted(folder.glob("*.jsonl")):
        if path.name.startswith(SWEEP):
            continue
        records = read_records(path)
        labels = sorted({record_label(record) for record in records})
        if len(labels) > 1:
            raise DataError(f"{path.name}: should hold one method; found {', '.join(labels)}")
        for record in records:
            if record.protocol != PROTOCOL:
                raise DataError(
                    f"{path.name}: should hold records of protocol {PROTOCOL}; found one of "
                    f"{record.protocol or 'none'}"
                )
        found += records
    return found


def record_label(record: Record) -> str:
    """The label of a record's method, such as ``ugradsl:adaptive``."""
    return label_of(record.method, dict(record.config))


def natural_order(labels: Iterable[str]) -> list[str]:
    """Labels in the order of ``METHODS``, each variant after its method."""
    return sorted(labels, key=place_of)


def frame(records: Sequence[Record]) -> "pd.DataFrame":
    """One row for each record: label, seed, status, metrics (percent), seconds and samples.

    ``MIA_no_signal`` and ``add_MIA_no_signal`` are 1 where that attack had nothing to learn from.
    """
    import pandas as pd

    rows = [
        {
            "label": record_label(record),
            "method": title_of(record_label(record)),
            "seed": record.seed,
            "status": record.status,
            **{name: record.metrics.get(name, float("nan")) for name in METRICS},
            **{silent: int(math.isnan(record.metrics.get(name, 0))) for name, silent in SILENT},
            "RTE": record.seconds,
            "forward": record.forward_samples,
            "backward": record.backward_samples,
        }
        for record in records
    ]
    columns = ["label", "method", "seed", "status", *METRICS, "RTE", "forward", "backward"]
    return pd.DataFrame(rows, columns=[*columns, *(silent for _, silent in SILENT)])


def by_label(records: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """Records that ended well, by label and seed, in order of appearance."""
    groups: dict[str, dict[int, Record]] = {}
    for record in records:
        group = groups.setdefault(record_label(record), {})
        if record.status == "ok":
            group[record.seed] = record
    return groups


def paired(records: Sequence[Record], label: str) -> tuple[list[Any], list[Any]]:
    """Metrics of a method and of Retrain for the seeds that both have."""
    groups = by_label(records)
    runs, references = groups.get(label, {}), groups.get("retrain", {})
    seeds = sorted(set(runs) & set(references))
    return [runs[s].metrics for s in seeds], [references[s].metrics for s in seeds]


def gaps_by_seed(
    records: Sequence[Record], names: Sequence[str] = GAP_METRICS
) -> dict[str, dict[int, float]]:
    """Label → seed → Avg. Gap over ``names`` to the Retrain of that seed; Retrain is left out.

    Runs that diverged, lack a metric or have no Retrain of their seed are left out, too.
    """
    groups = {
        label: {seed: run.metrics for seed, run in runs.items() if set(names) <= set(run.metrics)}
        for label, runs in by_label(records).items()
    }
    references = groups.pop("retrain", {})
    found = {
        label: {
            seed: average_gap(runs[seed], references[seed], names)
            for seed in sorted(set(runs) & set(references))
        }
        for label, runs in groups.items()
    }
    return {label: gaps for label, gaps in found.items() if gaps}


def summary(records: Sequence[Record]) -> "pd.DataFrame":
    """One row for each method: mean and sample standard deviation over seeds, and both gaps.

    Columns are ``label``, ``method``, ``n`` (seeds that ended well), ``diverged``, ``UA``,
    ``UA_std``, …, ``RTE`` (seconds), ``forward`` and ``backward`` (samples), ``gap_of_means`` and
    ``mean_of_gaps`` (with ``mean_of_gaps_std``), both paired with Retrain by seed: Avg. Gap over
    four metrics; and the same two with the additional MIA, as in the paper's Table 4, ending in
    ``_add_MIA``: Avg. Gap (5). ``MIA_no_signal`` and ``add_MIA_no_signal`` count the runs whose
    attack had nothing to learn from; means and deviations are over the others, and the gaps take
    them as 100 points. Methods are in natural order.
    """
    import pandas as pd

    table = frame(records)
    groups = dict(iter(table.groupby("label", sort=False)))
    rows = []
    for label in natural_order(map(str, groups)):
        group = groups[label]
        good = group[group.status == "ok"]
        row: dict[str, Any] = {
            "label": label,
            "method": title_of(label),
            "n": len(good),
            "diverged": int((group.status == "diverged").sum()),
        }
        for name in (*METRICS, "RTE"):
            row[name], row[f"{name}_std"] = good[name].mean(), good[name].std(ddof=1)
        row |= {silent: int(good[silent].sum()) for _, silent in SILENT}
        row["forward"], row["backward"] = good["forward"].mean(), good["backward"].mean()
        row |= _gaps(*paired(records, label)) if label != "retrain" else {}
        rows.append(row)
    result = pd.DataFrame(rows)
    known = [column for column in result.columns if column not in GAP_COLUMNS]
    return result.reindex(columns=[*known, *GAP_COLUMNS])


def _gaps(runs: list[Any], references: list[Any]) -> dict[str, float]:
    """The columns ``GAP_COLUMNS`` of paired runs, as far as their metrics allow."""
    row: dict[str, float] = {}
    for names, suffix in ((GAP_METRICS, ""), (METRICS, "_add_MIA")):
        if not runs or not all(set(names) <= set(metrics) for metrics in runs + references):
            continue
        gaps = [average_gap(a, b, names) for a, b in zip(runs, references, strict=True)]
        row[f"gap_of_means{suffix}"] = gap_of_means(runs, references, names)
        row[f"mean_of_gaps{suffix}"] = float(np.mean(gaps))
        row[f"mean_of_gaps_std{suffix}"] = stdev(gaps) if len(gaps) > 1 else float("nan")
    return row


def gap_panel(records: Sequence[Record]) -> "pd.DataFrame":
    """What ``results.gaps`` draws: ``label``, ``method``, ``gap`` and ``seeds`` of each method.

    ``gap`` is the mean over seeds of each seed's Avg. Gap, ``seeds`` the gap of each seed.
    """
    import pandas as pd

    gaps = gaps_by_seed(records)
    rows = []
    for row in summary(records).dropna(subset=["mean_of_gaps"]).to_dict(orient="records"):
        names = {name: row[name] for name in ("label", "method")}
        seeds = list(gaps[row["label"]].values())
        rows.append({**names, "gap": row["mean_of_gaps"], "seeds": seeds})
    return pd.DataFrame(rows, columns=["label", "method", "gap", "seeds"])


def one_setting(records: Sequence[Record]) -> Record:
    """The first record, after checking that a table may show all of them together.

    Raises:
        DataError: no records, records of several settings or protocols, trials of a search, or
            several records of one method and seed.
    """
    if not records:
        raise DataError("records: there are none")
    protocols = sorted({record.protocol or "none" for record in records})
    if len(protocols) > 1:
        raise DataError(
            f"records: are of several protocols ({', '.join(protocols)}); a table shows one"
        )
    if any(record.kind != "result" for record in records):
        raise DataError("records: are trials of a search; a table shows results on the test set")
    if len({(record_label(record), record.seed) for record in records}) < len(records):
        raise DataError("records: hold several of one method and seed")
    if len({(record.setting_hash, record.scale) for record in records}) > 1:
        raise DataError("records: are of several settings; a table compares methods in one")
    return records[0]
