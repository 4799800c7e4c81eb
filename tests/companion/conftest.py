"""One thread, reproducible hypothesis, and the command line inside this process."""

from fixtures import *  # noqa: F403
