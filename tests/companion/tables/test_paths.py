"""Recorded runs in the plane of UA and RA: which they are, and what is said of them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from campaign_records import run
from companion.experiments.records.record import Record
from companion.experiments.runs.evidence import Evidence
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.pages import path as page
from companion.tables import paths
from ugradsl_core.errors import DataError

FIRST, SECOND = SEARCH_SEEDS[:2]


def trial(label: str, seed: int, gap: float, **config: float) -> Record:
    return run(label, seed, gap, kind="trial", config=config)


def evidence(*trials: Record) -> Evidence:
    return Evidence("cifar10-random10", "bench", (), trials)


def some_trials() -> Evidence:
    return evidence(
        run("retrain", FIRST, 0, kind="trial"),
        run("retrain", SECOND, 0, kind="trial"),
        trial("ugradsl+", FIRST, 4.0, alpha=-0.2, p=0.9, lr=0.1, epochs=2),
        trial("ugradsl+", FIRST, 9.0, alpha=-0.8, p=0.5, lr=0.001, epochs=1),
        trial("ugradsl+", SECOND, 1.0, alpha=-0.2, p=0.9, lr=0.1, epochs=2),
        replace(trial("ugradsl+", FIRST, math.nan, lr=1.0), status="diverged", metrics={}),
    )


def test_trials_are_those_of_the_first_search_seed() -> None:
    runs = paths.trials(some_trials(), "ugradsl+")
    assert runs is not None
    assert list(runs.names) == ["α", "p", "learning rate", "epochs"]
    assert runs.rows == [
        [-0.2, 0.9, 0.1, 2.0, 54.0, 54.0, 4.0],
        [-0.8, 0.5, 0.001, 1.0, 59.0, 59.0, 9.0],
    ]
    assert runs.retrain == [(50.0, 50.0), (50.0, 50.0)]
    assert (runs.lost, runs.line) == (1, False)


def test_a_self_adaptive_rate_has_no_number() -> None:
    own = trial("ugradsl+:adaptive", FIRST, 3.0, p=0.9)
    runs = paths.trials(evidence(run("retrain", FIRST, 0, kind="trial"), own), "ugradsl+:adaptive")
    assert runs is not None
    assert runs.rows[0][0] is None
    assert "α self-adaptive" in paths.words(runs)


def test_without_a_retrain_of_that_seed_there_is_nothing_to_measure_by() -> None:
    assert paths.trials(evidence(trial("ga", FIRST, 3.0, lr=0.1)), "ga") is None
    assert paths.trials(some_trials(), "ga") is None


def test_words_name_the_nearest_run_and_what_diverged() -> None:
    runs = paths.trials(some_trials(), "ugradsl+")
    assert runs is not None
    said = paths.words(runs)
    assert "2 runs, 1 more diverged" in said
    assert "UA from 54.0 to 59.0 %" in said
    assert "an Avg. Gap of 4.0 points, is α −0.2, p 0.9, learning rate 0.1, epochs 2" in said
    with pytest.raises(DataError, match="should have a run; found none"):
        paths.words(replace(runs, rows=[]))


def test_a_sweep_is_a_line_of_means(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [run("retrain", seed, 0) for seed in (0, 1)]
    for p, gaps in {0.9: (2.0, 4.0), 0.5: (8.0, 6.0)}.items():
        records += [run("ugradsl+", s, g, config={"p": p}) for s, g in enumerate(gaps)]
    monkeypatch.setattr(paths, "published", lambda *_: records)
    runs = paths.sweep("p", "ugradsl+", "cifar10-random10", "bench", Path())
    assert runs is not None
    assert runs.line
    assert runs.rows == [[0.5, 57.0, 57.0, 7.0], [0.9, 53.0, 53.0, 3.0]]
    assert runs.retrain == [(50.0, 50.0)]
    assert "2 seeds" in runs.where
    monkeypatch.setattr(paths, "published", lambda *_: [])
    assert paths.sweep("p", "ugradsl+", "cifar10-random10", "bench", Path()) is None


def test_the_page_works_without_records(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    assert page.path(tmp_path) == page.NOT_RUN_YET


def test_the_figure_is_small() -> None:
    book = Path(__file__).parents[3] / "book"
    script = book / "_static" / "path.js"
    assert len(page.path(book).encode()) + script.stat().st_size <= 20_000
