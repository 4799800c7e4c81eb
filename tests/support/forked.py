"""``ugradsl`` in processes of its own, forked from one that has imported what it needs.

Each is a process as one that a user starts, which can be killed; what is left out is importing
PyTorch once more for each. Elsewhere than on Linux each imports it.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess

CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
IMPORTED = ["companion.cli.main", "companion.experiments.runs.run", "torchvision.models.resnet"]


def started(*arguments: object) -> BaseProcess:
    """``ugradsl`` with the arguments; what it prints is dropped."""
    return begun(_run, [*map(str, arguments)])


def begun(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """A function of this folder with the arguments."""
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(IMPORTED)
    process = CONTEXT.Process(target=function, args=arguments)
    process.start()
    return process


def _run(arguments: list[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.argv = ["ugradsl", *arguments]
    import torch

    from companion.__main__ import main

    torch.set_num_threads(1)
    main()
