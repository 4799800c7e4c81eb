"""Tables, figures, live runs and generated pages: what they show is what they were given."""

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import campaign_records as campaign
from companion.experiments.records import statistics, summary
from companion.experiments.records.record import Record
from companion.experiments.records.store import write_records
from companion.experiments.settings import labels
from companion.experiments.settings.preset import preset_config, preset_setting
from companion.figures import charts, results, style
from companion.notebooks import live
from companion.notebooks.parameters import ClassWiseForgetting, RandomForgetting
from companion.pages import fragments, landing, status
from companion.tables import html, paper
from companion.tables.results import results_table
from records import record

BOOK = Path(__file__).parents[3] / "book"


@pytest.fixture
def records() -> list[Record]:
    made = []
    for label, shift in (("retrain", 0.0), ("ga", 20.0), ("ft", 10.0), ("ugradsl", 4.0)):
        for seed in range(3):
            made.append(record(label, seed, *[50.0 + shift + seed] * 4))
    return made


def test_gap_panels_hold_means_and_seeds(records: list[Record]) -> None:
    panel = summary.gap_panel(records).set_index("label")
    assert panel.loc["ga", "gap"] == pytest.approx(20)
    assert panel.loc["ugradsl", "seeds"] == pytest.approx([4, 4, 4])
    assert "retrain" not in panel.index


def test_figures_are_the_same_from_byte_to_byte(records: list[Record]) -> None:
    panel = summary.gap_panel(records)
    first, second = (style.to_svg(results.gaps({"Ours": panel})) for _ in range(2))
    assert first == second
    assert first.startswith("<svg ")
    assert "<metadata>" not in first


def test_all_figures_draw(records: list[Record]) -> None:
    panel = summary.gap_panel(records)
    titles = dict(zip(panel["label"], panel["method"], strict=True))
    drawn = [
        results.gap_columns({"Ours": panel, "Theirs": panel[:1]}, titles),
        results.signed_gaps(statistics.signed_gaps(records), ["UA", "MIA", "TA"]),
        charts.histograms({"Original": [0.1, 0.9], "Retrain": [0.5]}, "confidence"),
        charts.bars({"a": [1, -1], "b": [2, 0]}, ["x", "y"], "class", "value"),
    ]
    assert all("</svg>" in style.to_svg(figure) for figure in drawn)


def test_a_download_holds_the_numbers_of_the_table(records: list[Record]) -> None:
    page = results_table(records, "x.csv")
    data = re.search(r'download="x.csv" href="data:text/csv;base64,([^"]+)"', page)
    assert data is not None
    read = pd.read_csv(io.BytesIO(base64.b64decode(data[1])))
    pd.testing.assert_frame_equal(read, summary.summary(records), check_dtype=False)
    assert "<caption>Ours: " in page
    assert "scale" in page
    assert 'class="strong"' not in page  # a smoke run bears no verdict
    bench = [replace(r, scale="bench") for r in records]
    assert '<tr class="strong"><th scope="row">UGradSL</th>' in results_table(bench, "x.csv")


def test_cells_are_escaped() -> None:
    page = html.to_html(["<a>"], [["<b>", "&"]], "1 < 2")
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert "1 &lt; 2" in page


def test_the_paper_table_is_as_printed() -> None:
    page = paper.paper_table(10, "cifar10", "random", "Table 10", ["retrain", "ugradsl:adaptive"])
    assert "8.07 ± 0.47" in page
    assert "UGradSL (adaptive)" in page
    assert "1.76" in page
    assert "FT" not in page


def test_the_landing_page_says_what_is_not_run(tmp_path: Path, records: list[Record]) -> None:
    (tmp_path / "paper").symlink_to(BOOK / "paper")
    page = landing.landing(tmp_path)
    assert page.count("<code>make campaign</code>") == 2
    assert 'class="verdict' not in page
    write_records(tmp_path / "results" / "cifar10-random10-bench.jsonl", records)
    assert landing.landing(tmp_path) == page  # records of no protocol bear no verdict
    gaps = {"ga": [20.0, 20.1, 20.2], "ft": [10.0] * 3, "ugradsl": [4.0, 4.1, 4.3]}
    campaign.write(tmp_path / "results", campaign.results(gaps))
    page = landing.landing(tmp_path)
    assert "<strong>UGradSL against GA.</strong> Avg. Gap: 4.13 against 20.10" in page
    assert 'verdict-yes">better' in page
    assert 'verdict-none">not run' in page  # UGradSL+ has no records here
    assert "UGradSL is nearer to Retrain than all 2 others" in page


def test_the_landing_page_shows_a_selection_and_leads_to_the_rest(tmp_path: Path) -> None:
    (tmp_path / "paper").symlink_to(BOOK / "paper")
    made = campaign.whole()
    campaign.write(tmp_path / "results", made)
    made = [r for r in made if r.kind == "result"]
    assert landing.best_baselines(made) == ["rl", "salun"]  # Table 10: RL, 2.24
    assert landing.best_baselines([]) == ["rl"]
    page = landing.landing(tmp_path)
    rows = re.findall(r'<th scope="row">([^<]+)</th>', page)
    shown = ["retrain", *landing.selection(made)]
    assert [row for row in rows if row != "the paper"] == [labels.title_of(x) for x in shown]
    assert {"ga", "ft", "rl", "salun", "ugradsl", "ugradsl+"} <= set(shown)
    assert f"All {len({summary.record_label(r) for r in made})} rows that were run" in page
    assert "</svg>" in landing.landing_figure(tmp_path)
    assert ":alt: Average gap to Retrain in percentage points, smallest first. Ours" in page


def test_fragments_are_written_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fragments.write(BOOK, tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert sorted(times) == sorted(fragments.FRAGMENTS)
    texts = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    texts["notation.md"] += "more\n"
    same = {name: (lambda _, text=text: text) for name, text in texts.items()}
    monkeypatch.setattr(fragments, "FRAGMENTS", same)
    fragments.write(BOOK, tmp_path)
    now = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert [name for name in now if now[name] != times.get(name)] == ["notation.md"]


def test_live_parameters_change_the_preset() -> None:
    parameters = RandomForgetting(fraction=0.2, alpha=-0.7, p=0.5)
    plan = live.plan_of(parameters)
    configs = plan.configs
    assert plan.setting.fraction == 0.2
    assert (configs["ugradsl"].alpha, configs["ugradsl"].p) == (-0.7, 0.5)
    assert configs["ugradsl:adaptive"].alpha is None
    for label in {*configs} - {"ugradsl", "ugradsl+"}:  # others have an α of another meaning
        stored = preset_config(label, "digits-random10", "smoke")
        assert configs[label] == (stored.replace(p=0.5) if hasattr(stored, "p") else stored)
    chosen = live.plan_of(ClassWiseForgetting(forgotten_class=7, methods="retrain,ga"))
    assert chosen.setting.forgotten_class == 7
    assert list(chosen.configs) == ["retrain", "ga"]


def test_a_live_run_makes_records_of_every_method_and_seed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = preset_setting("digits-random10", "smoke")
    small = small.replace(train_size=60, training=small.training.replace(epochs=1))
    plan = replace(live.plan_of(RandomForgetting(methods="retrain,ga")), setting=small)
    monkeypatch.setattr(live, "plan_of", lambda parameters: plan)
    made = live.run(RandomForgetting(methods="retrain,ga", seeds="0,1"))
    assert [(r.method, r.seed) for r in made] == [
        ("retrain", 0), ("ga", 0), ("retrain", 1), ("ga", 1),
    ]  # fmt: skip
    assert "4/4" in capsys.readouterr().out


def test_every_file_of_records_can_be_downloaded() -> None:
    book = Path(__file__).parents[3] / "book"
    text = status.status_records(book)
    links = re.findall(r"\{download\}`[^<`]+ <([^>]+)>`", text)
    wanted = {
        path.relative_to(book).as_posix()
        for folder in (book / "results", *(book / "results" / "passes-1").glob("*"))
        for path in folder.glob("*.jsonl")
    }
    assert wanted <= set(links)
    assert all((book / link).is_file() for link in links)
