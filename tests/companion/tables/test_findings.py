"""What pages say of a campaign: winners, and every state in which its records may be."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

import campaign_records as campaign
from companion.experiments.records import ties
from companion.experiments.records.record import Record
from companion.experiments.records.summary import record_label
from companion.experiments.runs.evidence import (
    Evidence,
    design,
    load_evidence,
    transferred,
    trial_gaps,
    winners,
)
from companion.experiments.runs.protocol import SEARCH_SEEDS
from companion.experiments.settings.labels import title_of
from companion.tables import findings, takeaways
from comparison_cases import cells, downloaded
from ugradsl_core.metrics import average_gap

NAN = float("nan")
NAME = "cifar10-random10"


def evidence(records: list[Record]) -> Evidence:
    results, trials = (tuple(r for r in records if r.kind == kind) for kind in ("result", "trial"))
    return Evidence(NAME, "bench", results, trials)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    """A campaign as it is read back from its files."""
    root = tmp_path_factory.mktemp("results")
    campaign.write(root, campaign.whole())
    return load_evidence(NAME, "bench", root)


def trial(seed: int, gap: float, lr: float, label: str = "ft") -> Record:
    return campaign.run(label, seed, gap, kind="trial", config={"lr": lr})


# ----- winners


def test_a_campaign_is_read_back_whole(whole: Evidence, tmp_path: Path) -> None:
    made = campaign.whole()
    assert len(whole.results) + len(whole.trials) == len(made)
    silent = [r for r in whole.results if r.status == "ok" and math.isnan(r.metrics["MIA"])]
    assert [(r.method, r.seed) for r in silent] == [("ff", 1)]
    assert load_evidence(NAME, "bench", tmp_path) == Evidence(NAME, "bench", (), ())


def test_the_mean_of_three_seeds_decides() -> None:
    one, two, three = SEARCH_SEEDS
    trials = [
        *campaign.references(),
        trial(one, 1.0, 0.1), trial(one, 2.0, 0.2), trial(one, 1.5, 0.3), trial(one, 9.0, 0.4),
        trial(two, 9.0, 0.1), trial(two, 2.0, 0.2), trial(two, 0.0, 0.3),
        trial(three, 1.0, 0.1), trial(three, 2.5, 0.2),  # 0.3 has two seeds only
    ]  # fmt: skip
    found = winners(trials)["ft"]
    assert found.config["lr"] == 0.2
    assert found.gap == pytest.approx(6.5 / 3)
    assert found.gaps == pytest.approx({one: 2.0, two: 2.0, three: 2.5})
    assert found.first == 3  # two trials were nearer on the first seed
    assert found.passed == 2000
    assert [t.gap for t in design(trials)["ft"]] == pytest.approx([1.0, 2.0, 1.5, 9.0])


def test_equal_means_go_to_the_first_and_a_divergence_counts_100() -> None:
    trials = campaign.references()
    for seed in SEARCH_SEEDS:
        trials += [trial(seed, 2.0, 0.1), trial(seed, 2.0, 0.2)]
        trials.append(trial(seed, NAN if seed == SEARCH_SEEDS[2] else 0.0, 0.3))
    assert winners(trials)["ft"].config["lr"] == 0.1
    gaps = [gap for r, gap in trial_gaps(trials)["ft"] if r.status != "ok"]
    assert gaps == [100.0]


def test_there_is_no_winner_before_all_three_seeds_or_without_retrain() -> None:
    trials = campaign.references() + [trial(seed, 1.0, 0.1) for seed in SEARCH_SEEDS[:2]]
    assert winners(trials) == {}
    whole = [trial(seed, 1.0, 0.1) for seed in SEARCH_SEEDS]
    assert winners(whole) == {} == design(whole)
    assert winners(campaign.references() + whole)["ft"].gap == pytest.approx(1.0)


def test_transferred_configurations_have_one_seed() -> None:
    note = "transferred from cifar10-random10"
    trials = campaign.references() + campaign.search("ft", 6, note=note)
    found = winners(trials)["ft"]
    assert found.gap == min(t.gap for t in design(trials)["ft"])
    assert list(found.gaps) == [SEARCH_SEEDS[0]]
    both = [replace(trials[-1], note=f"{note} no signal in MIA")]
    assert transferred(trials) == transferred(both) == {"ft": "cifar10-random10"}


def test_the_winner_of_every_method_is_the_best_of_its_trials(whole: Evidence) -> None:
    """By the slow way: all configurations, all seeds, the mean."""
    references = {r.seed: r for r in whole.trials if r.method == "retrain"}
    for label, found in winners(whole.trials).items():
        means: dict[str, list[float]] = {}
        for record in whole.trials:
            if record.method == found.label.partition(":")[0] and record in [
                r for r, _ in trial_gaps(whole.trials)[label]
            ]:
                gap = average_gap(record.metrics, references[record.seed].metrics)
                means.setdefault(record.config_hash, []).append(gap)
        seeds = 1 if label == "ff" else 3
        full = [sum(gaps) / seeds for gaps in means.values() if len(gaps) == seeds]
        assert found.gap == pytest.approx(min(full)), label


# ----- pages


def test_every_part_says_what_is_missing_where_nothing_has_run() -> None:
    nothing = evidence([])
    parts = [
        findings.coverage(nothing), findings.searched(nothing), findings.luck_table(nothing),
        findings.results(nothing), findings.signed(nothing), takeaways.take_away(nothing),
        takeaways.answer(nothing), findings.verdicts([]),
    ]  # fmt: skip
    for part in parts:
        assert "<code>make campaign</code>" in part
        assert part.startswith("<p><em>Not run yet: ")
    for show in (findings.strip, findings.luck, findings.signed_figure):
        assert "Not run yet" in show(nothing).data
    assert "Not run yet" in findings.columns(nothing, NAME, [10]).data


def test_every_step_of_a_campaign_can_be_shown(whole: Evidence) -> None:
    """Records come one by one: after each share of them every page is whole."""
    records = sorted([*whole.results, *whole.trials], key=lambda r: (r.kind == "result", repr(r)))
    results = campaign.results({"retrain:again": [1.0], "no-step": [9.0]})
    steps = [records[:n] for n in (3, 50, len(whole.trials) + 2, len(records) - 20)]
    for step in [*steps, results, results[:1]]:
        partial = evidence(list(step))
        for part in (
            findings.coverage, findings.searched, findings.luck_table, findings.results,
            findings.signed, takeaways.take_away, takeaways.answer,
        ):  # fmt: skip
            assert part(partial).startswith(("<p>", "<div"))
        for show in (findings.strip, findings.luck, findings.signed_figure):
            assert show(partial) is not None
        drawn = findings.columns(partial, NAME, [10, 4])
        judged = bool(ties.seed_gaps(partial.results))  # without gaps of ours nothing is drawn
        assert drawn.svg.endswith("</svg>\n") if judged else "Not run yet" in drawn.data
        assert findings.verdicts(partial.results)


def test_coverage_counts(whole: Evidence) -> None:
    text = findings.coverage(whole)
    box, _, rest = text.partition("</p>")
    assert box.startswith('<div class="setting">\n<p>Ours: CIFAR-10, a random 10 % forgotten; ')
    assert "The paper&#x27;s: all training images, ResNet-18 of width 64, 160 epochs" in box
    assert rest.startswith("\n<p>Records of 16 of 24 rows, with 4 to 5 seeds each.")
    assert "Not run yet: IU, BE, BS, " in text
    assert "FF were transferred from the search of digits-random10" in text


def test_the_table_of_results(whole: Evidence) -> None:
    page = findings.results(whole)
    rows = cells(page)
    found = {row[0].partition("|")[0]: row for row in rows}
    assert list(found)[1:4] == ["Retrain", "Retrain again", "No step"]
    below = {name: row[1].partition("|")[2] for name, row in found.items()}
    assert below["UGradSL+"] == below["SalUn"] == "rank 1–2"
    assert below["Retrain again"] == "the noise floor"
    assert below["Retrain"] == ""
    assert below["PABI"] == "needs more passes than the budget"
    assert below["RL (1 diverged)"] == below["FF"] == "lost a run"
    assert any("without signal" in cell for cell in found["FF"])
    assert found["FT"][0] == "FT|2.0 k passes"
    assert page.count('<tr class="strong">') == 2
    assert set(downloaded(page)["label"]) == {record_label(r) for r in whole.results}
    assert {len(row) for row in rows} == {8}


def test_the_tables_of_the_search(whole: Evidence) -> None:
    rows = {row[0]: row for row in cells(findings.searched(whole))[1:]}
    chosen = winners(whole.trials)
    assert set(rows) == {title_of(label) for label in design(whole.trials)}
    for label, winner in chosen.items():
        row = rows[title_of(label)]
        assert row[3].startswith(f"{winner.gap:.2f}")
        assert row[4] == f"{winner.first}"
    assert "lr 0." in rows["FT"][-1]
    luck = {row[0]: row for row in cells(findings.luck_table(whole))[1:]}
    assert luck["FF"][4:6] == ["–", "–"]  # six trials
    assert luck["FT"][5].split("|")[0] == luck["FT"][6]  # all of its 16 trials
    data = downloaded(findings.luck_table(whole))
    assert (data["mean"] <= data["with_replacement"] + 1e-9).all()
    assert (data["low"] <= data["high"]).all()


def test_figures_carry_words_made_from_their_data(whole: Evidence) -> None:
    chosen = design(whole.trials)
    words = findings.strip(whole).alt
    for label, own in chosen.items():
        gaps = [t.gap for t in own]
        assert f"{title_of(label)}: {min(gaps):.1f} to {max(gaps):.1f}, median" in words
    order = findings.by_luck(findings.luck_curves(whole))
    assert list(order.values()) == sorted(order.values())
    shown = findings.luck(whole)
    first, gap = next(iter(order.items()))
    assert f"in percentage points: {title_of(first)} {gap:.1f}, " in shown.alt
    assert "ff" not in order  # it has six trials, fewer than eight
    bundle, details = shown._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg ")
    assert details["image/svg+xml"]["alt"] == shown.alt
    assert findings.strip(whole).svg == findings.strip(whole).svg


def test_what_to_take_away(whole: Evidence) -> None:
    text = takeaways.take_away(whole)
    assert "UGradSL+ comes nearer to Retrain than NegGrad+ (2.0 against 6.5 points)" in text
    assert "UGradSL cannot be told from NegGrad+ (over <i>D</i><sub>f</sub>)" in text
    assert "2 of 10 methods cannot be told from the best: UGradSL+ and SalUn, by either" in text
    assert "points apart, so smaller differences decide nothing. No method is as near." in text
    assert "Not shown to come nearer: FT, GA, " in text
    assert "8 trials can be expected to reach" in text
    assert "in an epoch, and " in text


def test_what_to_take_away_changes_with_the_records() -> None:
    level = {"ugradsl+": 9.0, "neggrad+": 2.0, "ga": 4.5, "no-step": 20.0, "retrain:again": 3.0}
    made = campaign.results({x: [gap, gap + 0.1, gap - 0.1] for x, gap in level.items()})
    text = takeaways.take_away(evidence(made))
    assert "UGradSL+ is further from Retrain than NegGrad+" in text
    assert "As near to Retrain: NegGrad+." in text
    assert "All 3 methods come nearer to Retrain than that." in text
    assert "NegGrad+ is nearer to Retrain than all 2 others" not in text  # 3.0 is the noise floor
    far = [r for r in made if r.method != "neggrad+"]
    assert "Whether the smoothing itself helps is open" in takeaways.take_away(evidence(far))


def test_measures_that_disagree_are_both_named() -> None:
    made = campaign.results({})
    for seed in range(3):
        made.append(campaign.run("ugradsl+", seed, 5 + seed / 10, attack=25.0))
        made.append(campaign.run("neggrad+", seed, 9 + seed / 10))
    text = takeaways.take_away(evidence(made))
    assert "By Avg. Gap, UGradSL+ comes nearer to Retrain than NegGrad+" in text
    assert "By Avg. Gap (5), UGradSL+ cannot be told from NegGrad+" in text
    assert "By Avg. Gap, UGradSL+ is nearer to Retrain than the one other method" in text
    assert 'better by Avg. Gap</span> <span class="verdict verdict-tied">tied by Avg. Gap (5)' in (
        findings.verdicts(made)
    )


def test_a_smoke_run_gets_a_sentence() -> None:
    made = [replace(r, scale="smoke") for r in campaign.results({"ft": [1.0] * 3})]
    text = findings.verdicts(made)
    assert "supports no verdict" in text
    assert 'class="verdict' not in text


def test_a_live_run_says_first_where_ours_is_behind() -> None:
    gaps = {"ft": [5.0, 6.0], "ga": [30.0, 31.0], "ugradsl+": [66.0, 66.4], "ugradsl": [20.0, 21.0]}
    text = findings.live_order(campaign.results(gaps))
    assert text.startswith(
        "<p>In this run UGradSL+, at 66.2, is further from Retrain than FT, at 5"
    )
    assert "UGradSL, at 20.5, is nearer to Retrain than GA, at 30.5" in text
    assert "The smallest gap is that of FT (5.5 points), the largest that of UGradSL+ (66.2" in text
    assert "no method to compare" in findings.live_order(campaign.results({}))
