"""Deaths with last words, restarts and dead kernels that stay: the server keeps its size."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from support.server import Server, eventually
from support.start_failures import exec_fake, shell
from support.stories import come_back, execute, kill

KERNELS = 10
DEATHS = 100
RESTARTS = 50
KEPT = 5
WORDS = "\n".join(f"word {number} of a long story" for number in range(1500))
"""More than is kept of stderr."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that never gives a kernel up, and keeps few dead ones."""
    config = {
        "KernelRestarter": {"restart_limit": 1_000},
        "KernelManager": {"shutdown_wait_time": 1.0},
        "KernelStatusApp": {"max_dead_kernels": KEPT},
    }
    with Server(config=config) as server:
        yield server


class Size:
    """What the server's process held at one moment, seen from outside."""

    def __init__(self, server: Server) -> None:
        self.fds = server.fds()
        self.threads = server.ps.num_threads()
        self.files = len(server.connection_files())
        self.processes = len(server.kernel_processes())
        self.memory = server.ps.memory_info().rss

    def fits(self, before: Size) -> bool:
        """Whether it is what it was, but for a few descriptors in use and some memory."""
        return (
            # Each kernel has a socket of upstream's that may be connected at one moment or not.
            self.fds <= before.fds + KERNELS
            and self.threads <= before.threads + 1
            and (self.files, self.processes) == (before.files, before.processes)
            and self.memory <= before.memory + 24 * 2**20
        )

    def __repr__(self) -> str:
        """All figures."""
        return str(vars(self))


def back_to(server: Server, before: Size) -> None:
    """Wait until the server has the size it had."""
    eventually(lambda: Size(server).fits(before), what=f"{Size(server)} is back to {before}")


def die(server: Server, kernels: list[str], how: str) -> None:
    """Let all these kernels die in one moment and wait until all are back."""
    before = {kernel: server.settled(kernel)["revision"] for kernel in kernels}
    with contextlib.ExitStack() as clients:
        for kernel in kernels:
            if how == "killed":
                kill(server, kernel)
            else:
                execute(clients.enter_context(server.client(kernel)), "die 3")
        for kernel in kernels:
            come_back(server, kernel, before[kernel])


def restart(server: Server, kernels: list[str]) -> None:
    """Restart all these kernels and wait until all are back."""
    before = {kernel: server.settled(kernel)["revision"] for kernel in kernels}
    for kernel in kernels:
        server.restart(kernel)
    for kernel in kernels:
        come_back(server, kernel, before[kernel])


def fail(server: Server, name: str) -> str:
    """Start a kernel that fails with many words, and wait until it is dead."""
    kernel = server.start_kernel(name)
    server.until_dead(kernel)
    return kernel


@pytest.fixture(scope="module")
def kernels(server: Server) -> list[str]:
    """Kernels that write a lot to stderr at each start."""
    name = server.fake("talkers", stderr=WORDS)
    return [server.connected(name) for _ in range(KERNELS)]


def test_deaths_leave_nothing(server: Server, kernels: list[str]) -> None:
    """After a hundred deaths the server has the descriptors, threads and files it had."""
    for how in ("killed", "exits", "killed"):
        die(server, kernels, how)
    before = Size(server)
    deaths = sum(server.status(kernel)["restart_count"] for kernel in kernels)
    for number in range(DEATHS // KERNELS):
        die(server, kernels, "killed" if number % 2 else "exits")
    statuses = [server.status(kernel) for kernel in kernels]
    assert sum(status["restart_count"] for status in statuses) == deaths + DEATHS
    assert {"word 1499 of" in each["last_termination"]["traceback"] for each in statuses} == {True}
    back_to(server, before)


def test_restarts_leave_nothing(server: Server, kernels: list[str]) -> None:
    """Nor do fifty restarts."""
    restart(server, kernels)
    before = Size(server)
    generations = sum(server.status(kernel)["generation"] for kernel in kernels)
    for _ in range(RESTARTS // KERNELS):
        restart(server, kernels)
    assert sum(server.status(kernel)["generation"] for kernel in kernels) == generations + RESTARTS
    back_to(server, before)


def test_dead_kernels_that_stay_hold_nothing(server: Server) -> None:
    """A dead kernel is kept for its reason: it holds no descriptor and no thread."""
    name = server.fake("short-lived", mode="die-at-start", stderr=WORDS)
    server.delete(fail(server, name))
    before = Size(server)
    dead = [fail(server, name) for _ in range(KEPT)]
    now = Size(server)
    said = {server.model(kernel)["traceback"].rstrip().splitlines()[-1] for kernel in dead}
    assert said == {WORDS.splitlines()[-1]}
    assert (now.fds <= before.fds + 3, now.threads <= before.threads + 1) == (True, True)
    for kernel in dead:
        server.delete(kernel)
    back_to(server, before)


def test_dead_kernels_that_go_leave_nothing(server: Server) -> None:
    """Of many dead kernels only the last few are kept, and nothing of the others."""
    name = server.fake("gone-soon", mode="die-at-start", stderr=WORDS)
    for _ in range(KEPT + 1):
        fail(server, name)
    before = Size(server)
    dead = [fail(server, name) for _ in range(20)]

    def kept() -> list[str]:
        return [kernel for kernel, model in server.models().items() if model["status"] == "dead"]

    eventually(lambda: set(kept()) == set(dead[-KEPT:]), what="the last dead ones are kept")
    back_to(server, before)
    for kernel in kept():
        server.delete(kernel)


def test_stderr_that_somebody_keeps_is_let_go(server: Server, tmp_path: Path) -> None:
    """What a child of a dead kernel keeps open is closed once that child ends."""
    pids = tmp_path / "pids"
    child = f"setsid sleep 1000 & echo $! >> {pids}"
    kernel = server.connected(shell(server, f"{child}; {exec_fake(server)}"))
    server.taken_up()
    before = Size(server)
    for how in ("exits", "killed") * 3:
        die(server, [kernel], how)
    children = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    assert (len(children), {each.is_running() for each in children}) == (7, {True})
    for each in children[:-1]:
        each.kill()
    back_to(server, before)
    server.delete(kernel)
    children[-1].kill()
