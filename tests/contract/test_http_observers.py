"""The model against independent observers: process table, heartbeat, a direct zmq client."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest
import websocket
from support.server import PATIENCE, Server, eventually
from support.stories import ask, changes, come_back, execute, kill, moment, reply_to

Starter = Callable[..., str]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server whose restarter never polls: what it tells of deaths it has seen by itself."""
    config = {
        "KernelManager": {"shutdown_wait_time": 1.0},
        "KernelRestarter": {"time_to_dead": 10_000.0},
    }
    with Server(config=config) as server:
        yield server


def lives(pid: int) -> bool:
    """Whether the process table has this process, not as a zombie."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def observed(server: Server, kernel: str) -> Iterator[list[dict[str, Any]]]:
    """Look at the status all the time, next to the process table, while the block runs."""
    looks: list[dict[str, Any]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            asked, status = time.time(), server.status(kernel)
            there = status["pid"] is not None and lives(status["pid"])
            looks.append(status | {"asked": asked, "lives": there})

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()


def test_heartbeat_agrees(server: Server, python_kernel: str) -> None:
    """A kernel that is connected beats, answers, and is the process that the status names."""
    status = server.status(python_kernel)
    with server.client(python_kernel, hb=True) as client:
        client.hb_channel.unpause()
        eventually(client.hb_channel.is_beating, what="the heart beats")
        assert ask(client, "kernel_info_request", "control")["status"] == "ok"
    command = psutil.Process(status["pid"]).cmdline()
    assert any(python_kernel in part for part in command)


def test_connected_when_an_independent_client_is(server: Server, fake: Starter) -> None:
    """The server knows of readiness when a client of its own does, and not before."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    with server.client(kernel) as client:
        client.kernel_info()
        with pytest.raises(queue.Empty):
            client.get_shell_msg(timeout=1)
        assert server.status(kernel)["connected_at"] is None
        opened = time.time()
        gate.open()
        client.get_shell_msg(timeout=PATIENCE)
    status = server.settled(kernel)
    assert moment(status["connected_at"]) >= opened
    assert opened > psutil.Process(status["pid"]).create_time()


def test_never_connected_to_a_process_that_is_gone(server: Server, fake: Starter) -> None:
    """While a kernel is killed five times, no look after the change finds the process that went."""
    kernel = fake("good")
    with observed(server, kernel) as looks:
        for generation in range(6):
            eventually(
                lambda now=generation: now in [look["generation"] for look in [*looks]],
                what=f"a look at generation {generation}",
            )
            if generation < 5:
                before = server.status(kernel)["revision"]
                kill(server, kernel)
                come_back(server, kernel, before)
    ghosts = [look for look in looks if look["status"] == "connected" and not look["lives"]]
    told = {
        change["generation"]: moment(change["at"])
        for change in changes(server, kernel)
        if change["status"] == "autorestarting"
    }
    assert len(told) == 5
    assert all(look["asked"] <= told[look["generation"]] for look in ghosts)


def test_death_is_seen_without_a_poll(server: Server, fake: Starter) -> None:
    """It is told after the kill and nobody has asked for it, five times out of five."""
    kernel = fake("good")
    for _ in range(5):
        before = server.status(kernel)["revision"]
        at = time.time()
        kill(server, kernel)
        come_back(server, kernel, before)
        first = changes(server, kernel, before)[0]
        assert (first["status"], moment(first["at"]) >= at) == ("autorestarting", True)


def test_busy_agrees_with_the_replies(server: Server, python_kernel: str) -> None:
    """Over twenty cells the server tells one busy and one idle for each, in their time."""
    with server.client(python_kernel) as client:
        for _ in range(20):
            before = server.status(python_kernel)["revision"]
            sent = time.time()
            reply_to(client, "shell", execute(client, "1"))
            server.wait(python_kernel, execution_state="idle", since=before)
            told = changes(server, python_kernel, before)
            assert [change["execution_state"] for change in told] == ["busy", "idle"]
            assert sent <= moment(told[0]["at"]) <= moment(told[1]["at"]) <= time.time()


def test_every_model_agrees_with_the_process_table(server: Server, fake: Starter) -> None:
    """Of five kernels, two of them dead, list, statuses and process table tell the same."""
    kernels = [fake("good") for _ in range(3)] + [
        fake("die-at-start", wait=False) for _ in range(2)
    ]
    for kernel in kernels[3:]:
        server.until_dead(kernel)
    models = server.models()
    for kernel in kernels:
        running = [process.pid for process in server.kernel_processes(kernel)]
        alive = models[kernel]["status"] == "connected"
        assert running == ([server.status(kernel)["pid"]] if alive else [])
        assert (
            (models[kernel]["status"] == "dead")
            == (models[kernel]["execution_state"] == "dead")
            == (not alive)
        )


def test_websocket_changes_nothing_in_the_truth(server: Server, python_kernel: str) -> None:
    """With a websocket open a cell is told as without, and the connection counted as in stock."""
    before = server.status(python_kernel)["revision"]
    url = f"ws://127.0.0.1:{server.port}{server.base_url}api/kernels/{python_kernel}/channels"
    socket = websocket.create_connection(
        url, header=[f"Authorization: token {server.token}"], timeout=PATIENCE
    )
    header = {
        "msg_id": "cell-1",
        "msg_type": "execute_request",
        "session": "s",
        "username": "",
        "version": "5.3",
    }
    content = {
        "code": "1+1",
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
    }
    message = {
        "channel": "shell",
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
    }
    try:
        assert server.model(python_kernel)["connections"] == 1
        socket.send(json.dumps(message))
        while True:
            answer = json.loads(socket.recv())
            if answer["msg_type"] == "execute_reply":
                break
        assert answer["content"]["status"] == "ok"
    finally:
        socket.close()
    assert server.wait(python_kernel, execution_state="idle", since=before).status_code == 200
    eventually(
        lambda: server.model(python_kernel)["connections"] == 0, what="the connection is gone"
    )
