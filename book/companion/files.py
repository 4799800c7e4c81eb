"""Where the book's files lie, and files that are written whole or not at all."""

from pathlib import Path

BOOK = Path(__file__).resolve().parents[1]  # of a clone; beside an installed package there is none
PAPER_FOLDER = BOOK / "paper"
RESULTS = BOOK / "results"
THEORY_RESULTS = RESULTS / "theory"
NOTEBOOK_FOLDER = BOOK.parent / "notebooks"
