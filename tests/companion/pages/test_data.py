"""The page and the command of the data sets show what the code knows, whole and in order."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from torchvision.datasets import CelebA

from companion.experiments.data import DATASETS, SOURCES, load
from companion.experiments.data.sets import newsgroups
from companion.experiments.data.sets.celeba import INSTALL
from companion.experiments.runs.problems import load_data
from companion.experiments.settings.setting import Setting
from companion.pages import data
from companion.pages.fragments import FRAGMENTS
from companion.pages.references import cited_keys
from ugradsl_core.training import Execution

Cli = Callable[..., tuple[int, str, str]]
BOOK = Path(__file__).parents[3] / "book"


def test_the_overview_has_a_row_for_each_data_set() -> None:
    page = html.unescape(data.overview(BOOK))
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
    for part in filter(None, data._numbers(name, BOOK).split(", ")):
        first, _, last = part.partition("–")
        found += range(int(first), int(last or first) + 1)
    assert found == expected


def test_every_data_set_is_described_with_its_licence_and_how_to_get_it() -> None:
    page = data.cards(BOOK)
    assert re.findall(r"^### (.+)$", page, re.M) == [s.title for s in SOURCES.values()]
    for name, source in SOURCES.items():
        card = page.split(f"### {source.title}\n")[1].split("\n### ")[0]
        for text in (f"`{name}`", source.licence, source.get, source.note, source.url):
            assert text in card
        for file, checksum in source.checksums:
            assert f"`{file}`" in card
            assert checksum.partition(":")[2] in card


def card(name: str) -> str:
    page = data.cards(BOOK)
    return page.split(f"### {SOURCES[name].title}\n")[1].split("\n### ")[0]


@pytest.mark.parametrize("name", SOURCES)
def test_every_card_says_what_is_verified_and_by_what(name: str) -> None:
    text = card(name)
    (said,) = re.findall(r"^- \*\*Verified by\.\*\* (.+)$", text, re.M)
    sums = re.findall(r"^  - .+: (?:MD5 `[0-9a-f]{32}`|SHA-256 `[0-9a-f]{64}`)$", text, re.M)
    without = name in {"mnist-m", "tiny-imagenet", "imagenet"}
    assert bool(sums) != without
    enters = "enters the data checksum of every record" in said
    published = bool(SOURCES[name].checksums) and name != "celeba"
    assert enters != published
    if without or SOURCES[name].computed:
        assert "hecksum" in said.split(";")[0]
        assert "published" in said.split(";")[0]


@pytest.mark.parametrize("name", [n for n, s in SOURCES.items() if s.computed])
def test_checksums_without_a_download_are_those_of_the_data(name: str) -> None:
    bundle, text = load(name), card(name)
    setting = Setting(dataset=name, validation_size=0)
    assert f"  - training: SHA-256 `{bundle.train.checksum}`\n" in text
    assert f"  - test: SHA-256 `{bundle.test.checksum}`\n" in text
    assert f"**Data checksum.** `{load_data(setting, Execution('cpu')).checksum}`, c" in text


def test_other_checksums_are_those_that_are_compared() -> None:
    text = card("20newsgroups")
    for part, checksum in newsgroups.CHECKSUMS.items():
        line = f"  - `{newsgroups.FOLDERS[part]}`, texts and labels: SHA-256 `{checksum}`"
        assert line in text.splitlines()
    archive = f"sha256:{newsgroups.ARCHIVE_SHA256}"
    assert SOURCES["20newsgroups"].checksums == ((newsgroups.ARCHIVE, archive),)
    (md5,) = (row[1] for row in CelebA.file_list if row[2] == "img_align_celeba.zip")
    assert f"  - `img_align_celeba.zip`: MD5 `{md5}`" in card("celeba").splitlines()


def test_the_data_checksums_of_published_records_are_shown() -> None:
    for path in (BOOK / "results").glob("*-bench.jsonl"):
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if record["kind"] == "result" and path.name != "regime-bench.jsonl":
                assert f"`{record['data_checksum']}`" in card(record["setting"]["dataset"])
                break


def test_what_celeba_is_downloaded_with_is_named() -> None:
    for text in (card("celeba"), (BOOK / "data.md").read_text("utf-8")):
        assert f"`{INSTALL}`" in text


def test_every_citation_has_an_entry() -> None:
    entries = set(re.findall(r"^@\w+\{(.+),$", (BOOK / "references.bib").read_text("utf-8"), re.M))
    cited = cited_keys(data.cards(BOOK))
    assert set(cited) == {key for source in SOURCES.values() for key in source.citation}
    assert set(cited) <= entries


@pytest.mark.parametrize("name", [n for n, s in SOURCES.items() if s.transform])
def test_normalisation_has_a_value_for_each_channel(name: str) -> None:
    transform = SOURCES[name].transform
    assert transform is not None
    assert len(transform.mean) == len(transform.std) == SOURCES[name].shape[0]
    assert all(0 < value < 1 for value in (*transform.mean, *transform.std))
    digits = name in {"svhn", "mnist-m"}
    assert ("never flipped" in data._inputs(transform)) == digits


def test_what_is_inside_the_package_is_as_large_as_the_facts_say() -> None:
    for name in ("digits", "digits-parity"):
        bundle, known = load(name), SOURCES[name]
        assert (len(bundle.train), len(bundle.test)) == (known.train, known.test)
        assert bundle.train.num_classes == known.classes
        assert bundle.train.input_shape == known.shape
        assert (bundle.train.groups is not None) == bool(known.groups)


def test_the_page_includes_its_fragments() -> None:
    text = (BOOK / "data.md").read_text("utf-8")
    for fragment in data.FRAGMENTS:
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
