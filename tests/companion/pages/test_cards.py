"""Method cards: one for every method, from one template, with examples that run."""

import base64
import io
import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
import torch
import yaml

from companion.experiments.settings.preset import SCALES, load_presets
from companion.notebooks import live
from companion.pages import card_runs, cards, measurements, methods, pabi
from companion.pages.markdown import slug
from companion.pages.references import cited_keys, references
from companion.paper import statements as paper_text
from companion.paper.numbers import load_table
from companion.tables import config_text
from companion.theory.renyi import epsilon, guarantee
from toys import images, seeded_model
from ugradsl_core.errors import DataError
from ugradsl_core.methods import METHODS
from ugradsl_core.methods.pabi import PABIConfig
from ugradsl_core.training import SGDConfig

ROOT = Path(__file__).parents[3]
BOOK = ROOT / "book"
SECTIONS = [
    "The update",
    "Pseudo-code",
    "Defaults",
    "Faults in public code",
    "Cost",
    "Guarantee",
    "Example",
    "Live",
    "References",
]
STATED = {  # in the paper or by this book: a method that comes later need not be
    *("retrain", "ft", "ga", "ff", "iu", "be", "bs", "l1-sparse", "rl", "eu-k", "cf-k", "scrub"),
    *("salun", "pabi", "neggrad+", "no-step", "ugradsl", "ugradsl+"),
}
INCLUDES = ["glance", "defaults", "variants", "cost", "live", "references"]


def card(label: str) -> str:
    return (BOOK / "methods" / f"{slug(label)}.md").read_text("utf-8")


def sections(text: str) -> dict[str, str]:
    parts = re.split(r"^## (.+)$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def code(text: str, language: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.M | re.S)
    assert len(found) == 1
    return str(found[0])


@pytest.mark.parametrize("label", METHODS)
def test_every_method_has_a_card_with_every_section_of_the_template(label: str) -> None:
    text = card(label)
    found = sections(text)
    assert list(found) == SECTIONS
    lead = re.search(r"^::::\{div\} lead\n(.+)\n::::$", text, flags=re.M)
    assert lead is not None
    assert len(re.findall(r"\.(?:\s|$)", lead[1])) == 2, "two sentences"
    assert "$$" in found["The update"]
    assert "return" in code(found["Pseudo-code"], "text")
    for part in INCLUDES:
        assert f"_generated/card-{slug(label)}-{part}.md" in text
    assert all(body.strip() for body in found.values())


def test_the_table_of_contents_names_every_card() -> None:
    toc = (ROOT / "_toc.yml").read_text("utf-8")
    files = re.findall(r"file: book/methods/(\S+)", toc)
    assert yaml.safe_load(toc)
    assert sorted(files) == sorted(["index", *map(slug, METHODS), "gli"])


@pytest.mark.parametrize("label", METHODS)
def test_the_example_runs_and_has_five_lines(
    label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = code(sections(card(label))["Example"], "python")
    assert f'unlearn("{label}", model, ' in source
    statements = re.sub(r",\n +", ", ", source).split("\n")
    assert len([line for line in statements if line.strip()]) <= 5
    whole = images(40)
    pairs = list(zip(*next(iter(whole.batches([torch.arange(40)]))), strict=True))
    model = seeded_model("cnn")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names: dict[str, Any] = {
        "model": model,
        "forget_ds": pairs[:8],
        "retain_ds": pairs[8:32],
        "test_ds": pairs[32:],
    }
    exec(source, names)  # the card's own words, as a reader would run them
    assert names["result"].method == label
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert len(capsys.readouterr().out.split()) == 4


@pytest.mark.parametrize("label", METHODS)
def test_the_defaults_are_those_of_the_code(label: str) -> None:
    text = cards.defaults(label, BOOK)
    config = METHODS[label].config()
    for name, value in config.model_dump().items():
        assert f"`{name}`\n  - `{config_text.shown(value)}`" in text
    for scale in SCALES:
        assert f"`{scale}`: " in text
        assert all(preset in text for preset in load_presets(scale))


@pytest.mark.parametrize("label", METHODS)
def test_every_parameter_and_every_choice_is_explained(label: str) -> None:
    shown = cards.variants(label, BOOK)
    for name, parameter in config_text.parameters(METHODS[label].config).items():
        assert parameter.meaning, f"{label}: {name} has no meaning"
        if name in SGDConfig.model_fields:
            continue
        for choice in parameter.choices:
            assert f"`{choice}`" in shown
            if name == "variant":
                assert f"`{choice}`" in parameter.meaning, f"{label}: {choice} is not explained"


def test_a_change_of_a_default_changes_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    before = cards.defaults("salun", BOOK)
    config = METHODS["salun"].config

    class Changed(config):  # type: ignore[misc, valid-type]
        __doc__ = config.__doc__
        mask_ratio: float = 0.125

    object.__setattr__(METHODS["salun"], "config", Changed)
    try:
        after = cards.defaults("salun", BOOK)
    finally:
        object.__setattr__(METHODS["salun"], "config", config)
    assert "`0.125`" in after
    assert "`0.125`" not in before


@pytest.mark.parametrize("label", [*METHODS, "gli"])
def test_references_are_those_that_the_card_cites(label: str) -> None:
    page = f"methods/{slug(label)}.md"
    keys = cited_keys(card(label))
    assert keys
    assert references(page, BOOK).count("<li>") == len(keys)


def test_an_unknown_reference_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "references.bib").write_text("@misc{known, title = {A}, year = {2020}}\n")
    (tmp_path / "page.md").write_text("See {cite}`known` and {cite:t}`known, unknown`.\n")
    with pytest.raises(DataError, match=r"page\.md: cites 'unknown'"):
        references("page.md", tmp_path)


def test_the_overview_has_a_row_and_a_link_for_every_method() -> None:
    page = methods.overview(BOOK)
    data = re.search(r"base64,([^\"]+)", page)
    assert data is not None
    table = pd.read_csv(io.BytesIO(base64.b64decode(data[1])), keep_default_na=False)
    assert list(table["method"]) == list(METHODS)
    assert list(table["Reads"]) == [method.reads for method in METHODS.values()]
    assert list(table["Guarantee"]) == [method.guarantee for method in METHODS.values()]
    for label in METHODS:
        assert f'<a href="{slug(label)}.html">' in page
        row = table[table["method"] == label].iloc[0]
        own = set(METHODS[label].config.model_fields) - set(SGDConfig.model_fields)
        assert own <= set(row["Hyperparameters"].split(", "))
    assert "<i>n</i><sub>r</sub>; backward through <i>k</i> layers" in page


def test_gli_shows_the_papers_rows_and_has_no_method() -> None:
    assert "gli" not in METHODS
    text = methods.gli_numbers(BOOK)
    printed = [
        cell
        for number in paper_text.tables_with("gli")
        for cell in load_table(number).query("method == 'gli'").printed
    ]
    assert len(printed) == 24
    assert all(f"- {cell}" in text for cell in printed)
    assert methods.gli_reading(BOOK).count("times FT's") == 4


def test_what_the_paper_states_is_validated(tmp_path: Path) -> None:
    stated = {row.method for row in paper_text.load_statements()}
    assert stated <= {*METHODS, "gli"}
    assert stated >= STATED | {"gli"}
    assert [s.printed for s in paper_text.statements("scrub")][:2] == ["0.99", "0.001"]
    assert paper_text.statements("gli") == []
    assert paper_text.tables_with("neggrad+") == ()
    (tmp_path / "text").mkdir()
    for line in ("ft,epochs,10", "ft,epochs,,Appendix E.1"):
        path = tmp_path / "text" / "methods.csv"
        path.write_text(",".join(paper_text.COLUMNS) + f"\n{line}\n")
        with pytest.raises(DataError, match="row 2: must be complete, or a name alone"):
            paper_text.load_statements(tmp_path)


def test_the_guarantee_on_the_card_is_computed() -> None:
    config = PABIConfig()
    text = pabi.guarantees(BOOK)
    assert f"{guarantee(config)[0]:.3f}" in text
    printed = epsilon(config.epsilon_renyi, config.delta, reading="printed")
    assert f"{printed:.3f}" in text
    rows = re.findall(r"- (\d\.\d{4})\n  - (\d\.\d{3})", pabi.limit(BOOK))
    (zero, zero_rate), (small, small_rate) = ([float(x) for x in row] for row in rows)
    assert small == pytest.approx(2 * zero, rel=1e-3), "half of the limit"
    assert (zero_rate, small_rate) == (2.0, 1.0)


def test_live_rows_come_from_the_records_that_the_notebook_keeps(tmp_path: Path) -> None:
    records = live.kept_records(ROOT / "notebooks" / card_runs.NOTEBOOK)
    assert STATED <= {record.method for record in records} <= set(METHODS)
    bundle = live.EmbeddedRecords(records[:2])._repr_mimebundle_()
    output = nbformat.v4.new_output("display_data", data=bundle)
    cell = nbformat.v4.new_code_cell("kept", outputs=[output])
    path = tmp_path / "notebooks" / card_runs.NOTEBOOK
    path.parent.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    assert live.kept_records(path) == records[:2]
    assert live.kept_records(tmp_path / "none.ipynb") == []
    assert "without this method" in card_runs.comparison("scrub", tmp_path / "book")
    shown = card_runs.comparison("scrub", BOOK)
    assert [title in shown for title in ("Retrain", ">FT<", "UGradSL+", "SCRUB")] == [True] * 4
    assert "SalUn" not in shown
    assert json.loads(json.dumps(bundle)) == bundle


def test_counted_passes_are_those_of_the_records() -> None:
    text = card_runs.cost("ft", BOOK)
    records = live.kept_records(ROOT / "notebooks" / card_runs.NOTEBOOK)
    forward = {record.forward_samples for record in records if record.method == "ft"}
    assert f"{forward.pop():,}" in text


def test_measured_speed_is_shown_once_there_are_measurements(tmp_path: Path) -> None:
    assert "Wall time" not in card_runs.cost("scrub", tmp_path)
    sentence = measurements.sentence("scrub", BOOK)
    assert sentence
    assert sentence in card_runs.cost("scrub", BOOK)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1e-5, "1e−5"), (-0.4, "−0.4"), (0.0005, "0.0005"), (None, "None"), ("one-cycle", "one-cycle"),
     (1000, "1000"), (10.0, "10"), ("E-1", "E-1")],
)  # fmt: skip
def test_hyperparameters_are_shown_as_readers_write_them(value: object, text: str) -> None:
    assert config_text.shown(value) == text
