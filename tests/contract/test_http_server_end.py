"""Contract section 2: the server ends cleanly on SIGTERM, whatever its kernels are up to."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Callable

import pytest
from support.server import FAKE_KERNEL, Server
from support.stories import execute, kill

PENDING = {"AsyncMultiKernelManager": {"use_pending_kernels": True}}


def failed_post(server: Server) -> None:
    """A kernelspec that does not exist, on both calls."""
    server.http.post("api/kernels", json={"name": "no-such-kernelspec"})
    server.session("a.ipynb", "no-such-kernelspec", expect=501)


def failed_launch(server: Server) -> None:
    """An executable that does not exist, on both calls."""
    name = server.spec("missing", ["/nowhere/python", "{connection_file}"])
    server.http.post("api/kernels", json={"name": name})
    server.session("a.ipynb", name, expect=500)


def dead_kernels(server: Server) -> None:
    """One that never answered, one that was given up."""
    server.until_dead(server.start_kernel(server.fake(mode="die-at-start")))
    crashed = server.connected(server.fake(mode="good,die-at-start"))
    kill(server, crashed)
    server.until_dead(crashed)


def silent_kernels(server: Server) -> None:
    """One that never binds, one that never answers."""
    for mode in ("never-binds", "mute"):
        server.wait(server.start_kernel(server.fake(mode=mode)), status="connecting")


def deaf_kernel(server: Server) -> None:
    """A connected kernel that only SIGKILL ends."""
    server.connected(server.fake(mode="deaf"))


def busy_kernel(server: Server) -> None:
    """A real kernel with a cell, and a waiter for its end."""
    kernel, gate = server.connected("python3"), server.gate()
    before = server.status(kernel)["revision"]
    with server.client(kernel) as client:
        execute(client, gate.cell)
        server.wait(kernel, execution_state="busy", since=before)


def coming_back(server: Server) -> None:
    """One in an automatic restart, one in a requested one, neither with an answering process."""
    gate = server.gate()
    for act in (kill, lambda server, kernel: server.restart(kernel)):
        kernel = server.connected(server.fake(mode="good,slow", gate=gate))
        act(server, kernel)
        server.wait(kernel, status="restarting,autorestarting")


def one_of_two_just_killed(server: Server) -> None:
    """Two that answer, one of them killed a moment before: its restart meets the server's end."""
    name = server.fake()
    _other, kernel = server.connected(name), server.connected(name)
    before = server.status(kernel)["revision"]
    kill(server, kernel)
    server.wait(kernel, status="autorestarting", since=before)


def failed_restart(server: Server) -> None:
    """A kernel whose second launch failed."""
    script = server.script("vanishes", f'exec {sys.executable} {FAKE_KERNEL} "$@"')
    kernel = server.connected(server.spec("vanishes", [str(script), "-f", "{connection_file}"]))
    script.unlink()
    server.restart(kernel)
    server.until_dead(kernel)


SITUATIONS = (
    failed_post,
    failed_launch,
    dead_kernels,
    silent_kernels,
    deaf_kernel,
    busy_kernel,
    coming_back,
    one_of_two_just_killed,
    failed_restart,
)


def config() -> dict[str, dict[str, object]]:
    """Little patience with deaf kernels, few restarts."""
    return {
        "KernelManager": {"shutdown_wait_time": 0.5},
        "KernelRestarter": {"restart_limit": 1, "stable_start_time": 3600.0},
    }


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda each: each.__name__)
def test_sigterm_ends_the_server(situation: Callable[[Server], None]) -> None:
    """SIGTERM: exit code 0 soon, no process and no connection file left, beside a good kernel."""
    with Server(config=config()) as server:
        server.connected(server.fake())
        situation(server)
        server.taken_up()
        ended = server.stop()
        assert (ended.returncode, ended.leftovers) == (0, [])
        assert server.connection_files() == []
        last = server.log().partition("received signal")[2].splitlines()
        assert not [line for line in last if line.startswith("[E")]


@pytest.mark.parametrize("situation", ["unknown", "missing", "good"])
def test_sigterm_with_pending_kernels(situation: str) -> None:
    """The same after pending kernels that failed, and right after the POST of a good one."""
    with Server(config=config() | PENDING) as server:
        missing = server.spec("missing", ["/nowhere/python", "{connection_file}"])
        server.connected(server.fake())
        name = {"unknown": "no-such-kernelspec", "missing": missing, "good": server.fake()}[
            situation
        ]
        kernel = server.start_kernel(name)
        if situation != "good":
            server.until_dead(kernel)
        ended = server.stop()
        assert (ended.returncode, ended.leftovers) == (0, [])
        assert server.connection_files() == []


def test_waiters_do_not_hold_the_server() -> None:
    """Waiters at the server's end are answered (ServerStopped) or cut off, and delay nothing."""
    with Server(config=config()) as server:
        kernel = server.connected(server.fake())
        waiters = [server.send_wait(kernel, execution_state="busy", timeout=100) for _ in range(10)]
        ended = server.stop()
        assert ended.clean, ended
        for waiter in waiters:
            try:
                answer = waiter.answer()
            except (http.client.HTTPException, OSError):
                continue
            assert (answer.status_code, answer.json()["kernel"]["cause"]) == (409, "ServerStopped")
            assert answer.json()["kernel"]["last_termination"]["requested_by"] == "server stop"


def test_end_of_the_server_is_no_crash() -> None:
    """The end of the kernels with their server is not told as a death, and starts none again."""
    with Server(config=config()) as server:
        names = [server.fake(), server.fake(mode="deaf")]
        for name in names:
            server.connected(name)
        at = len(server.log())
        assert server.stop().clean
        assert [len(server.starts(name)) for name in names] == [1, 1]
        assert "is dead" not in server.log()[at:]
        assert "restarting kernel" not in server.log()[at:]
