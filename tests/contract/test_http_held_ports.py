"""Sections 1 and 6: an old process that keeps its ports is never taken for the next one."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest
from support.kernel_socket import connect, of_type
from support.runs import execute
from support.server import FAKE_KERNEL, Server
from support.stories import come_back

CONFIG = {"KernelManager": {"shutdown_wait_time": 0.5}}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that is not patient with kernels that do not end."""
    with Server(config=CONFIG) as server:
        yield server


def apart(server: Server, mode: str) -> str:
    """A kernelspec whose shell starts its kernel in a session of its own, where nothing ends it."""
    name = f"apart-{mode}"
    starts = server.data / "kernels" / name / "starts"
    fake = [sys.executable, str(FAKE_KERNEL), f"--mode={mode}", f"--starts={starts}"]
    command = f"setsid --wait {shlex.join(fake)} -f {{connection_file}}; true"
    return server.spec(name, ["bash", "-c", command])


def answers(server: Server, kernel: str) -> int:
    """The process that runs what is sent to a kernel."""
    mark = server.folder / f"mark-{kernel}"
    mark.unlink(missing_ok=True)
    assert execute(server, kernel, f"mark {mark} nothing").status == "ok"
    return int(mark.read_text().split()[0])


@pytest.mark.parametrize("how", ["killed", "restarted"])
def test_the_next_process_answers(server: Server, how: str) -> None:
    """Its wrapper is gone and the old kernel lives: the next generation has other ports."""
    spec = apart(server, "deaf")
    kernel = server.connected(spec)
    before = server.status(kernel)
    old = answers(server, kernel)
    if how == "killed":
        os.kill(before["pid"], signal.SIGKILL)
        told = come_back(server, kernel, before["revision"])
    else:
        server.restart(kernel)
        told = server.settled(kernel)
    assert psutil.Process(old).is_running()
    assert told["generation"] == 1
    assert answers(server, kernel) == server.starts(spec)[-1] != old
    with connect(server, kernel) as socket:
        assert of_type(socket.run("nothing"), "execute_reply")[0]["status"] == "ok"
    psutil.Process(old).kill()
    server.delete(kernel)


def test_ports_that_nobody_holds_are_kept(server: Server) -> None:
    """A kernel whose process is gone keeps its ports, so that nobody has to connect anew."""
    kernel = server.connected(server.fake())
    (file,) = [each for each in server.connection_files() if kernel in each.name]
    before, since = file.read_text(), server.status(kernel)
    os.kill(since["pid"], signal.SIGKILL)
    come_back(server, kernel, since["revision"])
    assert file.read_text() == before
    server.delete(kernel)
