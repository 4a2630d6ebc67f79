"""Contract section 3, runs: clients and kernels that do what nobody should harm only themselves."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.parse
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.kernel_socket import LEGACY, TEXT, KernelSocket, connect
from support.runs import (
    ENDED,
    ended,
    execute,
    followed,
    listed,
    look,
    look_for,
    named,
    place,
    read,
    runs_of,
    sent,
    sent_raw,
    started,
    submit,
)
from support.server import Server, eventually
from support.stories import kill

Starter = Callable[..., str]

NAMES = {
    "a slash": "a/b",
    "a name of another path": "workers/active",
    "dots": "..",
    "long": "x" * 5000,
    "not ASCII": "é\u2028\U0001d11e",
    "a null character": "a\x00b",
    "half a character": "\ud800",
    "a percent sign": "%2e%2e%2f",
    "a quote": "'; drop table runs; --",
}


OURS = re.compile(r'File ".*kernel_status_ext/')
"""A traceback that goes through the extension."""


def send_as(socket: KernelSocket, msg_id: object, content: object) -> None:
    """Send an execute request under this name, in the legacy protocol."""
    header = {"msg_id": msg_id, "msg_type": "execute_request", "session": socket.session_id}
    header |= {"username": "somebody", "date": "2026-01-02T03:04:05.678901Z", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content}
    socket._send_frame(TEXT, json.dumps(message | {"channel": "shell"}).encode())


def code(text: str) -> dict[str, object]:
    """The content of an execute request."""
    return {"code": text, "silent": False, "store_history": True, "allow_stdin": False}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_websockets_strange_names(server: Server, fake: Starter, name: str) -> None:
    """Whatever a client calls its messages: the next run is run, and lists can be read."""
    kernel, at = fake(), len(server.log())
    with connect(server, kernel, protocol=LEGACY) as socket:
        send_as(socket, name, code("nothing"))
        execute(server, kernel, "nothing")
    for run in listed(server, kernel):
        quoted = urllib.parse.quote(run["run_id"].encode("utf-8", "replace"), safe="")
        assert server.http.get(f"{place('')}{quoted}").status_code in (200, 400, 404)
    assert listed(server, limit=500)
    status = server.settled(kernel)
    assert (status["running"], status["queued"]) == ([], [])
    # Stock raises over half a character, below our method.
    assert name == "\ud800" or not OURS.search(server.log()[at:])


CONTENTS = {
    "nothing": {},
    "no code": {"silent": False},
    "a number": {"code": 5},
    "a list": ["code"],
    "null": None,
    "half a character": {"code": "\ud800"},
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS)
def test_a_websockets_strange_code(server: Server, python_kernel: str, content: object) -> None:
    """What is no code has an end, if it is a run at all, and so have those behind it."""
    name = uuid.uuid4().hex
    with connect(server, python_kernel, protocol=LEGACY) as socket:
        send_as(socket, name, content)
        server.taken_up()
    # It may be aborted by what was no code, which comes by another socket.
    eventually(lambda: execute(server, python_kernel, "1").done["output"]["data"] == "1")
    eventually(lambda: server.status(python_kernel)["running"] == [], what="nothing runs")
    assert server.status(python_kernel)["queued"] == []
    known = [run for run in listed(server, python_kernel) if run["run_id"] == name]
    assert all(run["status"] in ENDED for run in known), known


def test_one_name_twice_on_a_websocket(server: Server, python_kernel: str) -> None:
    """A message that is sent twice runs twice, is one run, and nothing stays open."""
    gate, name = server.gate(), uuid.uuid4().hex
    with connect(server, python_kernel, protocol=LEGACY) as socket:
        for _ in range(2):
            send_as(socket, name, code(gate.cell))
        started(server, name)
        gate.open()
        socket.finished(name)
    assert execute(server, python_kernel, "1").status == "ok"
    assert ended(server, name)["status"] == "ok"
    status = server.settled(python_kernel)
    assert (status["running"], status["queued"]) == ([], [])
    assert [run["run_id"] for run in listed(server, python_kernel)].count(name) == 1


def test_the_name_of_a_run_on_a_websocket(server: Server, fake: Starter) -> None:
    """A websocket that uses the name of a run of this API ends nothing of it."""
    kernel, gate = fake(), server.gate()
    with (
        connect(server, kernel, protocol=LEGACY) as socket,
        sent(server, kernel, gate.command, run_id="taken") as stream,
    ):
        started(server, "taken")
        send_as(socket, "taken", code("flood 1"))
        server.taken_up()
        assert stream.told or stream.next()
        gate.open()
        stream.until(named("done"))
        assert stream.ended() == []
    assert ended(server, "taken")["status"] == "ok"
    assert execute(server, kernel, "nothing").status == "ok"


# -- kernels


def test_a_stopped_kernel_has_a_queue(server: Server, fake: Starter) -> None:
    """What is sent to a process that is stopped is queued: it is idle, its state is running."""
    kernel = fake()
    pid = kill(server, kernel, signal.SIGSTOP)
    with sent(server, kernel, "flood 1") as stream:
        run = stream.next().data["run"]
        assert stream.silent()
        status = server.status(kernel)
        assert (status["running"], status["queued"]) == ([], [run["run_id"]])
        assert (status["execution_state"], status["state"]) == ("idle", "running")
        os.kill(pid, signal.SIGCONT)
        assert stream.whole().text("stdout") == "0\n"
    assert server.settled(kernel)["state"] == "idle"


def test_a_kernel_that_sends_rubbish(server: Server, fake: Starter) -> None:
    """Broken, wrongly signed and senseless messages between those of a run change nothing of it."""
    kernel = fake("garbage")
    for _ in range(3):
        told = execute(server, kernel, "flood 20")
        assert told.text("stdout").split() == [str(number) for number in range(20)]
        assert told.status == "ok"
    assert [run["status"] for run in listed(server, kernel)] == ["ok"] * 3


def test_a_kernel_that_ends_between_two_runs(server: Server, fake: Starter) -> None:
    """Sent right after a death, a run is run by the next process, or ends with the reason."""
    kernel = fake()
    for _ in range(3):
        kill(server, kernel)
        told = execute(server, kernel, "flood 1")
        if told.status == "ok":
            assert told.text("stdout") == "0\n"
        else:
            assert told.status in ("aborted", "died")
        server.settled(kernel)


# -- many


def test_many_callers_at_once(server: Server, fake: Starter) -> None:
    """Of sixty runs that ten callers send to three kernels each has its own output and end."""
    kernels = [fake() for _ in range(3)]

    def call(number: int) -> tuple[str, str]:
        told = read(sent_raw(server, kernels[number % 3], f"foreign {number}"))
        return told.text("stdout"), told.status

    with ThreadPoolExecutor(10) as pool:
        ends = list(pool.map(call, range(60)))
    assert ends == [(str(number), "ok") for number in range(60)]


def test_many_who_look_on(server: Server, fake: Starter) -> None:
    """Fifteen readers of one run are told the same, and leave nothing open."""
    kernel, gate = fake(), server.gate()
    run_id = submit(server, kernel, gate.command)["run_id"]
    fds = server.fds()
    streams = [followed(server, run_id) for _ in range(15)]
    try:
        for stream in streams:
            stream.__enter__()
        gate.open()
        ends = [stream.whole() for stream in streams]
    finally:
        for stream in streams:
            stream.__exit__()
    assert all(told == ends[0] for told in ends)
    eventually(lambda: server.fds() <= fds + 3, what=f"back to {fds} descriptors")


def test_runs_leave_nothing_behind(server: Server, fake: Starter) -> None:
    """After forty runs and readers the server has the descriptors that it had after the first."""
    kernel = fake()
    run_id = execute(server, kernel, "nothing").run["run_id"]
    server.get(runs_of(kernel))
    before = server.fds()
    for _ in range(20):
        execute(server, kernel, "nothing")
        ended(server, submit(server, kernel, "nothing")["run_id"])
        with followed(server, run_id) as stream:
            stream.next()
    eventually(lambda: server.fds() <= before + 3, what=f"back to {before} descriptors")
    assert look(server, run_id)["status"] == "ok"


def test_ends_at_random_moments(server: Server) -> None:
    """Five kernels killed while runs begin and end: each run has one end, none hangs."""
    name = server.fake()
    kernels = [server.start_kernel(name) for _ in range(5)]
    for kernel in kernels:
        server.settled(kernel)
    ids = [submit(server, kernel, "flood 20")["run_id"] for kernel in kernels for _ in range(6)]
    for kernel in kernels:
        kill(server, kernel)
    ends = [look_for(server, run_id, *ENDED)["status"] for run_id in ids]
    assert set(ends) <= {"ok", "died", "aborted"}
    for at in range(0, len(ids), 6):
        assert ends[at : at + 6].count("died") <= 1
    for kernel in kernels:
        eventually(lambda kernel=kernel: server.status(kernel)["running"] == [])
        server.delete(kernel)
