"""Contract section 3: `GET /api/kernels/workers/active` and `GET /api/kernels/runs/RUN/inspect`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest
from support.figures import FULL, KEYS, checked
from support.kernel_socket import connect
from support.runs import ended, execute, look, place, refusal, started, submit
from support.server import Server, eventually
from support.stories import come_back, kill, moment
from support.stories import execute as execute_by_zmq

Starter = Callable[..., str]

ACTIVE = "api/kernels/workers/active"
WORKER_KEYS = {
    *("run_id", "kernel_id", "kernel_name", "path", "status", "username", "timeout"),
    *("worker_pid", "started_at", "last_activity", "memory_rss_bytes", "cpu_percent"),
}
MIB = 2**20


def active(server: Server) -> dict[str, dict[str, Any]]:
    """The workers by their runs, their shapes checked."""
    body = server.get(ACTIVE)
    assert set(body) == {"workers", "count", "checked_at"}
    assert body["count"] == len(body["workers"])
    moment(body["checked_at"])
    for worker in body["workers"]:
        assert set(worker) == WORKER_KEYS
        assert moment(worker["started_at"]) <= moment(body["checked_at"])
        moment(worker["last_activity"])
        assert worker["status"] == "running"
    found = {worker["run_id"]: worker for worker in body["workers"]}
    assert len(found) == body["count"]
    return found


def inspect(server: Server, run_id: str, **params: object) -> dict[str, Any]:
    """The figures of a run's process, their shape checked."""
    return checked(server.get(place(run_id, "/inspect"), **params))


def test_nobody_works(server: Server, fake: Starter) -> None:
    """Idle kernels, dead ones and those that come up are no workers."""
    fake()
    fake("mute", wait=False)
    server.until_dead(fake("die-at-start", wait=False))
    assert active(server) == {}


def test_all_that_work(server: Server, fake: Starter) -> None:
    """Eight kernels that run something are told in one look, the idle one beside them is not."""
    gate = server.gate()
    kernels = [fake() for _ in range(8)]
    fake()
    ids = [submit(server, kernel, gate.command, timeout=50)["run_id"] for kernel in kernels]
    behind = submit(server, kernels[0], "nothing")["run_id"]
    for run_id in ids:
        started(server, run_id)
    workers = active(server)
    assert set(workers) == set(ids)
    for kernel, run_id in zip(kernels, ids, strict=True):
        run, worker = look(server, run_id), workers[run_id]
        same = WORKER_KEYS - {"last_activity", "memory_rss_bytes", "cpu_percent"}
        assert {key: worker[key] for key in same} == {key: run[key] for key in same}
        assert worker["kernel_id"] == kernel
        rss = psutil.Process(worker["worker_pid"]).memory_info().rss
        assert abs(worker["memory_rss_bytes"] - rss) < 2 * MIB
        assert worker["last_activity"] == server.model(kernel)["last_activity"]
    gate.open()
    ended(server, behind)
    for run_id in ids:
        ended(server, run_id)
    assert active(server) == {}


@pytest.mark.parametrize("kind", ["a websocket's", "a stranger's"])
def test_work_for_others(server: Server, kind: str) -> None:
    """What others run is work, told with what is known of it."""
    session = server.session(f"{kind[2:4]}.ipynb", server.fake())
    kernel, gate = session["kernel"]["id"], server.gate()
    server.settled(kernel)
    with connect(server, kernel) as socket, server.client(kernel) as client:
        if kind == "a websocket's":
            cell = socket.execute(gate.command)
        else:
            cell = execute_by_zmq(client, gate.command)
        user = started(server, cell)["username"]
        worker = active(server)[cell]
        assert (worker["path"], worker["username"]) == (session["path"], user)
        assert (user is None) == (kind == "a stranger's")
        assert worker["worker_pid"] == server.status(kernel)["pid"]
        gate.open()
        ended(server, cell)
    server.delete(kernel)


def test_how_much_work_it_is(server: Server, python_kernel: str) -> None:
    """Of a cell that spins and keeps 200 MiB both are told."""
    gate = server.gate()
    spin = gate.cell.replace("time.sleep(0.01)", "pass")
    run_id = submit(server, python_kernel, f"x = b'x' * {200 * MIB}\n{spin}\ndel x")["run_id"]
    eventually(gate.reached.exists)
    assert active(server)[run_id]["memory_rss_bytes"] > 200 * MIB
    eventually(
        lambda: 5 < (active(server)[run_id]["cpu_percent"] or 0) <= 120,
        what="much of a processor",
    )
    told = inspect(server, run_id)
    assert told["pid"] == look(server, run_id)["worker_pid"]
    assert told["memory_rss_bytes"] > 200 * MIB
    gate.open()
    ended(server, run_id)


# -- one run's process


def test_the_process_of_a_run(server: Server, fake: Starter) -> None:
    """While it runs its figures are those of the kernel's process, in full if one asks."""
    kernel, gate = fake("single-loop"), server.gate()
    run_id = submit(server, kernel, gate.command)["run_id"]
    started(server, run_id)
    assert set(inspect(server, run_id)) == KEYS
    told = inspect(server, run_id, detail="full")
    assert set(told) == KEYS | FULL
    assert told["pid"] == server.status(kernel)["pid"]
    assert told["cmdline"] == psutil.Process(told["pid"]).cmdline()
    answer = server.http.get(place(run_id, "/inspect"), params={"detail": "x"})
    assert "full" in refusal(answer, 400)
    gate.open()
    ended(server, run_id)


def test_the_process_of_a_run_that_ended(server: Server, fake: Starter) -> None:
    """The kernel lives, but not for it."""
    run_id = execute(server, fake(), "nothing").run["run_id"]
    for params in ({}, {"detail": "full"}):
        assert set(inspect(server, run_id, **params)) == {"alive", "reason"}
    assert inspect(server, run_id)["reason"]


def test_the_process_of_a_run_that_died(server: Server, fake: Starter) -> None:
    """It is gone, and the next one of its kernel is not taken for it."""
    kernel, gate = fake(), server.gate()
    before = server.status(kernel)["revision"]
    run_id = submit(server, kernel, gate.command)["run_id"]
    started(server, run_id)
    kill(server, kernel)
    come_back(server, kernel, before)
    assert inspect(server, run_id)["alive"] is False
    server.delete(kernel)
    assert inspect(server, run_id)["alive"] is False


def test_a_run_without_a_process(server: Server, fake: Starter) -> None:
    """Queued for a kernel that was never launched or has not answered, it has no worker."""
    gate = server.gate()
    kernel = fake("slow", gate=gate, wait=False)
    run_id = submit(server, kernel, "nothing")["run_id"]
    assert run_id not in active(server)
    assert inspect(server, run_id)["alive"] in (True, False)
    gate.open()
    ended(server, run_id)


def test_nobodys_process(server: Server) -> None:
    """An unknown run is 404."""
    refusal(server.http.get(place("nobodys", "/inspect")), 404)
