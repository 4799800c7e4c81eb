"""One thread and reproducible hypothesis."""

from fixtures import *  # noqa: F403
