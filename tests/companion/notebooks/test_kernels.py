"""Kernels forked from a process that has imported what notebooks import."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.metadata import entry_points
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.factory import KernelProvisionerFactory

from companion.notebooks import kernels

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere kernels are not forked")


def said(client: BlockingKernelClient, code: str) -> str:
    """What a cell prints, or the name of the error that it ends with."""
    parts: list[str] = []

    def collect(message: dict[str, Any]) -> None:
        content = message["content"]
        parts.extend([content["text"]] if message["msg_type"] == "stream" else [])

    reply = client.execute_interactive(code, timeout=60, output_hook=collect)
    return str(reply["content"].get("ename", "".join(parts).strip()))


@pytest.fixture
def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    """A kernel of this provisioner, which has one small module in place of the large ones."""
    (tmp_path / "imported_before.py").write_text("import os\nPROCESS = os.getpid()\n", "utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(kernels, "PRELOADED", ["ipykernel.kernelapp", "imported_before"])
    server = forkserver.ForkServer()  # that of other tests has imported more
    for part in ("ensure_running", "connect_to_new_process", "set_forkserver_preload"):
        monkeypatch.setattr(forkserver, part, getattr(server, part))
    name = kernels.CHOICE[1]
    (point,) = entry_points(group=KernelProvisionerFactory.GROUP_NAME, name=name)
    assert point.load() is kernels.PreloadedProvisioner
    factory = KernelProvisionerFactory.instance()
    monkeypatch.setattr(factory, "default_provisioner_name", name)
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(tmp_path), env={**os.environ, "UGRADSL_OF_THE_KERNEL": "yes"})
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    server._stop()  # type: ignore[attr-defined]


@LINUX
def test_a_kernel_is_forked_from_what_was_imported(
    started: tuple[KernelManager, BlockingKernelClient], tmp_path: Path
) -> None:
    manager, client = started
    code = (
        "import os, sys\nprint('imported_before' in sys.modules, os.getcwd(),"
        " os.environ['UGRADSL_OF_THE_KERNEL'])\n"
        "import imported_before\nprint(imported_before.PROCESS == os.getppid())"
    )
    assert said(client, code) == f"True {tmp_path} yes\nTrue"
    assert said(client, "x = 1\nprint(__name__)") == "__main__"
    assert manager.is_alive()
    message = client.execute("import time\nprint('begun')\ntime.sleep(60)")
    while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=30)
    assert reply["parent_header"]["msg_id"] == message
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    manager.restart_kernel(now=True)
    client.wait_for_ready(timeout=60)
    assert said(client, "x") == "NameError"
    manager.shutdown_kernel()
    assert not manager.is_alive()


ORPHAN = """
import os, time
from companion.notebooks import kernels
kernels.PRELOADED = ["ipykernel.kernelapp"]
if __name__ == "__main__":
    file = os.path.abspath("connection.json")
    kernel = kernels.Forked(["-f", file], None, os.environ)
    print(kernel.pid, flush=True)
    while not os.path.exists(file):
        time.sleep(0.05)
    os._exit(1)
"""


@LINUX
def test_a_kernel_ends_with_the_process_that_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / "orphan.py").write_text(ORPHAN, "utf-8")
    command = [sys.executable, "orphan.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        kernel = int(process.stdout.readline())
    end = time.monotonic() + 60
    while Path(f"/proc/{kernel}").exists():
        assert time.monotonic() < end, "it outlives its parent"
        time.sleep(0.1)
