"""A small text data set of invented words, for runs that must work anywhere."""

from pathlib import Path

import numpy as np

from companion.experiments.data.parts import DataBundle
from companion.experiments.data.text import Texts, token_bundle

CLASSES = ("birds", "boats", "clocks", "stones")
TRAINING, TEST = 480, 160
SYLLABLES = [first + second for first in "bdfgklmnprstvz" for second in "aeiou"]
POOL = 12  # words that only one group uses
COMMON = 80
LENGTH = 10


def make_words(seed: int = 0) -> tuple[Texts, Texts]:
    """Training and test texts of four classes with two groups each, synthetic through and through.

    A text has 10 words. Each is, with probability 0.4, one of the 12 words of its group; with
    0.15, one of a group drawn at random; else one of 80 common words. So no word decides alone,
    and a model that fits every training text has memorised some.
    """
    draw = np.random.RandomState(seed)  # its numbers are the same in every version of NumPy
    groups = 2 * len(CLASSES)
    names = draw.permutation(len(SYLLABLES) ** 2)[: groups * POOL + COMMON]
    count = len(SYLLABLES)
    words = [SYLLABLES[name // count] + SYLLABLES[name % count] for name in names]

    def sentence(group: int) -> str:
        chosen = []
        for kind in draw.random_sample(LENGTH):
            if kind < 0.55:
                other = draw.randint(groups)
                owner = group if kind < 0.4 else other
                chosen.append(words[owner * POOL + draw.randint(POOL)])
            else:
                chosen.append(words[groups * POOL + int(COMMON * draw.random_sample() ** 2)])
        return " ".join(chosen)

    def part(size: int) -> Texts:
        of_each = np.arange(size) % groups
        texts = [sentence(int(group)) for group in of_each]
        return Texts(texts, of_each // 2, of_each)

    return part(TRAINING), part(TEST)


def load_words(
    root: Path | None = None,
    *,
    download: bool = False,
    tokenizer: str | None = None,
    max_length: int = LENGTH + 2,
) -> DataBundle:
    """480 training and 160 test texts of invented words, made by :func:`make_words`."""
    train, test = make_words()
    return token_bundle(
        "words",
        train,
        test,
        CLASSES,
        "synthetic texts of invented words, made by ugradsl_core",
        max_length=max_length,
        tokenizer=tokenizer,
        download=download,
        group_names=[f"{name} {half}" for name in CLASSES for half in (1, 2)],
    )
