"""Contract section 3, runs of others: websockets in both protocols, and clients nobody knows."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import pytest
from support.kernel_socket import PROTOCOLS, connect
from support.runs import (
    Run,
    ended,
    execute,
    found,
    listed,
    look,
    look_for,
    named,
    place,
    post,
    refusal,
    runs_of,
    sent,
    started,
    submit,
)
from support.server import Server, eventually
from support.stories import ask
from support.stories import execute as execute_by_zmq

Starter = Callable[..., str]
Send = Callable[[str], str]


@pytest.fixture(params=PROTOCOLS.values(), ids=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    """Each of the two subprotocols."""
    return request.param


@contextlib.contextmanager
def foreigner(server: Server, kernel: str, kind: str) -> Iterator[Send]:
    """A client that is not this API: one of a websocket, or one straight to the kernel."""
    if kind == "stranger":
        with server.client(kernel) as client:
            yield lambda code: execute_by_zmq(client, code)
    else:
        with connect(server, kernel, protocol=PROTOCOLS[kind]) as socket:
            yield lambda code: socket.execute(code, stop_on_error=True)


FOREIGNERS = [*PROTOCOLS, "stranger"]


def of_somebody(run: Run) -> bool:
    """Whether it has the user that the server knows, which is not what a message's header says."""
    return isinstance(run["username"], str) and run["username"] not in ("", "somebody")


# -- a websocket's runs


def test_a_websockets_run(server: Server, protocol: str) -> None:
    """It has its message's id, its code, its user, its session and its end like any other."""
    session = server.session(f"of-{protocol or 'legacy'}.ipynb", "python3")
    kernel, gate = session["kernel"]["id"], server.gate()
    pid = server.settled(kernel)["pid"]
    with connect(server, kernel, protocol=protocol) as socket:
        cell = socket.execute(f"{gate.cell}\n5")
        run = started(server, cell)
        assert server.status(kernel)["running"] == [cell]
        gate.open()
        socket.finished(cell)
    run = ended(server, cell)
    assert (run["code"], run["status"], run["error"]) == (f"{gate.cell}\n5", "ok", None)
    assert (run["session"], run["path"]) == (session["id"], session["path"])
    assert of_somebody(run)
    assert run["timeout"] is None
    assert (run["kernel_id"], run["worker_pid"], run["execution_count"]) == (kernel, pid, 1)
    assert listed(server, kernel) == [run]
    server.delete(kernel)


def test_a_websockets_queue(server: Server, python_kernel: str, protocol: str) -> None:
    """What it has sent ahead is queued until it runs, or is aborted by an error before it."""
    gate = server.gate()
    with connect(server, python_kernel, protocol=protocol) as socket:
        first = socket.execute(f"{gate.cell}\nint('x')", stop_on_error=True)
        second = socket.execute("5")
        started(server, first)
        assert look_for(server, second, "queued")["started_at"] is None
        status = server.status(python_kernel)
        assert (status["running"], status["queued"]) == ([first], [second])
        gate.open()
        socket.finished(second)
    runs = [ended(server, each) for each in (first, second)]
    assert [run["status"] for run in runs] == ["error", "aborted"]
    assert runs[0]["error"]["ename"] == "ValueError"
    assert [run["run_id"] for run in listed(server, python_kernel, limit=2)] == [second, first]


def test_a_websockets_output_is_not_kept(server: Server, fake: Starter, protocol: str) -> None:
    """Its stream is gone, with a sentence, while it runs and afterwards."""
    kernel, gate = fake(), server.gate()
    with connect(server, kernel, protocol=protocol) as socket:
        cell = socket.execute(gate.command)
        started(server, cell)
        refusal(server.http.get(place(cell, "/events")), 410)
        gate.open()
        socket.finished(cell)
    refusal(server.http.get(place(cell, "/events")), 410)


def test_a_websocket_that_goes(server: Server, fake: Starter, protocol: str) -> None:
    """Its run is followed to its end when nobody is there any more."""
    kernel, gate = fake(), server.gate()
    with connect(server, kernel, protocol=protocol) as socket:
        cell = socket.execute(gate.command)
        started(server, cell)
        socket.vanish()
    eventually(lambda: server.model(kernel)["connections"] == 0)
    assert look(server, cell)["status"] == "running"
    gate.open()
    assert ended(server, cell)["status"] == "ok"


def test_only_code_is_a_run(server: Server, python_kernel: str, protocol: str) -> None:
    """Other requests of a websocket are none, and are not listed."""
    before = listed(server, python_kernel, limit=500)
    with connect(server, python_kernel, protocol=protocol) as socket:
        for msg_type in ("kernel_info_request", "comm_info_request"):
            socket.finished(socket.send(msg_type, {}))
        socket.finished(socket.send("is_complete_request", {"code": "1 +"}))
        socket.finished(socket.send("inspect_request", {"code": "int", "cursor_pos": 3}))
    assert listed(server, python_kernel, limit=500) == before


# -- a stranger's runs


def test_a_strangers_run(server: Server, python_kernel: str) -> None:
    """It is there from its busy on, with its code, of nobody, and ends as it ends."""
    gate = server.gate()
    with server.client(python_kernel) as client:
        cell = execute_by_zmq(client, f"{gate.cell}\n1 / 0")
        run = started(server, cell)
        assert server.status(python_kernel)["running"] == [cell]
        gate.open()
        run = ended(server, cell)
    assert (run["code"], run["kernel_id"]) == (f"{gate.cell}\n1 / 0", python_kernel)
    assert (run["username"], run["timeout"]) == (None, None)
    assert run["status"] == "error"
    assert run["error"]["ename"] == "ZeroDivisionError"
    assert run["worker_pid"] == server.status(python_kernel)["pid"]
    refusal(server.http.get(place(cell, "/events")), 410)
    assert listed(server, python_kernel, limit=1) == [run]


def test_a_strangers_success(server: Server, python_kernel: str) -> None:
    """A run that says nothing of a failure was well."""
    with server.client(python_kernel) as client:
        cell = execute_by_zmq(client, "5")
        run = ended(server, cell)
    assert (run["status"], run["error"], run["code"]) == ("ok", None, "5")
    assert isinstance(run["execution_count"], int)


def test_a_stranger_only_asks(server: Server, python_kernel: str) -> None:
    """What is no code is no run."""
    before = listed(server, python_kernel, limit=500)
    with server.client(python_kernel) as client:
        ask(client, "is_complete_request", code="1 +")
        ask(client, "kernel_info_request")
    execute(server, python_kernel, "1")
    shown = [run["code"] for run in listed(server, python_kernel, limit=500)]
    assert len(shown) == len(before) + 1


# -- theirs and ours


@pytest.mark.parametrize("kind", FOREIGNERS)
def test_a_foreign_end_is_not_ours(server: Server, python_kernel: str, kind: str) -> None:
    """A run behind somebody else's cell ends after its own end, and tells its own output alone."""
    gate = server.gate()
    with foreigner(server, python_kernel, kind) as send:
        cell = send(f"print('foreign', flush=True)\n{gate.cell}\nprint('foreign')\n'foreign'")
        started(server, cell)
        with sent(server, python_kernel, "print('own')\n'own'") as stream:
            run = stream.next().data["run"]
            assert run["status"] == "queued"
            assert stream.silent()
            assert server.status(python_kernel)["queued"] == [run["run_id"]]
            gate.open()
            told = stream.whole()
    assert told.text("stdout") == "own\n"
    assert [each["data"] for each in told.of("result")] == [{"text/plain": "'own'"}]
    assert told.done["output"]["data"] == "'own'"


@pytest.mark.parametrize("kind", FOREIGNERS)
def test_a_foreign_end_behind_ours(server: Server, python_kernel: str, kind: str) -> None:
    """A run ends at its own end while somebody else's cell, queued behind it, goes on."""
    own, foreign = server.gate(), server.gate()
    with (
        sent(server, python_kernel, f"{own.cell}\n'own'") as stream,
        foreigner(server, python_kernel, kind) as send,
    ):
        started(server, stream.next().data["run"]["run_id"])
        cell = send(f"{foreign.cell}\n'foreign'")
        assert stream.silent()
        own.open()
        assert stream.whole().done["output"]["data"] == "'own'"
        started(server, cell)
        foreign.open()
        ended(server, cell)


@pytest.mark.parametrize("kind", PROTOCOLS)
def test_a_foreign_error_aborts_ours(server: Server, python_kernel: str, kind: str) -> None:
    """A cell that fails and stops those behind it aborts a run, which says so."""
    gate = server.gate()
    with foreigner(server, python_kernel, kind) as send:
        cell = send(f"{gate.cell}\nint('x')")
        started(server, cell)
        with sent(server, python_kernel, "print('own')") as stream:
            stream.next()
            gate.open()
            told = stream.whole()
    assert told.names == ["run", "stderr", "done"]
    assert told.status == "aborted"
    assert "ValueError" not in told.text("stderr")


@pytest.mark.parametrize("kind", FOREIGNERS)
def test_foreign_output_after_its_idle(server: Server, fake: Starter, kind: str) -> None:
    """Somebody's early idle starts no run that is behind it, and what they print then is theirs."""
    kernel, gate = fake(), server.gate()
    with foreigner(server, kernel, kind) as send:
        ended_early = send(f"idle-then {gate}")
        look_for(server, ended_early, "running", "ok")
        with sent(server, kernel, "flood 1") as stream:
            assert stream.next().data["run"]["status"] == "queued"
            assert stream.silent()
            gate.open()
            told = stream.whole()
    assert told.names == ["run", "stdout", "done"]
    assert told.text("stdout") == "0\n"


def test_control_beside_ours(server: Server, python_kernel: str) -> None:
    """Code on control, run while a run is, neither ends it nor is part of it."""
    gate = server.gate()
    with (
        sent(server, python_kernel, gate.cell) as stream,
        connect(server, python_kernel) as socket,
    ):
        started(server, stream.next().data["run"]["run_id"])
        socket.finished(socket.execute("5", channel="control", silent=True))
        socket.finished(socket.send("kernel_info_request", {}, "control"))
        assert stream.silent()
        gate.open()
        assert stream.whole().names == ["run", "done"]


def test_a_websocket_sees_ours(server: Server, python_kernel: str, protocol: str) -> None:
    """To an open notebook a run is a cell of another client: busy, its code, output, idle."""
    with connect(server, python_kernel, protocol=protocol) as socket:
        # Until it has an answer upstream drops what the kernel publishes (its nudge).
        socket.finished(socket.execute("1"))
        run_id = execute(server, python_kernel, "print('own')").run["run_id"]
        socket.hear("idle", run_id)
    mine = [each for each in socket.received if each["parent_header"].get("msg_id") == run_id]
    assert [each["header"]["msg_type"] for each in mine] == [
        "status",
        "execute_input",
        "stream",
        "status",
    ]
    assert {each["channel"] for each in mine} == {"iopub"}


def test_two_that_use_one_id(server: Server, fake: Starter) -> None:
    """A name that a websocket uses again while its run is known runs nothing new by this API."""
    kernel, gate = fake(), server.gate()
    with connect(server, kernel) as socket:
        cell = socket.execute(gate.command)
        started(server, cell)
        answer = post(server, kernel, "nothing", run_id=cell)
        refusal(answer, 409)
        assert found(server, answer)["run_id"] == cell
        gate.open()
        socket.finished(cell)
    assert [run["run_id"] for run in server.get(runs_of(kernel))["runs"]] == [cell]


# -- what waits for input


@pytest.mark.parametrize("name", ["python3", "fake"])
def test_a_websocket_that_is_asked(
    server: Server, start: Starter, name: str, protocol: str
) -> None:
    """While its cell waits for input the status says so, and no longer once it is answered."""
    kernel = start("python3" if name == "python3" else server.fake())
    assert server.status(kernel)["waiting_for_input"] is False
    with connect(server, kernel, protocol=protocol) as socket:
        cell = socket.execute("input('name? ')" if name == "python3" else "ask", allow_stdin=True)
        socket.until(lambda message: message["header"]["msg_type"] == "input_request")
        asked = eventually(lambda: server.status(kernel)["waiting_for_input"])
        assert (asked, server.status(kernel)["running"]) == (True, [cell])
        queued = submit(server, kernel, "5" if name == "python3" else "nothing")["run_id"]
        assert server.status(kernel)["waiting_for_input"] is True
        socket.send("input_reply", {"value": "é", "status": "ok"}, "stdin")
        socket.finished(cell)
    assert ended(server, queued)["status"] == "ok"
    assert server.status(kernel)["waiting_for_input"] is False


def test_input_of_a_stranger_is_not_known(server: Server, fake: Starter) -> None:
    """While a stranger's cell runs nobody knows; while one of ours does it waits for none."""
    kernel, gate, other = fake(), server.gate(), server.gate()
    with server.client(kernel) as client:
        cell = execute_by_zmq(client, gate.command)
        started(server, cell)
        assert server.status(kernel)["waiting_for_input"] is None
        gate.open()
        ended(server, cell)
        assert server.status(kernel)["waiting_for_input"] is False
    with sent(server, kernel, other.command) as stream:
        started(server, stream.next().data["run"]["run_id"])
        assert server.status(kernel)["waiting_for_input"] is False
        other.open()
        stream.until(named("done"))


# -- one id on several kernels


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS, indirect=True)
def test_one_id_on_two_kernels_is_that_of_two_runs(
    server: Server, fake: Starter, protocol: str
) -> None:
    """The end of the one is not that of the other, while they run and afterwards."""
    gate = server.gate()
    first, second = fake("good"), fake("good")
    with (
        connect(server, first, protocol=protocol) as one,
        connect(server, second, protocol=protocol) as other,
    ):
        cell = one.execute(f"wait {gate.path}")
        started(server, cell)
        other.finished(other.execute("nothing", msg_id=cell))
        eventually(
            lambda: look(server, cell, second)["status"] == "ok", what="the second has ended"
        )
        assert look(server, cell)["kernel_id"] == first
        assert look(server, cell)["status"] == "running"
        assert server.status(first)["running"] == [cell]
        gate.open()
        one.finished(cell)
    assert ended(server, cell)["kernel_id"] == first
    for kernel in (first, second):
        assert look(server, cell, kernel)["kernel_id"] == kernel
    assert [run["run_id"] for run in listed(server, second)] == [cell]


def test_a_kernel_that_speaks_of_another_ones_run(server: Server, start: Starter) -> None:
    """What it prints and says does not come into that run's stream, and does not end it."""
    victim, liar = start(), start()
    gate = server.gate()
    with sent(server, victim, gate.cell) as stream:
        run_id = stream.until(named("run")).data["run"]["run_id"]
        started(server, run_id)
        lie = (
            "from ipykernel.kernelapp import IPKernelApp\n"
            "kernel = IPKernelApp.instance().kernel\n"
            f"parent = {{'header': {{'msg_id': {run_id!r}, 'msg_type': 'execute_request'}}}}\n"
            "for kind, said in [('status', {'execution_state': 'busy'}),\n"
            "    ('stream', {'name': 'stdout', 'text': 'a lie'}),\n"
            "    ('status', {'execution_state': 'idle'})]:\n"
            "    kernel.session.send(kernel.iopub_socket, kind, said, parent, ident=b'x')\n"
        )
        assert execute(server, liar, lie).done["success"]
        assert look(server, run_id)["status"] == "running"
        gate.open()
        stream.until(named("done"))
    assert "a lie" not in server.http.get(place(run_id, "/events")).text
    assert look(server, run_id)["status"] == "ok"
