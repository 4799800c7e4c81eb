"""What several test files take from ``test_cli.py``."""

from collections.abc import Callable
from pathlib import Path

Cli = Callable[..., tuple[int, str, str]]

SMALL = [
    "-p", "train_size", "120", "-p", "training.epochs=1", "-p", "model.width", "2",
]  # fmt: skip


def written(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refusal(cli: Cli, arguments: list[str], message: str) -> None:
    code, out, err = cli(*arguments)
    *_, last = err.strip().split("\n")  # a progress bar may come before
    assert code == 2
    assert out == ""
    assert last.startswith("ugradsl: ")
    assert message in last
    assert "Traceback" not in err
