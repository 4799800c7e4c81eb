"""Texts as token ids: tokenised once, kept on the device."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from companion.backbones import hub
from companion.experiments.data.images import InMemory
from companion.experiments.data.parts import DataBundle
from ugradsl_core.errors import ConfigError
from ugradsl_core.samples import Augmentation, Batch
from ugradsl_core.samples.inputs import send

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
WORDS = 8192


@dataclass(frozen=True, eq=False, kw_only=True)
class TokenDataset(InMemory):
    """Rows of token ids, int64, (N, L), padded with the tokenizer's id.

    Attributes:
        vocabulary: number of token ids.
    """

    vocabulary: int

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(L,)."""
        return tuple(self.inputs.shape[1:])

    def batches(
        self,
        plan: Iterable[Tensor],
        *,
        augment: Augmentation = "none",
        generator: Generator | None = None,
    ) -> Iterator[Batch]:
        """Token ids, int64, (n, L), and labels, for each index tensor.

        Raises:
            ConfigError: an augmentation, all of which are of images.
        """
        if augment != "none":
            raise ConfigError(f"augment: should be 'none' for text; found {augment!r}")
        device = self.inputs.device
        labels = send(self.all_labels, device)
        for chosen in plan:
            rows = send(chosen if self.index is None else self.index[chosen], device)
            yield self.inputs.index_select(0, rows), labels.index_select(0, rows)


@dataclass(frozen=True, eq=False)
class Texts:
    """One part of a data set as texts, with labels and groups, int64 (N,), or no groups."""

    texts: Sequence[str]
    labels: np.ndarray
    groups: np.ndarray | None = None


def train_word_tokenizer(texts: Iterable[str]) -> Any:
    """A tokenizer of lower-case words and punctuation, whose vocabulary is that of ``texts``.

    The 8,192 most frequent words that occur twice or more have ids; those of equal frequency come
    in alphabetical order, so the same texts give the same ids. Padding is 0.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordLevelTrainer(
        vocab_size=WORDS, min_frequency=2, special_tokens=list(SPECIAL), show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIAL[2]} $A {SPECIAL[3]}",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in SPECIAL[2:]],
    )
    return tokenizer


def load_tokenizer(name: str, *, download: bool = False) -> Any:
    """A tokenizer of Hugging Face, from its cache, a folder or a package.

    Args:
        name: a Hugging Face name, a folder, or ``package:NAME``.
        download: fetch it if it is not in the cache, with a progress bar.

    Raises:
        ConfigError: it is not on this machine, or it knows no padding.
    """
    from transformers import AutoTokenizer

    place = hub.locate(name, "tokenizer")
    try:
        if download:
            hub.announce(name, place, "tokenizer", "tokenizer_config.json")
        with hub.quietly(bars=download):
            tokenizer = AutoTokenizer.from_pretrained(place, local_files_only=not download)
    except (OSError, ValueError) as error:
        raise hub.not_here(name, "tokenizer", "tokenizer.json", error) from error
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"tokenizer: {name!r} has no padding token, which batches of text need")
    return tokenizer


def encode(
    parts: Sequence[Sequence[str]],
    max_length: int,
    tokenizer: str | None = None,
    *,
    download: bool = False,
) -> tuple[list[Tensor], int]:
    """Token ids of the texts of each part, and the number of token ids.

    Args:
        parts: texts; the default tokenizer is made from the first part, the training texts.
        max_length: L, the tokens of a text with the first and last special one; the rest is cut.
        tokenizer: see :func:`load_tokenizer`; by default :func:`train_word_tokenizer`.
        download: fetch the tokenizer if it is not here.

    Returns:
        int64, (N, L), for each part; and the vocabulary's size.

    Raises:
        ConfigError: fewer than three tokens, or a tokenizer that cannot be had.
    """
    if max_length < 3:
        raise ConfigError(f"max_length: should be at least 3; found {max_length}")
    if tokenizer is not None:
        loaded = load_tokenizer(tokenizer, download=download)
        options = {"truncation": True, "max_length": max_length, "padding": "max_length"}
        rows = [loaded(list(part), **options)["input_ids"] for part in parts]
        return [torch.tensor(ids, dtype=torch.long) for ids in rows], len(loaded)
    made = train_word_tokenizer(parts[0])
    made.enable_truncation(max_length)
    made.enable_padding(length=max_length, pad_id=0, pad_token=SPECIAL[0])
    rows = [[row.ids for row in made.encode_batch_fast(list(part))] for part in parts]
    return [torch.tensor(ids, dtype=torch.long) for ids in rows], made.get_vocab_size()


def token_bundle(
    name: str,
    train: Texts,
    test: Texts,
    class_names: Sequence[str],
    source: str,
    *,
    max_length: int,
    tokenizer: str | None,
    download: bool = False,
    group_names: Sequence[str] = (),
) -> DataBundle:
    """Two parts of a text data set, tokenised; see :func:`encode`."""
    ids, vocabulary = encode([train.texts, test.texts], max_length, tokenizer, download=download)

    def dataset(part: Texts, inputs: Tensor) -> TokenDataset:
        held = [inputs.numpy(), np.ascontiguousarray(part.labels, dtype=np.int64)]
        if part.groups is not None:
            held.append(np.ascontiguousarray(part.groups, dtype=np.int64))
        hashed = hashlib.sha256()
        for array in held:
            hashed.update(array.data)
        return TokenDataset(
            name=name,
            inputs=inputs,
            all_labels=torch.from_numpy(held[1]),
            num_classes=len(class_names),
            vocabulary=vocabulary,
            class_names=tuple(class_names),
            source=source,
            checksum=hashed.hexdigest(),
            all_groups=None if part.groups is None else torch.from_numpy(held[2]),
            group_names=tuple(group_names),
        )

    return DataBundle(dataset(train, ids[0]), dataset(test, ids[1]))
