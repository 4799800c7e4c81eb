"""The first page's three sentences and the leaderboard, for every state of the records."""

import re
from functools import partial
from pathlib import Path

import pytest

import campaign_records as campaign
from companion.experiments.records.record import Record
from companion.pages import answer, leaderboard
from companion.paper.audit import Audit, audit
from companion.paper.claims import CLAIMS, scoreboard
from comparison_cases import cells, downloaded

BOOK = Path(__file__).parents[3] / "book"
RANDOM, CLASS = "cifar10-random10", "cifar10-class"
SAME = (
    "with negative smoothing (α < 0), against the same method without it (α = 0) at the same "
    "budget, a model comes out"
)


def near(gap: float) -> list[float]:
    """Gaps of five seeds round about one value."""
    return [gap + noise for noise in (0.0, 0.1, -0.1, 0.05, -0.05)]


def loose(gap: float) -> list[float]:
    """Gaps of five seeds between which no test can tell anything."""
    return [gap + noise for noise in (0.0, 3.0, -3.0, 2.0, -2.0)]


@pytest.fixture(scope="module")
def audited() -> Audit:
    return audit(root=BOOK / "paper")


@pytest.fixture
def book(tmp_path: Path, audited: Audit, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A book with the paper's tables and no records, whose audit is made once."""
    (tmp_path / "paper").symlink_to(BOOK / "paper")
    monkeypatch.setattr(answer, "scoreboard", partial(scoreboard, audited))
    return tmp_path


def sentences(book: Path, **settings: list[Record]) -> list[str]:
    """The three sentences for records of the named settings, without links and labels."""
    for name, records in settings.items():
        preset = {"random": RANDOM, "whole_class": CLASS}[name]
        campaign.write(book / "results", records, preset)
    page = re.sub(r"\{ref\}`([^`<]+) <claim-[^>]+>`", r"\1", answer.answer(book))
    page = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", re.sub(r"<[^>]+>", "", page))
    found = re.findall(r"^- (.+)$", page.replace("**", ""), flags=re.MULTILINE)
    assert len(found) == 3
    assert all(text.endswith(".") for text in found)
    return found


def test_before_anything_has_run(book: Path) -> None:
    title, methods, printed = sentences(book)
    assert title.startswith("not run Whether the smoothing itself helps has not been run yet")
    assert "UGradSL against GA, UGradSL+ against FT and who comes nearest" in methods
    assert f"of the paper's {len(CLAIMS)} claims they have nothing yet on {len(CLAIMS)}" in methods
    failed = re.search(r"audited, (\d+) of (\d+) claims fail: ", printed)
    assert failed is not None
    assert int(failed[2]) == len(CLAIMS)
    assert int(failed[1]) == printed.count("“")  # each of them by its title
    assert "“UGradSL+ has the smallest Avg. Gap”" in printed


@pytest.mark.parametrize(
    ("smoothed", "plain", "label", "text"),
    [
        (near(2), near(8), "reproduced", f"helps: {SAME} nearer to Retrain in the one comparison "
         "so far."),
        (near(8), near(2), "not reproduced", f"does not help: {SAME} further from Retrain in the "
         "one comparison so far."),
        (loose(5), near(5.5), "tied", f"Smoothing or none cannot be told apart: {SAME} tied in the "
         "one comparison so far."),
        (near(2)[:2], near(8)[:2], "too few seeds", "is open: α < 0 and α = 0 have been compared "
         "in fewer than three seeds so far."),
    ],
)  # fmt: skip
def test_the_title_in_one_comparison(
    book: Path, smoothed: list[float], plain: list[float], label: str, text: str
) -> None:
    records = campaign.results({"ugradsl+": smoothed, "neggrad+": plain})
    title, methods, _ = sentences(book, random=records)
    assert title.startswith(label)
    assert title.endswith(text)
    assert "UGradSL against GA, UGradSL+ against FT and who comes nearest" in methods


def test_below_the_noise_floor_the_title_is_undecided(book: Path) -> None:
    gaps = {"ugradsl+": near(2), "neggrad+": near(3), "retrain:again": near(4)}
    title, *_ = sentences(book, random=campaign.results(gaps))
    assert title.startswith("undecided The smoothing itself makes no difference above the noise")
    assert title.endswith("comes out undecided in the one comparison so far.")


def test_a_contradiction_in_one_of_two_settings_is_counted(book: Path) -> None:
    pairs = {"ugradsl": near(9), "neggrad+:forget": near(9.0)}
    helps = campaign.results({"ugradsl+": near(2), "neggrad+": near(8), **pairs})
    harms = campaign.results({"ugradsl+": near(8), "neggrad+": near(2), **pairs}, CLASS)
    title, *_ = sentences(book, random=helps, whole_class=harms)
    assert title.startswith("partly The smoothing itself helps in part")
    assert title.endswith(
        "nearer to Retrain in 1, further from Retrain in 1 and tied in 2 of 4 comparisons."
    )


def test_measures_that_disagree_are_both_counted(book: Path) -> None:
    records = campaign.results({"neggrad+": near(8)})
    records += [
        campaign.run("ugradsl+", seed, gap, attack=32.0) for seed, gap in enumerate(near(2))
    ]
    title, *_ = sentences(book, random=records)
    assert "by Avg. Gap nearer to Retrain in the one comparison so far" in title
    assert "; by Avg. Gap (5) tied in the one comparison" in title


def test_methods_that_have_run_are_told_from_those_that_have_not(book: Path) -> None:
    records = campaign.results({"ugradsl": near(2), "ga": near(9), "rl": near(5)})
    _, methods, _ = sentences(book, random=records)
    assert "UGradSL improves on GA, UGradSL+ against FT has not been run yet and" in methods
    assert "which method comes nearest has not been run yet" in methods


def test_who_comes_nearest(book: Path) -> None:
    gaps = {"ugradsl+": near(2), "ugradsl": near(9), "ga": near(9), "ft": near(1), "rl": near(5)}
    title, methods, _ = sentences(book, random=campaign.results(gaps))
    assert title.startswith("not run")
    assert "UGradSL cannot be told from GA, UGradSL+ does not improve on FT and" in methods
    assert "other methods come nearer to Retrain than UGradSL+" in methods
    contradicted = re.search(r"they contradict (\d+)", methods)
    assert contradicted is not None
    assert int(contradicted[1]) >= 2


def test_a_whole_campaign(book: Path) -> None:
    title, methods, _ = sentences(book, random=campaign.whole(), whole_class=campaign.whole(CLASS))
    assert title.endswith("comes out nearer to Retrain in 2 and tied in 2 of 4 comparisons.")
    assert "UGradSL+ is one of several methods that cannot be told from the nearest" in methods
    numbers = re.search(r"they (contradict .+)\.$", methods)
    assert numbers is not None
    counted = re.sub(r"\(.*\)", "", numbers[1])
    assert sum(map(int, re.findall(r"\d+", counted))) == len(CLAIMS)


def test_every_outcome_has_words() -> None:
    outcomes = {"reproduced", "partly", "tied", "undecided", "not reproduced", "too few seeds"}
    assert {*outcomes, "not run"} == set(answer.TITLE) == set(answer.IMPROVES) == set(answer.BEST)
    assert {"not run"} == set(answer.TITLE) - {o for each in answer.KINDS.values() for o in each}


# ----- the leaderboard


def test_the_leaderboard_before_anything_has_run(book: Path) -> None:
    assert "Not run yet" in leaderboard.leaderboard(book)
    assert "<table>" not in leaderboard.leaderboard(book)
    campaign.write(book / "results", campaign.results({"no-step": near(9)}))
    page = leaderboard.leaderboard(book)
    assert "No method has been run yet" in page
    assert [row[0] for row in cells(page)] == ["Method", "Retrain", "No step"]


def test_the_leaderboard_holds_every_method_of_every_setting(book: Path) -> None:
    whole = {preset: campaign.whole(preset) for preset in (RANDOM, CLASS)}
    for preset, records in whole.items():
        campaign.write(book / "results", records, preset)
    page = leaderboard.leaderboard(book)
    head, *rows = cells(page)
    assert head[:6] == ["Method", "Avg. Gap", "Rank", "Setting", "Scale", "Seeds"]
    assert {len(row) for row in rows} == {len(head)}
    data = downloaded(page)
    for name in ("CIFAR-10, random 10 %", "CIFAR-10, class-wise"):
        found = {row[0]: row for row in rows if row[3] == name}
        own = data[data["setting"] == name].set_index("label")
        assert set(found) == set(own["method"])
        assert found["UGradSL+"][1].startswith(f"{own.loc['ugradsl+', 'mean_of_gaps']:.2f}|± ")
        assert found["UGradSL+"][2] == found["SalUn"][2] == "1–2"
        assert set(own.index[own["best"]]) == {"ugradsl+", "salun"}
        assert found["FT"][5] == "5"
        assert found["RL"][5] == "4|1 diverged"
        assert found["RL"][2] == "lost a run"
        assert found["FF"][4] == "bench|transferred"
        assert found["Retrain"][1:3] == ["–", "–"]
    assert page.count('<tr class="strong">') == 4
    assert 'data-filters="Setting;Scale;Method"' in page
