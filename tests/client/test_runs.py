"""Running code by the client library at a real server, with both clients."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import support.server
from support.cells import at_work, holds, swallows
from support.clients import KINDS, Kind, ask
from support.proxy import Proxy
from support.server import PATIENCE, Server, eventually

from kernel_status_ext.client import (
    BadRequest,
    Done,
    KernelNotFound,
    KernelStateUnreachable,
    NotInterrupted,
    RunNotFound,
    RunResult,
    RunStarted,
    ServerUnreachable,
    Stderr,
    Stdout,
    Truncated,
)

both = pytest.mark.parametrize("kind", KINDS, ids=["sync", "async"])


@pytest.fixture
def of(server: Server) -> dict[str, Any]:
    """What a client of the shared server is made of."""
    return {"url": f"http://127.0.0.1:{server.port}{server.base_url}", "token": server.token}


def texts(heard: list[Any], kind: type[Any]) -> str:
    """All that was heard of one kind."""
    return "".join(each.data for each in heard if isinstance(each, kind))


@both
def test_a_run(of: dict[str, Any], server: Server, python_kernel: str, kind: Kind) -> None:
    """Its output as typed events, its value, and all that the server knows of it."""
    heard: list[Any] = []
    code = "import sys; print('out'); print('err', file=sys.stderr); 6 * 7"
    ended = ask(kind, "run", python_kernel, code, on_event=heard.append, of=of)
    assert (type(heard[0]), type(heard[-1])) == (RunStarted, Done)
    assert (texts(heard, Stdout), texts(heard, Stderr)) == ("out\n", "err\n")
    assert next(each for each in heard if isinstance(each, RunResult)).data["text/plain"] == "42"
    assert (ended.status, ended.output.data, ended.code) == ("ok", "42", code)
    told = server.get(f"api/kernels/runs/{ended.run_id}")["run"]
    assert {**ended.body, "output": None} == {**told, "output": None}
    assert ask(kind, "run_status", ended.run_id, of=of).body == told
    assert told in [each.body for each in ask(kind, "runs", python_kernel, status="ok", of=of)]


@both
def test_code_that_fails(of: dict[str, Any], python_kernel: str, kind: Kind) -> None:
    """It is no exception here: the run says what was raised, the traceback came as stderr."""
    heard: list[Any] = []
    ended = ask(kind, "run", python_kernel, "1 / 0", on_event=heard.append, of=of)
    assert (ended.status, ended.success, ended.error.ename) == ("error", False, "ZeroDivisionError")
    assert "ZeroDivisionError" in texts(heard, Stderr)
    assert ask(kind, "run", python_kernel, "1 +", of=of).error.ename == "SyntaxError"


@both
def test_a_limit(of: dict[str, Any], python_kernel: str, kind: Kind) -> None:
    """A run whose time is over was aborted, and says that it was for its time."""
    code = "import time; time.sleep(60)"
    ended = ask(kind, "run", python_kernel, code, timeout=0.3, of=of)
    assert (ended.status, ended.is_over_time) == ("aborted", True)
    assert "0.3 s" in ended.reason


@both
def test_a_kernel_that_dies(
    of: dict[str, Any], server: Server, fake: Callable[..., str], kind: Kind
) -> None:
    """The run is over, and why is its reason."""
    kernel, gate = fake(), server.gate()

    def kills() -> None:
        eventually(lambda: server.status(kernel)["running"], what="it works")
        os.kill(server.status(kernel)["pid"], signal.SIGKILL)

    with ThreadPoolExecutor() as pool:
        killed = pool.submit(kills)
        ended = ask(kind, "run", kernel, gate.command, of=of)
        killed.result(PATIENCE)
    assert (ended.status, ended.is_over_time) == ("died", False)
    assert "SIGKILL" in ended.reason


@both
def test_what_cannot_be_run(
    of: dict[str, Any], server: Server, fake: Callable[..., str], python_kernel: str, kind: Kind
) -> None:
    """A dead or unknown kernel, unknown runs, a bad id: each has its error and a reason."""
    dead = fake("die-at-start", code=3, gate="/", wait=False)
    server.until_dead(dead)
    with pytest.raises(KernelStateUnreachable) as raised:
        ask(kind, "run", dead, "1", of=of)
    assert raised.value.reason == server.status(dead)["reason"] != ""
    with pytest.raises(KernelNotFound):
        ask(kind, "submit", "nobody", "1", of=of)
    for call in ("run_status", "follow", "inspect_run", "interrupt"):
        with pytest.raises(RunNotFound, match="no-such"):
            ask(kind, call, "no-such", of=of)
    with pytest.raises(BadRequest, match="run_id"):
        ask(kind, "run", python_kernel, "1", run_id="a/b", of=of)
    with pytest.raises(BadRequest):
        ask(kind, "runs", limit=501, of=of)


@both
def test_sent_twice_run_once(of: dict[str, Any], python_kernel: str, kind: Kind) -> None:
    """A caller's own id makes it safe to run something again: it is followed, not run."""
    run_id, code = f"mine-{kind.__name__}", "import os; print(os.urandom(8).hex())"
    heard: list[list[Any]] = [[], []]
    runs = [
        ask(kind, "run", python_kernel, code, run_id=run_id, on_event=each.append, of=of)
        for each in heard
    ]
    assert runs[0] == runs[1]
    assert heard[0] == heard[1]
    assert ask(kind, "submit", python_kernel, code, run_id=run_id, of=of).run_id == run_id


@both
def test_a_proxy_that_cuts(
    of: dict[str, Any], server: Server, python_kernel: str, kind: Kind
) -> None:
    """A run goes on through streams that are cut, each line comes once, and in order."""
    heard: list[Any] = []
    code = "import time\nfor n in range(40):\n    print(n, flush=True)\n    time.sleep(0.02)"
    with Proxy(server.port, cut_after=0.2) as proxy:
        via = {**of, "url": f"http://127.0.0.1:{proxy.port}{server.base_url}"}
        ended = ask(kind, "run", python_kernel, code, on_event=heard.append, of=via)
        assert proxy.cuts >= 2
    assert texts(heard, Stdout).split() == [str(n) for n in range(40)]
    assert ended.status == "ok"


@both
def test_at_work(of: dict[str, Any], server: Server, python_kernel: str, kind: Kind) -> None:
    """A run that was submitted is among the workers, has figures, and is followed to its end."""
    gate = server.gate()
    taken = ask(kind, "submit", python_kernel, f"{gate.cell}\n7", of=of)
    at_work(server, python_kernel, gate.reached.exists)
    (worker,) = ask(kind, "workers", of=of).workers
    assert (worker.run_id, worker.kernel_id) == (taken.run_id, python_kernel)
    assert worker.worker_pid == server.status(python_kernel)["pid"]
    found = ask(kind, "inspect_run", taken.run_id, detail="full", of=of)
    assert (found.alive, found.pid) == (True, worker.worker_pid)
    queued = ask(kind, "submit", python_kernel, "8", of=of)
    with pytest.raises(NotInterrupted, match="queued"):
        ask(kind, "interrupt", queued.run_id, grace=1, then="restart", of=of)
    gate.open()
    assert ask(kind, "follow", taken.run_id, of=of).output.data == "7"
    assert ask(kind, "follow", queued.run_id, of=of).output.data == "8"
    assert ask(kind, "inspect_run", taken.run_id, of=of).alive is False


@both
def test_an_interrupt(of: dict[str, Any], server: Server, python_kernel: str, kind: Kind) -> None:
    """A cell that gives way is over in the time that it has; an ended run is not interrupted."""
    gate = server.gate()
    run_id = ask(kind, "submit", python_kernel, gate.cell, of=of).run_id
    at_work(server, python_kernel, gate.reached.exists)
    came = ask(kind, "interrupt", run_id, grace=20, then="restart", of=of)
    assert (came.run.status, came.run.error.ename, came.did) == ("error", "KeyboardInterrupt", None)
    with pytest.raises(NotInterrupted):
        ask(kind, "interrupt", run_id, of=of)


def given_up(of: dict[str, Any], server: Server, kernel: str, run_id: str, kind: Kind) -> None:
    """Interrupt a run that does not give way: it ends with its process, and another comes."""
    generation = server.status(kernel)["generation"]
    came = ask(kind, "interrupt", run_id, grace=0.2, then="restart", of=of)
    assert (came.run.status, came.did) == ("aborted", "restart")
    assert server.settled(kernel)["generation"] == generation + 1


def test_a_cell_that_swallows_interrupts(
    of: dict[str, Any], server: Server, python_kernel: str
) -> None:
    """It ends with its process."""
    gate = server.gate()
    run_id = ask(KINDS[0], "submit", python_kernel, swallows(gate), of=of).run_id
    at_work(server, python_kernel, gate.reached.exists)
    given_up(of, server, python_kernel, run_id, KINDS[0])


def test_a_cell_that_holds_the_interpreter(
    of: dict[str, Any], server: Server, python_kernel: str
) -> None:
    """It ends with its process, too."""
    gate, then = server.gate(), server.gate()
    run_id = ask(KINDS[1], "submit", python_kernel, holds(gate, then), of=of).run_id
    at_work(server, python_kernel, gate.reached.exists)
    gate.open()
    eventually(then.reached.exists, what="it holds the interpreter")
    given_up(of, server, python_kernel, run_id, KINDS[1])


@both
def test_a_kernel_that_is_shut_down(
    of: dict[str, Any], server: Server, fake: Callable[..., str], kind: Kind
) -> None:
    """A run that is deaf to the interrupt may also take its kernel with it."""
    kernel, gate = fake(), server.gate()
    run_id = ask(kind, "submit", kernel, gate.command, of=of).run_id
    eventually(lambda: server.status(kernel)["running"], what="it works")
    came = ask(kind, "interrupt", run_id, grace=0, then="shutdown", of=of)
    assert (came.run.status, came.did) == ("aborted", "shutdown")
    assert server.http.get(f"api/kernels/{kernel}/status").status_code == 404


@both
def test_a_run_of_a_stranger(
    of: dict[str, Any], server: Server, python_kernel: str, kind: Kind
) -> None:
    """Its output is not kept, and it is looked at until it is over; it can be interrupted."""
    heard: list[Any] = []
    with server.client(python_kernel) as stranger:
        gate = server.gate()
        run_id = stranger.execute(gate.cell)
        at_work(server, python_kernel, gate.reached.exists)
        came = ask(kind, "interrupt", run_id, grace=20, of=of)
        assert came.run.has_ended
        ended = ask(kind, "follow", run_id, on_event=heard.append, of=of)
    assert [type(each) for each in heard] == [RunStarted, Truncated, Done]
    assert (ended.run_id, ended.success) == (run_id, False)


def test_a_server_that_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next server at its place says that the run is lost; without one patience ends."""
    with Server() as mortal, ThreadPoolExecutor() as pool:
        monkeypatch.setattr(support.server, "free_port", lambda *_: mortal.port)
        kernel, gate = mortal.connected(mortal.fake("mine")), mortal.gate()
        of = {"url": f"http://127.0.0.1:{mortal.port}{mortal.base_url}", "token": mortal.token}
        patient, impatient = {**of, "patience": 60}, {**of, "patience": 0.2}
        heard: dict[Kind, list[Any]] = {kind: [] for kind in KINDS}
        runs = [
            pool.submit(ask, each, "run", kernel, gate.command, on_event=told.append, of=patient)
            for each, told in heard.items()
        ]
        hasty = pool.submit(ask, KINDS[0], "run", kernel, gate.command, of=impatient)
        eventually(lambda: len(mortal.status(kernel)["queued"]) == 2, what="one works, two wait")
        assert len(mortal.get("api/kernels/runs")["runs"]) == 3  # they are on disk then
        mortal.stop(how=signal.SIGKILL)
        with pytest.raises(ServerUnreachable, match="may go on there"):
            hasty.result(PATIENCE)
        mortal.launch()
        ended = [each.result(PATIENCE) for each in runs]
    assert {each.status for each in ended} == {"lost"}
    assert all(each.reason for each in ended)
    for told in heard.values():
        assert [type(each) for each in told] == [RunStarted, Truncated, Done]
