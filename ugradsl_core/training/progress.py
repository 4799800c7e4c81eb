"""Progress bars for what takes more than a few seconds, with the loss and the time left."""

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

T = TypeVar("T")
Advance = Callable[..., None]

DELAY = 2.0  # seconds before a bar is shown: what is over sooner needs none
REFRESH = 1.0  # seconds between two losses that are shown; each one makes a GPU wait


def on_screen() -> bool:
    """Tell whether somebody is looking: stderr is a terminal, or this is a notebook."""
    if os.environ.get("TQDM_DISABLE", "0").lower() not in {"", "0", "false"}:
        return False
    shell = sys.modules.get("IPython") and sys.modules["IPython"].get_ipython()
    notebook = type(shell).__name__ == "ZMQInteractiveShell"
    return notebook or bool(getattr(sys.stderr, "isatty", lambda: False)())


class Progress:
    """The bars of one call: one at a time, since a bar inside another one says nothing new.

    Args:
        wanted: show them; None does so where somebody is looking.
        title: what the call does, before the name of each bar.
    """

    def __init__(self, wanted: bool | None = None, title: str = "") -> None:
        self.shown = on_screen() if wanted is None else wanted
        self.title = title
        self._open = False

    @contextmanager
    def bar(
        self, name: str, total: int | None, unit: str = "batch", done: int = 0
    ) -> Iterator[Advance]:
        """A bar, as a function to call with each step's number of units and its loss, if any."""
        if not self.shown or self._open:
            yield lambda *_: None
            return
        bar = _tqdm()(
            desc=": ".join(filter(None, (self.title, name))),
            total=total,
            initial=done,
            unit=unit,
            delay=DELAY,
            leave=False,
            dynamic_ncols=True,
        )
        last = time.monotonic()

        def advance(units: int = 1, loss: Tensor | None = None) -> None:
            nonlocal last
            if loss is not None and time.monotonic() - last >= REFRESH:
                last = time.monotonic()
                bar.set_postfix_str(f"loss {float(loss):.4g}", refresh=False)
            bar.update(units)

        self._open = True
        try:
            yield advance
        finally:
            self._open = False
            bar.close()

    def say(self, text: str) -> None:
        """Write a line where bars are shown, past one that the caller may have open."""
        if self.shown:
            _tqdm().write(f"{self.title}: {text}", file=sys.stderr)

    def over(self, name: str, steps: Iterable[T], total: int | None) -> Iterator[T]:
        """The same steps, with a bar that counts them."""
        with self.bar(name, total) as advance:
            for step in steps:
                yield step
                advance()


SILENT = Progress(False)


def _tqdm() -> Any:
    """The bar of a notebook or of a terminal, imported when it is first shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a notebook without ipywidgets gets the terminal's bar
        from tqdm.auto import tqdm
    return tqdm
