"""Processes forked from one that has imported what ``ugradsl`` needs.

Each is a process as one that a user starts, which can be killed; what is left out is importing
PyTorch once more for each. Elsewhere than on Linux each imports it.
"""

import gc
import json
import multiprocessing
import os
import runpy
import shlex
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import process
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
IMPORTED = [
    "companion.cli.main", "companion.experiments.runs.run", "companion.experiments.grid.grid",
    "torchvision.models.resnet", "torch.distributed.run", "accelerate", "snakemake.cli",
]  # fmt: skip
CLIENT = Path(__file__).with_name("forked_client.py")


def started(*arguments: object) -> BaseProcess:
    """``ugradsl`` with the arguments; what it prints is dropped."""
    return begun(_run, [*map(str, arguments)])


def begun(function: Callable[..., None], *arguments: object) -> BaseProcess:
    """A function of this folder with the arguments."""
    if sys.platform == "linux":
        CONTEXT.set_forkserver_preload(IMPORTED)
    made = CONTEXT.Process(target=function, args=arguments)
    made.start()
    return made


def _run(arguments: list[str]) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    sys.argv = ["ugradsl", *arguments]
    import torch

    from companion.__main__ import main

    torch.set_num_threads(1)
    main()


@contextmanager
def interpreter(folder: Path) -> Iterator[str]:
    """The path of a ``python`` for ``-m module`` and scripts, whose processes are forked ones.

    They have the arguments, environment, working directory and files of the process that was
    started, and its name as ``sys.executable``, so that what they start is forked as well. Each is
    killed, with all that it has started, where the one that was started is.
    """
    if sys.platform != "linux":
        yield sys.executable
        return
    address = f"ugradsl-tests-{os.getpid()}"
    server = begun(_serve, address)
    process._children.discard(server)  # type: ignore[attr-defined]  # tests count their own
    script = folder / "python"
    words = [sys.executable, "-IS", str(CLIENT), address, str(script)]
    script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
    script.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as client:
        while client.connect_ex(f"\0{address}"):  # it is still importing
            assert server.is_alive()
            time.sleep(0.02)
    yield str(script)
    server.kill()
    server.join()


def _serve(address: str) -> None:
    signal.signal(signal.SIGCHLD, _reap)
    gc.freeze()  # or each process would copy what its collector looks at
    parent = multiprocessing.parent_process()
    assert parent is not None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"\0{address}")
        listener.listen(16)
        while listener in wait([listener, parent.sentinel]):
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _answer(connection: socket.socket) -> NoReturn:
    """Be what was asked for, in this process, then end it."""
    code = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setpgrp()
        length, files, *_ = socket.recv_fds(connection, 8, 3)
        if not length:  # it was only asked whether it is there
            os._exit(0)
        with connection.makefile("rb") as sent:
            asked = json.loads(sent.read(int.from_bytes(length, "big")))
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)
        sys.stdin, sys.stdout, sys.stderr = (  # those of the server are not for pipes
            open(file, mode, buffering, closefd=False)  # noqa: SIM115
            for file, mode, buffering in ((0, "r", -1), (1, "w", -1), (2, "w", 1))
        )
        threading.Thread(target=_end_with, args=(connection,), daemon=True).start()
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.executable = asked["executable"]
        _become(asked["arguments"])
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
    except BaseException:  # as the interpreter would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        with suppress(OSError):
            connection.send(bytes([code % 256]))
        os._exit(code)


def _become(arguments: list[str]) -> None:
    import torch

    torch.set_num_threads(1)
    words = arguments[arguments[0] == "-u" :]
    module = words[0] == "-m"
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:0] = [os.getcwd() if module else str(Path(words[0]).parent), *paths]
    sys.argv = words[module:]
    if module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


def _end_with(connection: socket.socket) -> None:
    """Kill this process and its group when the other end closes."""
    connection.recv(1)
    os.killpg(0, signal.SIGKILL)
