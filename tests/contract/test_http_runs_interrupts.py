"""Contract section 3, `POST .../runs/RUN/interrupt`: that run, or none."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx
import pytest
from support.kernel_socket import PROTOCOLS, connect
from support.runs import (
    Run,
    checked,
    ended,
    execute,
    interrupt,
    interruptible,
    look,
    refusal,
    sent,
    started,
    submit,
)
from support.server import Server, eventually, held_for
from support.stories import ask
from support.stories import execute as execute_by_zmq

Starter = Callable[..., str]


def taken(answer: httpx.Response) -> Run:
    """The run of an answer that says that it is interrupted."""
    assert answer.status_code == 202, answer.text
    assert set(answer.json()) == {"run"}
    return checked(answer.json()["run"])


def interrupted(run: Run) -> bool:
    """Whether a KeyboardInterrupt ended it."""
    return run["status"] in ("error", "aborted") and run["error"]["ename"] == "KeyboardInterrupt"


def test_the_running_one(server: Server, python_kernel: str) -> None:
    """It ends with a KeyboardInterrupt, which its stream tells, and the next one runs."""
    gate = server.gate()
    with sent(server, python_kernel, gate.cell) as stream:
        run_id = stream.next().data["run"]["run_id"]
        started(server, run_id)
        assert taken(interrupt(server, run_id))["run_id"] == run_id
        told = stream.whole()
    assert "KeyboardInterrupt" in told.text("stderr")
    assert interrupted(ended(server, run_id))
    assert execute(server, python_kernel, "1").done["output"]["data"] == "1"


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_running_one_of_a_websocket(server: Server, python_kernel: str, protocol: str) -> None:
    """Whoever has sent it, it is interrupted."""
    gate = server.gate()
    with connect(server, python_kernel, protocol=protocol) as socket:
        cell = socket.execute(gate.cell)
        started(server, cell)
        taken(interrupt(server, cell))
        socket.finished(cell)
    assert interrupted(ended(server, cell))


def test_the_running_one_of_a_stranger(server: Server, python_kernel: str) -> None:
    """Also that of a client nobody knows."""
    gate = server.gate()
    with server.client(python_kernel) as client:
        cell = execute_by_zmq(client, gate.cell)
        started(server, cell)
        taken(interrupt(server, cell))
        assert interrupted(ended(server, cell))


def test_by_a_message(server: Server, start: Starter) -> None:
    """A kernel that is interrupted by messages gets one."""
    kernel, gate = start(interruptible(server)), server.gate()
    run_id = submit(server, kernel, f"nap {gate}")["run_id"]
    started(server, run_id)
    taken(interrupt(server, run_id))
    assert interrupted(ended(server, run_id))


def test_one_that_its_kernel_calls_aborted(server: Server, start: Starter) -> None:
    """An interrupted cell of a bash or an R kernel was interrupted, not skipped."""
    kernel, gate = start(interruptible(server)), server.gate()
    with sent(server, kernel, f"yield {gate}") as stream:
        run_id = stream.next().data["run"]["run_id"]
        started(server, run_id)
        taken(interrupt(server, run_id))
        told = stream.whole()
    run = ended(server, run_id)
    assert (run["status"], run["reason"]) == ("aborted", "It was interrupted.")
    assert run["started_at"] is not None
    assert "It was interrupted." in told.text("stderr")


def test_a_queued_one(server: Server, python_kernel: str) -> None:
    """It is refused, and the one that runs is not harmed; nor is the queued one, later."""
    first, second = server.gate(), server.gate()
    ahead = submit(server, python_kernel, first.cell)["run_id"]
    behind = submit(server, python_kernel, second.cell)["run_id"]
    started(server, ahead)
    assert "queued" in refusal(interrupt(server, behind), 409)
    assert held_for(lambda: look(server, ahead)["status"] == "running", 0.3)
    first.open()
    assert ended(server, ahead)["status"] == "ok"
    started(server, behind)
    second.open()
    assert ended(server, behind)["status"] == "ok"


def test_one_that_has_ended(server: Server, python_kernel: str) -> None:
    """It is refused, with how it ended, and what runs by now is not harmed."""
    old = execute(server, python_kernel, "1").run["run_id"]
    gate = server.gate()
    new = submit(server, python_kernel, gate.cell)["run_id"]
    started(server, new)
    assert "ok" in refusal(interrupt(server, old), 409)
    assert held_for(lambda: look(server, new)["status"] == "running", 0.3)
    gate.open()
    assert ended(server, new)["status"] == "ok"
    refusal(interrupt(server, new), 409)


def test_one_of_a_kernel_that_is_gone(server: Server) -> None:
    """It has ended, and that is said."""
    kernel, gate = server.connected(server.fake()), server.gate()
    run_id = submit(server, kernel, gate.command)["run_id"]
    started(server, run_id)
    server.delete(kernel)
    refusal(interrupt(server, run_id), 409)


def test_one_of_a_kernel_that_comes_up(server: Server, fake: Starter) -> None:
    """It is queued, and that is said."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    run_id = submit(server, kernel, "nothing")["run_id"]
    refusal(interrupt(server, run_id), 409)
    gate.open()
    assert ended(server, run_id)["status"] == "ok"


def test_one_on_a_subshell(server: Server, kernel: str) -> None:
    """A signal would hit the main shell's: it is refused, and both go on."""
    gates = server.gate(), server.gate()
    with server.client(kernel) as client:
        subshell = ask(client, "create_subshell_request", "control")["subshell_id"]
    main = submit(server, kernel, gates[0].cell)["run_id"]
    side = submit(server, kernel, gates[1].cell, subshell_id=subshell)["run_id"]
    for run_id in (main, side):
        started(server, run_id)
    assert "subshell" in refusal(interrupt(server, side), 409)
    for gate, run_id in zip(gates, (main, side), strict=True):
        gate.open()
        assert ended(server, run_id)["status"] == "ok"


def test_again_and_again(server: Server, python_kernel: str) -> None:
    """While one run follows the other, an interrupt for an old one never hits a new one."""
    old = execute(server, python_kernel, "1").run["run_id"]
    codes, stop = set(), threading.Event()

    def hammer() -> None:
        # By connections of its own: a stream that is left early closes its own in httpx.
        with httpx.Client(base_url=server.http.base_url, headers=server.http.headers) as http:
            while not stop.is_set():
                codes.add(http.post(f"api/kernels/runs/{old}/interrupt").status_code)

    thread = threading.Thread(target=hammer)
    thread.start()
    try:
        ends = [execute(server, python_kernel, "sum(range(1000))").status for _ in range(20)]
    finally:
        stop.set()
        thread.join()
    assert (codes, ends) == ({409}, ["ok"] * 20)


def test_right_at_its_end(server: Server, python_kernel: str) -> None:
    """An interrupt that meets the end of its run never hits the one behind it."""
    ends = []
    for _ in range(10):
        gate, behind = server.gate(), server.gate()
        first = submit(server, python_kernel, gate.cell, stop_on_error=False)["run_id"]
        started(server, first)
        second = submit(server, python_kernel, behind.cell)["run_id"]
        gate.open()
        assert interrupt(server, first).status_code in (202, 409)
        eventually(behind.reached.exists, what="the one behind works")
        behind.open()
        ended(server, first)
        ends.append(ended(server, second))
    assert {(run["status"], run["reason"]) for run in ends} == {("ok", "")}
