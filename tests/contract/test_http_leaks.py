"""Nothing grows: deaths, restarts, failed starts and removals leave the server as it was."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from support.server import Server, eventually
from support.stories import come_back, kill

ROUNDS = 50
WARM_UP = 5


@dataclass(frozen=True)
class Size:
    """What a server process holds."""

    fds: int
    threads: int
    files: int
    processes: int
    memory: int

    @classmethod
    def of(cls, server: Server) -> Size:
        """Look at the process from outside."""
        processes, files = len(server.kernel_processes()), len(server.connection_files())
        return cls(
            server.fds(), server.ps.num_threads(), files, processes, server.ps.memory_info().rss
        )

    def fits(self, before: Size) -> bool:
        """Whether it has not grown, but for a few descriptors in use and some memory."""
        return (
            self.fds <= before.fds + 3
            and self.threads <= before.threads + 1
            and (self.files, self.processes) == (before.files, before.processes)
            and self.memory <= before.memory + 16 * 2**20
        )


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own that never gives a kernel up."""
    config = {
        "KernelRestarter": {"restart_limit": 1_000},
        "KernelManager": {"shutdown_wait_time": 1.0},
    }
    with Server(config=config) as server:
        yield server


def die(server: Server, kernel: str) -> None:
    """One death and the automatic restart after it."""
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    come_back(server, kernel, before)


def restart(server: Server, kernel: str) -> None:
    """One restart that somebody asked for."""
    before = server.status(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, before)


def fail(server: Server, _kernel: str) -> None:
    """A kernel that dies at its start, a waiter that hears it, and the removal."""
    kernel = server.start_kernel(server.fake("dies", mode="die-at-start"))
    assert server.wait(kernel).status_code == 409
    server.delete(kernel)


def come_and_go(server: Server, _kernel: str) -> None:
    """A kernel that is started, waited for and removed."""
    server.delete(server.connected(server.fake("passes")))


def no_launch(server: Server, _kernel: str) -> None:
    """A start that fails before there is a process."""
    server.http.post("api/kernels", json={"name": "no-such-kernelspec"})
    server.http.post(
        "api/kernels",
        json={"name": server.spec("missing", ["/nowhere/python", "{connection_file}"])},
    )


def revive(server: Server, _kernel: str) -> None:
    """A dead kernel that is started again by hand and then removed."""
    spec = server.fake("revives", mode="die-at-start,good")
    (server.data / "kernels" / spec / "starts").unlink(missing_ok=True)
    kernel = server.start_kernel(spec)
    before = server.until_dead(kernel)["revision"]
    server.restart(kernel)
    come_back(server, kernel, before)
    server.delete(kernel)


@pytest.mark.parametrize(
    "act", [die, restart, fail, come_and_go, no_launch, revive], ids=lambda act: act.__name__
)
def test_nothing_grows(server: Server, act: Callable[[Server, str], None]) -> None:
    """After many rounds the server has the descriptors, threads, files and memory it had."""
    kernel = server.connected(server.fake())
    for _ in range(WARM_UP):
        act(server, kernel)
    server.taken_up()
    before = Size.of(server)
    for _ in range(ROUNDS if act in (die, restart) else 15):
        act(server, kernel)
    gc.collect()
    eventually(lambda: Size.of(server).fits(before), what=f"{act.__name__}: back to {before}")
    assert set(server.models()) == {kernel}
    assert server.status(kernel)["status"] == "connected"


def test_an_idle_kernel_costs_six_descriptors(server: Server) -> None:
    """Two sockets of two each, its process and its stderr: that to control is closed until used."""
    server.connected(server.fake())
    server.taken_up()
    before, kernels = server.fds(), [server.start_kernel(server.fake()) for _ in range(5)]
    for kernel in kernels:
        server.wait(kernel, status="connected")
    server.taken_up()
    eventually(lambda: server.fds() <= before + 6 * len(kernels), what=f"6 each after {before}")
