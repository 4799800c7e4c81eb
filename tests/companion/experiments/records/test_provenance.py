"""A record's commit says whether the code of either package differs from it."""

import subprocess
from pathlib import Path

import pytest

from companion.experiments.records.provenance import commit_of


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("ugradsl_core/methods/ga.py", "book/companion/files.py", "book/build.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x = 1\n", "utf-8")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    return tmp_path


@pytest.mark.parametrize("name", ["ugradsl_core/methods/ga.py", "book/companion/files.py"])
def test_a_changed_module_of_either_package_shows(clone: Path, name: str) -> None:
    head = git(clone, "rev-parse", "HEAD")
    folder = clone / "book" / "companion"
    assert commit_of(folder) == head
    (clone / "book/build.py").write_text("x = 2\n", "utf-8")  # computes no record
    assert commit_of(folder) == head
    (clone / name).write_text("x = 2\n", "utf-8")
    assert commit_of(folder) == f"{head}+changes"


def test_a_new_module_shows_and_no_clone_is_unknown(clone: Path, tmp_path: Path) -> None:
    (clone / "ugradsl_core/methods/mine.py").write_text("", "utf-8")
    assert commit_of(clone / "ugradsl_core").endswith("+changes")
    (tmp_path / ".git").rename(tmp_path / "git")
    assert commit_of(tmp_path / "ugradsl_core") == "unknown"
