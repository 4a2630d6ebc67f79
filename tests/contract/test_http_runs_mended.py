"""Contract section 3, runs: what is easily got wrong where many, large and odd things meet."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from unittest import mock

import httpx
import pytest
from support.kernel_socket import LEGACY, V1, KernelSocket, connect
from support.runs import (
    ENDED,
    ended,
    execute,
    listed,
    pieces,
    read,
    runs_of,
    started,
    submit,
)
from support.server import Server, eventually
from support.sse import EVENT_STREAM

Starter = Callable[..., str]

JSON = "application/json"


def rests(server: Server, kernel: str) -> None:
    """Wait until the one word for people is idle; then nothing runs and nothing is queued."""
    answer = server.wait(kernel, state="idle")
    assert answer.status_code == 200, answer.text
    status = server.status(kernel)
    assert (status["state"], status["queued"], status["running"]) == ("idle", [], [])


def works(server: Server, kernel: str) -> None:
    """What is sent to it is run."""
    assert execute(server, kernel, "1").done["output"]["data"] == "1"


# -- requests of websockets that no kernel answers


@contextlib.contextmanager
def spoiling(socket: KernelSocket, good: bytes, bad: bytes) -> Iterator[None]:
    """Change what is sent meanwhile."""
    send = socket._send_frame

    def spoil(kind: int, payload: bytes) -> None:
        assert payload.count(good) == 1, payload
        send(kind, payload.replace(good, bad))

    with mock.patch.object(socket, "_send_frame", spoil):
        yield


SPOILT = {
    "legacy without metadata": (LEGACY, b'"metadata": {}, ', b""),
    "v1 with metadata that is no JSON": (V1, b'{}{}{"code"', b'{}no{"code"'),
}


@pytest.mark.parametrize(("protocol", "good", "bad"), SPOILT.values(), ids=SPOILT)
def test_a_request_that_reaches_no_kernel(
    server: Server, python_kernel: str, protocol: str, good: bytes, bad: bytes
) -> None:
    """It leaves nothing behind, while its websocket is still open: who waits for idle is told."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        with spoiling(socket, good, bad):
            cell = socket.execute("1")
        server.taken_up()
        rests(server, python_kernel)
        mine = [run for run in listed(server, python_kernel) if run["run_id"] == cell]
        assert all(run["status"] in ENDED for run in mine), mine
        works(server, python_kernel)


def test_a_request_that_is_never_answered(server: Server, python_kernel: str) -> None:
    """A kernel says busy and idle over an empty one and no more: it ends all the same."""
    with connect(server, python_kernel) as socket:
        cell = socket.send("execute_request", {})
        run = ended(server, cell)
        assert (run["status"], run["execution_count"]) == ("aborted", None)
        rests(server, python_kernel)
        works(server, python_kernel)
        assert socket.run("1")


# -- many, and at bad moments


def test_cells_while_the_kernel_restarts(server: Server, fake: Starter) -> None:
    """They wait for the new process, which runs them, and that is what is told of them."""
    gate = server.gate()
    kernel = fake("good,slow", gate=gate)
    with connect(server, kernel) as socket:
        restart = server.send("POST", f"api/kernels/{kernel}/restart")
        eventually(lambda: server.status(kernel)["generation"] == 1, what="it is another process")
        new = server.status(kernel)
        assert (new["status"], new["restart_count"]) == ("restarting", 0)
        cells = [socket.execute("nothing") for _ in range(5)]
        eventually(lambda: server.status(kernel)["queued"] == cells, what="all have come")
        gate.open()
        assert restart.answer().status_code == 200
        runs = [ended(server, cell) for cell in cells]
    assert {(run["status"], run["reason"]) for run in runs} == {("ok", "")}
    assert {(run["generation"], run["worker_pid"]) for run in runs} == {(1, new["pid"])}
    assert None not in {run["username"] for run in runs}
    rests(server, kernel)


def test_many_cells_at_once(server: Server, python_kernel: str) -> None:
    """Of 200 of one websocket, each ends well, in its turn, though idles come before replies."""
    with connect(server, python_kernel) as socket:
        cells = [socket.execute(str(number)) for number in range(200)]
        socket.finished(cells[-1])
        ended(server, cells[-1])
    runs = {run["run_id"]: run for run in listed(server, python_kernel, limit=500)}
    mine = [runs[cell] for cell in cells]
    assert {run["status"] for run in mine} == {"ok"}
    assert [run["code"] for run in mine] == [str(number) for number in range(200)]
    for key in ("execution_count", "started_at", "ended_at"):
        assert [run[key] for run in mine] == sorted(run[key] for run in mine), key
    rests(server, python_kernel)


def test_a_reply_never_ends_a_run_before_its_output(server: Server, fake: Starter) -> None:
    """Replies come by another socket than the output, often sooner."""
    kernel = fake()
    texts = [execute(server, kernel, "flood 1").text("stdout") for _ in range(30)]
    assert texts == ["0\n"] * 30


HUGE = 20_000_000


def test_a_huge_display(server: Server, fake: Starter, python_kernel: str) -> None:
    """It waits, whole, for a reader who does not read, and others are answered meanwhile."""
    kernel = fake()
    # By hand: who holds answers against the document reads a stream piece by piece, for long.
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        connection.request(
            "POST",
            server.base_url + runs_of(kernel),
            json.dumps({"code": f"big {HUGE}", "run_id": "huge"}),
            {"Authorization": f"token {server.token}", "Accept": EVENT_STREAM},
        )
        assert ended(server, "huge")["status"] == "ok"
        rests(server, python_kernel)
        works(server, python_kernel)
        told = read(pieces(connection.getresponse().read()))
    assert told.names == ["run", "display", "done"]
    assert told.of("display")[0]["data"] == {"text/plain": "x" * HUGE}


def test_a_restart_is_no_failure_of_the_run(server: Server, python_kernel: str) -> None:
    """Jupyter interrupts what runs before it ends a process: that is not the run's own error."""
    run_id = submit(server, python_kernel, server.gate().cell)["run_id"]
    started(server, run_id)
    server.restart(python_kernel)
    run = ended(server, run_id)
    assert (run["status"], run["error"]) == ("aborted", None)
    assert "restart" in run["reason"]
    server.settled(python_kernel)


# -- Accept

ACCEPTED = {
    EVENT_STREAM: True,
    "TEXT/Event-Stream": True,
    f"{EVENT_STREAM}, {JSON}": True,
    f"{JSON}, {EVENT_STREAM}": True,
    f"{JSON};q=0.5, {EVENT_STREAM}; q=0.9": True,
    f"{EVENT_STREAM};charset=utf-8;q=0.1, */*": True,
    f"{EVENT_STREAM};q=0.5, {JSON}": False,
    f"{EVENT_STREAM};q=0, {JSON}": False,
    f"{EVENT_STREAM};q=0": False,
    f"{EVENT_STREAM}; Q=0.2, {JSON}; Q=0.3": False,
    JSON: False,
    "*/*": False,
    "text/*": False,
}


@pytest.fixture(scope="module")
def resting(server: Server) -> str:
    """A fake kernel that runs nothing but what a test here sends."""
    return server.connected(server.fake())


@pytest.mark.parametrize(("accept", "is_stream"), ACCEPTED.items())
def test_what_is_accepted(server: Server, resting: str, accept: str, is_stream: bool) -> None:
    """A stream comes if it is wanted, and at least as much as JSON."""
    answer = asked(server, resting, accept)
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert (answer.status_code, kind) == ((200, EVENT_STREAM) if is_stream else (202, JSON))


def asked(server: Server, kernel: str, accept: str) -> httpx.Response:
    """The answer to a run for somebody who accepts this."""
    headers = {"Accept": accept}
    return server.http.post(runs_of(kernel), json={"code": "nothing"}, headers=headers)
