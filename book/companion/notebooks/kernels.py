"""Kernels for many notebooks: each is forked from a process that has imported what all import.

Started alone, a kernel imports PyTorch, torchvision and scikit-learn for five seconds. The build
and ``make test`` choose this provisioner of kernels by its entry point, in the environment.
Elsewhere than on Linux it starts kernels as Jupyter does.
"""

import multiprocessing
import os
import sys
import threading
from collections.abc import Mapping
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

CHOICE = ("JUPYTER_DEFAULT_PROVISIONER_NAME", "preloaded")
PRELOADED = ["companion.notebooks.preloaded"]


class Forked:
    """A forked kernel, with what Jupyter's client asks of a ``subprocess.Popen``."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], folder: str | None, variables: Mapping[str, str]):
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._process = context.Process(
            target=run_kernel, args=(arguments, folder or os.getcwd(), dict(variables))
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """Wait for its end; returns the exit status."""
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()


class PreloadedProvisioner(LocalProvisioner):
    """Starts a kernel as :class:`Forked`; everything else is Jupyter's."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel; the command's arguments are IPython's."""
        if sys.platform != "linux":  # forking is not safe beside macOS's own libraries
            return await super().launch_kernel(cmd, **kwargs)
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        forked = Forked(arguments, kwargs.get("cwd"), kwargs.get("env", os.environ))
        self.process = forked  # type: ignore[assignment]  # it has what is asked of a Popen
        self.pid = self.pgid = forked.pid
        return self.connection_info


def run_kernel(arguments: list[str], folder: str, variables: Mapping[str, str]) -> None:
    """Become a kernel, in a session of its own, until it is shut down or its asker has died."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    sys.argv = ["ipykernel_launcher", *arguments]
    threading.Thread(target=_end_with_asker, daemon=True).start()
    IPKernelApp.launch_instance([*arguments, f"--IPKernelApp.parent_handle={os.getppid()}"])


def _end_with_asker() -> None:
    asker = multiprocessing.parent_process()
    assert asker is not None
    asker.join()
    os._exit(1)
