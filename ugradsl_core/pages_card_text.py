"""Words that the method cards and the overview share."""

import re

from ugradsl_core.unlearning import METHODS

SYMBOL = re.compile(r"(?<![\w&#-])(\d*)(D_r|D_f|D_tr|n_r|n_f|[nNKTEtk])(?![\w-])")


def slug(label: str) -> str:
    """The name of a method in file names and addresses."""
    return label.replace("+", "-plus")


def mathematics(text: str) -> str:
    """``D_r``, ``2n_f``, ``K`` and the like as mathematics."""
    found = SYMBOL.sub(lambda m: f"${m[1]}{m[2]}$", text)
    return found.replace("$·$", "\\,")


def sets(text: str) -> str:
    """``D_r`` and ``D_f`` as mathematics."""
    return re.sub(r"\b(D_r|D_f)\b", r"$\1$", text)


def memory_of(label: str) -> str:
    """What a method keeps besides the model, its gradient and momentum: how much, and what."""
    amount, _, what = METHODS[label].memory.partition(": ")
    return f"{amount} ({what})" if what else amount
