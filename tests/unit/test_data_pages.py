"""The page and the command of the data sets show what the code knows, whole and in order."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ugradsl_core import pages_data
from ugradsl_core.data import DATASETS, SOURCES, load
from ugradsl_core.pages import FRAGMENTS
from ugradsl_core.pages_references import cited_keys

Cli = Callable[..., tuple[int, str, str]]
BOOK = Path(__file__).parents[2] / "book"


def test_the_overview_has_a_row_for_each_data_set() -> None:
    page = html.unescape(pages_data.overview(BOOK))
    assert re.findall(r'<th scope="row">([^<]+)</th>', page) == [s.title for s in SOURCES.values()]
    assert "<td>cifar10</td><td>50,000</td><td>10,000</td><td>10</td>" in page


@pytest.mark.parametrize("name", SOURCES)
def test_the_tables_of_the_paper_are_those_that_print_results(name: str) -> None:
    expected = []
    for path in sorted((BOOK / "paper").glob("table-*.csv")):
        table = pd.read_csv(path)
        if {"dataset", "metric"} <= set(table) and name in set(table.dataset):
            expected.append(int(path.stem[-2:]))
    found: list[int] = []
    for part in filter(None, pages_data._numbers(name, BOOK).split(", ")):
        first, _, last = part.partition("–")
        found += range(int(first), int(last or first) + 1)
    assert found == expected


def test_every_data_set_is_described_with_its_licence_and_how_to_get_it() -> None:
    page = pages_data.cards(BOOK)
    assert re.findall(r"^### (.+)$", page, re.M) == [s.title for s in SOURCES.values()]
    for name, source in SOURCES.items():
        card = page.split(f"### {source.title}\n")[1].split("\n### ")[0]
        for text in (f"`{name}`", source.licence, source.get, source.note, source.url):
            assert text in card
        for file, checksum in source.checksums:
            assert f"`{file}`" in card
            assert checksum.partition(":")[2] in card


def test_every_citation_has_an_entry() -> None:
    entries = set(re.findall(r"^@\w+\{(.+),$", (BOOK / "references.bib").read_text("utf-8"), re.M))
    cited = cited_keys(pages_data.cards(BOOK))
    assert set(cited) == {key for source in SOURCES.values() for key in source.citation}
    assert set(cited) <= entries


@pytest.mark.parametrize("name", pages_data.NORMALISED)
def test_normalisation_has_a_value_for_each_channel(name: str) -> None:
    transform = pages_data.NORMALISED[name]
    assert len(transform.mean) == len(transform.std) == SOURCES[name].shape[0]
    assert all(0 < value < 1 for value in (*transform.mean, *transform.std))
    digits = name in {"svhn", "mnist-m"}
    assert ("never flipped" in pages_data._inputs(transform)) == digits


def test_what_is_inside_the_package_is_as_large_as_the_facts_say() -> None:
    for name in ("digits", "digits-parity"):
        bundle, known = load(name), SOURCES[name]
        assert (len(bundle.train), len(bundle.test)) == (known.train, known.test)
        assert bundle.train.num_classes == known.classes
        assert bundle.train.input_shape == known.shape
        assert (bundle.train.groups is not None) == bool(known.groups)


def test_the_page_includes_its_fragments() -> None:
    text = (BOOK / "data.md").read_text("utf-8")
    for fragment in pages_data.FRAGMENTS:
        assert f"_generated/{fragment}" in text
        assert fragment in FRAGMENTS


def test_mnist_m_is_said_not_to_be_svhn() -> None:
    assert "MNIST-M is not SVHN" in (BOOK / "data.md").read_text("utf-8")


def test_the_command_prints_all_facts(cli: Cli) -> None:
    code, out, err = cli("datasets", "--json")
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert list(rows) == list(SOURCES)
    assert set(rows) == set(DATASETS)
    assert rows["celeba"]["options"] == ["image_size"]
    assert rows["cifar20"]["checksums"] == dict(SOURCES["cifar20"].checksums)
    code, text, _ = cli("datasets")
    assert code == 0
    for name, source in SOURCES.items():
        assert f"\n{name} " in f"\n{text}"
        assert source.licence.split()[0] in text
    assert "folder:PATH" in text
    assert max(map(len, text.splitlines())) <= 120
