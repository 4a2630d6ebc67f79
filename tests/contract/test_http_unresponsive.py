"""Section 1, `unresponsive`: the process exists and its heartbeat is silent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from support.server import Server, held_for

FAST = {"heartbeat_interval": 0.2, "unresponsive_after": 2.0}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that feels hearts often."""
    config = {"KernelStatusApp": FAST, "KernelManager": {"shutdown_wait_time": 1.0}}
    with Server(config=config) as server:
        yield server


def stop(server: Server, kernel: str) -> int:
    """Stop the kernel's process (SIGSTOP) and return its pid.

    Not before its heart was felt: one that never beat is never judged.
    """
    assert held_for(lambda: server.status(kernel)["status"] == "connected", 1.0)
    (process,) = server.kernel_processes(kernel)
    os.kill(process.pid, signal.SIGSTOP)
    return process.pid


@pytest.mark.parametrize("name", ["python3", "fake"])
def test_a_stopped_kernel_is_unresponsive_until_it_goes_on(server: Server, name: str) -> None:
    """SIGSTOP of an idle kernel is told with a reason, SIGCONT clears it."""
    kernel = server.connected(server.fake() if name == "fake" else name)
    before = server.status(kernel)
    pid = stop(server, kernel)
    told = server.wait(kernel, status="unresponsive", since=before["revision"]).json()
    assert (told["execution_state"], told["state"]) == ("idle", "stopped")
    assert "heartbeat" in told["reason"]
    assert told["cause"]
    assert told["pid"] == pid
    assert server.model(kernel)["status"] == "unresponsive"
    os.kill(pid, signal.SIGCONT)
    back = server.wait(kernel, status="connected", since=told["revision"]).json()
    assert (back["reason"], back["cause"], back["generation"]) == ("", None, 0)
    server.delete(kernel)


def test_a_stopped_busy_kernel_is_unresponsive_if_it_beat_while_busy(server: Server) -> None:
    """A cell runs, the heart was felt meanwhile, the process is stopped: busy and unresponsive."""
    kernel = server.connected("python3")
    before = server.status(kernel)["revision"]
    gate = server.gate()
    with server.client(kernel) as client:
        client.execute(gate.cell)
        server.wait(kernel, execution_state="busy", since=before)
        assert held_for(lambda: server.status(kernel)["status"] == "connected", 2.0)
        pid = stop(server, kernel)
        told = server.wait(kernel, status="unresponsive").json()
        assert (told["execution_state"], told["state"]) == ("busy", "running")
        os.kill(pid, signal.SIGCONT)
        gate.open()
        assert server.wait(kernel, execution_state="idle").status_code == 200
    server.delete(kernel)


def test_a_single_loop_that_works_is_not_silent(server: Server) -> None:
    """A kernel whose heartbeat never answers while it is busy is not called unresponsive for it."""
    kernel = server.connected(server.fake(mode="single-loop"))
    gate = server.gate()
    with server.client(kernel) as client:
        client.execute(gate.command)
        server.wait(kernel, execution_state="busy")
        assert held_for(lambda: server.status(kernel)["status"] == "connected", 4.0)
        gate.open()
        server.wait(kernel, execution_state="idle")
        assert held_for(lambda: server.status(kernel)["status"] == "connected", 3.0)
    server.delete(kernel)


def test_a_stalled_server_is_no_silence(server: Server) -> None:
    """The server itself is stopped for longer than the limit; its kernels are not blamed."""
    kernel = server.connected("python3")
    before = server.status(kernel)["revision"]
    os.kill(server.process.pid, signal.SIGSTOP)
    assert held_for(lambda: True, 3.5)
    os.kill(server.process.pid, signal.SIGCONT)
    assert held_for(lambda: server.status(kernel)["status"] == "connected", 1.0)
    assert server.status(kernel)["revision"] == before
    server.delete(kernel)


def test_killing_a_stopped_kernel_is_told_and_it_is_restarted(server: Server) -> None:
    """An unresponsive kernel that is killed comes back like any other."""
    kernel = server.connected(server.fake())
    before = server.status(kernel)["revision"]
    pid = stop(server, kernel)
    server.wait(kernel, status="unresponsive")
    os.kill(pid, signal.SIGKILL)
    back = server.wait(kernel, status="connected", since=before).json()
    assert back["last_termination"]["cause"] == "Killed"
    assert back["generation"] == 1
    server.delete(kernel)


@pytest.mark.parametrize("how", ["restart", "delete"])
def test_an_unresponsive_kernel_can_be_restarted_and_deleted(server: Server, how: str) -> None:
    """Asking for the end of a stopped kernel works; it is killed if it does not go."""
    kernel = server.connected(server.fake())
    stop(server, kernel)
    server.wait(kernel, status="unresponsive")
    if how == "delete":
        server.delete(kernel)
        assert server.kernel_processes(kernel) == []
        return
    server.restart(kernel)
    assert server.wait(kernel).json()["generation"] == 1
    server.delete(kernel)
