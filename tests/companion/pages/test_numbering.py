"""Figures are numbered by part, and moved pages are found at their old address."""

import re
from pathlib import Path

import yaml

from companion.pages import moved, numbering

ROOT = Path(__file__).parents[3]


def test_figures_are_numbered_by_part_in_the_order_of_the_book() -> None:
    pages = {
        "results/b": {"figure": {"id1": (4,)}, "table": {"id9": (1,)}},
        "results/a": {"figure": {"id2": (2,), "id1": (3,)}},
        "start": {"figure": {"id1": (1,)}},
    }
    numbering.renumber([("S", ["start"]), ("R", ["results/a", "none", "results/b"])], pages)
    assert pages["start"]["figure"] == {"id1": ("S", 1)}
    assert pages["results/a"]["figure"] == {"id2": ("R", 1), "id1": ("R", 2)}
    assert pages["results/b"] == {"figure": {"id1": ("R", 3)}, "table": {"id9": (1,)}}


def test_every_part_of_the_book_has_a_letter_of_its_own() -> None:
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))["parts"]
    assert [part["caption"] for part in parts] == list(numbering.LETTERS)
    assert len(set(numbering.LETTERS.values())) == len(parts)


def test_a_moved_page_leads_to_the_new_one(tmp_path: Path) -> None:
    moved.write(tmp_path)
    for old, new in moved.MOVED.items():
        text = (tmp_path / f"{old}.html").read_text("utf-8")
        (link,) = re.findall(r'<a href="([^"]+)"', text)
        assert (tmp_path / old).parent.joinpath(link).resolve() == tmp_path / f"{new}.html"
        assert "window.location.hash" in text  # a section's link stays one
        assert not (ROOT / f"{old}.md").exists()
        assert (ROOT / f"{new}.md").is_file()
