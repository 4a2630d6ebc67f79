"""Random walks: actions in any order and at the same time never confuse the server for good."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator

import pytest
from support.server import PATIENCE, Call, Server, eventually
from support.stories import changes, execute, heard, reply_to, run

STEPS = 20
CODES = {"restart": (200, 409), "interrupt": (204, 409), "wait": (200, 409, 504)}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that never gives a kernel up."""
    config = {
        "KernelRestarter": {"restart_limit": 1_000},
        "KernelManager": {"shutdown_wait_time": 0.5},
    }
    with Server(config=config) as server:
        yield server


def kill(server: Server, name: str) -> None:
    """Kill the newest process of this kernelspec, if it is still there."""
    pids = [process.pid for process in server.kernel_processes()]
    if server.starts(name) and server.starts(name)[-1] in pids:
        with contextlib.suppress(ProcessLookupError):  # it has just gone by itself
            os.kill(server.starts(name)[-1], signal.SIGKILL)


def step(server: Server, kernel: str, name: str, action: str) -> Call | None:
    """Begin one action, not waiting for its end."""
    if action == "kill":
        kill(server, name)
        return None
    if action == "wait":
        return server.send_wait(kernel, timeout=0.2)
    return server.send("POST", f"api/kernels/{kernel}/{action}")


def settle(server: Server, kernel: str) -> dict:
    """Wait until nothing is going on any more and give the status."""
    answer = server.wait(kernel, status="connected,dead")
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("seed", range(6))
def test_walk(server: Server, seed: int) -> None:
    """After each two actions at the same time the kernel settles, and the process table agrees."""
    choose = random.Random(seed)
    name = server.fake()
    kernel = server.connected(name)
    for _ in range(STEPS // 2):
        two = choose.choices(["restart", "interrupt", "kill", "wait"], weights=[3, 1, 3, 1], k=2)
        calls = [(action, step(server, kernel, name, action)) for action in two]
        for action, call in calls:
            if call is not None:
                answer = call.answer()
                assert answer.status_code in CODES[action], (two, answer.body)
        settle(server, kernel)
    eventually(lambda: agree(server, kernel), what=f"{two}: one process, connected")
    told = [change["revision"] for change in changes(server, kernel)]
    assert told == sorted(set(told))
    generations = [change["generation"] for change in changes(server, kernel)]
    assert generations == sorted(generations)
    # One that was killed before it could write that it started is not in the list.
    assert server.status(kernel)["generation"] >= len(server.starts(name)) - 1 > STEPS // 5
    assert run(server, kernel, "nothing")["status"] == "ok"
    server.delete(kernel)
    eventually(lambda: not server.kernel_processes(kernel), what="its processes are gone")


def agree(server: Server, kernel: str) -> bool:
    """Whether the kernel is connected and its process is the only one."""
    status = server.status(kernel)
    processes = [process.pid for process in server.kernel_processes(kernel)]
    return status["status"] == "connected" and processes == [status["pid"]]


def test_floods_at_the_same_time(server: Server) -> None:
    """Eight kernels that flood at the same time are all idle after their own reply."""
    kernels = [server.connected(server.fake()) for _ in range(8)]
    before = {kernel: server.status(kernel)["revision"] for kernel in kernels}
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(server.client(kernel)) for kernel in kernels]
        cells = [(client, execute(client, "flood 3000")) for client in clients]
        for client, cell in cells:
            reply_to(client, "shell", cell, timeout=PATIENCE)
    for kernel in kernels:
        answer = server.wait(kernel, execution_state="idle", since=before[kernel])
        assert answer.status_code == 200, answer.text
        server.delete(kernel)


def test_death_is_told_at_once_without_fast_restart() -> None:
    """With `fast_restart=False` a death is told without a poll, and a poll brings it back."""
    for time_to_dead, comes_back in ((10_000.0, False), (3.0, True)):
        config = {
            "KernelStatusApp": {"fast_restart": False},
            "KernelRestarter": {"time_to_dead": time_to_dead},
        }
        with Server(config=config) as server:
            name = server.fake()
            kernel = server.connected(name)
            before = server.status(kernel)["revision"]
            kill(server, name)
            told = server.wait(kernel, status="autorestarting", since=before)
            assert (told.status_code, told.json()["cause"]) == (200, "Killed")
            if comes_back:
                back = server.wait(kernel, status="connected", since=before)
                assert (back.status_code, back.json()["restart_count"]) == (200, 1)
            else:
                assert len(server.starts(name)) == 1


def test_ipc_transport() -> None:
    """Kernels that listen on files instead of ports are followed like any other."""
    with Server("--KernelManager.transport=ipc") as server:
        kernel = server.connected("python3")
        before = server.status(kernel)["revision"]
        with server.client(kernel) as client:
            cell = execute(client, "1+1")
            heard(client, "idle", cell)
        answer = server.wait(kernel, execution_state="idle", since=before)
        assert answer.status_code == 200, answer.text
        os.kill(server.status(kernel)["pid"], signal.SIGKILL)
        assert server.wait(kernel, status="connected", since=before).status_code == 200
