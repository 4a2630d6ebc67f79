"""Section 3: a kernel in a wrapper is told as what it is, with the figures of the whole tree."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Iterator

import psutil
import pytest
from support.server import FAKE_KERNEL, Server, eventually

MIB = 1 << 20
HELD = 100 * MIB

CONFIG = {
    "KernelManager": {"shutdown_wait_time": 0.5},
    "KernelStatusApp": {"heartbeat_interval": 0.2},
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that looks at processes often."""
    with Server(config=CONFIG) as server:
        yield server


@pytest.fixture
def kernel(server: Server) -> Iterator[str]:
    """A kernel whose shell waits for it."""
    command = f"{shlex.join([sys.executable, str(FAKE_KERNEL)])} -f {{connection_file}}; exit $?"
    kernel = server.connected(server.spec("wrapped", ["bash", "-c", command]))
    yield kernel
    server.delete(kernel)


def inside(server: Server, kernel: str) -> psutil.Process:
    """The process in the wrapper."""
    (process,) = psutil.Process(server.status(kernel)["pid"]).children()
    return process


def hold(server: Server, kernel: str) -> None:
    """Have the kernel hold much memory."""
    code = f"exec import builtins; builtins.held = bytearray(b'x' * {HELD})"
    with server.client(kernel) as client:
        client.execute_interactive(code, timeout=60)


def test_the_kernel_in_a_wrapper_is_named(server: Server, kernel: str) -> None:
    """`pid` is what was launched, `kernel_pid` the process in it that is the kernel."""
    status, process = server.status(kernel), inside(server, kernel)
    assert (status["kernel_pid"], status["pid"]) == (process.pid, process.ppid())
    alone = server.connected(server.fake())
    status = server.status(alone)
    assert status["kernel_pid"] == status["pid"] == psutil.Process(status["pid"]).pid
    server.delete(alone)


def test_its_figures_are_those_of_both(server: Server, kernel: str) -> None:
    """Memory, its peak, threads and time are the wrapper's and the kernel's together."""
    hold(server, kernel)
    process = inside(server, kernel)
    wrapper = process.parent()
    told = server.get(f"api/kernels/{kernel}/inspect")
    rss = process.memory_info().rss + wrapper.memory_info().rss
    assert abs(told["memory_rss_bytes"] - rss) < 2 * MIB
    assert told["memory_peak_bytes"] >= told["memory_rss_bytes"] > HELD
    assert told["num_threads"] == process.num_threads() + wrapper.num_threads()
    assert told["pid"] == wrapper.pid
    assert told["cpu_seconds"] > 0
    full = server.get(f"api/kernels/{kernel}/inspect", detail="full")
    assert full["memory_uss_bytes"] > HELD


def test_what_it_held_is_told_of_its_end(server: Server, kernel: str) -> None:
    """When it was killed, the reason says what the kernel held and not what its shell did."""
    hold(server, kernel)
    before = server.status(kernel)
    os.kill(before["kernel_pid"], signal.SIGKILL)
    told = server.wait(kernel, status="connected", since=before["revision"]).json()
    last = told["last_termination"]
    assert (last["pid"], last["exit_code"], last["cause"]) == (before["pid"], 137, "Killed")
    assert last["peak_memory"] > HELD
    assert "it held " in last["reason"]


def test_a_stopped_kernel_in_a_wrapper_is_seen_to_be_stopped(server: Server, kernel: str) -> None:
    """It is the kernel that is looked at, not the shell that waits for it."""
    process = inside(server, kernel)
    process.suspend()
    eventually(
        lambda: server.get(f"api/kernels/{kernel}/inspect")["process_status"] == "stopped",
        what="it is stopped",
    )
    process.resume()
    server.settled(kernel)
