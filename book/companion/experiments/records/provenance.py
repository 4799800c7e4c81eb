"""Where a number comes from: versions, commit and hardware."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = ("ugradsl-core", "torch", "torchvision", "numpy", "scikit-learn")
MODULES = ("ugradsl_core/*.py", "book/companion/*.py")


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


@cache
def commit() -> str:
    """The commit of the code, ``+changes`` if a package differs from it, or ``unknown``."""
    return commit_of(Path(__file__).parent)


def short_commit(commit: str) -> str:
    """Ten digits of a commit, and the mark of uncommitted changes."""
    digits, mark, rest = commit.partition("+")
    return digits[:10] + mark + rest


def commit_of(folder: Path) -> str:
    """The commit of a clone, ``+changes`` if a module of either package differs, or ``unknown``.

    Args:
        folder: any folder of the clone.
    """

    def git(place: str | Path, *arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(place), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        root = git(folder, "rev-parse", "--show-toplevel")
        changed = git(root, "status", "--porcelain", "--", *MODULES)
        return git(root, "rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


@cache
def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def hardware(device: torch.device) -> dict[str, str | int]:
    """Processor, threads and device of this process."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "device": name,
        "system": platform.system(),
    }


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
