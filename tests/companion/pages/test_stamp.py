"""The stamp of a page, and the bundles that make its requests fewer."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from companion.pages import bundles, stamp

ROOT = Path(__file__).parents[3]


def test_the_moment_follows_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    found = stamp.stamp_of("book/how-made", ROOT)
    assert found.built == "2023-11-14T22:13:20+00:00"
    assert found.day == "2023-11-14 22:13 UTC"
    assert found.sentences == ()


def test_a_page_says_what_its_live_run_took(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / stamp.SECONDS).write_text(json.dumps({"quickstart": 12.3}))
    (ran,) = stamp.sentences("notebooks/quickstart", tmp_path)
    assert ran == "Its live run took 12 s in this build."
    (kept,) = stamp.sentences("notebooks/epochs", tmp_path)[:1]
    assert "committed" in kept


def test_a_page_says_of_when_its_records_are(tmp_path: Path) -> None:
    page = "notebooks/theory_5_theorem_2"
    assert stamp.sentences(page, tmp_path)[-1] == "Its records: not run yet."
    (_, words) = stamp.sentences(page, ROOT)
    days = stamp.record_days(ROOT / "book" / "results", stamp.RECORDS[page])
    assert days is not None
    first, last, count = days
    assert first <= last
    assert f"{count:,}" in words
    assert first in words


def test_every_page_with_records_is_in_the_book() -> None:
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))
    pages = {contents["root"], *(c["file"] for p in contents["parts"] for c in p["chapters"])}
    assert set(stamp.RECORDS) <= pages


@dataclass
class Asset:
    filename: str | None
    attributes: dict[str, Any] = field(default_factory=dict)
    priority: int = 500


def texts(static: Path, found: list[Any]) -> list[str]:
    """What each asset holds: a bundle's or file's text, or its own body."""
    return [
        (static / asset.filename.removeprefix("_static/")).read_text()
        if asset.filename and (static / asset.filename.removeprefix("_static/")).is_file()
        else asset.attributes.get("body") or asset.filename
        for asset in found
    ]


def test_plain_files_become_one_and_keep_their_order(tmp_path: Path) -> None:
    (tmp_path / "styles").mkdir()
    for name in ("a.css", "styles/b.css"):
        (tmp_path / name).write_text(f".{name[-5]} {{ src: url(../f.woff) url(data:x) }}")
    given = [
        Asset("_static/print.css", {"media": "print"}),
        Asset("_static/a.css", {"rel": "stylesheet"}),
        Asset("_static/styles/b.css?v=1"),
        Asset("_static/later.css"),
        Asset("_static/sphinx-thebe.css"),
    ]
    found = bundles.bundled(given, tmp_path, Asset)
    names = [asset.filename for asset in found]
    assert names[0] == "_static/print.css"
    assert names[2:] == ["_static/later.css"]
    text = (tmp_path / names[1].removeprefix("_static/")).read_text()
    assert text.index("a.css") < text.index("b.css")
    assert "url(styles/../f.woff) url(data:x)" in text
    assert bundles.bundled(given, tmp_path, Asset)[1].filename == names[1]


def test_styles_are_joined_by_their_priority_as_sphinx_sorts_them(tmp_path: Path) -> None:
    for name in ("early.css", "late.css"):
        (tmp_path / name).write_text(f"/* {name} */")
    given = [Asset("_static/late.css", priority=800), Asset("_static/early.css", priority=200)]
    (single,) = bundles.bundled(given, tmp_path, Asset)
    assert single.priority == 800
    (text,) = texts(tmp_path, [single])
    assert text.index("/* early.css */") < text.index("/* late.css */")


def test_scripts_stay_before_and_behind_those_that_need_them(tmp_path: Path) -> None:
    for name in ("options", "uses", "own"):
        (tmp_path / f"{name}.js").write_text(f"// {name}")
    given = [
        Asset("_static/own.js", priority=800),
        Asset(None, {"body": "let hint"}),
        Asset("_static/uses.js"),
        Asset("_static/mathematics.js", {"defer": "defer"}),
        Asset("_static/options.js", priority=200),
        Asset(None, {"body": "const THEBE_JS_URL = 1"}),
        Asset(None, {"body": "options.page = 1"}),
    ]
    found = bundles.bundled(given, tmp_path, Asset)
    as_sphinx_writes = sorted(found, key=lambda asset: asset.priority)
    parts = [text.replace("\n", " ") for text in texts(tmp_path, as_sphinx_writes)]
    order = ["// options", "let hint", "// uses", "options.page", "// own"]
    joined = " | ".join(parts)
    assert [joined.index(word) for word in order] == sorted(joined.index(w) for w in order)
    assert "THEBE" not in joined
    assert sum("bundle-" in str(asset.filename) for asset in found) == 3


def test_what_is_deferred_ends_no_bundle(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.js").write_text(f"// {name}")
    deferred = Asset("_static/c.js", {"defer": "defer"})
    found = bundles.bundled(
        [Asset("_static/a.js"), deferred, Asset("_static/b.js"), Asset("_static/a.js")],
        tmp_path,
        Asset,
    )
    assert len(found) == 2
    assert deferred in found
    (text,) = texts(tmp_path, [asset for asset in found if asset is not deferred])
    assert text.count("// a") == 1
